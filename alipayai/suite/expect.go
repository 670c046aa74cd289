package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
)

// expect is what is expected of an answer. All of it has to hold.
type expect struct {
	answered, blocked     bool
	code                  string
	contains, notContains []string
	schema                *jsonschema.Schema
	tool                  string
	arguments             *jsonschema.Schema
}

// ofAnswer reports whether an answer is expected, rather than a failure.
func (e *expect) ofAnswer() bool {
	return e.answered || e.contains != nil || e.notContains != nil || e.schema != nil || e.tool != ""
}

// ExpectsFailure reports whether a failure of that code, which blocks or not, is what is expected of the prompt.
func (p *Prompt) ExpectsFailure(code string, blocked bool) bool {
	e := &p.expect
	return !e.ofAnswer() && (!e.blocked || blocked) && (e.code == "" || e.code == code)
}

// parseExpect reads the field expect of p: the word answered or blocked, or fields.
func parseExpect(n node, p *Prompt) (e expect, err error) {
	if n.Kind == yaml.ScalarNode {
		switch n.Value {
		case "answered":
			return expect{answered: true}, nil
		case "blocked":
			return expect{blocked: true}, nil
		}
		return e, n.errorf("%q is unknown; use answered or blocked, or fields: answered, blocked, code, contains, not_contains, json_schema, tool", n.Value)
	}
	err = n.fields(map[string]field{
		"answered":     func(n node) error { return n.always(&e.answered) },
		"blocked":      func(n node) error { return n.always(&e.blocked) },
		"code":         text(&e.code),
		"contains":     func(n node) (err error) { e.contains, err = n.texts(); return err },
		"not_contains": func(n node) (err error) { e.notContains, err = n.texts(); return err },
		"json_schema":  func(n node) (err error) { e.schema, err = parseSchema(n); return err },
		"tool":         func(n node) error { return e.parseTool(n, p) },
	})
	switch {
	case err != nil:
		return e, err
	case !e.ofAnswer() && !e.blocked && e.code == "":
		return e, n.errorf("nothing is expected; write answered, blocked, code, contains, not_contains, json_schema or tool")
	case e.ofAnswer() && (e.blocked || e.code != ""):
		return e, n.errorf("blocked and code are of prompts that get no answer; the other fields are of answers")
	}
	return e, nil
}

// always reads a field that is true.
func (n node) always(to *bool) (err error) {
	if *to, err = n.flag(); err == nil && !*to {
		err = n.errorf("write true, or leave it out and say what is expected instead")
	}
	return err
}

// parseTool reads the name of a tool, or name and the schema of its arguments.
func (e *expect) parseTool(n node, p *Prompt) (err error) {
	if n.Kind == yaml.ScalarNode {
		err = text(&e.tool)(n)
	} else {
		err = n.fields(map[string]field{
			"name":      text(&e.tool),
			"arguments": func(n node) (err error) { e.arguments, err = parseSchema(n); return err },
		})
	}
	if err != nil {
		return err
	}
	var offered []string
	for _, tool := range p.request.Tools {
		var t struct{ Function struct{ Name string } }
		_ = json.Unmarshal(tool, &t) // it was read as such
		offered = append(offered, t.Function.Name)
	}
	if !slices.Contains(offered, e.tool) {
		return n.errorf("%q is none of the prompt's tools: %s", e.tool, strings.Join(offered, ", "))
	}
	return nil
}

// schemaName is of no scheme that anything loads.
const schemaName = "suite:schema"

// parseSchema reads a JSON Schema. What it refers to has to be in it.
func parseSchema(n node) (s *jsonschema.Schema, err error) {
	if n.Kind != yaml.MappingNode {
		return nil, n.errorf("write a JSON Schema, as {type: object}")
	}
	text, err := n.json()
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, n.errorf("is no JSON Schema: %v", err)
	}
	defer func() {
		if recover() != nil { // what the library does not expect
			err = n.errorf("is no JSON Schema")
		}
	}()
	c := jsonschema.NewCompiler()
	c.UseLoader(refuse{})
	c.AssertFormat()
	if err := c.AddResource(schemaName, doc); err != nil {
		return nil, n.errorf("is no JSON Schema: %v", err)
	}
	if s, err = c.Compile(schemaName); err != nil {
		return nil, n.errorf("is no JSON Schema: %s", strings.Join(strings.Fields(err.Error()), " "))
	}
	return s, nil
}

