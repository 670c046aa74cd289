package alipayai_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// strictly are profiles, and the simulators that judge requests as strictly as their vendors do. An agent at nextbuilder is
// asked one question, the user's last, and has no history to be refused.
var strictly = map[string]sandbox.Config{
	"alipay":    {Format: sandbox.OpenAI},
	"openai":    {Format: sandbox.OpenAI, Dialect: sandbox.Strict},
	"mistral":   {Format: sandbox.OpenAI, Dialect: sandbox.Mistral},
	"deepseek":  {Format: sandbox.OpenAI, Dialect: sandbox.DeepSeek},
	"qwen":      {Format: sandbox.OpenAI, Dialect: sandbox.Qwen},
	"vllm":      {Format: sandbox.OpenAI, Dialect: sandbox.VLLM},
	"ollama":    {Format: sandbox.OpenAI, Dialect: sandbox.Legacy},
	"google":    {Format: sandbox.OpenAI, Dialect: sandbox.Google},
	"glm":       {Format: sandbox.OpenAI, Dialect: sandbox.GLM},
	"moonshot":  {Format: sandbox.OpenAI, Dialect: sandbox.Moonshot},
	"anthropic": {Format: sandbox.Anthropic},

	"nextbuilder": {Format: sandbox.NextBuilder},
}

