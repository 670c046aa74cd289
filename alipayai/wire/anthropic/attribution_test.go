package anthropic

import (
	"testing"
)

// TestAttribution has instructions with the line that Claude Code puts before them, and what other vendors are sent of them.
func TestAttribution(t *testing.T) {
	const line = `x-anthropic-billing-header: cc_version=2.1.117.48f; cc_entrypoint=cli; cch=71fea;`
	const user = `{"role":"user","content":"q"}`
	told := func(text string) string { return `{"role":"system","content":"` + text + `"},` + user }
	for name, tt := range map[string]struct{ system, want string }{
		"a block of its own":       {`[{"type":"text","text":"` + line + `"},{"type":"text","text":"You are","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}]`, told(`You are\n\nb`)},
		"a block, and no other":    {`[{"type":"text","text":"` + line + `"}]`, user},
		"in one text":              {`"` + line + `\nYou \"are\"\n\u00e9"`, told(`You \"are\"\né`)},
		"with lines between":       {`"` + line + `\u000a\n\nYou"`, told(`You`)},
		"alone":                    {`"` + line + `"`, user},
		"spoken of":                {`"No ` + line + `"`, told(`No ` + line)},
		"behind the instructions":  {`"You\n` + line + `"`, told(`You\n` + line)},
		"another, of the same API": {`"x-anthropic-beta: a\nYou"`, told(`x-anthropic-beta: a\nYou`)},
	} {
		body := `{"model":"m","max_tokens":9,"system":` + tt.system + `,"messages":[` + user + `]}`
		got, err := ParseClientRequest([]byte(body), false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := `{"model":"m","max_tokens":9,"messages":[` + tt.want + `]}`; !same(t, string(got.Canonical.Body), want) {
			t.Errorf("%s: %s", name, got.Canonical.Body)
		}
		if string(got.Sendable.Body) != body || len(got.Unsupported) > 0 {
			t.Errorf("%s: Anthropic is sent %s, without %q", name, got.Sendable.Body, got.Unsupported)
		}
	}
	said := `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"` + line + `"}]}`
	if got, err := ParseClientRequest([]byte(said), false); err != nil || !same(t, string(got.Canonical.Body), said) {
		t.Errorf("what a user says of it: %s, %v", got.Canonical.Body, err)
	}
}
