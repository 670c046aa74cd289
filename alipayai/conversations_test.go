package alipayai_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// strictly are profiles, and the simulators that judge requests as strictly as their vendors do. Profile nextbuilder is
// none of them: an agent is asked one question, and has no history to be refused.
var strictly = map[string]sandbox.Config{
	"alipay":    {Format: sandbox.OpenAI},
	"openai":    {Format: sandbox.OpenAI, Dialect: sandbox.Strict},
	"mistral":   {Format: sandbox.OpenAI, Dialect: sandbox.Mistral},
	"deepseek":  {Format: sandbox.OpenAI, Dialect: sandbox.DeepSeek},
	"qwen":      {Format: sandbox.OpenAI, Dialect: sandbox.Qwen},
	"ollama":    {Format: sandbox.OpenAI, Dialect: sandbox.Legacy},
	"anthropic": {Format: sandbox.Anthropic},
}

// newStrict starts the simulator for a profile, which judges the request as its vendor does.
func newStrict(t *testing.T, name, profileName string) *simulated {
	t.Helper()
	cfg := strictly[profileName]
	u := newUpstreamOf(t, name, cfg)
	if cfg.Format == sandbox.OpenAI {
		dialect, err := openai.LookupDialect(profile(t, profileName).Dialect)
		if err != nil {
			t.Fatal(err)
		}
		u.provider.Format = openai.Format{Dialect: dialect}
	}
	return u
}

const (
	weather    = `{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}`
	zodSchema  = `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"city":{"type":"string","minLength":1,"pattern":"^[A-Z]","default":"Hangzhou"},"days":{"type":"integer","minimum":1,"maximum":7,"examples":[3]}},"required":["city"],"additionalProperties":false}`
	weatherZod = `{"type":"function","function":{"name":"get_weather","strict":true,"parameters":` + zodSchema + `}}`
	topUnion   = `{"type":"function","function":{"name":"find","parameters":{"type":"object","properties":{"id":{"type":"string"},"name":{"type":"string"}},"anyOf":[{"required":["id"]},{"required":["name"]}]}}}`
)

// weatherCall is a call of get_weather with that id and those arguments, as JSON.
func weatherCall(id, arguments string) string {
	return `{"id":"` + id + `","type":"function","function":{"name":"get_weather","arguments":` + arguments + `}}`
}

func weatherResult(id string) string {
	return `{"role":"tool","tool_call_id":"` + id + `","content":"sunny"}`
}

// conversations are requests as clients of every kind of provider make them, without their model.
var conversations = map[string]string{
	"tools": `"seed":7,"user":"li","parallel_tool_calls":true,"tools":[` + weather + `],"messages":[{"role":"system","content":"Be brief."},{"role":"user","name":"li","content":"weather?"},
		{"role":"assistant","content":null,"refusal":null,"annotations":[],"tool_calls":[` + weatherCall("call_abcdefghijklmnop", `"{\"city\":\"Hangzhou\"}"`) + `]},
		` + weatherResult("call_abcdefghijklmnop") + `,{"role":"user","content":"thanks"}]`,
	"parallel tools, one must be called": `"tool_choice":"required","tools":[` + weather + `],"messages":[{"role":"user","content":"weather?"},
		{"role":"assistant","tool_calls":[` + weatherCall("get_weather:0", `"{\"city\":\"Hangzhou\"}"`) + `,` + weatherCall(strings.Repeat("long", 20), `"{\"city\":\"Ningbo\"}"`) + `]},
		` + weatherResult(strings.Repeat("long", 20)) + `,` + weatherResult("get_weather:0") + `,{"role":"assistant","content":"sunny in both"},{"role":"user","content":"and in Xi'an?"}]`,
	"reasoning": `"enable_thinking":true,"thinking":{"type":"enabled"},"temperature":0.2,"max_tokens":4096,"tools":[` + weather + `],"messages":[{"role":"user","content":"weather?"},
		{"role":"assistant","reasoning_content":"I should look.","content":"","tool_calls":[` + weatherCall("call_1", `"{}"`) + `]},` + weatherResult("call_1") + `,
		{"role":"assistant","content":[{"type":"text","text":"sunny"}]},{"role":"user","content":"sure?"}]`,
	"images":              `"max_completion_tokens":99,"messages":[{"role":"user","content":[{"type":"text","text":"what is it?"},{"type":"image_url","image_url":{"url":"https://example.com/a.png","detail":"low"}}]}]`,
	"truncated arguments": `"tools":[` + weather + `],"messages":[{"role":"user","content":"weather?"},{"role":"assistant","content":"","tool_calls":[` + weatherCall("call_1", `"{\"city\": \"Hang"`) + `]},{"role":"tool","tool_call_id":"call_1","content":"no JSON"},{"role":"user","content":"again"}]`,
	"repeated ids": `"n":1,"tools":[` + weather + `],"messages":[{"role":"user","content":"weather?"},{"role":"assistant","content":null,"tool_calls":[` + weatherCall("get_weather", `"{}"`) + `]},` + weatherResult("get_weather") + `,
		{"role":"assistant","content":null,"tool_calls":[` + weatherCall("get_weather", `""`) + `,` + weatherCall("get_weather", `"null"`) + `]},` + weatherResult("get_weather") + `,` + weatherResult("get_weather") + `]`,
	"schemas from zod": `"n":1,"tools":[` + weatherZod + `,` + topUnion + `],"response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":` + zodSchema + `}},"messages":[{"role":"user","content":"hello"}]`,
	"system in the middle": `"store":true,"logprobs":true,"messages":[{"role":"developer","content":"Be kind."},{"role":"user","content":"hi"},{"role":"assistant","content":"hello"},
		{"role":"system","content":"The user is back."},{"role":"user","content":"again"}]`,
	"a length answer": `"random_seed":7,"messages":[{"role":"user","content":"tell me"},{"role":"assistant","content":"Once upon a"}]`,
	"empty content": `"stop":["x"],"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"","reasoning_content":"Hm"},{"role":"user","content":"hi?"},{"role":"assistant","content":null,"refusal":null},
		{"role":"user","content":[{"type":"text","text":"hello?"}]}]`,
}