// serves is the model that the simulator for a profile serves.
func serves(profile string) string {
	switch strictly[profile].Format {
	case sandbox.Anthropic:
		return "claude-haiku-4-5"
	case sandbox.NextBuilder:
		return "sandbox-agent"
	default:
		return "alipay-fin-1"
	}
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

// named is a tool of that name.
func named(name string) string {
	return `{"type":"function","function":{"name":"` + name + `","parameters":{"type":"object","properties":{}}}}`
}

// callOf is a call of the tool of that name.
func callOf(name, id string) string {
	return strings.Replace(weatherCall(id, `"{}"`), "get_weather", name, 1)
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
	"fields of every vendor": `"temperature":1.9,"seed":-3,"tool_choice":null,"parallel_tool_calls":null,"response_format":null,"user":null,"service_tier":"flex","prompt_cache_key":"k",
		"cache_control":{"type":"ephemeral"},"session_id":"s","verbosity":"low","store":true,"logit_bias":{},"prediction":null,"min_p":0.1,"top_a":0.1,"safety_identifier":"u","web_search_options":null,
		"tools":[{"type":"function","function":{"name":"now"}},{"type":"function","function":{"name":"today","description":"the day","parameters":null},"cache_control":{"type":"ephemeral"}}],
		"messages":[{"role":"user","content":"when?"}]`,
	"ends of ranges": `"temperature":2,"top_p":0,"n":1,"presence_penalty":-2,"messages":[{"role":"user","content":"hi"}]`,
	"other ends":     `"temperature":0,"top_p":1,"frequency_penalty":2,"messages":[{"role":"user","content":"hi"}]`,
	"marks and parts": `"messages":[{"role":"system","content":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}]},
		{"role":"user","cache_control":{"type":"ephemeral"},"content":[{"type":"text","text":"hear","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}},
			{"type":"file","file":{"file_id":"f"}}]},
		{"role":"assistant","content":[{"type":"text","text":"a dog","annotations":[]}],"audio":null,"function_call":null},{"role":"user","content":"sure?"}]`,
	"JSON mode": `"response_format":{"type":"json_object"},"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Name a city."}]}]`,
	"JSON mode, the word elsewhere": `"response_format":{"type":"json_object"},"tools":[` + named("to_json") + `],"messages":[{"role":"user","name":"json","content":"Name a city."},
		{"role":"assistant","content":null,"tool_calls":[` + callOf("to_json", "json1") + `]},` + weatherResult("json1") + `]`,
	"tools of any name": `"tools":[` + named("search") + `,` + named("files.read") + `,` + named("7:"+strings.Repeat("long", 20)) + `,` + named("查询") + `],"messages":[{"role":"user","content":"find it"},
		{"role":"assistant","content":null,"tool_calls":[` + callOf("search", "call_1") + `,` + callOf("files.read", "call_2") + `]},{"role":"tool","tool_call_id":"call_1","name":"search","content":"1"},
		{"role":"tool","tool_call_id":"call_2","name":"files.read","content":"2"},{"role":"assistant","content":null,"tool_calls":[` + callOf("gone.by", "call_3") + `]},` + weatherResult("call_3") + `,
		{"role":"assistant","content":"there"},{"role":"user","content":"use the tool"}]`,
	"a tool of any name is chosen": `"tools":[` + weather + `,` + named("7:read.it") + `],"tool_choice":{"type":"function","function":{"name":"7:read.it"}},"messages":[{"role":"user","content":"read"}]`,
	"search is chosen":             `"tools":[` + weather + `,` + named("search") + `],"tool_choice":{"type":"function","function":{"name":"search"}},"messages":[{"role":"user","content":"find"}]`,
	"no tool may be called":        `"tools":[` + weather + `],"tool_choice":"none","messages":[{"role":"user","content":"use the tool"}]`,
	"a forced tool while thinking": `"enable_thinking":true,"thinking":{"type":"enabled"},"tools":[` + weather + `],"tool_choice":"required","messages":[{"role":"user","content":"weather?"}]`,
	"a named tool while thinking":  `"enable_thinking":true,"tools":[` + weather + `],"tool_choice":{"type":"function","function":{"name":"get_weather"}},"messages":[{"role":"user","content":"weather?"}]`,
	"empty content": `"stop":["x"],"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"","reasoning_content":"Hm"},{"role":"user","content":"hi?"},{"role":"assistant","content":null,"refusal":null},
		{"role":"user","content":[{"type":"text","text":"hello?"}]}]`,
}

// Any conversation can go on at any provider: where the first fails, the second takes it, and then the first takes it back
// with the second's answer in it, whole or as a stream: of two conversations, and of two firsts or seconds, one is streamed, so
// that each conversation is both ways before and after each provider. The gateway chooses both, by a name of the model's that is
// its own.
func TestConversationsGoOnAnywhere(t *testing.T) {
	profiles, names := slices.Sorted(maps.Keys(strictly)), slices.Sorted(maps.Keys(conversations))
	for i, first := range profiles {
		for j, second := range profiles {
			if first == second {
				continue
			}
			t.Run(first+" to "+second, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T) {
					l := newLadderOf(t, []*simulated{newStrict(t, "first", first), newStrict(t, "second", second)}, func(g *alipayai.Gateway) {
						g.Providers[0].Model, g.Providers[1].Model = serves(first), serves(second)
					})
					for k, name := range names {
						conversation, stream := conversations[name], [...]string{"", `"stream":true,`}[(i+j+k)%2]
						l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.SystemError500})
						body := `{"model":"fin",` + stream + conversation + `}`
						got := l.post(chatPath, body)
						// The first took it, too, before it failed.
						reason := got.header.Get("X-Alipayai-Reason")
						if got.status != http.StatusOK || got.err != nil || got.header.Get("X-Alipayai-Provider") != "second" || reason != failsAs(first) {
							t.Errorf("%s, %s: %d %v %s, after %q at the first", name, stream, got.status, got.err, got.body, reason)
							continue
						}
						if left := got.header.Get("X-Alipayai-Unsupported"); name == "schemas from zod" && second == "anthropic" &&
							(!strings.Contains(left, "response_format.json_schema.schema.pattern") || strings.Contains(left, "strict")) {
							t.Errorf("the schemas did not go along: %s", left)
						}
						l.upstreams[0].set(t)
						body = goOn(t, body, got.message(t), `{"role":"user","content":"go on"}`)
						got = l.post(chatPath, body)
						if got.status != http.StatusOK || got.err != nil || got.header.Get("X-Alipayai-Provider") != "first" {
							t.Errorf("%s, %s back again: %d %v %s\n%s", name, stream, got.status, got.err, got.body, body)
						} else if unknown := unknownTool(t, body, got.message(t)); unknown != "" {
							t.Errorf("%s, %s back again: calls the tool %q, which the client does not have", name, stream, unknown)
						}
					}
				})
			})
		}
	}
}

