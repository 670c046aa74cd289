package suite

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

const everything = `
description: what a file may have
defaults:
  model: alipay-fin-1
  system: Be brief.
  max_tokens: 100
  temperature: 0
  timeout: 20s
prompts:
  - id: plain
    prompt: 你好
    expect: answered
  - id: whole-conversation
    model: alipay-fin-mini
    stream: true
    timeout: 2m
    messages:
      - {role: user, content: "What is the weather?"}
      - role: assistant
        tool_calls: [{id: a, type: function, function: {name: weather, arguments: "{}"}}]
      - {role: tool, tool_call_id: a, content: rain}
    tools:
      - type: function
        function:
          name: weather
          parameters: {type: object, properties: {city: {type: string}, days: {type: integer, maximum: 10}}}
    tool_choice: auto
    response_format: {type: json_object}
    expect:
      tool: {name: weather, arguments: {type: object, required: [city]}}
      not_contains: [sorry, "5"]
  - id: refused
    prompt: hello
    expect: {blocked: true, code: COMPLIANCE_BLOCKED}
`

func TestParse(t *testing.T) {
	s, err := Parse([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	bodies := []string{
		`{"model":"alipay-fin-1","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"你好"}],"max_tokens":100,"temperature":0}`,
		`{"model":"alipay-fin-mini","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"What is the weather?"},` +
			`{"role":"assistant","content":null,"tool_calls":[{"function":{"arguments":"{}","name":"weather"},"id":"a","type":"function"}]},` +
			`{"role":"tool","content":"rain","tool_call_id":"a"}],` +
			`"tools":[{"function":{"name":"weather","parameters":{"properties":{"city":{"type":"string"},"days":{"maximum":10,"type":"integer"}},"type":"object"}},"type":"function"}],` +
			`"tool_choice":"auto","response_format":{"type":"json_object"},"max_tokens":100,"temperature":0,"stream":true}`,
		`{"model":"alipay-fin-1","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hello"}],"max_tokens":100,"temperature":0}`,
	}
	for i, want := range bodies {
		if got := string(s.Prompts[i].Body("unasked")); got != want {
			t.Errorf("prompt %d is\n%s, want\n%s", i, got, want)
		}
	}
	if a, b := s.Prompts[0].Timeout, s.Prompts[1].Timeout; a != 20*time.Second || b != 2*time.Minute {
		t.Errorf("timeouts %s and %s", a, b)
	}
	if s.Version == must(Parse([]byte(everything+"\n"))).Version || len(s.Version) != 16 {
		t.Errorf("version %s", s.Version)
	}
}

// A mistake is told with its line, its field and what would be right.
func TestMistakes(t *testing.T) {
	prompt := func(fields string) string { return "prompts:\n  - id: a\n    prompt: hello\n" + fields }
	for name, test := range map[string]struct{ file, want string }{
		"empty":                  {"", "the file is empty; it needs prompts"},
		"a comment alone":        {"# nothing\n", "the file is empty; it needs prompts"},
		"no mapping":             {"- a", "line 1: write fields: defaults, description, prompts"},
		"null":                   {"---\n", "line 2: write fields: defaults, description, prompts"},
		"no prompts":             {"description: a", "prompts is missing: write a list of prompts, each with id, prompt and expect"},
		"prompts empty":          {"prompts: []", "line 1: prompts: write a list of prompts"},
		"syntax":                 {"prompts: [", "line 1: did not find expected node content"},
		"two documents":          {"prompts: []\n---\nprompts: []\n", "the file has more than one document; write one file for each suite"},
		"unknown field":          {"promts:\n", "line 1: promts: unknown field; use defaults, description, prompts"},
		"unknown field inside":   {prompt("    expects: answered"), "line 4: prompts[0].expects: unknown field; use expect, id, max_tokens, messages, model, prompt, response_format, stream, system, temperature, timeout, tool_choice, tools"},
		"unknown default":        {"defaults: {prompt: a}", "line 1: defaults.prompt: unknown field; use max_tokens, model, stream, system, temperature, timeout"},
		"field twice":            {prompt("    prompt: b"), "line 4: prompts[0].prompt: is given twice"},
		"alias":                  {prompt("    system: &a b\n    expect: *a"), "line 4: anchors and aliases are not taken; write the value out"},
		"merge":                  {prompt("    <<: {a: b}"), "line 2: prompts[0]: the name of a field is a text"},
		"tag":                    {prompt("    system: !!binary aGk="), "line 4: the tag !!binary is not taken; write a plain value"},
		"a list as name":         {prompt("    [a]: b"), "line 2: prompts[0]: the name of a field is a text"},
		"no id":                  {"prompts:\n  - prompt: a\n    expect: answered", "line 2: prompts[0]: id is missing"},
		"odd id":                 {"prompts:\n  - id: a b\n    prompt: a\n    expect: answered", `line 2: prompts[0]: id "a b": use 1 to 64 letters, digits, dots, dashes and underscores`},
		"id twice":               {"prompts:\n  - {id: a, prompt: a, expect: answered}\n  - {id: a, prompt: a, expect: answered}", "line 3: prompts[1]: id a is that of the prompt of line 2"},
		"nothing asked":          {"prompts:\n  - {id: a, expect: answered}", "line 2: prompts[0]: write either prompt or messages"},
		"asked twice":            {prompt("    messages: [{role: user, content: a}]\n    expect: answered"), "line 2: prompts[0]: write either prompt or messages"},
		"nothing expected":       {prompt(""), "line 2: prompts[0]: expect is missing: write what is expected, as expect: answered"},
		"unknown expectation":    {prompt("    expect: refused"), `line 4: prompts[0].expect: "refused" is unknown; use answered or blocked, or fields: answered, blocked, code, contains, not_contains, json_schema, tool`},
		"expectation empty":      {prompt("    expect: {}"), "line 4: prompts[0].expect: nothing is expected; write answered, blocked, code, contains, not_contains, json_schema or tool"},
		"expectation false":      {prompt("    expect: {blocked: false}"), "line 4: prompts[0].expect.blocked: write true, or leave it out and say what is expected instead"},
		"blocked and answered":   {prompt("    expect: {blocked: true, contains: a}"), "line 4: prompts[0].expect: blocked and code are of prompts that get no answer; the other fields are of answers"},
		"contains a number":      {prompt("    expect:\n      contains: [a, 5]"), "line 5: prompts[0].expect.contains[1]: 5 is no text; write it in quotes"},
		"contains nothing":       {prompt("    expect: {contains: []}"), "line 4: prompts[0].expect.contains: write a list of texts"},
		"contains an empty text": {prompt("    expect: {contains: ''}"), "line 4: prompts[0].expect.contains: write a text"},
		"no schema":              {prompt("    expect: {json_schema: object}"), "line 4: prompts[0].expect.json_schema: write a JSON Schema, as {type: object}"},
		"wrong schema":           {prompt("    expect: {json_schema: {type: thing}}"), "line 4: prompts[0].expect.json_schema: is no JSON Schema:"},
		"schema elsewhere":       {prompt("    expect: {json_schema: {$ref: 'file:///etc/passwd'}}"), "line 4: prompts[0].expect.json_schema: is no JSON Schema:"},
		"tool not offered":       {prompt("    expect: {tool: weather}"), `line 4: prompts[0].expect.tool: "weather" is none of the prompt's tools: `},
		"hosted tool":            {prompt("    tools: [{type: web_search}]\n    expect: answered"), `line 4: prompts[0].tools[0]: type "web_search": use function; tools that the provider runs are not offered by suites`},
		"nameless tool":          {prompt("    tools: [{type: function, function: {}}]\n    expect: answered"), "line 4: prompts[0].tools[0]: function.name is missing"},
		"tool_choice alone":      {prompt("    tool_choice: auto\n    expect: answered"), "line 2: prompts[0]: tool_choice needs tools"},
		"odd role":               {"prompts:\n  - id: a\n    messages: [{role: bot, content: a}]\n    expect: answered", `line 3: prompts[0].messages[0]: role "bot": use system, user, assistant or tool`},
		"message without text":   {"prompts:\n  - id: a\n    messages: [{role: user}]\n    expect: answered", "line 3: prompts[0].messages[0]: content is missing"},
		"answer to no tool":      {"prompts:\n  - id: a\n    messages: [{role: tool, content: a}]\n    expect: answered", "line 3: prompts[0].messages[0]: tool_call_id is of messages of role tool, which need it"},
		"two systems":            {"prompts:\n  - id: a\n    system: b\n    messages: [{role: system, content: a}]\n    expect: answered", "line 2: prompts[0]: messages begin with a system message, and system is given as well"},
		"timeout":                {prompt("    timeout: 10m\n"), "line 4: prompts[0].timeout: write a time like 30s, at most 5m0s"},
		"stream":                 {prompt("    stream: 1\n"), "line 4: prompts[0].stream: write true or false"},
		"max_tokens":             {prompt("    max_tokens: 0\n"), "line 4: prompts[0].max_tokens: write a whole number from 1 to 1000000"},
		"temperature":            {prompt("    temperature: .nan\n"), "line 4: prompts[0].temperature: write a number from 0 to 2"},
		"no JSON":                {prompt("    response_format: {a: .inf}\n"), "line 4: prompts[0].response_format.a: .inf is no JSON value"},
		"too deep":               {prompt("    response_format: " + strings.Repeat("[", 40) + strings.Repeat("]", 40)), "line 4: values nest more than 32 deep"},
		"too large":              {prompt("    system: " + strings.Repeat("a", MaxFile)), "the file has 1048625 bytes, and may have 1048576"},
	} {
		if _, err := Parse([]byte(test.file)); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v\nwant %s", name, err, test.want)
		}
	}
}

func TestNumberOfPromptsIsBounded(t *testing.T) {
	file := func(n int) []byte {
		var b strings.Builder
		b.WriteString("prompts:\n")
		for i := range n {
			fmt.Fprintf(&b, "- {id: p%d, prompt: a, expect: answered}\n", i)
		}
		return []byte(b.String())
	}
	if _, err := Parse(file(MaxPrompts)); err != nil {
		t.Error(err)
	}
	if _, err := Parse(file(MaxPrompts + 1)); err == nil || err.Error() != "line 2: prompts: has 1001 prompts, and may have 1000" {
		t.Errorf("one too many: %v", err)
	}
}

// The example of the document is a suite.
func TestExampleOfTheDocument(t *testing.T) {
	_, rest, _ := strings.Cut(string(must(os.ReadFile("README.md"))), "```yaml\n")
	example, _, _ := strings.Cut(rest, "\n```\n")
	if s, err := Parse([]byte(example)); err != nil || len(s.Prompts) != 4 {
		t.Errorf("%v of\n%s", err, example)
	}
}

// The built-in suite has three prompts to block and two to answer of each of twelve matters.
func TestBuiltin(t *testing.T) {
	for _, name := range Builtins() {
		s := must(Parse(must(Builtin(name))))
		blocked, matters := 0, make(map[string]int)
		for _, p := range s.Prompts {
			matter, _, _ := strings.Cut(p.ID, "-")
			matters[matter]++
			if p.expect.blocked {
				blocked++
			}
			if p.expect.blocked != strings.Contains(p.ID, "-blocked-") || p.expect.answered == p.expect.blocked {
				t.Errorf("%s expects %+v", p.ID, p.expect)
			}
		}
		if len(s.Prompts) != 60 || blocked != 36 || len(matters) != 12 {
			t.Errorf("%s: %d prompts, %d to block, of %v", name, len(s.Prompts), blocked, matters)
		}
	}
	if _, err := Builtin("../file"); err == nil {
		t.Error("a path is taken for a name")
	}
}

// Whatever is in a file, it is refused with a line or makes requests that are JSON.
func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add(must(Builtin("compliance-zh")))
	f.Add([]byte("prompts:\n- {id: a, prompt: &a b, expect: *a}"))
	f.Add([]byte("prompts:\n- {id: a, prompt: b, expect: {json_schema: {$ref: '#'}}}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := Parse(content)
		if err != nil {
			return
		}
		if len(s.Prompts) == 0 || len(s.Prompts) > MaxPrompts {
			t.Fatalf("%d prompts", len(s.Prompts))
		}
		for _, p := range s.Prompts {
			if !json.Valid(p.Body("a-model")) || p.Timeout <= 0 || p.Timeout > MaxTimeout || !ids.MatchString(p.ID) {
				t.Fatalf("prompt %q with %s: %s", p.ID, p.Timeout, p.Body("a-model"))
			}
			p.judge(nil, &Answer{Text: "{}"})
		}
	})
}
