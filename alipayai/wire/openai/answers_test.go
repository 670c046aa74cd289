package openai

import (
	"encoding/json"
	"slices"
	"testing"
)

// clientsOwn is a request without what the client plays back of earlier answers.
func clientsOwn(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var request map[string]any
	if err := json.Unmarshal(body, &request); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	messages, _ := request["messages"].([]any)
	request["messages"] = slices.DeleteFunc(messages, func(m any) bool {
		message, _ := m.(map[string]any)
		delete(message, "tool_call_id")
		return message["role"] == "assistant"
	})
	return request
}

// Where the client chose the provider, only what earlier answers have is edited, and only what the vendor refuses.
func TestAnswersWhereTheClientChose(t *testing.T) {
	const own = `{"role":"developer","content":[{"type":"text","text":"x"},{"type":"thinking"}],"x_own":1}`
	const long = "chatcmpl-tool-0123456789abcdef0123456789abcdef"
	thinking := `{"role":"assistant","content":[{"type":"thinking"},{"type":"text","text":"a"}],"reasoning_content":"Hm."}`
	for name, test := range map[string]struct {
		dialect, body, want string // no want: byte for byte
		left                []string
	}{
		"what the client says":        {dialect: "mistral", body: talk(own, user) + " "},
		"what the client asks for":    {dialect: "mistral", body: request(`"seed":7,"user":"li","n":2,"logprobs":true`)},
		"a fine history":              {dialect: "mistral", body: talk(own, calls("abcdefghi"), result("abcdefghi"), answer, user)},
		"an order of its own":         {dialect: "mistral", body: talk(user, calls("abcdefghi"), result("abcdefghi"), user, system, answer)},
		"ids that repeat":             {dialect: "openai", body: talk(user, calls("f", "f"), result("f"), calls("f"), result("f"))},
		"alipay":                      {dialect: "alipay", body: talk(user, thinking, calls(long), result(long))},
		"none":                        {dialect: "none", body: talk(user, thinking, calls(long), result(long))},
		"thoughts at a server's":      {dialect: "legacy", body: talk(user, `{"role":"assistant","content":"a","reasoning":"Hm.","reasoning_content":"Hm."}`, user)},
		"ids of another form":         {"mistral", talk(user, calls("call_1"), result("call_1")), talk(user, calls(nineCharacters("call_1")), result(nineCharacters("call_1"))), nil},
		"ids that are too long":       {"openai", talk(own, calls(long), result(long)), talk(own, calls(atMost40(long)), result(atMost40(long))), nil},
		"members of another vendor's": {"mistral", talk(own, `{"role":"assistant","content":"a","reasoning_content":"Hm.","refusal":null}`, user), talk(own, `{"role":"assistant","content":"a"}`, user), []string{"messages.reasoning_content"}},
		"parts of another vendor's":   {"openai", talk(own, thinking, user), talk(own, `{"role":"assistant","content":[{"type":"text","text":"a"}]}`, user), []string{"messages.content.thinking", "messages.reasoning_content"}},
		// https://github.com/microsoft/autogen/issues/3120, https://github.com/i-am-bee/beeai-framework/issues/640
		"calls that are none":     {"openai", talk(own, `{"role":"assistant","content":"a","tool_calls":[ ]}`, user), talk(own, `{"role":"assistant","content":"a"}`, user), nil},
		"calls that are null":     {"legacy", talk(system, `{"role":"assistant","content":"a","tool_calls":null}`, user), talk(system, `{"role":"assistant","content":"a"}`, user), nil},
		"an answer of nothing":    {"qwen", talk(user, `{"role":"assistant","content":""}`, user), talk(user, user), nil},
		"arguments that were cut": {"legacy", talk(system, withArguments(`"{\"a"`), result("call_1"), user), talk(system, withArguments(`"{\"INVALID_JSON\":\"{\\\"a\"}"`), result("call_1"), user), []string{"messages.tool_calls.function.arguments"}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.want == "" {
				test.want = test.body
			}
			asked := ask(t, test.body)
			asked.ByGateway = false
			got, err := Format{Dialect: dialect(t, test.dialect)}.EncodeRequest(asked)
			if err != nil || string(got.Body) != test.want {
				t.Errorf("%v\n got %s\nwant %s", err, got.Body, test.want)
			}
			if !slices.Equal(got.Unsupported, test.left) {
				t.Errorf("left out %v, want %v", got.Unsupported, test.left)
			}
		})
	}
}
