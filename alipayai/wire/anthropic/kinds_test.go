package anthropic

import (
	"slices"
	"strings"
	"testing"
)

// requestCase is what of a request reaches the API, and what is named as left out.
type requestCase struct {
	fields      string
	has, lacks  []string
	unsupported []string
}

func testRequests(t *testing.T, messages string, cases map[string]requestCase) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			body := `{"model":"m","messages":` + messages
			if c.fields != "" {
				body += "," + c.fields
			}
			encoded, err := new(Format).EncodeRequest(ask(t, body+"}"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.has {
				if !strings.Contains(string(encoded.Body), want) {
					t.Errorf("has no %s: %s", want, encoded.Body)
				}
			}
			for _, no := range c.lacks {
				if strings.Contains(string(encoded.Body), no) {
					t.Errorf("has %s: %s", no, encoded.Body)
				}
			}
			if !slices.Equal(encoded.Unsupported, c.unsupported) {
				t.Errorf("left out %q, want %q", encoded.Unsupported, c.unsupported)
			}
		})
	}
}

const hi = `[{"role":"user","content":"hi"}]`

// In whatever form a client asks for thinking, the API gets its own, with nothing beside it that it refuses.
func TestKindsOfThinking(t *testing.T) {
	const enabled, budget = `"thinking":{"type":"enabled","budget_tokens":2048}`, `"thinking":{"type":"enabled","budget_tokens":`
	testRequests(t, hi, map[string]requestCase{
		"temperature of 1":        {enabled + `,"temperature":1,"max_tokens":4096`, []string{enabled}, nil, nil},
		"temperature of 1.0":      {enabled + `,"temperature":1.0`, []string{enabled}, []string{"temperature"}, nil},
		"temperature of 0":        {enabled + `,"temperature":0`, []string{enabled}, []string{"temperature"}, []string{"temperature"}},
		"top_p that is taken":     {enabled + `,"top_p":0.95`, []string{enabled, `"top_p":0.95`}, nil, nil},
		"top_p that is not":       {enabled + `,"top_p":0.949`, []string{enabled}, []string{"top_p"}, []string{"top_p"}},
		"both":                    {enabled + `,"temperature":0.2,"top_p":0.5`, []string{enabled}, []string{"temperature", "top_p"}, []string{"temperature", "top_p"}},
		"top_k":                   {enabled + `,"top_k":5`, []string{enabled}, []string{"top_k"}, []string{"top_k"}},
		"DeepSeek's and GLM's":    {`"thinking":{"type":"enabled"}`, []string{enabled}, nil, nil},
		"with a member of GLM's":  {`"thinking":{"type":"enabled","clear_thinking":false}`, []string{enabled}, nil, []string{"thinking.clear_thinking"}},
		"a budget over the limit": {`"thinking":{"type":"enabled","budget_tokens":4096},"max_completion_tokens":2048`, []string{budget + "1024}"}, nil, []string{"thinking.budget_tokens"}},
		"no room for a budget":    {`"thinking":{"type":"enabled","budget_tokens":4096},"max_tokens":1024`, nil, []string{"thinking"}, []string{"thinking"}},
		"a type that is unknown":  {`"thinking":{"type":"auto"}`, nil, []string{"thinking"}, []string{"thinking"}},
		"null":                    {`"thinking":null`, nil, []string{"thinking"}, nil},
		"disabled":                {`"thinking":{"type":"disabled","budget_tokens":5},"temperature":0.2`, []string{`"temperature":0.2`}, []string{"budget_tokens"}, nil},
		"beside a tool that must be called": {`"thinking":{"type":"enabled"},"tool_choice":{"type":"function","function":{"name":"f"}},"tools":[{"type":"function","function":{"name":"f"}}]`,
			[]string{`"tool_choice":{"type":"tool","name":"f"}`}, []string{"thinking"}, []string{"thinking"}},
		"OpenRouter's budget":              {`"reasoning":{"max_tokens":2048}`, []string{enabled}, nil, nil},
		"OpenRouter's, unseen":             {`"reasoning":{"max_tokens":2048,"exclude":true}`, []string{`"budget_tokens":2048,"display":"omitted"}`}, nil, nil},
		"OpenRouter's, by default":         {`"reasoning":{"enabled":true,"exclude":false}`, []string{enabled}, nil, nil},
		"OpenRouter's, off":                {`"reasoning":{"enabled":false},"temperature":0.2`, []string{`"temperature":0.2`}, []string{"budget_tokens"}, nil},
		"OpenRouter's budget, off":         {`"reasoning":{"max_tokens":2048,"enabled":false}`, []string{`"thinking":{"type":"disabled"}`}, nil, nil},
		"OpenRouter's off, with a budget":  {`"reasoning":{"enabled":false,"max_tokens":2048}`, []string{`"thinking":{"type":"disabled"}`}, nil, nil},
		"OpenRouter's and its own":         {`"reasoning":{"max_tokens":4096},` + enabled, []string{enabled}, nil, nil},
		"OpenRouter's effort":              {`"reasoning":{"effort":"low","summary":"auto"}`, nil, []string{"thinking"}, []string{"reasoning_effort"}},
		"OpenRouter's other":               {`"reasoning":{"effort":"none","depth":3}`, nil, []string{"thinking"}, []string{"reasoning.depth"}},
		"OpenRouter's, empty":              {`"reasoning":{}`, nil, []string{"thinking"}, nil},
		"no object":                        {`"reasoning":true`, nil, []string{"thinking"}, []string{"reasoning"}},
		"beside a tool that may be called": {`"thinking":{"type":"enabled"},"tool_choice":"auto","tools":[{"type":"function","function":{"name":"f"}}]`, []string{enabled}, nil, nil},
	})
}

