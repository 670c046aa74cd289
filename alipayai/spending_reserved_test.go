package alipayai_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// perTokenPrice is 1,000 for a token of a prompt, ten times as much for one of an answer of at most 1,000, and 500 tokens an image.
func perTokenPrice() *price.Price {
	return &price.Price{Currency: "CNY", Rates: price.Rates{Input: 1e9, Output: 10e9}, MaxTokens: 1000, ImageTokens: 500}
}

// What an attempt may cost at most is told the ledger as it leaves, and what it should cost the log, both to the unit: nothing of a
// request is forgotten, and nothing counts twice.
func TestWhatIsReservedAndQuoted(t *testing.T) {
	const picture = "data:image/png;base64,iVBORw0KGgo="
	body := func(members, content string) string {
		return `{` + members + `"model":"m","messages":[{"role":"user","content":` + content + `}]}`
	}
	for name, test := range map[string]struct {
		body         string
		most, quoted price.Amount // thousands; most without the body's bytes
		dear         bool         // the other model may answer, which is twice as dear
	}{
		// "hello" is two tokens, what is written of a fallback four, and an answer 256, as long as nothing is known.
		"a text":                       {body(`"max_tokens":7,`, `"hello"`), 70, 2 + 70, false},
		"as long as can be":            {body("", `"hello"`), 10_000, 2 + 2560, false},
		"three answers":                {body(`"max_tokens":7,"n":3,`, `"hello"`), 210, 2 + 210, false},
		"three as long as can be":      {body(`"n":3,`, `"hello"`), 30_000, 2 + 7680, false},
		"a picture":                    {body(`"max_tokens":7,`, `[{"type":"text","text":"hello"},{"type":"image_url","image_url":{"url":"`+picture+`"}}]`), 500 + 70, 502 + 70, false},
		"another model":                {body(`"max_tokens":7,"models":["n"],`, `"hello"`), 70, 2 + 70, true},
		"another, of fewer tokens":     {body(`"max_tokens":7,"fallbacks":[{"model":"n","max_tokens":3}],`, `"hello"`), 70, 6 + 70, true},
		"another, of more tokens":      {body(`"max_tokens":7,"fallbacks":[{"model":"n","max_tokens":9}],`, `"hello"`), 90, 6 + 70, true},
		"another alone has max_tokens": {body(`"fallbacks":[{"model":"n","max_tokens":9}],`, `"hello"`), 10_000, 6 + 2560, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			var most []price.Amount
			s := perform(t, [][]turn{{func(req *http.Request) (*http.Response, error) {
				leave(req)
				for _, line := range l.inFlight() {
					most = append(most, line.Amount)
				}
				return good(req)
			}}}, first(anyModel), spends(l, perTokenPrice(), daily(price.Unit)), func(g *alipayai.Gateway) {
				g.Spending.Providers["first"].ByModel = map[string]*price.Price{"n": {Currency: "CNY", Rates: price.Rates{Input: 2e9, Output: 20e9}, MaxTokens: 1000}}
			})
			request, err := wire.ParseChatRequest([]byte(test.body), wire.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.call(test.body); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			want := price.Amount(len(test.body)-request.ImageBytes) + test.most
			if test.dear {
				want *= 2
			}
			if len(most) != 1 || most[0] != want*1000 {
				t.Errorf("%d may be the cost, want %d", most, want*1000)
			}
			if o := s.outcome(); o.Quoted != (test.quoted*1000).String()+" CNY" {
				t.Errorf("quoted %q, want %s", o.Quoted, test.quoted*1000)
			}
		})
	}
}

// A request that its transport gives a second connection has begun once in the ledger, and nothing stays there of it.
func TestAnAttemptBeginsOnce(t *testing.T) {
	l := new(lines)
	var during int
	s := perform(t, [][]turn{{func(req *http.Request) (*http.Response, error) {
		leave(req)
		leave(req)
		during = int(l.number)
		return good(req)
	}}}, spends(l, perTokenPrice()))
	if got := s.call(chatBody("hello")); got.status != http.StatusOK || during != 1 || len(l.inFlight()) > 0 {
		t.Errorf("%d: %d attempts were under way, and %d are", got.status, during, len(l.inFlight()))
	}
}

// Other models in a request are charged in the currency of its own, or not at all where a budget has to be kept.
func TestOtherModelsInAnotherCurrency(t *testing.T) {
	for currency, status := range map[price.Currency]int{"CNY": http.StatusOK, "USD": http.StatusServiceUnavailable} {
		s := perform(t, [][]turn{{good}}, first(anyModel), spends(new(lines), perTokenPrice(), daily(price.Unit)), func(g *alipayai.Gateway) {
			other := perTokenPrice()
			other.Currency = currency
			g.Spending.Providers["first"].ByModel = map[string]*price.Price{"n": other}
		})
		if got := s.call(`{"models":["n"],"model":"m","messages":[{"role":"user","content":"hello"}]}`); got.status != status {
			t.Errorf("another in %s: %d %s, want %d", currency, got.status, got.body, status)
		}
	}
}

// What calls reserve for a pack covers what the pack may cost, with what it has of its own, and no more than that: they go together
// under a budget that has room for a little more.
func TestPacksAreReservedToTheToken(t *testing.T) {
	for name, member := range map[string]string{"as long as can be": `"temperature":0`, "with max_tokens": `"max_tokens":40`} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				l := new(lines)
				p := newPacking(t, []*model{{}}, func(g *alipayai.Gateway) { g.Packs.MaxCalls = 2 }, spends(l, perTokenPrice(), daily(30e6)))
				for _, text := range []string{"one", "two"} {
					go p.call(userBody("u1", text, member))
				}
				testwait.Pass(time.Second)
				all := l.taken()
				if len(all) != 1 || all[0].PackedWith != 1 {
					t.Errorf("lines %+v, want that of a pack", all)
				}
				if states := p.gateway.Spending.Budgets.States(); len(states) != 1 || states[0].Open != 0 {
					t.Errorf("the budgets have %+v", states)
				}
			})
		})
	}
}

// What models have taken that declined to go on is in the call's line too, beside what the one has that answered.
func TestLinesHaveWhatWasDeclined(t *testing.T) {
	l := new(lines)
	answer := declinesWith("n", `{"type":"message","model":"m","input_tokens":1000,"cache_creation_input_tokens":100,"cache_read_input_tokens":200,"output_tokens":5}`)
	s := perform(t, [][]turn{{answer}}, func(g *alipayai.Gateway) {
		g.Providers[0] = claudeProviderOver(t, g.Providers[0])
	}, first(anyModel), spends(l, perTokenPrice()))
	got := s.callAt(t.Context(), "/v1/messages", `{"model":"m","max_tokens":9,"fallbacks":[{"model":"n"}],"messages":[{"role":"user","content":"hello"}]}`)
	all := l.taken()
	if got.status != http.StatusOK || len(all) != 1 || all[0].Prompt != 1300+1000 || all[0].Cached != 200 || all[0].Completion != 5+10 {
		t.Errorf("%d, lines %+v", got.status, all)
	}
}
