package anthropic

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Instructions between turns stand where the model takes them, in their order, and nothing else of the request changes.
func TestFitTurns(t *testing.T) {
	const older = "claude-haiku-4-5 claude-sonnet-4-6 claude-sonnet-5 claude-opus-4-7 claude-opus-4-1-20250805 claude-3-5-haiku-latest"
	turns := func(s string) string {
		return `{"model":"m","max_tokens":9,"messages":[` + s + `],"x":{"role":"system"}`
	}
	const user, model = `{"role":"user","content":"q"}`, `{"role":"assistant","content":"r"}`
	const turn = `{"role":"system","content":"s"}`
	for name, c := range map[string]struct {
		models, in, out string
		left            string
	}{
		"as it came, newer": {"claude-opus-4-8 claude-opus-5 claude-opus-5-5 claude-fable-5 claude-x gpt-5", turns(user+","+turn) + "}", "", ""},
		"nothing between":   {older, turns(user+","+model+","+user) + `,"system":"a"}`, "", ""},
		"a word of it":      {older, turns(`{"role":"user","content":"role: system"}`) + "}", "", ""},
		"a text":            {older, turns(user+","+turn+","+model+","+user) + "}", turns(user+","+model+","+user) + `,"system":[{"type":"text","text":"s"}]}`, ""},
		"behind a text":     {older, turns(user+","+turn) + `,"system":"a"}`, turns(user) + `,"system":[{"type":"text","text":"a"},{"type":"text","text":"s"}]}`, ""},
		"behind blocks": {older, turns(user+","+turn) + `,"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}} ]}`,
			turns(user) + `,"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"s"}]}`, ""},
		"blocks": {older, turns(user+`,{"role":"system","content":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}},{"type":"text","text":" "},{"type":"tool_addition","tool":{"type":"tool_reference","name":"f"}}]},`+model+","+user+","+turn) + "}",
			turns(user+","+model+","+user) + `,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}},{"type":"text","text":"s"}]}`, "messages.content.tool_addition"},
		"tools alone":       {older, turns(user+`,{"role":"system","content":[{"type":"tool_removal","tool":{"type":"tool_reference","name":"f"}}]}`) + "}", turns(user) + "}", "messages.content.tool_removal"},
		"in a turn":         {older, turns(`{"role":"user","content":[{"type":"text","text":"q"},{"type":"mid_conv_system","content":[{"type":"text","text":"s"}]}]}`) + "}", turns(`{"role":"user","content":[{"type":"text","text":"q"}]}`) + `,"system":[{"type":"text","text":"s"}]}`, ""},
		"alone in a turn":   {older, turns(user+`,{"role":"user","content":[{"type":"mid_conv_system","content":"s"}]}`) + "}", turns(user) + `,"system":[{"type":"text","text":"s"}]}`, ""},
		"written otherwise": {older, turns(user+`,{"role":"\u0073ystem","content":"s"}`) + "}", turns(user) + `,"system":[{"type":"text","text":"s"}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.out
			if want == "" {
				want = c.in
			}
			for model := range strings.FieldsSeq(c.models) {
				got, left := fitTurns([]byte(c.in), model)
				if string(got) != want || strings.Join(left, ",") != c.left {
					t.Errorf("%s: is\n%s without %q, want\n%s", model, got, left, want)
				}
				if again, left := fitTurns(got, model); string(again) != string(got) || left != nil {
					t.Errorf("%s: then it is %s", model, again)
				}
			}
		})
	}
}

// Whatever a client sends, an older model gets a request that is one, without instructions between its turns.
func FuzzFitTurns(f *testing.F) {
	f.Add(`{"model":"m","max_tokens":9,"system":"a","messages":[{"role":"user","content":[{"type":"mid_conv_system","content":[{"type":"text","text":"s"}]}]},{"role":"system","content":[{"type":"text","text":""},{"type":"tool_addition"}]},{"role":"user","content":"q"}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		if _, err := ParseClientRequest([]byte(body), false); err != nil {
			return
		}
		got, left := fitTurns([]byte(body), "claude-haiku-4-5")
		var r struct{ Messages []struct{ Role string } }
		if err := json.Unmarshal(got, &r); err != nil || !slices.IsSorted(left) {
			t.Fatalf("%s from %q (%v)", got, body, err)
		}
		for _, m := range r.Messages {
			if m.Role == "system" {
				t.Errorf("%s from %q", got, body)
			}
		}
		if _, err := wire.ParseRequest(got, wire.Limits{}); err != nil {
			t.Errorf("%s from %q: %v", got, body, err)
		}
	})
}
