package openai

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// A client that offers functions looks for function_call, in whole answers and in streams.
func TestOwnFunctionCalls(t *testing.T) {
	calls := Calls{Functions: true, Names: wire.ToolNames{"a_b_2e7336dc": "a.b"}}
	const head = `{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,`
	const one = "data: " + `{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"z\":1}"}}]}}]}` + "\n\n"
	for name, tt := range map[string]struct{ body, want string }{
		"whole":     {`{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"a_b_2e7336dc","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`, `{"choices":[{"message":{"content":null,"function_call":{"name":"a.b","arguments":"{}"}},"finish_reason":"function_call"}]}`},
		"begins":    {`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c0","function":{"name":"f","arguments":""}}]},"finish_reason":null}]}`, `{"choices":[{"delta":{"function_call":{"name":"f","arguments":""}},"finish_reason":null}]}`},
		"goes on":   {`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}}]}`, `{"choices":[{"delta":{"function_call":{"arguments":"{\"a\""}}}]}`},
		"ends":      {`{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}`, `{"choices":[{"delta":{},"finish_reason":"function_call"}]}`},
		"two calls": {`{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"f"}},{"id":"d","function":{"name":"g"}}]}}]}`, `{"choices":[{"message":{"function_call":{"name":"f"}}}]}`},
		"a second":  {`{"choices":[{"delta":{"content":"x","tool_calls":[{"index":1,"id":"d","function":{"name":"g","arguments":""}}]}}]}`, `{"choices":[{"delta":{"content":"x"}}]}`},
		"no calls":  {`{"choices":[{"message":{"tool_calls":[],"content":"x"},"finish_reason":"stop"}]}`, `{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`},
		"null":      {`{"choices":[{"message":{"content":"x","tool_calls":null},"finish_reason":"stop"}]}`, `{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`},
		"content":   {`{"choices":[{"message":{"content":"\"tool_calls\""},"finish_reason":"stop"}]}`, ""},
		"elsewhere": {`{"tool_calls":[1],"choices":[null,{"tool_calls":[1],"message":{"content":"x"}}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			chunk := strings.NewReplacer(`{"choices":[{"delta":{}`, head+`"delta":{"role":"assistant"}`, `{"choices":[{"delta":{`, head+`"delta":{"role":"assistant",`)
			want := tt.want
			if want == "" {
				want = tt.body
			}
			if got := calls.Own([]byte(tt.body)); string(got) != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got := (Calls{}).Own([]byte(tt.body)); string(got) != tt.body {
				t.Errorf("for a client of tools: %s", got)
			}
			before := ""
			if name == "a second" { // the index of the first is 0
				before = one
			}
			reader := wire.NewEventReader(strings.NewReader(chunk.Replace(before+"data: "+tt.body+"\n\n")), 0)
			defer reader.Release()
			var got []byte
			d := calls.Decoder(Format{}.DecodeStream(wire.Ask{}))
			for ev, err := reader.Next(); err == nil; ev, err = reader.Next() {
				if got, _, err = d.Decode(got, ev); err != nil {
					t.Fatal(err)
				}
			}
			if strings.Contains(tt.body, `"delta"`) && !strings.HasSuffix(string(got), "data: "+chunk.Replace(want)+"\n\n") {
				t.Errorf("streams %s, want %s", got, want)
			}
		})
	}
}

// Of the vendors, those that do not know functions are given tools, where the gateway chose them.
func TestFunctionsOfVendors(t *testing.T) {
	body := request(`"functions":[{"name":"f","parameters":{"type":"object","properties":{}}}]`)
	for name, knows := range map[string]bool{
		"openai": true, "alipay": true, "mistral": false, "deepseek": false, "qwen": false, "glm": false, "moonshot": false, "google": false, "legacy": false,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Format{Dialect: dialect(t, name)}.EncodeRequest(ask(t, body))
			if err != nil || len(got.Unsupported) > 0 || got.Functions == knows || strings.Contains(string(got.Body), `"functions"`) != knows ||
				strings.Contains(string(got.Body), `"tools":[{"type":"function","function":{"name":"f"`) == knows {
				t.Errorf("%v %+v: %s", err, got.Unsupported, got.Body)
			}
			chosen := ask(t, body)
			chosen.ByGateway = false
			if got, err := (Format{Dialect: dialect(t, name)}).EncodeRequest(chosen); err != nil || string(got.Body) != body || got.Functions {
				t.Errorf("of the client's own choice: %v %s", err, got.Body)
			}
		})
	}
}
