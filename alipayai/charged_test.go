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
	"github.com/caddy-alipayai/gateway/internal/testwait"
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

// What Anthropic refuses before any output is charged or not by its category, as its reference has it
// (platform.claude.com/docs/en/build-with-claude/refusals-and-fallback); what it has begun to say is charged in each. A category that
// is not known is one that is charged.
func TestRefusalsByAnthropic(t *testing.T) {
	const (
		prices = `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6`
		begun  = `{"type":"text","text":"hi"}`
	)
	for name, test := range map[string]struct {
		content, details string
		output           int
		costs            price.Amount
	}{
		"of what is asked":        {"", `{"type":"refusal","category":"cyber","explanation":"no"}`, 0, 0},
		"of harms":                {"", `{"type":"refusal","category":"general_harms","explanation":null}`, 0, 0},
		"of no category":          {"", `{"type":"refusal","category":null}`, 0, 0},
		"of another":              {"", `{"type":"refusal","category":"frontier_llm"}`, 0, 1000},
		"of biology":              {"", `{"type":"refusal","category":"bio"}`, 0, 1000},
		"of a new one":            {"", `{"type":"refusal","category":"made_up"}`, 0, 1000},
		"of an odd one":           {"", `{"type":"refusal","category":7}`, 0, 1000},
		"of which it says nought": {"", `null`, 0, 1000},
		"after a token":           {"", `{"type":"refusal","category":"cyber"}`, 1, 1010},
		"after a text":            {begun, `{"type":"refusal","category":"cyber"}`, 2, 1020},
	} {
		usage := fmt.Sprintf(`"usage":{"input_tokens":1000,"output_tokens":%d}`, test.output)
		whole := `{"id":"m","type":"message","role":"assistant","model":"m","content":[` + test.content + `],"stop_reason":"refusal","stop_details":` + test.details + `,` + usage + `}`
		events := []string{`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,` + usage + `}}`}
		if test.content != "" {
			events = append(events, `{"type":"content_block_start","index":0,"content_block":`+test.content+`}`, `{"type":"content_block_stop","index":0}`)
		}
		events = append(events, `{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":`+test.details+`},`+usage+`}`, `{"type":"message_stop"}`)
		for mode, c := range map[string]spentCase{
			"Messages":         {path: "/v1/messages", body: strings.Replace(helloOfCosts, "{", `{"max_tokens":9,`, 1), answers: says(200, whole)},
			"Messages, stream": {path: "/v1/messages", body: strings.Replace(helloOfCosts, "{", `{"max_tokens":9,"stream":true,`, 1), answers: streams(nil, events...)},
			"chat":             {answers: says(200, whole)},
			"chat, stream":     {body: strings.Replace(helloOfCosts, "{", `{"stream":true,`, 1), answers: streams(nil, events...)},
		} {
			t.Run(name+", "+mode, func(t *testing.T) {
				c.prices, c.claude, c.costs = prices, true, test.costs
				c.run(t)
			})
		}
	}
}

