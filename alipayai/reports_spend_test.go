package alipayai_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// filePrices makes a gateway that knows a model by LiteLLM's price file, which has these members of it, and a dearer one.
func filePrices(t *testing.T, l *lines, members string, limits ...budget.Limit) func(*alipayai.Gateway) {
	t.Helper()
	file, err := price.ParseFile([]byte(`{"m":{"litellm_provider":"x",` + members + `},"n":{"litellm_provider":"x",
		"input_cost_per_token":3e-6,"output_cost_per_token":30e-6,"max_output_tokens":1000}}`))
	if err != nil {
		t.Fatal(err)
	}
	return func(g *alipayai.Gateway) {
		spends(l, nil, limits...)(g)
		for _, p := range g.Spending.Providers {
			p.Book = price.Book{File: file, Vendor: "x"}
		}
	}
}

// spentCase is what a provider of a model with these prices says of a call, as users of other gateways have reported it,
// and what the call costs then, in millionths of a dollar.
type spentCase struct {
	prices  string
	path    string // of chat completions by default
	body    string
	answers turn
	claude  bool
	costs   price.Amount
	outcome ledger.Outcome
}

// helloOfCosts is the request of a case that names none. Its text has 27 characters, which are some 7 tokens.
const helloOfCosts = `{"model":"m","messages":[{"role":"user","content":"hello, you there, how is it"}]}`

