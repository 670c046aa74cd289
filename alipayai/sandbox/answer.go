package sandbox

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// answer is what the model says: a text, or a tool call.
type answer struct {
	id      string
	model   string
	created int64
	text    string
	call    *toolCall
	events  int // content events asked for, 0: as the words fall
	usage   usage
}

type toolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function toolFunction `json:"function"`
}

type toolFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

// maxEcho is how many characters of a prompt an answer repeats.
const maxEcho = 256

// answer makes the answer to a request. Its content depends on the request only;
// its id counts up, so that a repeated call can be told from a repeated answer.
func (c *call) answer(req *chatRequest) answer {
	n := c.srv.answers.Add(1)
	a := answer{
		id:      fmt.Sprintf("chatcmpl-%08d", n),
		model:   req.Model,
		created: c.wall.Unix(),
		events:  c.marks.events,
	}
	if t := req.wantedTool(c.marks.text); t != nil {
		a.call = &toolCall{
			ID:       fmt.Sprintf("call_%08d", n),
			Type:     "function",
			Function: toolFunction{t.Function.Name, arguments(t.Function.Parameters, c.marks.text)},
		}
	} else {
		a.text = req.echo(c.marks)
	}
	for _, m := range req.Messages {
		a.usage.Prompt += countTokens(m.Content.text) + m.Content.images*85
	}
	a.usage.Completion = countTokens(a.text)
	if a.call != nil {
		a.usage.Completion = countTokens(a.call.Function.Arguments)
	}
	a.usage.Total = a.usage.Prompt + a.usage.Completion
	return a
}

// countTokens guesses as the vendors advise: four characters a token, one at least.
func countTokens(text string) int {
	return max(1, (utf8.RuneCountInString(text)+3)/4)
}

// echo repeats the prompt, so that a crossed answer shows.
func (r *chatRequest) echo(m marks) string {
	text := "You said: " + clip(m.text)
	if last := r.Messages[len(r.Messages)-1]; last.Role == "tool" {
		text = "The tool said: " + clip(last.Content.text)
	}
	switch n := r.prompt().images; {
	case n == 1:
		text += " (with 1 image)"
	case n > 1:
		text += " (with " + strconv.Itoa(n) + " images)"
	}
	if m.bytes > 0 {
		text = fit(text, m.bytes)
	}
	if short := m.events - utf8.RuneCountInString(text); short > 0 {
		text += strings.Repeat(".", short)
	}
	return text
}

// clip shortens a long text, and adds the hash of the whole in its place.
func clip(text string) string {
	n := 0
	for i := range text {
		if n++; n > maxEcho {
			return fmt.Sprintf("%s… [sha256 %x]", text[:i], sha256.Sum256([]byte(text)))
		}
	}
	return text
}

// fit makes text exactly n bytes long, at a character's end.
func fit(text string, n int) string {
	cut := min(n, len(text))
	for cut < len(text) && cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + strings.Repeat(".", n-cut)
}

// wantedTool decides on a tool call: tool_choice asks for it, or the prompt
// names a function or says "use the tool". A tool's result is answered in words.
func (r *chatRequest) wantedTool(prompt string) *tool {
	if len(r.Tools) == 0 || r.Messages[len(r.Messages)-1].Role == "tool" {
		return nil
	}
	var choice string
	var named tool
	if json.Unmarshal(r.ToolChoice, &choice) != nil {
		_ = json.Unmarshal(r.ToolChoice, &named) // absent, or of a form that asks for nothing
	}
	if choice == "none" {
		return nil
	}
	for i, t := range r.Tools {
		name := t.Function.Name
		if name == named.Function.Name || strings.Contains(prompt, name) {
			return &r.Tools[i]
		}
	}
	if choice == "required" || strings.Contains(strings.ToLower(prompt), "use the tool") {
		return &r.Tools[0]
	}
	return nil
}

// arguments makes a JSON object with a value for each required property of a
// function's schema; strings get the prompt.
func arguments(schema json.RawMessage, prompt string) string {
	var s struct {
		Properties map[string]struct {
			Type string            `json:"type"`
			Enum []json.RawMessage `json:"enum"`
		} `json:"properties"`
		Required []string `json:"required"`
	}
	_ = json.Unmarshal(schema, &s) // a schema of another kind has no required properties
	args := make(map[string]any, len(s.Required))
	for _, name := range s.Required {
		p := s.Properties[name]
		switch {
		case len(p.Enum) > 0:
			args[name] = p.Enum[0]
		case p.Type == "integer" || p.Type == "number":
			args[name] = 1
		case p.Type == "boolean":
			args[name] = true
		case p.Type == "array":
			args[name] = []any{}
		case p.Type == "object":
			args[name] = struct{}{}
		default:
			args[name] = clip(prompt)
		}
	}
	b, err := json.Marshal(args)
	if err != nil {
		panic(err) // raw values came out of valid JSON
	}
	return string(b)
}

func (a *answer) finish() string {
	if a.call != nil {
		return "tool_calls"
	}
	return "stop"
}

// completion is the answer as one JSON object.
func (a *answer) completion() any {
	type msg struct {
		Role      string     `json:"role"`
		Content   *string    `json:"content"`
		ToolCalls []toolCall `json:"tool_calls,omitempty"`
	}
	type choice struct {
		Index        int    `json:"index"`
		Message      msg    `json:"message"`
		FinishReason string `json:"finish_reason"`
	}
	m := msg{Role: "assistant", Content: &a.text}
	if a.call != nil {
		m.Content, m.ToolCalls = nil, []toolCall{*a.call}
	}
	return struct {
		ID      string   `json:"id"`
		Object  string   `json:"object"`
		Created int64    `json:"created"`
		Model   string   `json:"model"`
		Choices []choice `json:"choices"`
		Usage   usage    `json:"usage"`
	}{a.id, "chat.completion", a.created, a.model, []choice{{0, m, a.finish()}}, a.usage}
}
