package anthropic

import (
	"strings"
	"testing"
)

// TestThinking holds what the API takes beside thinking, in the forms in which clients of several vendors ask for it.
func TestThinking(t *testing.T) {
	const tools = `,"tools":[{"type":"function","function":{"name":"f"}}]`
	enabled := func(budget string) string {
		return `,"thinking":{"type":"enabled","budget_tokens":` + budget + `}`
	}
	tests := map[string]struct{ fields, has, lacks, left string }{
		"temperature":          {enabled("2048") + `,"temperature":0.2`, enabled("2048"), "temperature", "temperature"},
		"temperature of 1":     {enabled("2048") + `,"temperature":1`, enabled("2048"), "temperature", ""},
		"low top_p":            {enabled("2048") + `,"top_p":0.5`, enabled("2048"), "top_p", "top_p"},
		"high top_p":           {enabled("2048") + `,"top_p":0.95`, `"top_p":0.95`, "temperature", ""},
		"both":                 {enabled("2048") + `,"top_p":0.96,"temperature":0`, `"top_p":0.96`, "temperature", "temperature"},
		"forced tool":          {tools + `,"tool_choice":"required"` + enabled("2048"), `"tool_choice":{"type":"any"}`, "thinking", "thinking"},
		"free tool":            {tools + enabled("2048"), enabled("2048"), "tool_choice", ""},
		"DeepSeek's":           {`,"thinking":{"type":"enabled"}`, enabled("2048"), "", ""},
		"DeepSeek's, low":      {`,"max_tokens":1000,"thinking":{"type":"enabled"}`, `"max_tokens":1000`, "thinking", "thinking"},
		"GLM's":                {`,"thinking":{"type":"enabled","clear_thinking":true}`, enabled("2048"), "clear_thinking", "thinking.clear_thinking"},
		"auto":                 {`,"thinking":{"type":"auto"},"temperature":0.2`, `"temperature":0.2`, "thinking", "thinking"},
		"disabled":             {`,"thinking":{"type":"disabled"},"temperature":0.2`, `"temperature":0.2,"thinking":{"type":"disabled"}`, "", ""},
		"adaptive, too old":    {`,"thinking":{"type":"adaptive"},"temperature":0.2`, `"temperature":0.2`, "thinking", "thinking"},
		"budget of the limit":  {`,"max_tokens":4096` + enabled("4096"), enabled("2048"), "", "thinking.budget_tokens"},
		"budget, too small":    {enabled("10"), enabled("1024"), "", "thinking.budget_tokens"},
		"budget, hardly fits":  {`,"max_tokens":1025` + enabled("9000"), enabled("1024"), "", "thinking.budget_tokens"},
		"budget, does not fit": {`,"max_tokens":1024` + enabled("9000"), `"max_tokens":1024`, "thinking", "thinking"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, left := encode(t, `{"model":"m","messages":[{"role":"user","content":"hi"}]`+tt.fields+`}`)
			if !strings.Contains(got, tt.has) || tt.lacks != "" && strings.Contains(got, tt.lacks) {
				t.Errorf("want %s without %q: %s", tt.has, tt.lacks, got)
			}
			checkLeft(t, left, tt.left)
		})
	}
	t.Run("before the model's own words", func(t *testing.T) {
		got, left := encode(t, `{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"{"}]`+enabled("2048")+`}`)
		if strings.Contains(got, "thinking") {
			t.Error(got)
		}
		checkLeft(t, left, "thinking")
	})
}

