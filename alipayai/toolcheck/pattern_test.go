package toolcheck

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// A client's patterns take little memory and time, whatever they and the arguments are; ordinary ones are checked.
func TestPatternsAreBounded(t *testing.T) {
	schemaOf := func(patterns ...string) []byte {
		all := make([]any, len(patterns))
		for i, p := range patterns {
			all[i] = map[string]any{"pattern": p}
		}
		text, err := json.Marshal(map[string]any{"type": "object", "properties": map[string]any{"s": map[string]any{"allOf": all}}})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	large := strings.Repeat("(a?b?c?d?){1000}", 100)
	many := make([]string, 300)
	for i := range many {
		many[i] = "a{" + string(rune('1'+i%9)) + "00}"
	}
	for name, text := range map[string][]byte{
		"repeated":           schemaOf(large),
		"nested":             schemaOf("((((a?){10}b?){10}c?){10}d?)"),
		"long":               schemaOf(strings.Repeat(`\pL`, 1000)),
		"many":               schemaOf(many...),
		"of properties":      []byte(`{"type":"object","patternProperties":{"` + large + `":{"type":"string"}}}`),
		"not a pattern":      schemaOf("("),
		"of another dialect": schemaOf("(?=a)b"),
	} {
		if s, err := compile(text); err == nil {
			t.Errorf("%s: compiled to %v", name, s != nil)
		}
	}
	var c Checker
	judge := func(schema []byte, value string) Fault {
		arguments, err := json.Marshal(map[string]string{"s": value})
		if err != nil {
			t.Fatal(err)
		}
		request := `{"tools":[{"type":"function","function":{"name":"f","parameters":` + string(schema) + `}}]}`
		return c.Judge([]byte(request), []Call{{Name: "f", Arguments: string(arguments)}})
	}
	date := schemaOf(`^\d{4}-\d{2}-\d{2}$`)
	if f := judge(date, "2026-01-31"); f != None {
		t.Errorf("a date: %q", f)
	}
	if f := judge(date, "soon"); f != BreaksSchema {
		t.Errorf("no date: %q", f)
	}
	began := time.Now()
	if f := judge(schemaOf("^(a?b?c?){200}$"), strings.Repeat("abd", 80_000)); f != None { // which is not checked
		t.Errorf("a costly one: %q", f)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the costly one took %v", took)
	}
}

// An answer's calls are judged in bounded time, however many they are.
func TestManyCalls(t *testing.T) {
	var c Checker
	request := []byte(`{"tools":[{"type":"function","function":{"name":"f"}}]}`)
	calls := make([]Call, maxCalls+1)
	for i := range calls {
		calls[i] = Call{Name: "f"}
	}
	calls[maxCalls].Name = "g"
	if f := c.Judge(request, calls); f != None {
		t.Errorf("%q", f)
	}
	if f := c.Judge(request, calls[1:]); f != UnknownTool {
		t.Errorf("%q", f)
	}
}
