package wire

import (
	"slices"
	"testing"
)

// A conversation begins the same in each of its requests, and another one otherwise.
func TestOpening(t *testing.T) {
	for name, tt := range map[string]struct {
		messages string
		want     []string
	}{
		"one message":      {`[{"role":"user","content":"a"}]`, []string{`"user"`, `"a"`}},
		"a system prompt":  {`[{"role":"system","content":"s"},{"role":"user","content":"a"}]`, []string{`"system"`, `"s"`, `"user"`, `"a"`}},
		"later":            {`[{"role":"system","content":"s"},{"content":"a","role":"user"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]`, []string{`"system"`, `"s"`, `"user"`, `"a"`}},
		"parts":            {`[{"role":"user","content":[{"type":"text","text":"a"}],"name":"n"}]`, []string{`"user"`, `[{"type":"text","text":"a"}]`}},
		"an escaped role":  {`[{"role":"\u0075ser","content":"a"},{"role":"user","content":"b"}]`, []string{`"\u0075ser"`, `"a"`}},
		"none of the user": {`[{"role":"system","content":"s"}]`, nil},
		"no members":       {`[{},{}]`, nil},
		"no content":       {`[{"role":"user"}]`, []string{`"user"`, ""}},
	} {
		r, err := ParseChatRequest([]byte(`{"user":"x","model":"m","messages":`+tt.messages+`}`), Limits{})
		if err != nil {
			t.Fatal(name, err)
		}
		if got := r.Opening(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
