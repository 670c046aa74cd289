package sandbox

import (
	"strings"
	"testing"
)

// Errors of a request name JSON's types, and none of this code's.
func TestErrorsInJSONsWords(t *testing.T) {
	chat := func(members string) string { return `{"model":"m",` + members + `}` }
	for name, tt := range map[string]struct {
		parse func(string) error
		body  string
		says  string
	}{
		"a count":        {parseChat, chat(`"n":"2","messages":[{"role":"user","content":"q"}]`), "n: want a whole number, not string"},
		"messages":       {parseChat, chat(`"messages":"q"`), "messages: want an array, not string"},
		"a stream":       {parseChat, chat(`"stream":7,"messages":[{"role":"user","content":"q"}]`), "stream: want a boolean, not number"},
		"a role":         {parseChat, chat(`"messages":[{"role":7,"content":"q"}]`), "role: want a string, not number"},
		"a tool":         {parseChat, chat(`"tools":[7],"messages":[{"role":"user","content":"q"}]`), "want an object, not number"},
		"a list":         {parseChat, `[]`, "want an object, not array"},
		"no JSON":        {parseChat, `{"model":`, "unexpected end of JSON input"},
		"an embedding":   {parseEmbedding, `{"model":7,"input":"q"}`, "model: want a string, not number"},
		"a fault's kind": {parseFault, `{"kind":7}`, "kind: want a string, not number"},
	} {
		err := tt.parse(tt.body)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
			continue
		}
		for _, word := range []string{"Go ", "struct", "sandbox.", "Request.", "int", "[]", "slice"} {
			if strings.Contains(strings.ReplaceAll(err.Error(), "whole", ""), word) && !strings.Contains(tt.says, word) {
				t.Errorf("%s: %v has %q", name, err, word)
			}
		}
	}
}

func parseChat(body string) error      { return new(chatRequest).parse([]byte(body)) }
func parseEmbedding(body string) error { return new(embeddingRequest).parse([]byte(body)) }
func parseFault(body string) error     { return new(Fault).UnmarshalJSON([]byte(body)) }
