package openai

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestEditsOfTools has what vendors refuse of the names of tools, of the choice of one, and of JSON mode.
func TestEditsOfTools(t *testing.T) {
	function := func(name string) string {
		return `{"type":"function","function":{"name":"` + name + `","parameters":{"type":"object","properties":{}}}}`
	}
	chosen := func(name string) string {
		return `"tool_choice":{"type":"function","function":{"name":"` + name + `"}}`
	}
	with := func(name string) string {
		return `{"model":"m","messages":[` + user + `,{"role":"assistant","content":null,"tool_calls":[{"id":"aaaaaaaaa","type":"function","function":{"name":"` + name + `","arguments":"{}"}}]},{"role":"tool","name":"` + name +
			`","tool_call_id":"aaaaaaaaa","content":"1"}],"tools":[` + function("f") + `,` + function(name) + `],` + chosen(name) + `}`
	}
	elsewhere := func(name string) string {
		named := `{"name":"` + name + `"}`
		return `{"model":"m","messages":[` + user + `,{"role":"assistant","content":null,"function_call":{"name":"` + name + `","arguments":"{}"}},` +
			`{"role":"assistant","content":null,"tool_calls":[{"id":"aaaaaaaaa","type":"custom","custom":{"name":"` + name + `","input":"x"}}]}],` +
			`"functions":[` + named + `],"function_call":` + named + `,"tools":[{"type":"custom","custom":` + named + `},` + function(name) + `],` +
			`"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":` + named + `}]}}}`
	}
	offer := func(members string) string { return request(`"tools":[` + function("f") + `]` + members) }
	const (
		mode     = `"response_format":{"type":"json_object"}`
		sentence = `{"role":"system","content":"Answer with one JSON object."}`
		thinks   = `,"stream":true,"enable_thinking":true`
	)
	for name, tt := range map[string]struct {
		dialect, body, want string
		left                string // names, with commas
	}{
		"openai: dots":                   {"openai", with("a.b"), with("a_b_2e7336dc"), ""},
		"openai: dots elsewhere":         {"openai", elsewhere("a.b"), elsewhere("a_b_2e7336dc"), ""},
		"mistral: dots":                  {"mistral", with("a.b"), with("a_b_2e7336dc"), ""},
		"glm: dots":                      {"glm", strings.Replace(with("a.b"), chosen("a.b"), `"tool_choice":"auto"`, 1), strings.Replace(with("a_b_2e7336dc"), chosen("a_b_2e7336dc"), `"tool_choice":"auto"`, 1), ""},
		"google: dots":                   {"google", request(`"tools":[` + function("a.b:c") + `]`), "", ""},
		"google: a digit first":          {"google", request(`"tools":[` + function("7up") + `]`), request(`"tools":[` + function("_7up_be39b1e7") + `]`), ""},
		"qwen: search":                   {"qwen", with("search"), with("search_24193290"), ""},
		"qwen: researches":               {"qwen", with("research"), "", ""},
		"deepseek: search":               {"deepseek", request(`"tools":[` + function("search") + `]`), "", ""},
		"deepseek: long":                 {"deepseek", request(`"tools":[` + function(strings.Repeat("x", 65)) + `]`), request(`"tools":[` + function(strings.Repeat("x", 55)+"_9537c5fd") + `]`), ""},
		"legacy: dots":                   {"legacy", with("a.b"), "", ""},
		"a user's name":                  {"qwen", talk(`{"role":"user","name":"search","content":"hi"}`), "", ""},
		"glm: required":                  {"glm", offer(`,"tool_choice":"required"`), offer(``), "tool_choice"},
		"glm: a function's choice":       {"glm", offer(`,` + chosen("f")), offer(``), "tool_choice"},
		"glm: auto":                      {"glm", offer(`,"tool_choice":"auto"`), "", ""},
		"glm: none":                      {"glm", offer(`,"tool_choice":"none","stream":true`), request(`"stream":true`), ""},
		"qwen: none":                     {"qwen", offer(`,"tool_choice":"none"`), "", ""},
		"qwen: required":                 {"qwen", offer(`,"tool_choice":"required"`), offer(``), "tool_choice"},
		"qwen: chosen":                   {"qwen", offer(`,` + chosen("f")), "", ""},
		"qwen: chosen while it thinks":   {"qwen", offer(thinks + `,` + chosen("f")), offer(thinks), "tool_choice"},
		"qwen: chosen, not streamed":     {"qwen", offer(`,"enable_thinking":true,` + chosen("f")), offer(`,"enable_thinking":false,` + chosen("f")), "enable_thinking"},
		"qwen: other choices":            {"qwen", offer(`,"tool_choice":{"type":"allowed_tools"}`), offer(``), "tool_choice"},
		"qwen: no choice":                {"qwen", offer(`,"tool_choice":null`), "", ""},
		"deepseek: required":             {"deepseek", offer(`,"tool_choice":"required"`), offer(``), "tool_choice"},
		"deepseek: chosen":               {"deepseek", offer(`,` + chosen("f")), offer(``), "tool_choice"},
		"deepseek: Mistral's any":        {"deepseek", offer(`,"tool_choice":"any"`), offer(``), "tool_choice"},
		"deepseek: auto":                 {"deepseek", offer(`,"tool_choice":"auto"`), "", ""},
		"deepseek: required, no thought": {"deepseek", strings.Replace(offer(`,"tool_choice":"required"`), `"m"`, `"deepseek-chat"`, 1), "", ""},
		"deepseek: JSON mode":            {"deepseek", request(mode), `{"model":"m","messages":[` + sentence + `,` + user + `],` + mode + `}`, ""},
		"qwen: JSON mode":                {"qwen", request(mode), `{"model":"m","messages":[` + sentence + `,` + user + `],` + mode + `}`, ""},
		"openai: JSON mode":              {"openai", request(mode), `{"model":"m","messages":[` + sentence + `,` + user + `],` + mode + `}`, ""},
		"google: JSON mode":              {"google", request(mode), "", ""},
		"qwen: JSON mode, a part":        {"qwen", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"As \u004aSON."}]}],` + mode + `}`, "", ""},
		"qwen: JSON mode, a name":        {"qwen", `{"model":"m","messages":[{"role":"user","name":"json","content":"hi"}],` + mode + `}`, `{"model":"m","messages":[` + sentence + `,{"role":"user","name":"json","content":"hi"}],` + mode + `}`, ""},
		"qwen: text mode":                {"qwen", request(`"response_format":{"type":"text"}`), "", ""},
		"deepseek: no schema":            {"deepseek", request(`"response_format":{"type":"json_schema"}`), `{"model":"m","messages":[{"role":"system","content":"Answer with one JSON object that fits this JSON schema: {}"},` + user + `],` + mode + `}`, "response_format.json_schema"},
	} {
		t.Run(name, func(t *testing.T) {
			want := tt.want
			if want == "" {
				want = tt.body
			}
			got, err := Format{Dialect: dialect(t, tt.dialect)}.EncodeRequest(ask(t, tt.body))
			if err != nil || string(got.Body) != want || !slices.Equal(got.Unsupported, strings.FieldsFunc(tt.left, func(r rune) bool { return r == ',' })) {
				t.Errorf("%v\n got %s %v\nwant %s %s", err, got.Body, got.Unsupported, want, tt.left)
			}
			chosen := ask(t, tt.body)
			chosen.ByGateway = false
			if got, err := (Format{Dialect: dialect(t, tt.dialect)}).EncodeRequest(chosen); err != nil || tt.dialect == "qwen" && string(got.Body) != tt.body || got.ToolNames != nil {
				t.Errorf("of the client's own choice: %v %s", err, got.Body)
			}
		})
	}
}

// Answers call tools by the client's names, in every place where a name may be and nowhere else.
func TestOwnToolNames(t *testing.T) {
	names := wire.ToolNames{"search_24193290": "search", "a_b_2e7336dc": "a.\"b"}
	for name, tt := range map[string]struct{ body, want string }{
		"whole":           {`{"choices":[{"message":{"tool_calls":[{"index":0,"id":"c0","type":"function","function":{"name":"search_24193290"}},{"index":1,"id":"c1","type":"function","function":{"arguments":"search_24193290", "name" : "a_b_2e7336dc"}}]}}]}`, `{"choices":[{"message":{"tool_calls":[{"index":0,"id":"c0","type":"function","function":{"name":"search"}},{"index":1,"id":"c1","type":"function","function":{"arguments":"search_24193290", "name" : "a.\"b"}}]}}]}`},
		"several choices": {`{"choices":[{"delta":{}},{"delta":{"tool_calls":[{"index":0,"id":"c0","type":"function","function":{"name":"search_24193290"}}]}}]}`, `{"choices":[{"delta":{}},{"delta":{"tool_calls":[{"index":0,"id":"c0","type":"function","function":{"name":"search"}}]}}]}`},
		"an old function": {`{"choices":[{"message":{"function_call":{"name":"search_24193290","arguments":"{}"}}}]}`, `{"choices":[{"message":{"function_call":{"name":"search","arguments":"{}"}}}]}`},
		"a custom tool":   {`{"choices":[{"message":{"tool_calls":[{"index":0,"id":"c0","type":"custom","custom":{"name":"search_24193290","input":"x"}}]}}]}`, `{"choices":[{"message":{"tool_calls":[{"index":0,"id":"c0","type":"custom","custom":{"name":"search","input":"x"}}]}}]}`},
		"half an emoji":   {`{"choices":[{"message":{"content":"\ud83d","tool_calls":[{"index":0,"id":"c0","type":"function","function":{"name":"search_24193290"}}]}}]}`, `{"choices":[{"message":{"content":"\ud83d","tool_calls":[{"index":0,"id":"c0","type":"function","function":{"name":"search"}}]}}]}`},
		"content":         {`{"choices":[{"message":{"content":"search_24193290","name":"search_24193290"}}],"name":"search_24193290"}`, ""},
		"another's name":  {`{"choices":[{"message":{"tool_calls":[{"index":0,"id":"c0","type":"function","function":{"name":"search"}},{"index":1,"id":"c1","type":"function","function":{"name":"research_24193290"}}]}}]}`, ""},
		"nulls":           {`{"choices":[null,{"message":null},{"message":{"tool_calls":[null,{"function":null},{"index":0,"id":"c0","type":"function","function":{"name":null}}]}}],"x":"search_24193290"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			want := tt.want
			if want == "" {
				want = tt.body
			}
			if got := OwnToolNames([]byte(tt.body), names); string(got) != want {
				t.Errorf("got %s, want %s", got, want)
			}
			events := func(body string) string {
				body = strings.NewReplacer(`{"message"`, `{"text":"","message"`, `{"delta"`, `{"text":"","delta"`).Replace(body) // of the older form, which stays as it is
				return ": hello\n\nevent: x\ndata: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[]}\n\ndata: " + body + "\n\ndata: [DONE]\n\n"
			}
			var got []byte
			d := Calls{Names: names}.Decoder(Format{}.DecodeStream(wire.Ask{}))
			reader := wire.NewEventReader(strings.NewReader(events(tt.body)), 0)
			defer reader.Release()
			for ev, err := reader.Next(); err == nil; ev, err = reader.Next() {
				if got, _, err = d.Decode(got, ev); err != nil {
					t.Fatal(err)
				}
			}
			if string(got) != events(want) {
				t.Errorf("streams %s, want %s", got, events(want))
			}
		})
	}
}

// An event over several lines is one still, and what is no event goes on.
func TestOwnToolNamesOverLines(t *testing.T) {
	names := wire.ToolNames{"search_24193290": "search"}
	o := ownCalls{calls: Calls{Names: names}}
	const event = "data: {\"choices\":[{\"delta\":\ndata: {\"tool_calls\":[{\"index\":0,\"id\":\"c0\",\"function\":{\"name\":\"%s\"}}]}}]}\n\n%s"
	rest := "data: search_24193290, which is no JSON\n\ndata: search_24193290"
	got := o.events([]byte("x"), fmt.Appendf(nil, event, "search_24193290", rest))
	if want := "x" + fmt.Sprintf(event, "search", rest); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
