package alipaycaddy

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// A model is priced as its profile's vendor has it in LiteLLM's file, where others have one of the same name, and README.md names
// those profiles.
func TestVendorsOfPriceFiles(t *testing.T) {
	readme := string(must(os.ReadFile("README.md")))
	_, readme, _ = strings.Cut(readme, "`prices file` is LiteLLM's\n")
	readme, _, _ = strings.Cut(readme, "\n\n")
	for profile, vendor := range vendors {
		file := must(price.ParseFile(fmt.Appendf(nil, `{"m":{"litellm_provider":"another","input_cost_per_token":2e-6},
			"%s/m":{"litellm_provider":%[1]q,"input_cost_per_token":1e-6},"n":{"litellm_provider":"another","input_cost_per_token":2e-6}}`, vendor)))
		b := price.Book{File: file, Vendor: vendor}
		if p := b.Of("m"); p == nil || p.Input != 1e9 {
			t.Errorf("%s: %+v", profile, p)
		}
		if p := b.Of("n"); p != nil {
			t.Errorf("%s: another's model is priced: %+v", profile, p)
		}
		if !strings.Contains(readme, "`"+profile+"`") || profile != vendor && !strings.Contains(strings.ReplaceAll(readme, "\n", " "), "`"+profile+"` (whose vendor is `"+vendor+"`)") {
			t.Errorf("README.md does not name %s as %s", profile, vendor)
		}
	}
}

// What of a prompt comes from the provider's cache, and goes there, has its own price where that is configured.
func TestPricesOfCaches(t *testing.T) {
	used := price.Used{Prompt: 4_000_000, Cached: 1_000_000, Written: 2_000_000, WrittenHour: 1_000_000}
	for name, c := range map[string]struct {
		price Price
		want  string
	}{
		"none of its own":      {Price{}, "96"},
		"read":                 {Price{CachedInput: "2.4"}, "74.4"},
		"written":              {Price{CacheWrite: "30"}, "108"},
		"written for an hour":  {Price{CacheWriteHour: "48"}, "120"},
		"all of them":          {Price{CachedInput: "2.4", CacheWrite: "30", CacheWriteHour: "48"}, "104.4"},
		"nothing for what was": {Price{CachedInput: "0"}, "72"},
	} {
		t.Run(name, func(t *testing.T) {
			c.price.Currency, c.price.Input = "CNY", "24"
			p, err := c.price.price()
			if err != nil {
				t.Fatal(err)
			}
			want, err := price.ParseAmount(c.want)
			if got := p.Of(used).Amount; err != nil || got != want {
				t.Errorf("%v, want %v (%v)", got, want, err)
			}
		})
	}
}

// Providers that say what calls have cost are those of the profiles that README.md names for that.
func TestProvidersThatSayWhatCallsCost(t *testing.T) {
	readme := string(must(os.ReadFile("README.md")))
	for profile, currency := range charges {
		if !strings.Contains(readme, "What OpenRouter and LiteLLM say that a call has cost") || !strings.Contains(readme, "`"+profile+"`") || currency != "USD" {
			t.Errorf("README.md does not say that %s says in %s what calls cost", profile, currency)
		}
		u := &upstreams{setting: &setting{warnings: warnings{logger: zap.NewNop()}}, providers: map[string]*upstream.Provider{
			"p": {Name: "p", Profile: must(upstream.LookupProfile(profile)), BaseURL: must(url.Parse("https://x.example"))},
			"q": {Name: "q", Profile: must(upstream.LookupProfile("openai")), BaseURL: must(url.Parse("https://x.example"))},
		}}
		a, err := openAccounts(u, priceOptions{
			providers: map[string]*Provider{"p": {Prices: map[string]*Price{"*": {Currency: "USD"}}}, "q": {}}, ledger: &Ledger{Off: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		if a.priced["p"].Charges != currency || a.priced["q"].Charges != "" {
			t.Errorf("%s says it in %q, and OpenAI in %q", profile, a.priced["p"].Charges, a.priced["q"].Charges)
		}
		u.release()
	}
}
