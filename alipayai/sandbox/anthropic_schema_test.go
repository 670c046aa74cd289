package sandbox

import (
	"strconv"
	"strings"
	"testing"
)

// schemaOf is the schema of an object with properties, of which the first few are required.
func schemaOf(required int, properties ...string) string {
	var all, names []string
	for i, p := range properties {
		name := `"p` + strconv.Itoa(i) + `"`
		all = append(all, name+":"+p)
		if i < required {
			names = append(names, name)
		}
	}
	return `{"type":"object","properties":{` + strings.Join(all, ",") + `},"required":[` + strings.Join(names, ",") + `],"additionalProperties":false}`
}

func several(n int, what string) []string {
	return strings.Split(strings.TrimSuffix(strings.Repeat(what+"\n", n), "\n"), "\n")
}

// TestOutputFormat asks for answers of a form, and for calls whose arguments are.
func TestOutputFormat(t *testing.T) {
	g := newClaude(t)
	const text, nullable, open = `{"type":"string"}`, `{"type":["string","null"]}`, `{"type":"object"}`
	format := func(schema string) string {
		return `,"output_config":{"format":{"type":"json_schema","schema":` + schema + `}}`
	}
	tool := func(n, strict int, schema string) string {
		var tools []string
		for i := range n {
			tools = append(tools, `{"name":"f`+strconv.Itoa(i)+`","strict":`+strconv.FormatBool(i < strict)+`,"input_schema":`+schema+`}`)
		}
		return `,"tools":[` + strings.Join(tools, ",") + `]`
	}
	for name, tc := range map[string]struct{ extra, says string }{
		"effort":                  {`,"output_config":{"effort":"low"}`, ""},
		"a schema":                {format(schemaOf(1, text, nullable, `{"anyOf":[`+text+`,{"type":"array","minItems":1,"items":`+text+`}]}`)), ""},
		"a strict tool":           {tool(1, 1, schemaOf(1, text)), ""},
		"a tool that is not":      {tool(30, 0, open), ""},
		"at the limits":           {tool(20, 20, schemaOf(0)) + format(schemaOf(0, append(several(16, nullable), several(8, text)...)...)), ""},
		"of the definition":       {format(`{"$defs":{"d":` + text + `},` + schemaOf(1, `{"$ref":"#/$defs/d"}`)[1:]), ""},
		"unknown effort":          {`,"output_config":{"effort":"none"}`, "output_config.effort: Input should be one of"},
		"unknown field":           {`,"output_config":{"schema":{}}`, "output_config.schema: Extra inputs are not permitted"},
		"OpenAI's field":          {`,"response_format":{"type":"json_object"}`, "response_format: Extra inputs are not permitted"},
		"no kind":                 {`,"output_config":{"format":{"schema":` + schemaOf(0) + `}}`, "output_config.format.type: Field required"},
		"OpenAI's kind":           {`,"output_config":{"format":{"type":"json_object"}}`, "output_config.format.type: Input should be one of"},
		"OpenAI's form":           {`,"output_config":{"format":{"type":"json_schema","json_schema":{}}}`, "output_config.format.json_schema: Extra inputs"},
		"no schema":               {`,"output_config":{"format":{"type":"json_schema"}}`, "output_config.format.schema: Field required"},
		"a schema that is none":   {format(`true`), "output_config.format.schema: Input should be a valid object"},
		"an open object":          {format(open), "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"},
		"an open object within":   {format(schemaOf(1, `{"type":"array","items":`+open+`}`)), "must be explicitly set to false"},
		"a minimum":               {format(schemaOf(1, `{"type":"integer","minimum":1}`)), "For 'integer' type, property 'minimum' is not supported"},
		"minimum and maximum":     {tool(2, 2, schemaOf(1, `{"type":["null","integer"],"minimum":1,"maximum":2}`)), "tools.0.custom: For 'integer' type, properties maximum, minimum are not supported"},
		"a length in anyOf":       {format(schemaOf(1, `{"anyOf":[{"type":"string","maxLength":1}]}`)), "property 'maxLength'"},
		"a definition":            {format(`{"$defs":{"d":{"type":"array","maxItems":2}},` + schemaOf(0)[1:]), "property 'maxItems'"},
		"two items":               {format(schemaOf(1, `{"type":"array","minItems":2}`)), "'minItems' values other than 0 or 1"},
		"one strict tool more":    {tool(21, 21, schemaOf(0)), "Too many strict tools (21)"},
		"one property more":       {format(schemaOf(0, several(24, text)...)) + tool(1, 1, schemaOf(0, text)), "too many optional parameters (25)"},
		"one union more":          {format(schemaOf(17, several(17, nullable)...)), "union types (17 parameters"},
		"strict that is no truth": {`,"tools":[{"name":"f","strict":"yes","input_schema":` + open + `}]`, "tools.0.strict: Input should be a valid boolean"},
	} {
		t.Run(name, func(t *testing.T) {
			status := 200
			if tc.says != "" {
				status = 400
			}
			if a := g.ask(messagesBody("x", tc.extra), status); !strings.Contains(a.Error.Message, tc.says) {
				t.Errorf("got %+v, want %q", a.Error, tc.says)
			}
		})
	}
	t.Run("beside a prefill", func(t *testing.T) {
		a := g.ask([]byte(`{"model":"claude-haiku-4-5","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"{"}]`+
			format(schemaOf(0))+`}`), 400)
		if !strings.Contains(a.Error.Message, "prefilling") {
			t.Errorf("got %+v", a.Error)
		}
	})
}

// Members that a beta feature permits are refused without its name in the header, as a gateway would send them that drops it.
func TestBetaMembers(t *testing.T) {
	const (
		management = `,"context_management":{"edits":[]}`
		deferred   = `,"tools":[{"name":"f","input_schema":{"type":"object"},"defer_loading":true}]`
	)
	for name, tc := range map[string]struct {
		extra, beta, says string
	}{
		"management, named":     {management, "context-management-2025-06-27", ""},
		"management, not named": {management, "", "context_management: Extra inputs are not permitted"},
		"management, another":   {management, "advanced-tool-use-2025-11-20", "context_management: Extra inputs are not permitted"},
		"deferred, named":       {deferred, "advanced-tool-use-2025-11-20", ""},
		"deferred, not named":   {deferred, "", "tools.0.defer_loading: Extra inputs are not permitted"},
		"fallbacks, named":      {`,"fallbacks":[{"model":"b"},{"model":"c"},{"model":"d"}]`, betaNamed, ""},
		"fallbacks, not named":  {`,"fallbacks":[{"model":"b"}]`, "", "fallbacks: Extra inputs are not permitted"},
		"fallbacks by default":  {`,"fallbacks":"default"`, betaFallbacks, ""},
		"of the first version":  {`,"fallbacks":"default"`, betaNamed, "fallbacks: Input should be a valid list"},
		"four fallbacks":        {`,"fallbacks":[{"model":"b"},{"model":"c"},{"model":"d"},{"model":"e"}]`, betaFallbacks, "fallbacks: List should have at least 1 and at most 3 items after validation"},
		"a fallback of no name": {`,"fallbacks":[{"max_tokens":1}]`, betaFallbacks, "fallbacks.0.model: Field required"},
	} {
		t.Run(name, func(t *testing.T) {
			says := ""
			if _, err := parseMessages(messagesBody("x", tc.extra), tc.beta); err != nil {
				says = err.Error()
			}
			if says != tc.says {
				t.Errorf("%q, want %q", says, tc.says)
			}
		})
	}
}