// What calls cost where usage is reported in other forms than OpenAI's own, in part, or as nothing; where parts of a prompt or
// of an answer, long prompts and service tiers have prices of their own.
func TestPublicReportsOfCosts(t *testing.T) {
	const (
		flat     = `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6,"cache_read_input_token_cost":0.1e-6`
		tiers    = flat + `,"input_cost_per_token_priority":2e-6,"output_cost_per_token_priority":20e-6,"input_cost_per_token_flex":0.5e-6,"output_cost_per_token_flex":5e-6`
		claude   = flat + `,"cache_creation_input_token_cost":1.25e-6,"cache_creation_input_token_cost_above_1hr":2e-6`
		ranges   = `"tiered_pricing":[{"range":[0,32e3],"input_cost_per_token":1e-6,"output_cost_per_token":5e-6},{"range":[32e3,128e3],"input_cost_per_token":2e-6,"output_cost_per_token":10e-6}]`
		searches = flat + `,"search_context_cost_per_query":{"search_context_size_low":0.01,"search_context_size_medium":0.01}`
		hello    = helloOfCosts
	)
	with := func(members string) string { return strings.Replace(hello, "{", "{"+members, 1) }
	used := func(usage string, more ...string) turn {
		return says(200, completionOf(`"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"`, `,"usage":`+usage+strings.Join(more, "")))
	}
	message := func(usage string) turn {
		return says(200, `{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":`+usage+`}`)
	}
	for source, test := range map[string]spentCase{
		"https://github.com/BerriAI/litellm/issues/14849":        {prices: flat, answers: used(`{"prompt_tokens":1000,"completion_tokens":1,"total_tokens":1001,"prompt_tokens_details":{"text_tokens":1000,"cached_tokens":900}}`), costs: 100 + 90 + 10},
		"https://github.com/earendil-works/pi/issues/8075":       {prices: flat, answers: used(`{"prompt_tokens":1000,"completion_tokens":1,"total_tokens":1001,"cached_tokens":900}`), costs: 100 + 90 + 10},
		"https://github.com/BerriAI/litellm/pull/28009":          {prices: claude, answers: used(`{"prompt_tokens":1000,"completion_tokens":1,"total_tokens":1001,"cache_read_input_tokens":500,"cache_creation_input_tokens":400}`), costs: 100 + 50 + 500 + 10},
		"https://github.com/mindroom-ai/mindroom/pull/2134":      {prices: claude, answers: used(`{"prompt_tokens":2600,"completion_tokens":1,"total_tokens":2601,"prompt_tokens_details":{"cached_tokens":2000,"cache_write_tokens":400}}`), costs: 200 + 200 + 500 + 10},
		"https://github.com/browser-use/browser-use/issues/5305": {prices: claude, path: "/v1/messages", claude: true, body: with(`"max_tokens":9,`), answers: message(`{"input_tokens":1200,"cache_read_input_tokens":500,"cache_creation_input_tokens":400,"output_tokens":1}`), costs: 1200 + 50 + 500 + 10},
		"https://github.com/earendil-works/pi/issues/5737":       {prices: claude, path: "/v1/messages", claude: true, body: with(`"max_tokens":9,`), answers: message(`{"input_tokens":0,"cache_read_input_tokens":0,"cache_creation_input_tokens":1000,"cache_creation":{"ephemeral_5m_input_tokens":400,"ephemeral_1h_input_tokens":600},"output_tokens":1}`), costs: 500 + 1200 + 10},
		"https://github.com/BerriAI/litellm/issues/30346":        {prices: ranges, answers: used(`{"prompt_tokens":32000,"completion_tokens":10,"total_tokens":32010}`), costs: 32000 + 50},
		"https://github.com/BerriAI/litellm/issues/34729":        {prices: ranges, answers: used(`{"prompt_tokens":32001,"completion_tokens":10,"total_tokens":32011}`), costs: 64002 + 100},
		"https://github.com/BerriAI/litellm/issues/13810":        {prices: tiers, body: with(`"service_tier":"flex",`), answers: used(`{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}`, `,"service_tier":"flex"`), costs: 500 + 50},
		"https://github.com/langfuse/langfuse/issues/13780":      {prices: tiers, body: with(`"service_tier":"priority",`), answers: used(`{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}`), costs: 2000 + 200},
		"https://github.com/PostHog/posthog/pull/94200":          {prices: tiers, body: with(`"service_tier":"priority",`), answers: used(`{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}`, `,"service_tier":"default"`), costs: 1000 + 100},
		"https://github.com/PostHog/posthog/pull/94200 ":         {prices: tiers, body: with(`"stream":true,`), answers: streams(nil, deltaEvent, finishEvent, `{"choices":[],"service_tier":"priority","usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}}`, "[DONE]"), costs: 2000 + 200},
		"https://github.com/BerriAI/litellm/pull/30558":          {prices: tiers, path: "/v1/messages", claude: true, body: with(`"max_tokens":9,`), answers: message(`{"input_tokens":1000,"output_tokens":10,"service_tier":"priority"}`), costs: 2000 + 200},
		"https://github.com/earendil-works/pi/issues/8285":       {prices: flat, body: with(`"models":["n"],`), answers: says(200, strings.Replace(completionOf(`"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}`), `"model":"m"`, `"model":"n"`, 1)), costs: 3000 + 300},
		"https://github.com/earendil-works/pi/issues/8285 ":      {prices: flat, path: "/v1/messages", claude: true, body: with(`"max_tokens":9,"fallbacks":[{"model":"n"}],`), answers: says(200, `{"id":"m","type":"message","role":"assistant","model":"n","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1000,"output_tokens":10}}`), costs: 3000 + 300},
		// A model that declines to go on with its answer is charged beside the one that gives another, and one that has not begun is not:
		// https://github.com/ccusage/ccusage/issues/1552, and anthropic-sdk-python's types of iterations.
		"https://github.com/BerriAI/litellm/pull/39294":                 {prices: flat, path: "/v1/messages", claude: true, body: with(`"max_tokens":900,"fallbacks":[{"model":"n"}],`), answers: declines("n", 500), costs: 1000 + 5000 + 3000 + 300},
		"https://github.com/BerriAI/litellm/pull/39294 ":                {prices: flat, path: "/v1/messages", claude: true, body: with(`"max_tokens":900,"fallbacks":[{"model":"n"}],`), answers: declines("n", 0), costs: 3000 + 300},
		"https://github.com/mozex/anthropic-laravel/releases/tag/1.8.0": {prices: flat, path: "/v1/messages", claude: true, body: with(`"max_tokens":900,"fallbacks":"default",`), answers: declines("n", 500), costs: 1000 + 5000 + 3000 + 300},
		"a model declines in a stream":                                  {prices: flat, path: "/v1/messages", claude: true, body: with(`"max_tokens":900,"stream":true,"fallbacks":[{"model":"n"}],`), answers: declinesInStream("n", 500), costs: 1000 + 5000 + 3000 + 300},
		"https://github.com/earendil-works/pi/issues/8285  ":            {prices: flat, path: "/v1/messages", claude: true, body: with(`"max_tokens":9,"fallbacks":[{"model":"n"}],`), answers: says(200, `{"id":"m","type":"message","role":"assistant","model":"n-20250929","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1000,"output_tokens":10}}`), costs: 3000 + 300},
		"a model of a longer name":                                      {prices: flat, body: with(`"models":["n"],`), answers: says(200, strings.Replace(completionOf(`"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}`), `"model":"m"`, `"model":"n5"`, 1)), costs: 1000 + 100},
		"another model, without a price":                                {prices: flat, body: with(`"models":["o"],`), answers: says(200, strings.Replace(completionOf(`"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}`), `"model":"m"`, `"model":"o"`, 1)), costs: 1000 + 100},
		"another than one without a price":                              {prices: flat, body: strings.Replace(with(`"models":["n"],`), `"m"`, `"o"`, 1), answers: says(200, strings.Replace(completionOf(`"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}`), `"model":"m"`, `"model":"n"`, 1)), costs: 0},
		"https://github.com/BerriAI/litellm/pull/31355":                 {prices: searches, path: "/v1/messages", claude: true, body: with(`"max_tokens":9,`), answers: message(`{"input_tokens":1000,"output_tokens":10,"server_tool_use":{"web_search_requests":2,"web_fetch_requests":1}}`), costs: 1000 + 100 + 20_000},
		"https://github.com/BerriAI/litellm/issues/15227":               {prices: searches, path: responsesPath, body: `{"model":"m","input":"hello"}`, answers: says(200, `{"id":"resp_1","object":"response","status":"completed","model":"m","output":[{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}},{"type":"web_search_call","id":"ws_2","status":"completed","action":{"type":"open_page","url":"https://x.example"}},{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[]}]}],"usage":{"input_tokens":1000,"output_tokens":10,"total_tokens":1010}}`), costs: 1000 + 100 + 10_000},
		"searches without usage":                                        {prices: searches, path: responsesPath, body: `{"model":"m","input":"hello"}`, answers: says(200, `{"id":"resp_1","object":"response","status":"completed","model":"m","output":[{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}},{"type":"web_search_call","id":"ws_2","status":"completed","action":{"type":"open_page","url":"https://x.example"}},{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[]}]}]}`), costs: 2 + 1070 + 10_000, outcome: ledger.Estimated},
		"https://github.com/langwatch/langwatch/issues/7036":            {prices: flat + `,"input_cost_per_audio_token":40e-6,"output_cost_per_audio_token":80e-6`, answers: used(`{"prompt_tokens":20,"completion_tokens":47,"total_tokens":67,"prompt_tokens_details":{"audio_tokens":5},"completion_tokens_details":{"audio_tokens":34}}`), costs: 15 + 200 + 130 + 2720},
		"https://github.com/BerriAI/litellm/pull/37661":                 {prices: flat, answers: used(`{"prompt_tokens":20,"completion_tokens":1,"total_tokens":21,"prompt_tokens_details":{"audio_tokens":20}}`), costs: 20 + 10},
		"https://github.com/MiXaiLL76/auto_ai_router/pull/142":          {prices: flat, answers: used(`{"prompt_tokens":0,"completion_tokens":10,"total_tokens":10}`), costs: 7 + 100, outcome: ledger.Estimated},
		"the total tells the prompt":                                    {prices: flat, answers: used(`{"prompt_tokens":0,"completion_tokens":10,"total_tokens":15}`), costs: 5 + 100},
		"the total alone":                                               {prices: flat, answers: used(`{"total_tokens":107}`), costs: 7 + 1000, outcome: ledger.Estimated},
		"the total alone, of no answer":                                 {prices: flat, answers: says(200, completionOf(`"message":{"role":"assistant","content":""},"finish_reason":"length"`, `,"usage":{"total_tokens":107}`)), costs: 107},
		"https://github.com/Wei-Shaw/sub2api/issues/6906":               {prices: flat, body: with(`"stream":true,`), answers: streams(nil, deltaEvent, `{"choices":[{"delta":{"content":"0123456789abcde"},"finish_reason":"stop"}]}`, `{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`, "[DONE]"), costs: 7 + 60, outcome: ledger.Estimated},
		"an answer that is counted as nothing":                          {prices: flat, body: with(`"stream":true,`), answers: streams(nil, deltaEvent, `{"choices":[{"delta":{"content":"0123456789abcde"},"finish_reason":"stop"}]}`, `{"choices":[],"usage":{"prompt_tokens":6,"completion_tokens":0,"total_tokens":6}}`, "[DONE]"), costs: 6 + 60, outcome: ledger.Estimated},
		"nothing in a dearer tier":                                      {prices: tiers, body: with(`"stream":true,`), answers: streams(nil, deltaEvent, `{"choices":[{"delta":{"content":"0123456789abcde"},"finish_reason":"stop"}]}`, `{"choices":[],"service_tier":"priority","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`, "[DONE]"), costs: 2*7 + 2*60, outcome: ledger.Estimated},
		"nothing, and a search":                                         {prices: searches, body: with(`"stream":true,`), answers: streams(nil, deltaEvent, `{"choices":[{"delta":{"content":"0123456789abcde"},"finish_reason":"stop"}]}`, `{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"server_tool_use":{"web_search_requests":2}}}`, "[DONE]"), costs: 7 + 60 + 20_000, outcome: ledger.Estimated},
		"what declines has a cache":                                     {prices: claude, path: "/v1/messages", claude: true, body: with(`"max_tokens":900,"fallbacks":[{"model":"n"}],`), answers: declinesWith("n", `{"type":"message","model":"m","input_tokens":1000,"cache_creation_input_tokens":100,"cache_read_input_tokens":200,"output_tokens":5}`), costs: 1000 + 125 + 20 + 50 + 3000 + 300},
		"two models decline":                                            {prices: flat, path: "/v1/messages", claude: true, body: with(`"max_tokens":900,"fallbacks":[{"model":"n"},{"model":"o"}],`), answers: declinesWith("o", `{"type":"message","model":"m","input_tokens":1000,"output_tokens":500},{"type":"message","model":"n","input_tokens":1000,"output_tokens":100}`), costs: 3*2000 + 30*600 + 1000 + 100},
		"zeros at last":                                                 {prices: flat, body: with(`"stream":true,`), answers: streams(nil, `{"choices":[{"delta":{"content":"hello"}}],"usage":{"prompt_tokens":6,"completion_tokens":3,"total_tokens":9}}`, finishEvent, `{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`, "[DONE]"), costs: 6 + 30},
		"https://github.com/earendil-works/pi/issues/2017":              {prices: flat, body: with(`"stream":true,`), answers: streams(nil, deltaEvent, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":6,"completion_tokens":3,"total_tokens":9}}]}`, "[DONE]"), costs: 6 + 30},
		"Groq's":         {prices: flat, body: with(`"stream":true,`), answers: streams(nil, deltaEvent, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"req_1","usage":{"prompt_tokens":6,"completion_tokens":3,"total_tokens":9}}}`, "[DONE]"), costs: 6 + 30},
		"in both places": {prices: flat, answers: says(200, `{"model":"m","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop","usage":{"prompt_tokens":1,"completion_tokens":1}}],"usage":{"prompt_tokens":6,"completion_tokens":3,"total_tokens":9}}`), costs: 6 + 30},
		"no answer":      {prices: flat, answers: says(200, completionOf(`"message":{"role":"assistant","content":""},"finish_reason":"length"`, `,"usage":{"prompt_tokens":6,"completion_tokens":0,"total_tokens":6}`)), costs: 6},
	} {
		t.Run(source, func(t *testing.T) {
			test.run(t)
		})
	}
}

// iterationsOf are those of an answer that model m has begun and declined to go on with after so many tokens, and another has given.
func iterationsOf(model string, output int) string {
	return fmt.Sprintf(`{"input_tokens":1000,"output_tokens":10,"iterations":[{"type":"message","model":"m","input_tokens":1000,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":%d},`+
		`{"type":"fallback_message","model":%q,"input_tokens":1000,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":10}]}`, output, model)
}

// declines is such an answer.
func declines(model string, output int) turn {
	return says(200, fmt.Sprintf(`{"id":"m","type":"message","role":"assistant","model":%q,"content":[{"type":"fallback","from":{"model":"m"},"to":{"model":%q},"trigger":{"type":"refusal"}},`+
		`{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":%s}`, model, model, iterationsOf(model, output)))
}

// declinesWith is an answer of a model behind these iterations of others.
func declinesWith(model, iterations string) turn {
	return says(200, fmt.Sprintf(`{"id":"m","type":"message","role":"assistant","model":%q,"content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn",`+
		`"usage":{"input_tokens":1000,"output_tokens":10,"iterations":[%s,{"type":"fallback_message","model":%q,"input_tokens":1000,"output_tokens":10}]}}`, model, iterations, model))
}

// declinesInStream is a stream of it, which begins in the name of the model that declines: fallback_response.txt of anthropic-sdk-python.
func declinesInStream(model string, output int) turn {
	return streams(nil,
		`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":1000,"output_tokens":1}}}`,
		`{"type":"content_block_start","index":0,"content_block":{"type":"fallback","from":{"model":"m"},"to":{"model":"`+model+`"}}}`, `{"type":"content_block_stop","index":0}`,
		`{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"hi"}}`, `{"type":"content_block_stop","index":1}`,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":`+iterationsOf(model, output)+`}`, `{"type":"message_stop"}`)
}

// run makes the call, and compares what it has cost.
func (test spentCase) run(t *testing.T, with ...func(*alipayai.Gateway)) {
	if test.path == "" {
		test.path = chatPath
	}
	if test.body == "" {
		test.body = helloOfCosts
	}
	if test.outcome == "" {
		test.outcome = ledger.Known
	}
	l := new(lines)
	s := perform(t, [][]turn{{test.answers}}, append([]func(*alipayai.Gateway){func(g *alipayai.Gateway) {
		if test.claude {
			g.Providers[0] = claudeProviderOver(t, g.Providers[0])
		}
		g.Providers[0].Responses = test.path == responsesPath
	}, first(anyModel), filePrices(t, l, test.prices)}, with...)...)
	if got := s.callAt(t.Context(), test.path, test.body); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	all := l.taken()
	if len(all) != 1 || all[0].Amount != test.costs*1000 || all[0].Outcome != test.outcome {
		t.Errorf("%+v, want %s, %s", all, test.costs*1000, test.outcome)
	}
}

// claudeProviderOver is a provider of Anthropic's form in the place of p.
func claudeProviderOver(t *testing.T, p *upstream.Provider) *upstream.Provider {
	t.Helper()
	own := claudeProvider(t, p.BaseURL.String())
	own.Name, own.Transport = p.Name, p.Transport
	return own
}

// Whatever service tier a client asks for, its budget is not exceeded: as much is reserved as the tier may cost, and where
// that is not known nothing is sent (https://github.com/coder/xum/issues/4352). Without a budget it goes as it is.
func TestServiceTiersWithinBudgets(t *testing.T) {
	const (
		flat  = `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6,"max_output_tokens":1000`
		tiers = flat + `,"input_cost_per_token_priority":2e-6,"output_cost_per_token_priority":20e-6,"input_cost_per_token_flex":0.5e-6,"output_cost_per_token_flex":5e-6`
	)
	// 1,000 tokens of an answer at 10 millionths, and less than a thousand bytes of a prompt at one.
	within, small := price.Amount(11e6), price.Amount(9e6)
	for name, test := range map[string]struct {
		prices, members string
		limit           price.Amount // 0 for none
		status          int
		code            string
	}{
		"none":                      {tiers, "", within, 200, ""},
		"none, too dear":            {tiers, "", small, 429, "tenant_budget"},
		"as always":                 {flat, `"service_tier":"default",`, within, 200, ""},
		"by the vendor":             {flat, `"service_tier":"auto",`, within, 200, ""},
		"dearer":                    {tiers, `"service_tier":"priority",`, 2 * within, 200, ""},
		"dearer, too dear":          {tiers, `"service_tier":"priority",`, within, 429, "tenant_budget"},
		"dearer, escaped":           {tiers, `"service\u005ftier":"pri\u006frity",`, within, 429, "tenant_budget"},
		"dearer, in other letters":  {tiers, `"Service_Tier":"priority",`, within, 400, "unknown_parameter"},
		"cheaper":                   {tiers, `"service_tier":"flex",`, within, 200, ""},
		"cheaper, or as always":     {tiers, `"service_tier":"flex",`, small, 429, "tenant_budget"},
		"cheaper, without a price":  {flat, `"service_tier":"flex",`, within, 200, ""},
		"not known":                 {flat, `"service_tier":"priority",`, within, 503, "price_unknown"},
		"not known, new":            {tiers, `"service_tier":"ultra",`, within, 503, "price_unknown"},
		"another, cheap enough":     {flat, `"models":["n"],`, 3 * within, 200, ""},
		"another, too dear":         {flat, `"models":["n"],`, within, 429, "tenant_budget"},
		"another, escaped":          {flat, `"model\u0073":["n"],`, within, 429, "tenant_budget"},
		"another, not known":        {flat, `"models":["o"],`, within, 503, "price_unknown"},
		"another, not in the tier":  {tiers, `"service_tier":"priority","models":["n"],`, 9 * within, 503, "price_unknown"},
		"others by a name":          {flat, `"fallbacks":[{"model":"n"}],`, within, 429, "tenant_budget"},
		"others of more tokens":     {flat, `"max_tokens":10,"fallbacks":[{"model":"n","max_tokens":64000}],`, within, 429, "tenant_budget"},
		"others of as many":         {flat, `"max_tokens":10,"fallbacks":[{"model":"n","max_tokens":10}],`, within, 200, ""},
		"others in a tier":          {flat, `"fallbacks":[{"model":"n","speed":"fast"}],`, 9 * within, 503, "price_unknown"},
		"others that have no name":  {flat, `"fallbacks":"default",`, 9 * within, 503, "price_unknown"},
		"not known, without budget": {flat, `"service_tier":"ultra",`, 0, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			var limits []budget.Limit
			if test.limit > 0 {
				limits = append(limits, budget.Limit{Amount: test.limit, Currency: "USD", Window: budget.Day(time.UTC)})
			}
			answer := completionOf(`"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}`)
			s := perform(t, [][]turn{{says(200, answer)}}, first(anyModel), filePrices(t, l, test.prices, limits...))
			got := s.call(`{` + test.members + `"model":"m","messages":[{"role":"user","content":"hello"}]}`)
			if got.status != test.status || !strings.Contains(got.body, test.code) {
				t.Errorf("%d %s, want %d %s", got.status, got.body, test.status, test.code)
			}
			sent := 0
			if test.status == http.StatusOK {
				sent = 1
			}
			s.wantCalls(sent)
			if lines := l.taken(); len(lines) != sent || sent > 0 && (lines[0].Outcome == ledger.Known) == strings.Contains(test.members, "ultra") {
				t.Errorf("%+v", lines)
			}
		})
	}
}

// Models that a request names to answer in the place of its own are those that it could ask for: none that its provider is not
// to serve, nor one that goes by another name there (https://github.com/maximhq/bifrost/issues/4243).
func TestOtherModelsAreThoseServed(t *testing.T) {
	for name, test := range map[string]struct {
		edit   func(*upstream.Provider)
		others string
		sent   bool
	}{
		"any":               {anyModel, `"models":["m","o"],`, true},
		"none":              {func(p *upstream.Provider) { p.Models = []string{"m"} }, "", true},
		"served":            {func(p *upstream.Provider) { p.Models = []string{"m", "n"} }, `"models":["n","m"],`, true},
		"not served":        {func(p *upstream.Provider) { p.Models = []string{"m"} }, `"models":["n"],`, false},
		"not served, later": {func(p *upstream.Provider) { p.Models = []string{"m"} }, `"models":["m","n"],`, false},
		"a fallback":        {func(p *upstream.Provider) { p.Models = []string{"m"} }, `"fallbacks":["n"],`, false},
		"named otherwise":   {func(p *upstream.Provider) { p.ModelMap = map[string]string{"n": "o"} }, `"models":["n"],`, false},
		"one for all":       {func(p *upstream.Provider) { p.Model = "m" }, `"models":["n"],`, false},
		"not named, of any": {anyModel, `"fallbacks":"default",`, true},
		"not named":         {func(p *upstream.Provider) { p.Models = []string{"m"} }, `"fallbacks":"default",`, false},
		"not named, of one": {func(p *upstream.Provider) { p.Model = "m" }, `"fallbacks":"default",`, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := perform(t, [][]turn{{good}}, first(anyModel), first(test.edit))
			got := s.call(`{` + test.others + `"model":"m","messages":[{"role":"user","content":"hello"}]}`)
			if !test.sent {
				wantError(t, got, http.StatusBadRequest, "unsupported_parameter")
				s.wantCalls(0)
			} else if s.wantCalls(1); got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

// Where each model that has begun an answer is charged, what they may cost together is reserved.
func TestModelsThatMayDeclineAreReserved(t *testing.T) {
	const flat = `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6`
	// 1,000 tokens of an answer at 10 millionths and at 30, and less than a thousand bytes of a prompt at one and at three.
	for limit, status := range map[price.Amount]int{price.Amount(39e6): http.StatusTooManyRequests, price.Amount(45e6): http.StatusOK} {
		l := new(lines)
		s := perform(t, [][]turn{{declines("n", 500)}}, func(g *alipayai.Gateway) {
			g.Providers[0] = claudeProviderOver(t, g.Providers[0])
		}, first(anyModel), filePrices(t, l, flat, budget.Limit{Amount: limit, Currency: "USD", Window: budget.Day(time.UTC)}))
		got := s.callAt(t.Context(), "/v1/messages", `{"model":"m","max_tokens":1000,"fallbacks":[{"model":"n"}],"messages":[{"role":"user","content":"hello"}]}`)
		if got.status != status {
			t.Errorf("with a budget of %s: %d %s, want %d", limit, got.status, got.body, status)
		}
	}
}

// Of an answer whose usage is not known it is not known either who has declined before: a budget counts the most that all may
// have cost together, and where each has said what it took, that.
func TestModelsThatMayHaveDeclinedAreCounted(t *testing.T) {
	const flat = `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6`
	of := func(model string) turn {
		return says(200, `{"id":"m","type":"message","role":"assistant","model":"`+model+`","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}`)
	}
	for name, test := range map[string]struct {
		answer      turn
		least, most price.Amount
	}{
		"of the first":        {of("m"), 40e6, 45e6},
		"of the second":       {of("n"), 40e6, 45e6},
		"of a second's name":  {of("n-20250929"), 40e6, 45e6},
		"all is known":        {declines("n", 500), 9.3e6, 9.3e6},
		"none of it was made": {declines("n", 0), 3.3e6, 3.3e6},
	} {
		t.Run(name, func(t *testing.T) {
			l := new(lines)
			s := perform(t, [][]turn{{test.answer}}, func(g *alipayai.Gateway) {
				g.Providers[0] = claudeProviderOver(t, g.Providers[0])
			}, first(anyModel), filePrices(t, l, flat, budget.Limit{Amount: price.Unit, Currency: "USD", Window: budget.Day(time.UTC)}))
			got := s.callAt(t.Context(), "/v1/messages", `{"model":"m","max_tokens":1000,"fallbacks":[{"model":"n"}],"messages":[{"role":"user","content":"hello"}]}`)
			if got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if state := s.gateway.Spending.Budgets.States()[0]; state.Used < test.least || state.Used > test.most || state.Open != 0 {
				t.Errorf("the budget has %+v, want %s to %s", state, test.least, test.most)
			}
		})
	}
}
