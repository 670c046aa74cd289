package alipaycaddy

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/price"
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