// Whatever a tool's parameters are, the API gets an object's schema that it takes: what it refuses at the top moves to the
// description, and what is inside stays.
func TestKindsOfToolSchemas(t *testing.T) {
	tool := func(parameters string) string {
		return `"tools":[{"type":"function","function":{"name":"f","parameters":` + parameters + `}}]`
	}
	const at, empty = "tools.function.parameters.", `"input_schema":{"type":"object"}`
	testRequests(t, hi, map[string]requestCase{
		"anyOf":               {tool(`{"type":"object","properties":{"a":{"type":"string"}},"anyOf":[{"required":["a"]}]}`), []string{`"properties":{"a":{"type":"string"}}`, `{anyOf: [`}, []string{`"anyOf":`}, []string{at + "anyOf"}},
		"oneOf":               {tool(`{"type":"object","oneOf":[{"required":["a"]}]}`), []string{`{oneOf: [`}, []string{`"oneOf":`}, []string{at + "oneOf"}},
		"allOf":               {tool(`{"type":"object","allOf":[{"if":{},"then":{}}]}`), []string{`{allOf: [`}, []string{`"allOf":`}, []string{at + "allOf"}},
		"all of them":         {tool(`{"anyOf":[{}],"oneOf":[{}],"allOf":[{}]}`), []string{`{anyOf: [{}], oneOf: [{}], allOf: [{}]}`}, []string{`"anyOf":`, `"oneOf":`, `"allOf":`}, []string{at + "allOf", at + "anyOf", at + "oneOf"}},
		"with a description":  {tool(`{"description":"Say.","type":"object","anyOf":[{}]}`), []string{`"description":"Say.\n\n{anyOf: [{}]}"`}, []string{`"anyOf":`}, []string{at + "anyOf"}},
		"within a property":   {tool(`{"type":"object","properties":{"a":{"anyOf":[{"type":"string"}],"oneOf":[{}],"allOf":[{}]}}}`), []string{`{"anyOf":[{"type":"string"}],"oneOf":[{}],"allOf":[{}]}`}, nil, nil},
		"a property so named": {tool(`{"type":"object","properties":{"anyOf":{"type":"string"}}}`), []string{`"anyOf":{"type":"string"}`}, nil, nil},
		"within definitions":  {tool(`{"type":"object","$defs":{"a":{"oneOf":[{}]}},"properties":{"b":{"$ref":"#/$defs/a"}}}`), []string{`"oneOf":[{}]`, `"$ref":"#/$defs/a"`}, nil, nil},
		"null":                {tool("null"), []string{empty}, nil, nil},
		"empty":               {tool("{}"), []string{empty}, nil, nil},
		"properties of null":  {tool(`{"type":"object","properties":null,"required":null}`), []string{empty}, []string{"null"}, nil},
		"a list of types":     {tool(`{"type":["object","null"],"properties":{}}`), []string{`"type":"object"`}, []string{"null"}, []string{at + "type"}},
		"another type":        {tool(`{"type":"array","items":{"type":"string"}}`), []string{`"type":"object"`}, []string{`"array"`}, []string{at + "type"}},
		"no type":             {tool(`{"properties":{"a":{}}}`), []string{`"input_schema":{"type":"object","properties":{"a":{}}}`}, nil, nil},
		"of two tools": {`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","oneOf":[{}]}}},{"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{"a":{"oneOf":[{}]}}}}}]`,
			[]string{`"properties":{"a":{"oneOf":[{}]}}`, `{oneOf: [{}]}`}, nil, []string{at + "oneOf"}},
	})
}

// Whatever stands for a call's arguments in the history, the API gets an object, and the conversation goes on.
func TestKindsOfArguments(t *testing.T) {
	for name, c := range map[string]struct {
		arguments, want string
		named           bool
	}{
		"an object":               {`"{\"a\":1}"`, `"input":{"a":1}`, false},
		"cut":                     {`"{\"a\": \"long te"`, `"input":{"INVALID_JSON":"{\"a\": \"long te"}`, true},
		"empty":                   {`""`, `"input":{}`, false},
		"spaces":                  {`" \n "`, `"input":{}`, false},
		"null, as a text":         {`"null"`, `"input":{}`, false},
		"an array":                {`"[1]"`, `"input":{"INVALID_JSON":"[1]"}`, true},
		"two objects":             {`"{}{}"`, `"input":{"INVALID_JSON":"{}{}"}`, true},
		"Python's form":           {`"{'a': True}"`, `"input":{"INVALID_JSON":"{'a': True}"}`, true},
		"a key twice":             {`"{\"a\":1,\"a\":2}"`, `"input":{"INVALID_JSON":`, true},
		"words before the object": {`"Sure: {\"a\":1}"`, `"input":{"INVALID_JSON":`, true},
		"JSON in a text in it":    {`"\"{\\\"a\\\":1}\""`, `"input":{"a":1}`, false},
	} {
		var unsupported []string
		if c.named {
			unsupported = []string{"messages.tool_calls.function.arguments"}
		}
		messages := `[{"role":"user","content":"hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":` + c.arguments + `}}]},{"role":"tool","tool_call_id":"c","content":"x"}]`
		testRequests(t, messages, map[string]requestCase{name: {"", []string{c.want, `"tool_use_id":"c"`}, nil, unsupported}})
	}
}
