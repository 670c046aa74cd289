package alipayai_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/anthropic"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// A stream that its door gives up, as where the client takes no more of it, is charged by what it has brought, whatever its
// provider has counted so far.
func TestStreamsThatAreGivenUp(t *testing.T) {
	content := `{"choices":[{"delta":{"content":"` + strings.Repeat("words ", 40) + `"}}]` // 240 bytes
	for name, test := range map[string]struct {
		events     []string
		completion int64
	}{
		"without usage":             {[]string{content + "}"}, 60},
		"a usage of the beginning":  {[]string{content + `,"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}`}, 60},
		"a usage of more than that": {[]string{content + `,"usage":{"prompt_tokens":5,"completion_tokens":80,"total_tokens":85}}`}, 80},
	} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			s := perform(t, [][]turn{{streams(silent, test.events...)}}, spends(l, alipayPrice(), daily(price.Unit)))
			body := []byte(streamBody("hello"))
			request, err := wire.ParseChatRequest(body, wire.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			a, err := s.gateway.Do(t.Context(), &alipayai.Call{Endpoint: upstream.EndpointChat, Tenant: "acme", Request: request, Format: openai.Format{}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Next(); err != nil {
				t.Fatal(err)
			}
			a.Close(false)
			all := l.taken()
			if o := s.outcome(); o.Status != 499 || len(all) != 1 || all[0].Outcome != ledger.Estimated || all[0].Completion != test.completion {
				t.Errorf("status %d, %+v; want %d tokens", o.Status, all, test.completion)
			}
		})
	}
}

// A budget is not short by images, whatever of the usage is missing: what is not known counts as the most that it can be.
func TestImagesWithoutUsage(t *testing.T) {
	image := `{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("A", 4000) + `"}}`
	body := `{"model":"alipay-fin-1","messages":[{"role":"user","content":[{"type":"text","text":"what are they?"},` + image + "," + image + "," + image + `]}]}`
	for name, usage := range map[string]string{
		"none":          "",
		"nothing":       `,"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`,
		"no prompt":     `,"usage":{"prompt_tokens":0,"completion_tokens":2}`,
		"no whole ones": `,"usage":{"prompt_tokens":-1,"completion_tokens":2}`,
	} {
		t.Run(name, func(t *testing.T) {
			l, p := new(lines), alipayPrice()
			p.MinCharacters = 0
			s := perform(t, [][]turn{{says(200, `{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]`+usage+`}`)}}, spends(l, p, daily(price.Unit)))
			if got := s.call(body); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			images := 3 * p.ImageTokens
			if all := l.taken(); len(all) != 1 || all[0].Outcome != ledger.Estimated || all[0].Prompt < images || all[0].Prompt > images+100 {
				t.Errorf("%+v, want an estimate with %d tokens of images", all, images)
			}
			if used := s.gateway.Spending.Budgets.States()[0].Used; used < p.Of(price.Used{Prompt: images + 200}).Amount {
				t.Errorf("the budget has %s", used)
			}
		})
	}
}

// Without a usage a budget has the most that the tokens may have cost, whichever of the price's rates holds for them.
func TestDearerRatesWithoutUsage(t *testing.T) {
	dear := price.PerToken(900e9)
	body := chatBody("hello")
	all := int64(len(body))
	for name, c := range map[string]struct {
		edit func(*price.Price)
		used price.Used
	}{
		"the model's":            {func(*price.Price) {}, price.Used{Prompt: all}},
		"written to the cache":   {func(p *price.Price) { p.Written = &dear }, price.Used{Prompt: all, Written: all}},
		"for an hour":            {func(p *price.Price) { p.WrittenHour = &dear }, price.Used{Prompt: all, Written: all, WrittenHour: all}},
		"sound":                  {func(p *price.Price) { p.AudioIn = &dear }, price.Used{Prompt: all, AudioIn: all}},
		"pictures of the answer": {func(p *price.Price) { p.ImageOut = &dear }, price.Used{Prompt: all, Completion: 1, ImageOut: 1}},
		"a cheaper long prompt":  {func(p *price.Price) { p.Above = []price.Tier{{Tokens: 1, Rates: price.Rates{Input: 1}}} }, price.Used{}},
	} {
		t.Run(name, func(t *testing.T) {
			l, p := new(lines), alipayPrice()
			p.MinCharacters = 0
			c.edit(p)
			want := max(p.Of(c.used).Amount, price.Amount(int64(p.Input)*all/1e6))
			s := perform(t, [][]turn{{says(200, `{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}`)}}, spends(l, p, daily(10*price.Unit)))
			if got := s.call(body); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if used := s.gateway.Spending.Budgets.States()[0].Used; used < want {
				t.Errorf("the budget has %s, which may have cost %s", used, want)
			}
			if lines := l.taken(); len(lines) != 1 || lines[0].Outcome != ledger.Estimated {
				t.Errorf("lines %+v", lines)
			}
		})
	}
}

