package alipayai

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
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
			if got.status != http.StatusOK || got.header.Get(headerModel) != test.want || len(got.header["Set-Cookie"]) > 0 {
				t.Errorf("%d %.200v", got.status, got.header)
			}
		})
	}
}