// unknownTool is the first tool that the message calls and the request does not offer, or may not have called; "" for none.
func unknownTool(t *testing.T, request, message string) string {
	t.Helper()
	type tool struct{ Function struct{ Name string } }
	var offered struct {
		Tools      []tool
		ToolChoice any `json:"tool_choice"`
	}
	var said struct {
		ToolCalls []tool `json:"tool_calls"`
	}
	if err := errors.Join(json.Unmarshal([]byte(request), &offered), json.Unmarshal([]byte(message), &said)); err != nil {
		t.Fatal(err)
	}
	for _, call := range said.ToolCalls {
		if offered.ToolChoice == "none" || !slices.Contains(offered.Tools, call) {
			return call.Function.Name
		}
	}
	return ""
}

// failsAs is the reason of a system error of that profile's.
func failsAs(profile string) string {
	if profile == "anthropic" {
		return "server_error"
	}
	return "system_error"
}

// standIns are answers as providers give them that stand in for another, by whose form theirs is.
var standIns = map[string]string{
	"OpenAI":              `"content":null,"refusal":null,"annotations":[],"tool_calls":[` + weatherCall("call_Jq8Fd2Lk0aPzX5vYtB1nRw7E", `"{\"city\":\"Hangzhou\"}"`) + `]`,
	"OpenAI's Responses":  `"content":"","tool_calls":[` + weatherCall("fc_0f0e50a1476a6c35006912c58dc9f8819192c25864eb16f07f", `"{}"`) + `]`,
	"Anthropic":           `"content":"I look.","reasoning_content":"Hm.","tool_calls":[` + weatherCall("toolu_01A09q90qw90lq917835lq9", `"{}"`) + `]`,
	"Mistral":             `"content":"","tool_calls":[` + weatherCall("D681PevKs", `"{}"`) + `]`,
	"Mistral, thinking":   `"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]},{"type":"text","text":"I look."}]`,
	"DeepSeek":            `"content":"","reasoning_content":"Hm.","tool_calls":[` + weatherCall("call_00_IhNDqplrzL8xiABtVfI2K7hz", `"{}"`) + `]`,
	"Moonshot":            `"content":"","reasoning_content":"Hm.","tool_calls":[` + weatherCall("functions.get_weather:0", `"{}"`) + `,` + weatherCall("functions.get_weather:1", `"{}"`) + `]`,
	"vLLM":                `"content":null,"refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":"Hm.","reasoning_content":"Hm.","tool_calls":[` + weatherCall("chatcmpl-tool-0123456789abcdef0123456789abcdef", `"{}"`) + `]`,
	"Google":              `"content":"","extra_content":{"google":{"thought":true}},"tool_calls":[{"extra_content":{"google":{"thought_signature":"c2ln"}},` + weatherCall("function-call-13706129043245463526", `"{}"`)[1:] + `]`,
	"OpenRouter":          `"content":"","reasoning":"Hm.","reasoning_details":[{"type":"reasoning.text","text":"Hm."}],"tool_calls":[` + weatherCall("tool_0_get_weather", `"{}"`) + `]`,
	"cut arguments":       `"content":"","tool_calls":[` + weatherCall("call_1", `"{\"city\": \"Hang"`) + `]`,
	"no arguments":        `"content":"","tool_calls":[` + weatherCall("call_1", `""`) + `]`,
	"nothing but thought": `"content":"","reasoning_content":"Hm."`,
	"an old function":     `"content":"no","function_call":null`,
}