// What a guard refuses was generated: it is charged by its usage, and not as the most that it could cost.
func TestRefusedAnswersAreCharged(t *testing.T) {
	const usage = `,"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}`
	delta := func(text, usage string) string {
		return `data: {"choices":[{"index":0,"delta":{"content":"` + text + `"}}]` + usage + "}\n\n"
	}
	const refused, fine = "a secret handshake, and what follows it", "words that are fine, and some more of them. "
	for name, test := range map[string]struct {
		answer             string
		prompt, completion int64
		outcome            ledger.Outcome
	}{
		"whole":                {`{"model":"m","choices":[{"message":{"content":"` + refused + `"},"finish_reason":"stop"}]` + usage + `}`, 5, 7, ledger.Known},
		"whole, without usage": {`{"model":"m","choices":[{"message":{"content":"` + refused + `"},"finish_reason":"stop"}]}`, 2, 10, ledger.Estimated},
		"a stream at once":     {delta(refused, usage), 5, 10, ledger.Estimated},
		"a stream later":       {delta(fine, usage) + delta(refused, ""), 5, 22, ledger.Estimated},
		"without usage":        {delta(fine, "") + delta(refused, ""), 2, 22, ledger.Estimated},
	} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			body, kind := chatBody("hello"), "application/json"
			if strings.HasPrefix(test.answer, "data:") {
				body, kind = streamBody("hello"), "text/event-stream"
			}
			p := alipayPrice()
			p.MinCharacters = 0
			r := startRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				_, _ = w.Write([]byte(test.answer))
			}), plainProvider, spends(l, p, daily(price.Unit)))
			blocked := r.guard(t)
			r.do(t.Context(), http.MethodPost, chatPath, body)
			o := r.outcome()
			all := l.taken()
			if blocked.Load() != 1 || len(all) != 1 || all[0].Outcome != test.outcome || all[0].Prompt != test.prompt || all[0].Completion != test.completion {
				t.Errorf("%d refused, %+v; want %d and %d tokens, %s", blocked.Load(), all, test.prompt, test.completion, test.outcome)
			}
			if used := r.gateway.Spending.Budgets.States()[0]; used.Open != 0 || used.Used >= p.Bound(price.Asked{Bytes: 1}) {
				t.Errorf("the budget has %+v", used)
			}
			if strings.Contains(test.answer, "usage") && o.Usage.Total != 12 {
				t.Errorf("the call's usage is %+v", o.Usage)
			}
		})
	}
}

// What texts take is learned of prompts that have nothing else, and how long answers are of all.
func TestEstimatesLearnOfTexts(t *testing.T) {
	text, image := `{"type":"text","text":"what is it?"}`, `{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}`
	for name, test := range map[string]struct {
		parts, details string
		prompt         int
		learns         bool
	}{
		"a text":                  {text, "", 40, true},
		"an image":                {text + "," + image, "", 40, false},
		"an image counted":        {text, `,"prompt_tokens_details":{"image_tokens":30}`, 40, false},
		"sound":                   {text, `,"prompt_tokens_details":{"audio_tokens":30}`, 40, false},
		"a search":                {text, `,"server_tool_use":{"web_search_requests":1}`, 40, false},
		"more than was sent":      {text, "", 400, false},
		"much more than was sent": {text, "", 150_000, false},
	} {
		t.Run(name, func(t *testing.T) {
			answer := fmt.Sprintf(`{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":9%s}}`, test.prompt, test.details)
			s := perform(t, [][]turn{{says(200, answer)}}, spends(new(lines), alipayPrice()))
			estimate := s.gateway.Spending.Providers["first"].Estimate
			long := price.Text{Others: 1000}
			before := estimate.Tokens(long)
			if got := s.call(`{"model":"m","messages":[{"role":"user","content":[` + test.parts + `]}]}`); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if after := estimate.Tokens(long); (after != before) != test.learns || estimate.Answer() != 9 {
				t.Errorf("1000 characters are %d tokens, and were %d; an answer has %d", after, before, estimate.Answer())
			}
		})
	}
}

// A call whose conversation the provider has summarised took its prompt twice, and the summary is no answer: of neither is learned.
func TestEstimatesLearnNothingOfCompactions(t *testing.T) {
	answer := `{"id":"1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","usage":` +
		`{"input_tokens":20,"output_tokens":9,"iterations":[{"type":"compaction","input_tokens":30,"output_tokens":700},{"type":"message","input_tokens":20,"output_tokens":9}]}}`
	l := new(lines)
	s := perform(t, [][]turn{{says(200, answer)}}, spends(l, alipayPrice()), func(g *alipayai.Gateway) {
		g.Providers[0].Profile, g.Providers[0].Format = profile(t, "anthropic"), new(anthropic.Format)
	})
	estimate := s.gateway.Spending.Providers["first"].Estimate
	before := [2]int64{estimate.Tokens(price.Text{Others: 100_000}), estimate.Answer()}
	if got := s.call(chatBody("hello")); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if after := [2]int64{estimate.Tokens(price.Text{Others: 100_000}), estimate.Answer()}; after != before {
		t.Errorf("the estimates are %v, and were %v", after, before)
	}
	if all := l.taken(); len(all) != 1 || all[0].Prompt != 50 || all[0].Completion != 709 {
		t.Errorf("%+v", all)
	}
}

// A label of metrics is a model that the configuration names, and no other that a client may have chosen.
func TestLabelsOfCosts(t *testing.T) {
	for name, test := range map[string]struct {
		models map[string]bool
		want   string
	}{
		"named":   {map[string]bool{"alipay-fin-1": true}, "alipay-fin-1"},
		"another": {map[string]bool{"alipay-fin-2": true}, "other"},
		"none":    {nil, "other"},
	} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			s := perform(t, [][]turn{{good}}, spends(l, alipayPrice()), func(g *alipayai.Gateway) { g.Spending.Providers["first"].Models = test.models })
			if got := s.call(chatBody("hello")); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if costs := s.outcome().Costs; len(costs) != 1 || costs[0].Label != test.want {
				t.Errorf("%+v", costs)
			}
		})
	}
}