// What is refused costs nothing, under a success too where a known word says so; what may have executed costs what it may, and so
// does a refusal that its vendor charges.
func TestRefusalsThatCost(t *testing.T) {
	const (
		of           = `"message":"why"`
		contentEvent = `{"choices":[{"index":0,"delta":{"role":"assistant","content":"half"},"finish_reason":null}]}`
	)
	for name, test := range map[string]struct {
		answer turn
		costs  bool
	}{
		"a bad request":                                      {says(400, `{"error":{"code":"invalid_value",`+of+`}}`), false},
		"a bad request under a success":                      {says(200, `{"error":{"code":400,`+of+`}}`), false},
		"one by its type":                                    {says(200, `{"error":{"type":"invalid_request_error",`+of+`}}`), false},
		"one in a stream":                                    {streams(nil, `{"error":{"type":"invalid_request_error",`+of+`}}`), false},
		"one in a stream, after the role":                    {streams(nil, roleEvent, `{"error":{"code":404,`+of+`}}`), false},
		"one behind its content":                             {says(200, "data: "+contentEvent+"\n\ndata: {\"error\":{\"code\":400,"+of+"}}\n\n", "Content-Type", "text/event-stream"), true},
		"one behind content in JSON":                         {says(200, "data: "+contentEvent+"\n\ndata: {\"error\":{\"code\":400,"+of+"}}\n\n", "Content-Type", "application/json"), true},
		"one of a choice with content":                       {says(200, completionOf(`"message":{"role":"assistant","content":"half"},"error":{"code":400,`+of+`},"finish_reason":"error"`, "")), true},
		"one that counts tokens":                             {says(200, `{"error":{"code":400,`+of+`},"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}`), true},
		"one in a guarded stream":                            {streams(nil, contentEvent, `{"error":{"code":400,`+of+`}}`), true},
		"a limit, before anything":                           {streams(nil, roleEvent, `{"error":{"code":429,`+of+`}}`), false},
		"a limit's words in a stream":                        {streams(nil, roleEvent, `{"choices":[{"index":0,"delta":{"content":"Throttling: why"},"finish_reason":"error_finish"}]}`), false},
		"a limit's words after content, in a guarded stream": {streams(nil, contentEvent, `{"choices":[{"index":0,"delta":{"content":"Throttling: why"},"finish_reason":"error_finish"}]}`), true},
		"a limit in a guarded stream":                        {streams(nil, contentEvent, `{"error":{"code":429,`+of+`}}`), true},
		"a filter in a guarded stream":                       {streams(nil, contentEvent, `{"error":{"code":"content_filter",`+of+`}}`), true},
		"no such model":                                      {says(200, `{"error":{"code":"model_not_found",`+of+`}}`), false},
		"Baidu's":                                            {says(200, `{"error_code":336003,"error_msg":"why"}`), false},
		"Baidu's of its server":                              {says(200, `{"error_code":336000,"error_msg":"why"}`), true},
		"nothing that serves":                                {says(400, `{"detail":"Function id 'f': DEGRADED function cannot be invoked"}`), false},
		"a fault behind it under a 400":                      {says(400, `{"error":{"message":"Upstream request failed"}}`), true},
		"too long under a 500":                               {says(500, `{"error":{"code":500,"message":"why","type":"exceed_context_size_error"}}`), false},
		"a word that is not known":                           {says(200, `{"error":{"code":"PARAM_ILLEGAL",`+of+`}}`), true},
		"a conflict":                                         {says(200, `{"error":{"code":409,`+of+`}}`), true},
		"a timeout":                                          {says(200, `{"error":{"code":408,`+of+`}}`), true},
		"Tencent's of its model":                             {says(200, `{"Response":{"Error":{"Code":"InvalidParameterValue.Model","Message":"why"},"RequestId":"r"}}`), false},
		"Tencent's of its account":                           {says(200, `{"Response":{"Error":{"Code":"FailedOperation.ServiceStopArrears","Message":"why"},"RequestId":"r"}}`), false},
		"a filter":                                           {says(400, `{"error":{"code":"content_filter",`+of+`}}`), false},
		"xAI's, which takes a fee":                           {says(403, `{"code":"The caller does not have permission to execute the specified operation","error":"Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}`), true},
		"Groq's of what was generated":                       {says(400, `{"error":{"type":"invalid_request_error","code":"json_validate_failed","failed_generation":"{",`+of+`}}`), true},
		"no channel":                                         {says(503, `{"error":{"message":"当前分组 default 下对于模型 gpt-5 无可用渠道 (request id: 2025)","type":"one_api_error"}}`), false},
		"no channel left":                                    {says(500, `{"error":{"code":"get_channel_failed","type":"new_api_error",`+of+`}}`), true},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				l := new(lines)
				s := perform(t, [][]turn{{test.answer, test.answer, test.answer}}, spends(l, alipayPrice(), daily(price.Unit)))
				body := chatBody("hello")
				if strings.Contains(name, "in a") && strings.Contains(name, "stream") {
					body = streamBody("hello")
				}
				ctx := t.Context()
				if strings.Contains(name, "guarded") {
					ctx = alipayai.WithModeration(ctx, alipayai.Moderation{Guard: &alipayai.OutputGuard{Rules: outputRules(t, "secret handshake"), Name: "law", Window: 64}})
				}
				if got := s.callAt(ctx, chatPath, body); got.status < http.StatusBadRequest {
					t.Fatalf("%d %s", got.status, got.body)
				}
				cost := price.Amount(0)
				for _, line := range l.taken() {
					cost += line.Amount
				}
				if used := s.gateway.Spending.Budgets.States(); (cost > 0) != test.costs || len(used) > 0 && used[0].Used != cost {
					t.Errorf("the ledger has %s, the budget %+v", cost, used)
				}
			})
		})
	}
}

// A usage that is no object says nothing, and is estimated: no vendor is known to send an array of several, of which it would not be
// known whether they are parts of one another.
func TestUsagesThatAreNone(t *testing.T) {
	for _, usage := range []string{`[]`, `[{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}]`, `"12"`, `12`, `true`} {
		c := spentCase{prices: `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6`, costs: 7 + 10, outcome: ledger.Estimated}
		c.answers = says(200, completionOf(`"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"`, `,"usage":`+usage))
		t.Run(usage, func(t *testing.T) { c.run(t) })
	}
}
