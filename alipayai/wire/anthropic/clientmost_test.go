package anthropic

import (
	"slices"
	"strings"
	"testing"
)

// Of max_tokens 0 Anthropic fills its cache and answers nothing: the body goes there as it came. Others have no such call, and are asked
// for a token.
func TestNoTokens(t *testing.T) {
	const body = `{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"q"}]}`
	r, err := ParseClientRequest([]byte(body), false)
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Sendable.Body) != body || !strings.Contains(string(r.Canonical.Body), `"max_tokens":1`) || !slices.Equal(r.Unsupported, []string{"max_tokens"}) {
		t.Errorf("%s, others get %s, without %q", r.Sendable.Body, r.Canonical.Body, r.Unsupported)
	}
}