// TestInputSchemas holds that every tool's schema is one that the API takes at its top.
func TestInputSchemas(t *testing.T) {
	const path = "tools.function.parameters."
	tests := map[string]struct{ schema, want, left string }{
		"as it is":      {`{ "type":"object","properties":{"a":{"anyOf":[{}]}}}`, `{ "type":"object","properties":{"a":{"anyOf":[{}]}}}`, ""},
		"anyOf":         {`{"type":"object","anyOf":[{"required":["a"]}],"properties":{ }}`, `{"type":"object","properties":{ },"description":"{anyOf: [{\"required\":[\"a\"]}]}"}`, path + "anyOf"},
		"oneOf, allOf":  {`{"oneOf":[],"type":"object","allOf":[{}]}`, `{"type":"object","description":"{oneOf: [], allOf: [{}]}"}`, path + "allOf " + path + "oneOf"},
		"description":   {`{"description":"d\u00e9","anyOf":[{}]}`, `{"type":"object","description":"dé\n\n{anyOf: [{}]}"}`, path + "anyOf"},
		"odd":           {`{"description":7,"anyOf":null}`, `{"type":"object","description":"{anyOf: null}"}`, path + "anyOf"},
		"no type":       {`{"properties":{}}`, `{"type":"object","properties":{}}`, ""},
		"list of one":   {`{ "type" : ["object"], "x":1E400}`, `{"type":"object","x":1E400}`, ""},
		"list of types": {`{"type":["object","null"]}`, `{"type":"object"}`, path + "type"},
		"null type":     {`{"type":null,"properties":{}}`, `{"type":"object","properties":{}}`, path + "type"},
		"empty":         {`{}`, `{"type":"object"}`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, left := encode(t, `{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","parameters":`+tt.schema+`}}]}`)
			if want := `"input_schema":` + tt.want + `}]}`; !strings.Contains(got, want) {
				t.Errorf("want %s: %s", want, got)
			}
			checkLeft(t, left, tt.left)
		})
	}
}

// TestArgumentsThatAreNone holds that a conversation goes on after a call whose arguments are no JSON object.
func TestArgumentsThatAreNone(t *testing.T) {
	const path = "messages.tool_calls.function.arguments"
	deep := strings.Repeat("[", 64) + strings.Repeat("]", 64)
	tests := map[string]struct{ arguments, input, left string }{
		"cut":           {`{\"k\": \"lo`, `{"INVALID_JSON":"{\"k\": \"lo"}`, path},
		"words":         {`hi`, `{"INVALID_JSON":"hi"}`, path},
		"array":         {`[1]`, `{"INVALID_JSON":"[1]"}`, path},
		"twice":         {`{}{}`, `{"INVALID_JSON":"{}{}"}`, path},
		"repeats a key": {`{\"a\":1,\"a\":2}`, `{"INVALID_JSON":"{\"a\":1,\"a\":2}"}`, path},
		"too deep":      {`{\"a\":` + deep + `}`, `{"INVALID_JSON":"{\"a\":` + deep + `}"}`, path},
		"null":          {` null `, `{}`, ""},
		"none":          {``, `{}`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, left := encode(t, `{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"`+tt.arguments+`"}}]},{"role":"tool","tool_call_id":"a","content":"x"}]}`)
			if !strings.Contains(got, `"input":`+tt.input+`}`) {
				t.Errorf("want %s: %s", tt.input, got)
			}
			checkLeft(t, left, tt.left)
		})
	}
}

// TestRepeatedIDs holds that each call of a conversation has its own id, and each result that of its call.
func TestRepeatedIDs(t *testing.T) {
	calls := func(ids ...string) string {
		var b []string
		for _, id := range ids {
			b = append(b, `{"id":"`+id+`","type":"function","function":{"name":"f","arguments":"{}"}}`)
		}
		return `,{"role":"assistant","tool_calls":[` + strings.Join(b, ",") + `]}`
	}
	result := func(id string) string { return `,{"role":"tool","tool_call_id":"` + id + `","content":"x"}` }
	for name, messages := range map[string]string{
		"in two turns":      calls("a") + result("a") + calls("a") + result("a") + calls("a") + result("a"),
		"in one":            calls("a", "a") + result("a") + result("a"),
		"strange":           calls("f:0") + result("f:0") + calls("f:0") + result("f:0"),
		"results reordered": calls("a", "b") + result("b") + result("a") + calls("b", "a") + result("a") + result("b"),
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := encode(t, `{"model":"m","messages":[{"role":"user","content":"hi"}`+messages+`]}`)
			open := make(map[string]bool)
			seen := make(map[string]bool)
			for _, part := range strings.Split(got, `{"type":"tool_`)[1:] {
				if _, rest, ok := strings.Cut(part, `use","id":"`); ok && strings.HasPrefix(part, "use") {
					id, _, _ := strings.Cut(rest, `"`)
					if seen[id] {
						t.Errorf("id %q repeats: %s", id, got)
					}
					seen[id], open[id] = true, true
					continue
				}
				_, rest, _ := strings.Cut(part, `"tool_use_id":"`)
				id, _, _ := strings.Cut(rest, `"`)
				if !open[id] {
					t.Errorf("a result of no open call %q: %s", id, got)
				}
				delete(open, id)
			}
			if len(seen) < 2 || len(open) > 0 {
				t.Errorf("%d calls, without result %v", len(seen), open)
			}
		})
	}
}
