package openai

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// FuzzEdits holds that the edits of any dialect give a request that is still one, in which only edits differ, and that one
// that has been edited needs no edits.
func FuzzEdits(f *testing.F) {
	for _, body := range []string{
		request(`"seed":7 , "max_completion_tokens":9,"user":"li"`),
		request(`"response_format":{"type":"json_schema","json_schema":{"schema":{"a":[1]}}},"n":2,"tools":[{"type":"function","function":{"strict":true}}]`),
		talk(system, user, calls("f", "call_1"), result("call_1"), result("f"), user, answer),
		talk(user, `{"role":"assistant","content":""}`, ` {"role":"developer","content":"x"} `, withArguments(`"{\"a"`), result("aaaaaaaaa")),
		talk(`{"role":"user","content":[{"type":"text","text":"a"},{"type":"thinking"},{"type":"image_url"}]}`, `{"role":"assistant","content":[{"type":"thinking"}],"reasoning_content":null,"prefix":false}`),
		`{"\u0073eed":1,"messages":[null,1,[],{}],"model":"m","enable_thinking":true,"thinking":{"type":"disabled"}}`,
		`{"model":"m","messages":[{"role":"assistant"}],"response_format":{"type":"json_schema"}}`,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","tool_calls":[{"id":"x","function":{"name":"search"}},{"function":{"name":"a.b:c/d"}}]},{"role":"tool","name":"search"}],"tools":[{"function":{"name":"search"}},{"type":"function","function":{"name":"\u00e9"}}],"tool_choice":{"type":"function","function":{"name":"search"}},"response_format":{"type":"json_object"}}`,
		request(`"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none","enable_thinking":true,"stream":true`),
		`{"model":"m","messages":[` + system + `,` + user + `,` + answer + `,` + user + `],"stream":true,"stream_options":{"include_usage":true,"x":null},"temperature":2,"top_p":null,"max_tokens":1}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := wire.ParseChatRequest(body, wire.Limits{})
		if err != nil {
			return
		}
		before := slices.Clone(body)
		for _, name := range DialectNames() {
			d := dialect(t, name)
			if d == nil {
				continue
			}
			ask := wire.Ask{Request: r, UpstreamModel: r.Model, ByGateway: true}
			e := editor{Dialect: d, ask: ask, left: make(map[string]struct{}), ids: wire.CallIDs{Form: d.CallID}}
			e.body = body
			e.request()
			out := e.apply()
			if r.Plain && d.plain && (!bytes.Equal(out, body) || len(e.left) > 0) {
				t.Fatalf("%s edits %s, which is plain, to %s", name, body, out)
			}
			if !bytes.Equal(body, before) {
				t.Fatalf("%s wrote into the request", name)
			}
			if !json.Valid(out) {
				t.Fatalf("%s: %s is no JSON, of %s", name, out, body)
			}
			again, err := wire.ParseChatRequest(out, wire.Limits{})
			if err != nil {
				t.Fatalf("%s: %v in %s, of %s", name, err, out, body)
			}
			// What lies between the edits is there, in its order.
			at, rest := 0, out
			for _, one := range e.list {
				if one.start < at {
					continue
				}
				kept := append(slices.Clone(body[at:one.start]), one.text...)
				if !bytes.HasPrefix(rest, kept) {
					t.Fatalf("%s: %s, of %s", name, out, body)
				}
				at, rest = one.end, rest[len(kept):]
			}
			if !bytes.Equal(rest, body[at:]) {
				t.Fatalf("%s: %s, of %s", name, out, body)
			}
			if !slices.IsSortedFunc(e.list, func(a, b edit) int { return a.start - b.start }) {
				t.Fatalf("%s: the edits are in no order", name)
			}
			if again.Model != r.Model || again.Stream != r.Stream {
				t.Fatalf("%s: asks for %q, stream %v, of %s", name, again.Model, again.Stream, body)
			}
			chosen := d.editAnswers(wire.Ask{Request: r, UpstreamModel: r.Model})
			if parsed, err := wire.ParseChatRequest(chosen.Body, wire.Limits{}); err != nil {
				t.Fatalf("%s: %v in %s, of %s", name, err, chosen.Body, body)
			} else if more := d.editAnswers(wire.Ask{Request: parsed, UpstreamModel: r.Model}); !bytes.Equal(more.Body, chosen.Body) {
				t.Fatalf("%s: edited again, %s becomes %s", name, chosen.Body, more.Body)
			}
			twice := d.edit(wire.Ask{Request: again, UpstreamModel: r.Model, ByGateway: true})
			if !bytes.Equal(twice.Body, out) {
				t.Fatalf("%s: edited again, %s becomes %s", name, out, twice.Body)
			}
		}
	})
}
