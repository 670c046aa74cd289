package responses

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// codexTurn is a request as Codex sends one within a turn: members, tools and items are those of ResponsesApiRequest, of its tools'
// specifications and of ResponseItem in https://github.com/openai/codex (codex-rs/codex-api/src/common.rs, codex-rs/protocol/src/models.rs).
const codexTurn = `{"model":"m","instructions":"You are Codex.","input":[
 {"type":"additional_tools","role":"developer","tools":[{"type":"function","name":"view_image","description":"v","strict":false,"parameters":{"type":"object","properties":{}}}]},
 {"type":"message","role":"developer","content":[{"type":"input_text","text":"<permissions>"}]},
 {"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>"}]},
 {"type":"message","role":"user","content":[{"type":"input_text","text":"fix it"},{"type":"input_image","image_url":"data:image/png;base64,AA"}]},
 {"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":null},
 {"type":"function_call","name":"exec_command","arguments":"{\"cmd\":\"ls\"}","call_id":"c1"},
 {"type":"function_call_output","call_id":"c1","output":"a.go"},
 {"type":"custom_tool_call","status":"completed","call_id":"c2","name":"apply_patch","input":"*** Begin Patch"},
 {"type":"custom_tool_call_output","call_id":"c2","output":"done"},
 {"type":"function_call","namespace":"mcp__docs","name":"search","arguments":"{}","call_id":"c3"},
 {"type":"function_call_output","call_id":"c3","output":[{"type":"input_text","text":"found"}]}],
 "tools":[
 {"type":"function","name":"exec_command","description":"runs","strict":false,"parameters":{"type":"object","properties":{"cmd":{"type":"string"}},"required":["cmd"],"additionalProperties":false}},
 {"type":"custom","name":"apply_patch","description":"patches","format":{"type":"grammar","syntax":"lark","definition":"start: begin"}},
 {"type":"namespace","name":"mcp__docs","description":"docs","tools":[{"type":"function","name":"search","description":"s","strict":false,"parameters":{"type":"object","properties":{}}}]},
 {"type":"web_search","external_web_access":true},{"type":"image_generation","output_format":"png"},{"type":"tool_search","execution":"client"}],
 "tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"effort":"medium","summary":"auto"},"store":false,"stream":true,
 "include":["reasoning.encrypted_content"],"prompt_cache_key":"k","text":{"verbosity":"medium"},"client_metadata":{"x":"y"}}`

// A turn of Codex's is taken whole: only tools that no upstream has are left out, and no call is of class money for them.
func TestCodex(t *testing.T) {
	r, err := ParseClientRequest([]byte(codexTurn))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"tools.image_generation", "tools.web_search"}; !slices.Equal(r.Unsupported, want) || r.Canonical.HostedTools || r.Continues() || r.Store {
		t.Errorf("left out are %v, hosted %v, store %v", r.Unsupported, r.Canonical.HostedTools, r.Store)
	}
	var body struct {
		Messages []struct{ Role string }
		Tools    []struct{ Function struct{ Name string } }
	}
	if err := json.Unmarshal(r.Canonical.Body, &body); err != nil {
		t.Fatal(err)
	}
	var roles, tools []string
	for _, m := range body.Messages {
		roles = append(roles, m.Role)
	}
	for _, tool := range body.Tools {
		tools = append(tools, tool.Function.Name)
	}
	if got := strings.Join(roles, " "); got != "system system user user assistant tool assistant tool assistant tool" {
		t.Errorf("roles are %s", got)
	}
	if got := strings.Join(tools, " "); got != "exec_command apply_patch mcp__docs__search tool_search view_image" {
		t.Errorf("tools are %s", got)
	}
	// What Codex reads of the answer: a call of a namespace's tool has both names, one of a custom tool its input.
	w := &ClientWriter{Request: r, ID: testID}
	out, err := w.Events(nil, []byte(strings.Join(streamOf("tool_calls",
		`"tool_calls":[{"index":0,"id":"c4","function":{"name":"mcp__docs__search","arguments":"{}"}},{"index":1,"id":"c5","function":{"name":"apply_patch","arguments":"{\"input\":\"*** End\"}"}}]`), "")))
	if err != nil {
		t.Fatal(err)
	}
	_, last, err := judge(string(out))
	if err != nil {
		t.Fatal(err)
	}
	output := last["output"].([]any)
	search, patch := output[0].(map[string]any), output[1].(map[string]any)
	if search["name"] != "search" || search["namespace"] != "mcp__docs" || search["call_id"] != "c4" || patch["type"] != "custom_tool_call" || patch["input"] != "*** End" {
		t.Errorf("output %v", output)
	}
}