// What a provider answers that stood in for the client's own choice goes back to that choice, whichever it is: the client
// did not choose it. All that the client says itself goes byte for byte.
func TestAnswersOfStandInsGoBack(t *testing.T) {
	for first := range strictly {
		for second, message := range standIns {
			for _, stream := range []string{"", `"stream":true,`} {
				t.Run(first+" after "+second+", "+stream, func(t *testing.T) {
					t.Parallel()
					inBubble(t, func(t *testing.T) {
						standIn, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							if stream == "" {
								fmt.Fprintf(w, `{"model":"m","choices":[{"index":0,"message":{"role":"assistant",%s},"finish_reason":"stop"}]}`, message)
								return
							}
							w.Header().Set("Content-Type", "text/event-stream")
							fmt.Fprintf(w, `data: {"model":"m","choices":[{"index":0,"delta":{"role":"assistant",%s},"finish_reason":null}]}`+"\n\n", message)
							fmt.Fprint(w, `data: {"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
						}))
						other := plainProvider(t, standIn)
						other.Name = "second"
						l := newLadderOf(t, []*simulated{newStrict(t, "first", first)}, func(g *alipayai.Gateway) {
							g.Providers = append(g.Providers, other)
						})
						l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.SystemError500})
						body := `{"model":"` + serves(first) + `",` + stream + `"tools":[` + weather + `], "messages":[{"role":"user","content":"weather?"}]}`
						got := l.post(chatPath, body)
						if got.status != http.StatusOK || got.header.Get("X-Alipayai-Provider") != "second" {
							t.Fatalf("%d %v %s", got.status, got.header, got.body)
						}
						l.upstreams[0].set(t)
						if message := got.message(t); strings.Contains(message, `"tool_calls"`) {
							body = goOn(t, body, message)
						} else {
							body = goOn(t, body, message, `{"role":"user","content":"go on"}`)
						}
						got = l.post(chatPath, body)
						if got.status != http.StatusOK || got.err != nil || got.header.Get("X-Alipayai-Provider") != "first" {
							t.Errorf("%d %s\n%s", got.status, got.body, body)
						}
					})
				})
			}
		}
	}
}

// message is the assistant's message, as a client has it that plays back all that it was told: of a stream, the members of
// its deltas put together.
func (got reply) message(t *testing.T) string {
	t.Helper()
	type choice struct{ Message, Delta map[string]any }
	var answer struct{ Choices []choice }
	if json.Unmarshal([]byte(got.body), &answer) == nil && len(answer.Choices) > 0 {
		text, _ := json.Marshal(answer.Choices[0].Message)
		return string(text)
	}
	whole := make(map[string]any)
	for event := range strings.SplitSeq(got.body, "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		if answer.Choices = nil; json.Unmarshal([]byte(data), &answer) != nil {
			t.Fatalf("answered %s", got.body)
		}
		for _, c := range answer.Choices {
			put(whole, c.Delta)
		}
	}
	if len(whole) == 0 {
		t.Fatalf("answered %s", got.body)
	}
	text, _ := json.Marshal(whole)
	return string(text)
}

// put puts the members of a delta to those of the message: texts are joined, calls by their index.
func put(whole, delta map[string]any) {
	for name, more := range delta {
		switch before := whole[name].(type) {
		case string:
			if more, ok := more.(string); ok && name != "role" && name != "id" && name != "type" {
				whole[name] = before + more
			}
		case map[string]any:
			put(before, more.(map[string]any))
		case []any:
			for _, one := range more.([]any) {
				one := one.(map[string]any)
				if i, ok := one["index"].(float64); ok && int(i) < len(before) {
					put(before[int(i)].(map[string]any), one)
				} else {
					before = append(before, one)
				}
			}
			whole[name] = before
		default:
			whole[name] = more
		}
	}
}

// goOn gives the request with that message of the assistant's, the results of its calls, and what the client says next.
func goOn(t *testing.T, body, message string, next ...string) string {
	t.Helper()
	var said struct {
		ToolCalls []struct{ ID string } `json:"tool_calls"`
	}
	if err := json.Unmarshal([]byte(message), &said); err != nil {
		t.Fatal(err)
	}
	more := []string{body[:strings.LastIndex(body, "]")], message}
	for _, call := range said.ToolCalls {
		more = append(more, weatherResult(call.ID))
	}
	return strings.Join(append(more, next...), ",") + "]" + body[strings.LastIndex(body, "]")+1:]
}
