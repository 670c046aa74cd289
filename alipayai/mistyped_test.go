package alipayai_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// wholes are requests of each door with every member that a translation reads, in its right type.
var wholes = map[string]string{
	"/v1/chat/completions": `{"model":"fin","max_tokens":9,"max_completion_tokens":9,"temperature":0.5,"top_p":0.5,"user":"u","safety_identifier":"s","stop":["x"],"parallel_tool_calls":false,
		"stream_options":{"include_usage":true},"metadata":{"session_id":"s","a":"b"},"thinking":{"type":"disabled","budget_tokens":2048},
		"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object","properties":{}}}},"tool_choice":{"type":"function","function":{"name":"f"}},
		"tools":[{"type":"function","function":{"name":"f","description":"d","strict":false,"parameters":{"type":"object","properties":{}}}}],
		"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"t"},{"type":"image_url","image_url":{"url":"https://example.com/a.png","detail":"low"}}]},
			{"role":"assistant","content":"a","refusal":"no","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
			{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"r"}]},{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},{"role":"user","content":"q"}]}`,
	"/v1/completions": `{"model":"fin","prompt":"q","max_tokens":9,"temperature":0.5,"top_p":0.5,"n":1,"stop":["x"],"user":"u","stream_options":{"include_usage":true},"seed":7}`,
	"/v1/responses": `{"model":"fin","instructions":"s","max_output_tokens":99,"temperature":0.5,"top_p":0.5,"user":"u","safety_identifier":"s","parallel_tool_calls":false,"metadata":{"a":"b"},"store":false,
		"text":{"format":{"type":"json_schema","name":"a","strict":true,"schema":{"type":"object","properties":{}}}},"tool_choice":{"type":"function","name":"f"},"reasoning":{"effort":"low"},
		"tools":[{"type":"function","name":"f","description":"d","strict":false,"parameters":{"type":"object","properties":{}}}],
		"input":[{"role":"user","content":[{"type":"input_text","text":"t"},{"type":"input_image","image_url":"https://example.com/a.png","detail":"low"}]},
			{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"r"},{"role":"user","content":"q"}]}`,
	"/v1/messages": `{"model":"fin","max_tokens":99,"temperature":0.5,"top_p":0.5,"top_k":3,"metadata":{"user_id":"u"},"system":[{"type":"text","text":"s"}],"stop_sequences":["x"],
		"thinking":{"type":"disabled"},"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},
		"tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{}}}],
		"messages":[{"role":"user","content":[{"type":"text","text":"t"},{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}]},
			{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"tool_use","id":"c","name":"f","input":{}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":[{"type":"text","text":"r"}]},{"type":"text","text":"q"}]}]}`,
}

// mistyped gives every request that has a value of another type in one place, by that place.
func mistyped(t *testing.T, whole string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	var root any
	decode := func() {
		if err := json.Unmarshal([]byte(whole), &root); err != nil {
			t.Fatal(err)
		}
	}
	var walk func(at string, v any, put func(any))
	walk = func(at string, v any, put func(any)) {
		for _, other := range []any{7.0, "text", map[string]any{}, []any{7.0}} {
			if at == "" || fmt.Sprintf("%T", other) == fmt.Sprintf("%T", v) {
				continue
			}
			put(other)
			body, err := json.Marshal(root)
			if err != nil {
				t.Fatal(err)
			}
			value, _ := json.Marshal(other)
			out[at+" = "+string(value)] = string(body)
		}
		if put != nil {
			put(v)
		}
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				walk(strings.TrimPrefix(at+"."+name, "."), inner, func(other any) { v[name] = other })
			}
		case []any:
			for i, inner := range v {
				walk(fmt.Sprintf("%s[%d]", at, i), inner, func(other any) { v[i] = other })
			}
		}
	}
	decode()
	walk("", root, nil)
	return out
}

// A value of the wrong type is the client's 400, never an outage: at every door, whichever provider is reached when the first
// one is down, and also where none can be.
func TestMistypedIsTheClients(t *testing.T) {
	down := func() *upstream.Cap {
		k := newCap(50, time.Second)
		k.MaxWait = time.Millisecond
		k.Throttled(time.Hour)
		return k
	}
	ladders := make(map[string]*ladder)
	for name, formats := range map[string][]sandbox.Format{
		"anthropic": {sandbox.OpenAI, sandbox.Anthropic}, "nextbuilder": {sandbox.OpenAI, sandbox.NextBuilder}, "none": {sandbox.OpenAI, sandbox.OpenAI},
	} {
		l := newLadder(t, formats, func(g *alipayai.Gateway) {
			g.Providers[0].Cap = down()
			g.Providers[0].Model, g.Providers[1].Model = "alipay-fin-1", map[string]string{"anthropic": "claude-haiku-4-5", "nextbuilder": "sandbox-agent", "none": "alipay-fin-1"}[name]
			if name == "none" {
				g.Providers[1].Cap = down()
			}
		})
		ladders[name] = l
	}
	for path, whole := range wholes {
		for _, name := range []string{"anthropic", "nextbuilder"} {
			if got := ladders[name].post(path, whole); got.status != http.StatusOK {
				t.Fatalf("%s at %s: %d %s", path, name, got.status, got.body)
			}
		}
		for place, body := range mistyped(t, whole) {
			refused := ""
			for _, name := range []string{"anthropic", "nextbuilder"} {
				got := ladders[name].post(path, body)
				switch {
				case strings.Contains(got.body, "invalid type for "):
					refused = got.body
				case got.status != http.StatusOK && strings.Contains(got.body, "invalid_type"):
					t.Errorf("%s, %s, at %s: %d %s", path, place, name, got.status, got.body)
				}
			}
			if refused == "" {
				continue
			}
			if got := ladders["none"].post(path, body); got.status != http.StatusBadRequest {
				t.Errorf("%s, %s, with every provider down: %d %s, where one says %s", path, place, got.status, got.body, refused)
			}
		}
	}
}