// Any conversation can go on at any provider: where the first fails, the second takes it, and then the first takes it back
// with the second's answer in it. The gateway chooses both, by a name of the model's that is its own.
func TestConversationsGoOnAnywhere(t *testing.T) {
	for first := range strictly {
		for second := range strictly {
			if first == second {
				continue
			}
			t.Run(first+" to "+second, func(t *testing.T) {
				t.Parallel()
				l := newLadderOf(t, []*simulated{newStrict(t, "first", first), newStrict(t, "second", second)}, func(g *alipayai.Gateway) {
					for i, profile := range []string{first, second} {
						g.Providers[i].Model = map[bool]string{false: "alipay-fin-1", true: "claude-haiku-4-5"}[profile == "anthropic"]
					}
				})
				for name, conversation := range conversations {
					l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.SystemError500})
					body := `{"model":"fin",` + conversation + `}`
					got := l.post(chatPath, body)
					// The first took it, too, before it failed.
					reason := got.header.Get("X-Alipayai-Reason")
					if got.status != http.StatusOK || got.header.Get("X-Alipayai-Provider") != "second" || reason != failsAs(first) {
						t.Errorf("%s: %d %s, after %q at the first", name, got.status, got.body, reason)
						continue
					}
					l.upstreams[0].set(t)
					body = goOn(t, body, got.body)
					got = l.post(chatPath, body)
					if got.status != http.StatusOK || got.header.Get("X-Alipayai-Provider") != "first" {
						t.Errorf("%s, back again: %d %s\n%s", name, got.status, got.body, body)
					}
				}
			})
		}
	}
}

// failsAs is the reason of a system error of that profile's.
func failsAs(profile string) string {
	if profile == "anthropic" {
		return "server_error"
	}
	return "system_error"
}

// goOn gives the request with its answer and what the client says next.
func goOn(t *testing.T, body, answer string) string {
	t.Helper()
	var got struct {
		Choices []struct{ Message json.RawMessage }
	}
	var said struct {
		Content   any
		ToolCalls []struct{ ID string } `json:"tool_calls"`
	}
	if err := json.Unmarshal([]byte(answer), &got); err != nil || len(got.Choices) == 0 || json.Unmarshal(got.Choices[0].Message, &said) != nil {
		t.Fatalf("answered %s", answer)
	}
	more := "," + string(got.Choices[0].Message)
	for _, call := range said.ToolCalls {
		more += "," + weatherResult(call.ID)
	}
	more += `,{"role":"user","content":"go on"}]`
	end := strings.LastIndex(body, "]")
	return body[:end] + more + body[end+1:]
}
