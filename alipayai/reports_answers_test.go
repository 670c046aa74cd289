package alipayai_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// TestPublicReportsOfBadAnswers has answers under 200 of 2025 and 2026, as users of other gateways have reported them: which of two providers
// answers, what a client sees where there is one, how often that is asked, and what it costs, in millionths of a dollar.
func TestPublicReportsOfBadAnswers(t *testing.T) {
	const (
		flat   = `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6,"cache_read_input_token_cost":0.1e-6`
		most   = -1 // as much as it may cost
		live   = `{"stream":true,"model":"m","messages":[{"role":"user","content":"hello, you there, how is it"}]}`
		claude = `{"stream":true,"max_tokens":9,"model":"m","messages":[{"role":"user","content":"hello, you there, how is it"}]}`
		words  = `"message":{"role":"assistant","content":"Throttling: TPM(10/10)"},"finish_reason":"error_finish"`
		start  = `{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":`
		filter = `"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"custom_blocklists":[{"filtered":false,"id":"x"}],"violence":{"filtered":true,"severity":"high"}}}]`
	)
	whole := func(choice, more string) turn { return says(200, completionOf(choice, more)) }
	message := []string{
		start + `0,"output_tokens":0}}}`, start + `100,"output_tokens":0}}}`,
		`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}`,
		`{"type":"content_block_stop","index":0}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":10}}`,
		`{"type":"message_stop"}`,
	}
	bare := func(text, finish string) string {
		return `{"choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":` + finish + `}]}`
	}
	for source, test := range map[string]struct {
		spentCase
		by     string // which of two answers; the first by default
		status int    // alone; 200 by default
		asked  int    // alone; once by default
	}{
		// What is no answer.
		"https://github.com/vllm-project/vllm/pull/40986":            {spentCase{body: live, answers: streams(nil, "[DONE]"), costs: most}, "second", 502, 1},
		"https://github.com/diegosouzapw/OmniRoute/issues/7000":      {spentCase{answers: says(200, `{"choices":[{"message":{"role":"assistant","content":null}}]}`), costs: most}, "second", 502, 1},
		"a message with nothing, whose prompt is counted":            {spentCase{answers: whole(`"message":{"role":"assistant","content":null}`, `,"usage":{"prompt_tokens":5,"completion_tokens":0,"total_tokens":5}`), costs: 5}, "second", 502, 1},
		"a stream with nothing, whose prompt is counted":             {spentCase{body: live, answers: streams(nil, `{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":0,"total_tokens":5}}`, "[DONE]"), costs: 5}, "second", 502, 1},
		"a message with nothing, that is counted":                    {spentCase{answers: whole(`"message":{"role":"assistant","content":null}`, `,"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}`), costs: 5 + 70}, "", 0, 1},
		"https://github.com/mnfst/llm-gateway/issues/2709":           {spentCase{answers: whole(`"message":{"role":"assistant","content":""},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":5,"completion_tokens":0,"total_tokens":5}`), costs: 5}, "", 0, 1},
		"https://github.com/BerriAI/litellm/pull/40252":              {spentCase{answers: says(200, `{"choices":[],"usage":{"prompt_tokens":4241,"completion_tokens":0,"total_tokens":4241}}`), costs: 4241}, "second", 502, 1},
		"https://github.com/experientiallabs/experiential/pull/967 ": {spentCase{answers: says(200, `{"id":"c","choices":[],`+filter+`}`), costs: 0}, "", 403, 1},
		"a filtered prompt in a stream":                              {spentCase{body: live, answers: streams(nil, `{"id":"","choices":[],`+filter+`}`, "[DONE]"), costs: 0}, "", 403, 1},
		"a prompt that a filter has let pass":                        {spentCase{body: live, answers: streams(nil, `{"id":"","choices":[],`+strings.Replace(filter, "true", "false", 1)+`}`, "[DONE]"), costs: most}, "second", 502, 1},
		"a filter, and an answer all the same":                       {spentCase{body: live, answers: streams(nil, `{"id":"","choices":[],`+filter+`}`, bare("hello", `"stop"`), `{"choices":[],"usage":{"prompt_tokens":6,"completion_tokens":1,"total_tokens":7}}`, "[DONE]"), costs: 6 + 10}, "", 0, 1},
		// What went wrong stands in place of the answer, whole or behind half of it.
		"https://github.com/ranxianglei/billion-context-pi/issues/169":  {spentCase{answers: whole(words, `,"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}`), costs: 5 + 30}, "second", 429, 1},
		"the same, beside a whole choice":                               {spentCase{answers: whole(words+`},{"index":1,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}`), costs: 5 + 30}, "second", 0, 1},
		"the same, which counts nothing":                                {spentCase{answers: whole(strings.Replace(words, "Throttling: TPM(10/10)", "insufficient balance", 1), ""), costs: 0}, "second", 502, 1},
		"https://github.com/ranxianglei/billion-context-pi/issues/169 ": {spentCase{answers: whole(strings.Replace(words, "Throttling: TPM(10/10)", "half an answer", 1), `,"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}`), costs: 5 + 30}, "second", 0, 1},
		"https://github.com/robocurve/inspect-robots/issues/448":        {spentCase{path: responsesPath, body: `{"model":"m","input":"hello"}`, answers: says(200, `{"id":"resp_1","object":"response","model":"m","status":"failed","error":{"code":"server_error","message":"stream closed with reason: error"},"error_type":"server","output":[{"type":"reasoning","id":"rs","status":"completed","summary":[]}],"usage":{"input_tokens":10,"output_tokens":76,"total_tokens":86}}`), costs: 10 + 760}, "second", 500, 1},
		"https://github.com/lsdefine/GenericAgent/issues/753":           {spentCase{path: responsesPath, body: `{"stream":true,"model":"m","input":"hello"}`, answers: streams(nil, `{"type":"response.failed","response":{"id":"resp_1","object":"response","status":"failed","model":"m","output":[],"error":{"code":"server_is_overloaded","message":"Our servers are currently overloaded. Please try again later."}}}`), costs: most}, "second", 503, 3},
		"https://github.com/apache/rocketmq-dashboard/issues/2178":      {spentCase{body: live, answers: streams(nil, `{"error":{"message":"quota exceeded"}}`, "[DONE]"), costs: 0}, "second", 502, 1},
		// What is sent between, or again.
		"https://github.com/mnfst/llm-gateway/issues/2053":            {spentCase{body: live, answers: streams(nil, ": OPENROUTER PROCESSING", bare("hello", `null`), ": OPENROUTER PROCESSING", bare("", `"stop"`), `{"choices":[],"usage":{"prompt_tokens":6,"completion_tokens":1,"total_tokens":7}}`, "[DONE]"), costs: 6 + 10}, "", 0, 1},
		"https://github.com/Growth-Circle/cadis/issues/2329":          {spentCase{body: live, answers: streams(nil, "", bare("hello", `null`), "", bare("", `"stop"`), `{"choices":[],"usage":{"prompt_tokens":6,"completion_tokens":1,"total_tokens":7}}`, "[DONE]"), costs: 6 + 10}, "", 0, 1},
		"https://github.com/openai/openai-go/pull/651":                {spentCase{body: live, answers: says(200, ": PROCESSING\n\ndata: "+bare("hello", `null`)+"\n\n: PROCESSING\n\ndata: "+bare("", `"stop"`)+"\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":6,\"completion_tokens\":1,\"total_tokens\":7}}\n\ndata: [DONE]\n\ndata: [DONE]\n\n", "Content-Type", "text/event-stream"), costs: 6 + 10}, "", 0, 1},
		"https://github.com/MoonshotAI/Kimi-K2.5/issues/33":           {spentCase{path: "/v1/messages", claude: true, body: claude, answers: streams(nil, message...), costs: 100 + 100}, "", 0, 1},
		"https://github.com/MoonshotAI/Kimi-K2.5/issues/33, for chat": {spentCase{claude: true, body: claude, answers: streams(nil, message...), costs: 100 + 100}, "", 0, 1},
		// What is counted: from the beginning each time, at the end, in the total beside the prompt.
		"https://github.com/open-webui/open-webui/issues/29064":    {spentCase{body: live, answers: streams(nil, strings.Replace(bare("a", `null`), "]", `],"usage":{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11}`, 1), strings.Replace(bare("b", `"stop"`), "]", `],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}`, 1), "[DONE]"), costs: 10 + 20}, "", 0, 1},
		"https://github.com/MiniMax-AI/MiniMax-M2.5/issues/2":      {spentCase{body: live, answers: streams(nil, `{"choices":[{"index":0,"delta":{"role":"","content":"a"}}],"usage":{"total_tokens":0,"total_characters":0},"input_sensitive":false}`, `{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}],"usage":{"total_tokens":110,"prompt_tokens":100,"completion_tokens":10}}`), costs: 100 + 100}, "", 0, 1},
		"https://github.com/zai-org/GLM-5/issues/139":              {spentCase{path: "/v1/messages", claude: true, body: claude, answers: streams(nil, append([]string{message[0]}, append(message[2:5:5], `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":14,"output_tokens":10,"cache_read_input_tokens":100}}`, message[6])...)...), costs: 14 + 10 + 100}, "", 0, 1},
		"https://github.com/anomalyco/opencode/issues/47296":       {spentCase{answers: whole(`"message":{"role":"assistant","content":"a"},"finish_reason":"stop"`, `,"usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1910,"prompt_tokens_details":{"cached_tokens":900}}`), costs: 1000 + 90 + 100}, "", 0, 1},
		"https://github.com/CommandCodeAI/command-code/issues/785": {spentCase{body: live, answers: streams(nil, `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{\"a"}}]}}]}`), costs: most}, "", -1, 1},
	} {
		t.Run(source, func(t *testing.T) {
			if test.path == "" {
				test.path = chatPath
			}
			if test.body == "" {
				test.body = helloOfCosts
			}
			form := func(g *alipayai.Gateway) {
				if test.claude {
					g.Providers[0] = claudeProviderOver(t, g.Providers[0])
				}
				for _, p := range g.Providers {
					p.Responses, p.Model = test.path == responsesPath, ""
				}
			}
			turns := []turn{test.answers, test.answers, test.answers}
			testwait.Bubble(t, func(t *testing.T) {
				if test.by == "" {
					test.by = "first"
				}
				second := good
				if test.path == responsesPath {
					second = says(200, `{"id":"resp_2","object":"response","model":"m","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[]}]}]}`)
				}
				s := perform(t, [][]turn{turns, {second}}, form)
				wantHeader(t, s.callAt(t.Context(), test.path, test.body), "X-Alipayai-Provider", test.by)
			})
			testwait.Bubble(t, func(t *testing.T) {
				l := new(lines)
				s := perform(t, [][]turn{turns}, form, filePrices(t, l, flat+`,"max_output_tokens":1000`))
				got := s.callAt(t.Context(), test.path, test.body)
				switch test.status {
				case 0:
					if got.status != http.StatusOK || got.err != nil || strings.Contains(got.body, "data: :") ||
						test.path == "/v1/messages" && strings.Count(got.body, `"type":"message_start"`) != 1 {
						t.Errorf("%d, %v: %s", got.status, got.err, got.body)
					}
				case -1:
					if got.err == nil || !strings.Contains(got.body, `"error"`) {
						t.Errorf("a clean end: %s", got.body)
					}
				default:
					if got.status != test.status {
						t.Errorf("%d %s", got.status, got.body)
					}
				}
				s.wantCalls(test.asked)
				var cost price.Amount
				unknown := false
				for _, line := range l.taken() {
					cost, unknown = cost+line.Amount, unknown || line.Outcome == ledger.Unknown
				}
				if unknown != (test.costs == most) || !unknown && cost != test.costs*1000 {
					t.Errorf("it costs %s, unknown: %t", cost, unknown)
				}
			})
		})
	}
}
