package alipayai_test

import (
	"net/http"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// A bound that the option request leaves out of a request in the client's own form bounds nothing of what is reserved, and what it
// leaves out is named.
func TestOwnMaxTokensThatAreNotSent(t *testing.T) {
	for name, c := range map[string]struct {
		fields *upstream.RequestFields
		left   string
		status int
	}{
		"sent":             {nil, "", 200},
		"another dropped":  {&upstream.RequestFields{Drop: []string{"user"}}, "user", 200},
		"dropped":          {&upstream.RequestFields{Drop: []string{"max_output_tokens"}}, "", 429},
		"another in place": {&upstream.RequestFields{Values: map[string]string{"max_output_tokens": "100000"}}, "", 429},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs := &heardClaude{status: http.StatusOK, kind: "application/json", answer: nativeResponse}
			r := startRig(t, theirs, plainProvider, first(func(p *upstream.Provider) { p.Model, p.Responses, p.RequestFields = "", true, c.fields }),
				spends(new(lines), alipayPrice(), daily(alipayPrice().Bound(price.Asked{})-1)))
			got := r.post(responsesPath, `{"model":"m","max_output_tokens":10,"user":"u","input":"q"}`)
			if got.status != c.status {
				t.Errorf("%d %s", got.status, got.body)
			}
			if got.status == http.StatusOK {
				wantHeader(t, got, "X-Alipayai-Unsupported", c.left)
			}
		})
	}
}