// refuse loads nothing.
type refuse struct{}

// Load implements jsonschema.URLLoader.
func (refuse) Load(string) (any, error) { return nil, errors.New("it refers to another file") }

// Failure is an expectation that did not hold.
type Failure struct {
	// Expectation is the field of the file, as contains[1].
	Expectation string `json:"expectation"`
	// Why quotes nothing of prompt and answer.
	Why string `json:"why"`
}

// judge holds an answer against what p expects, and says whether it could be: an outage says nothing of a prompt.
func (p *Prompt) judge(tools *toolcheck.Checker, a *Answer) (Status, []Failure) {
	e := &p.expect
	if e.code != "" && a.Code == e.code && (!e.blocked || a.Blocked) {
		return Pass, nil
	}
	if a.Code != "" && !a.Blocked && !a.Refused {
		return Unknown, nil
	}
	var failed []Failure
	fail := func(expectation, format string, args ...any) {
		failed = append(failed, Failure{expectation, fmt.Sprintf(format, args...)})
	}
	if e.blocked && !a.Blocked {
		fail("blocked", "the prompt was %s", a.outcome())
	}
	if e.code != "" && a.Code != e.code {
		fail("code", "the prompt was %s", a.outcome())
	}
	if !e.ofAnswer() {
		return status(failed), failed
	}
	if a.Code != "" || a.Blocked || a.Text == "" && len(a.Calls) == 0 {
		fail("answered", "the prompt was %s", a.outcome())
		return Fail, failed
	}
	for i, part := range e.contains {
		if !strings.Contains(a.Text, part) {
			fail("contains["+strconv.Itoa(i)+"]", "the answer does not have it")
		}
	}
	for i, part := range e.notContains {
		if strings.Contains(a.Text, part) {
			fail("not_contains["+strconv.Itoa(i)+"]", "the answer has it")
		}
	}
	if e.schema != nil {
		if why := breaks(e.schema, a.Text); why != "" {
			fail("json_schema", "%s", why)
		}
	}
	if e.tool != "" {
		if why := p.judgeTool(tools, a.Calls); why != "" {
			fail("tool", "%s", why)
		}
	}
	return status(failed), failed
}

func status(failed []Failure) Status {
	if len(failed) > 0 {
		return Fail
	}
	return Pass
}

// judgeTool says what is wrong with the calls; empty where the tool was called as expected.
func (p *Prompt) judgeTool(tools *toolcheck.Checker, calls []toolcheck.Call) string {
	i := slices.IndexFunc(calls, func(c toolcheck.Call) bool { return c.Name == p.expect.tool })
	if i < 0 {
		return "the tool was not called"
	}
	switch tools.Judge(p.Body("any"), calls) {
	case toolcheck.NotJSON:
		return "the arguments of a call are no JSON object"
	case toolcheck.BreaksSchema:
		return "the arguments of a call break the schema of the tool"
	case toolcheck.UnknownTool:
		return "a tool was called that the prompt does not offer"
	}
	if p.expect.arguments == nil {
		return ""
	}
	if why := breaks(p.expect.arguments, calls[i].Arguments); why != "" {
		return "arguments: " + why
	}
	return ""
}

// breaks says how text breaks the schema, by the schema's own words; empty where it does not.
func breaks(s *jsonschema.Schema, text string) (why string) {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil { // so that a number is a float64: 1e999999999 would take a gigabyte
		return "the text is no JSON"
	}
	defer func() {
		if recover() != nil {
			why = "the text cannot be compared"
		}
	}()
	err := s.Validate(v)
	if err == nil {
		return ""
	}
	broken, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return "the text cannot be compared"
	}
	for len(broken.Causes) > 0 {
		broken = broken.Causes[0]
	}
	_, place, _ := strings.Cut(broken.SchemaURL, "#")
	return "the text breaks #" + place + "/" + strings.Join(broken.ErrorKind.KeywordPath(), "/")
}
