package translate_test

import (
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// A request of the form before tools says the same with them, and only it is written anew.
func TestTools(t *testing.T) {
	const (
		user     = `{"role":"user","content":"hi"}`
		f        = `{"name":"f","parameters":{"type":"object"}}`
		messages = `"messages":[` + user + `]}`
	)
	called := func(n, arguments string) string {
		return `{"role":"assistant","content":null,"tool_calls":[{"id":"function_call_` + n + `","type":"function","function":{"name":"f","arguments":` + arguments + `}}]}`
	}
	for name, tt := range map[string]struct {
		body, want string // of which an empty one is body itself
		own        bool
	}{
		"none":               {`{"model":"m",` + messages, "", false},
		"tools":              {`{"model":"m","tools":[{"type":"function","function":` + f + `}],"tool_choice":"auto",` + messages, "", false},
		"null":               {`{"model":"m","functions":null,"function_call":null,` + messages, "", false},
		"no functions":       {`{"model":"m","functions":[],` + messages, "", false},
		"functions":          {`{"model":"m","functions":[` + f + `,` + f + `],"stream":true,` + messages, `{"model":"m","stream":true,"tools":[{"type":"function","function":` + f + `},{"type":"function","function":` + f + `}],"parallel_tool_calls":false,` + messages, true},
		"a choice":           {`{"model":"m","function_call":"auto","functions":[` + f + `],` + messages, `{"model":"m","tools":[{"type":"function","function":` + f + `}],"tool_choice":"auto","parallel_tool_calls":false,` + messages, true},
		"a function's":       {`{"model":"m","function_call":{"name":"f"},"functions":[` + f + `],` + messages, `{"model":"m","tools":[{"type":"function","function":` + f + `}],"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false,` + messages, true},
		"beside tools":       {`{"model":"m","tools":[{"type":"custom"}],"functions":[` + f + `],` + messages, `{"model":"m","tools":[{"type":"custom"},{"type":"function","function":` + f + `}],` + messages, false},
		"beside a choice":    {`{"model":"m","tool_choice":"none","function_call":"auto","functions":[` + f + `],` + messages, `{"model":"m","tools":[{"type":"function","function":` + f + `}],"tool_choice":"none","parallel_tool_calls":false,` + messages, true},
		"a choice of none":   {`{"model":"m","function_call":"none",` + messages, `{"model":"m","tool_choice":"none",` + messages, false},
		"a client's members": {`{"mo\u0064el":"m","a\"b":[1, 2],"functions":[` + f + `],` + messages, `{"model":"m","a\"b":[1, 2],"tools":[{"type":"function","function":` + f + `}],"parallel_tool_calls":false,` + messages, true},
		"a history": {
			`{"model":"m","messages":[` + user + `,{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"a\": 1}"}},{"role":"function","name":"f","content":"1"},{"role":"assistant","content":null,"function_call":{"arguments":"","name":"f"}},{"role":"function","name":"f","content":null},` + user + `]}`,
			`{"model":"m","messages":[` + user + `,` + called("0", `"{\"a\": 1}"`) + `,{"role":"tool","tool_call_id":"function_call_0","content":"1"},` + called("1", `""`) + `,{"role":"tool","tool_call_id":"function_call_1","content":""},` + user + `]}`, false,
		},
		"a result of no call": {`{"model":"m","messages":[{"role":"function","name":"f","content":"1"}]}`, `{"model":"m","messages":[{"role":"user","content":"1"}]}`, false},
		"a second result":     {`{"model":"m","messages":[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":""}},{"role":"function","content":"1"},{"role":"function","content":"2"}]}`, `{"model":"m","messages":[` + called("0", `""`) + `,{"role":"tool","tool_call_id":"function_call_0","content":"1"},{"role":"user","content":"2"}]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := wire.ParseChatRequest([]byte(tt.body), wire.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want == "" {
				want = tt.body
			}
			got, own, err := translate.Tools(wire.Ask{Request: r})
			if err != nil || string(got.Body) != want || own != tt.own {
				t.Errorf("%v, own %t\n got %s\nwant %s", err, own, got.Body, want)
			}
			if got.Stream != r.Stream || got.HasTools != r.HasTools || string(got.WithModel(r.Model)) != want {
				t.Errorf("read as %+v, where it was %+v", got.Request, r)
			}
		})
	}
}
