package alipayai_test

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
)

// A client gets the chunk of the usage if it has asked for that, and else none, whatever the provider sends; the ledger has the
// usage either way. Users of other gateways have reported what a chunk without choices does to clients that did not ask.
func TestPublicReportsOfUsageChunks(t *testing.T) {
	const (
		usage = `{"prompt_tokens":6,"completion_tokens":3,"total_tokens":9}`
		own   = `{"id":"c","object":"chat.completion.chunk","choices":[],"usage":` + usage + `}`
	)
	flat := `"input_cost_per_token":1e-6,"output_cost_per_token":10e-6`
	for source, test := range map[string]struct {
		members string
		chunks  []string // behind the first content
		shown   bool
	}{
		"https://github.com/Arthur-Ficial/apfel/issues/100":     {"", []string{finishEvent, own}, false},
		"https://github.com/headroomlabs-ai/headroom/pull/2026": {`"stream_options":{"include_usage":false},`, []string{finishEvent, own}, false},
		"https://github.com/nguyenphutrong/quotio/issues/460":   {`"stream_options":{},`, []string{finishEvent, own}, false},
		"null":        {`"stream_options":null,`, []string{finishEvent, own}, false},
		"null within": {`"stream_options":{"include_usage":null},`, []string{finishEvent, own}, false},
		"https://github.com/AntonioAEMartins/claude-code-proxy/pull/20": {`"stream_options":{"include_usage":true},`, []string{finishEvent, own}, true},
		"https://github.com/tashfeenahmed/freellmapi/pull/156":          {"", []string{finishEvent, `{"usage":` + usage + `}`}, false},
		"without choices, asked for":                                    {`"stream_options":{"include_usage":true},`, []string{finishEvent, `{"usage":` + usage + `}`}, true},
		"before the end":                                                {"", []string{own, finishEvent}, false},
		"twice":                                                         {"", []string{finishEvent, own, own}, false},
		"https://github.com/volcano-sh/kthena/pull/202":                 {"", []string{`{"choices":[{"delta":{"content":"l"}}],"usage":null}`, finishEvent, own}, false},
	} {
		t.Run(source, func(t *testing.T) {
			l := new(lines)
			s := perform(t, [][]turn{{streams(nil, append(append([]string{deltaEvent}, test.chunks...), "[DONE]")...)}}, first(anyModel), filePrices(t, l, flat))
			got := s.call(`{` + test.members + `"stream":true,"model":"m","messages":[{"role":"user","content":"hello"}]}`)
			if shown := strings.Contains(got.body, `"prompt_tokens":6`); got.status != 200 || shown != test.shown || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
				t.Errorf("%d %s", got.status, got.body)
			}
			for line := range strings.Lines(got.body) {
				if data, ok := strings.CutPrefix(line, "data: {"); ok && !strings.Contains(data, `"choices":[`) {
					t.Errorf("a chunk without choices: %s", line)
				} else if ok && !test.shown && strings.Contains(data, `"choices":[]`) {
					t.Errorf("a chunk with no choice in it: %s", line)
				}
			}
			if all := l.taken(); len(all) != 1 || all[0].Prompt != 6 || all[0].Completion != 3 || all[0].Outcome != ledger.Known {
				t.Errorf("%+v", all)
			}
		})
	}
}
