package responses

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// What Codex sends of its search for tools, and of a round of it: codex-rs/protocol/src/models.rs in https://github.com/openai/codex.
const (
	search = `{"type":"tool_search","execution":"client","description":"Finds tools","parameters":{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}}`
	asks   = `{"type":"tool_search_call","call_id":"s1","status":"completed","execution":"client","arguments":{"query":"mail","limit":8}}`
	finds  = `{"type":"tool_search_output","call_id":"s1","status":"completed","execution":"client","tools":[` + found + `]}`
	found  = `{"type":"namespace","name":"mcp__mail__","description":"d","tools":[{"type":"function","name":"send","parameters":{"type":"object"},"defer_loading":true}]},` +
		`{"type":"function","name":"now","parameters":{"type":"object"}}`

	searchFunction = `{"type":"function","function":{"name":"tool_search","description":"Finds tools","parameters":{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}}}`
	foundFunctions = `{"type":"function","function":{"name":"mcp__mail__send","parameters":{"type":"object"}}},{"type":"function","function":{"name":"now","parameters":{"type":"object"}}}`
	searchRound    = `{"role":"assistant","content":null,"tool_calls":[{"id":"s1","type":"function","function":{"name":"tool_search","arguments":"{\"query\":\"mail\",\"limit\":8}"}}]},` +
		`{"role":"tool","tool_call_id":"s1","content":"Tool found: mcp__mail__send\nTool found: now"}`
)

// Searches for tools in requests.
func TestSearchRequests(t *testing.T) {
	const user, asked = `{"role":"user","content":"q"}`, `"messages":[{"role":"user","content":"q"}]`
	for name, c := range map[string]struct{ in, out, unsupported string }{
		"offered":          {`"input":"q","tools":[` + search + `]`, asked + `,"tools":[` + searchFunction + `]`, ""},
		"without members":  {`"input":"q","tools":[{"type":"tool_search","execution":"client","description":null,"parameters":null}]`, asked + `,"tools":[{"type":"function","function":{"name":"tool_search","parameters":{"type":"object","properties":{}}}}]`, ""},
		"OpenAI's own":     {`"input":"q","tools":[{"type":"tool_search"},{"type":"tool_search","execution":"server"}]`, asked, "tools.tool_search"},
		"among allowed":    {`"input":"q","tools":[` + search + `,{"type":"function","name":"f"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"tool_search"}]}`, asked + `,"tools":[` + searchFunction + `],"tool_choice":"auto"`, ""},
		"a round":          {`"input":[` + user + `,` + asks + `,` + finds + `],"tools":[` + search + `]`, `"messages":[` + user + `,` + searchRound + `],"tools":[` + searchFunction + `,` + foundFunctions + `]`, "tools.defer_loading"},
		"nothing found":    {`"input":[` + user + `,` + asks + `,{"type":"tool_search_output","call_id":"s1","execution":"client","tools":[]}],"tools":[` + search + `]`, `"messages":[` + user + `,` + strings.Replace(searchRound, `Tool found: mcp__mail__send\nTool found: now`, "No tool found.", 1) + `],"tools":[` + searchFunction + `]`, ""},
		"in words":         {`"input":[` + user + `,{"type":"tool_search_call","call_id":"s1","execution":"client","arguments":"{}"},{"type":"tool_search_output","call_id":"s1"}],"tools":[` + search + `]`, `"messages":[` + user + `,{"role":"assistant","content":null,"tool_calls":[{"id":"s1","type":"function","function":{"name":"tool_search","arguments":"{}"}}]},{"role":"tool","tool_call_id":"s1","content":"No tool found."}],"tools":[` + searchFunction + `]`, ""},
		"OpenAI's own, of": {`"input":[` + user + `,{"type":"tool_search_call","call_id":null,"execution":"server","arguments":{"paths":["crm"]}},{"type":"tool_search_output","call_id":null,"execution":"server","tools":[` + found + `]}],"tools":[]`, asked, "input.tool_search_call, input.tool_search_output"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseClientRequest([]byte(`{"model":"m",` + c.in + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if want := `{"model":"m",` + c.out + `}`; !same(t, string(got.Canonical.Body), want) {
				t.Errorf("is\n%s\nwant\n%s", got.Canonical.Body, want)
			}
			if names := strings.Join(got.Unsupported, ", "); names != c.unsupported {
				t.Errorf("unsupported %q, want %q", names, c.unsupported)
			}
			if got.Canonical.HostedTools {
				t.Error("the provider would run a tool")
			}
		})
	}
}

// What was found is offered on in a conversation that is kept, also where a request offers tools of its own.
func TestFoundToolsOfAHistory(t *testing.T) {
	r, err := ParseClientRequest([]byte(`{"model":"m","previous_response_id":"resp_1","input":[{"role":"user","content":"go on"}],"tools":[` + search + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	history := []jsontext.Value{jsontext.Value(`{"role":"user","content":"q"}`), jsontext.Value(asks), jsontext.Value(finds)}
	if err := r.Continue(history, nil); err != nil {
		t.Fatal(err)
	}
	want := `{"model":"m","messages":[{"role":"user","content":"q"},` + searchRound + `,{"role":"user","content":"go on"}],"tools":[` + searchFunction + `,` + foundFunctions + `]}`
	if !same(t, string(r.Canonical.Body), want) {
		t.Errorf("is\n%s\nwant\n%s", r.Canonical.Body, want)
	}
	if tool := r.c.offered.find("mcp__mail__send"); tool == nil || tool.namespace != "mcp__mail__" || tool.name != "send" {
		t.Errorf("its name is %+v", tool)
	}
}

// A model's search is a call of its own kind, whose arguments are an object, whole or in a stream.
func TestSearchCalls(t *testing.T) {
	const body = `{"model":"m","input":"q","tools":[` + search + `]}`
	for name, c := range map[string]struct{ arguments, want string }{
		"arguments": {`{\"query\":\"mail\"}`, `{"query":"mail"}`},
		"none":      {``, `{}`},
		"odd":       {`mail`, `{"INVALID_JSON":"mail"}`},
	} {
		want := `{"type":"tool_search_call","id":"tsc_` + testID + `g00","status":"completed","call_id":"s1","execution":"client","arguments":` + c.want + `}`
		call := `"tool_calls":[{"index":0,"id":"s1","type":"function","function":{"name":"tool_search","arguments":"` + c.arguments + `"}}]`
		whole, err := newWriter(t, body).Whole(nil, []byte(`{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant",`+call+`},"finish_reason":"tool_calls"}]}`))
		if err != nil || !strings.Contains(string(whole), `"output":[`+want+`]`) {
			t.Errorf("%s: %s, %v", name, whole, err)
		}
		w := newWriter(t, body)
		var stream []byte
		for _, event := range streamOf("tool_calls", call) {
			if stream, err = w.Events(stream, []byte(event)); err != nil {
				t.Fatal(err)
			}
		}
		kinds, last, err := judge(string(stream))
		if err != nil || strings.Join(kinds, " ") != "response.created response.in_progress response.output_item.added response.output_item.done response.completed" {
			t.Errorf("%s: %q, %v", name, kinds, err)
		}
		if output, _ := json.Marshal(last["output"]); !same(t, string(output), `[`+want+`]`) {
			t.Errorf("%s: %s", name, output)
		}
	}
}
