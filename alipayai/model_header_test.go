package alipayai_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// Without a mapping the upstream's model is what the client wrote: that must not become just any header.
func TestModelHeader(t *testing.T) {
	for name, test := range map[string]struct{ model, want string }{
		"a name":     {"qwen/qwen3-32b:free", "qwen/qwen3-32b:free"},
		"line break": {"a\r\nSet-Cookie: b=c", ""},
		"no ASCII":   {"模型", ""},
		"very long":  {strings.Repeat("m", 1<<20), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := perform(t, [][]turn{{good}})
			model, _ := json.Marshal(test.model)
			got := s.call(`{"model":` + string(model) + `,"messages":[{"role":"user","content":"hello"}]}`)
			if got.status != http.StatusOK || got.header.Get(alipayai.HeaderModel) != test.want || len(got.header["Set-Cookie"]) > 0 {
				t.Errorf("%d %.200v", got.status, got.header)
			}
		})
	}
}

// The model that answers may be another than the one that was asked for.
func TestModelThatAnswered(t *testing.T) {
	const answered = "qwen3-max-2026-01-23"
	for body, turns := range map[string]turn{
		chatBody("hello"): says(200, `{"model":"`+answered+`","choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`),
		streamBody("hello"): streams(nil, `{"model":"`+answered+`","choices":[{"delta":{"role":"assistant"}}]}`,
			`{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}`, "[DONE]"),
	} {
		testwait.Bubble(t, func(t *testing.T) {
			s := perform(t, [][]turn{{turns}}, caching())
			got := s.call(body)
			wantHeader(t, got, alipayai.HeaderModel, answered)
			if o := s.outcome(); o.UpstreamModel != answered || o.Model != "alipay-fin-1" {
				t.Errorf("outcome %+v", o)
			}
			s.fails(sysError)
			wantHeader(t, s.call(body), alipayai.HeaderModel, answered, "Cache-Status", "alipayai; hit")
		})
	}
}
