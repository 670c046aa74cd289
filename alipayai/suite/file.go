package suite

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds of a file.
const (
	// MaxFile is how many bytes a file may have.
	MaxFile = 1 << 20
	// MaxPrompts is how many prompts a suite may have.
	MaxPrompts = 1000
	// MaxTimeout is how long a prompt may take at most.
	MaxTimeout = 5 * time.Minute
	// DefaultTimeout is how long a prompt may take, the wait for the provider's rate cap included.
	DefaultTimeout = time.Minute
)

// Suite is a file of prompts.
type Suite struct {
	// Description says what it is for; it may be empty.
	Description string
	// Prompts are in the order of the file; there is at least one, and their ids differ.
	Prompts []*Prompt
	// Version names the file's content.
	Version string
}

// Prompt is one request, and what is expected of its answer.
type Prompt struct {
	ID string
	// Model is the one asked for; empty for the provider's own.
	Model string
	// Stream asks for an event stream.
	Stream bool
	// Timeout bounds the call.
	Timeout time.Duration

	request request
	expect  expect
}

// request is the body of POST /v1/chat/completions, in OpenAI's form.
type request struct {
	Model          string            `json:"model"`
	Messages       []message         `json:"messages"`
	Tools          []json.RawMessage `json:"tools,omitempty"`
	ToolChoice     json.RawMessage   `json:"tool_choice,omitempty"`
	ResponseFormat json.RawMessage   `json:"response_format,omitempty"`
	MaxTokens      int               `json:"max_tokens,omitempty"`
	Temperature    *float64          `json:"temperature,omitempty"`
	Stream         bool              `json:"stream,omitempty"`
}

// message is one of the conversation. Content is null in a turn of the assistant that calls tools alone.
type message struct {
	Role       string          `json:"role"`
	Content    *string         `json:"content"`
	ToolCalls  json.RawMessage `json:"tool_calls,omitempty"`
	ToolCallID string          `json:"tool_call_id,omitempty"`
}

// Body is the request's body, of POST /v1/chat/completions in OpenAI's form. model is asked for where the prompt names
// none.
func (p *Prompt) Body(model string) []byte {
	r := p.request
	r.Model, r.Stream = cmp.Or(p.Model, model), p.Stream
	body, _ := json.Marshal(r) // cannot fail: texts, numbers and JSON that was made of YAML
	return body
}

// ids is what an id may be: it stands in logs, alerts and metrics.
var ids = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Parse reads a file. An error names the line and the field, and what would be right.
func Parse(content []byte) (*Suite, error) {
	if len(content) > MaxFile {
		return nil, fmt.Errorf("the file has %d bytes, and may have %d", len(content), MaxFile)
	}
	root, err := document(content)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(content)
	s := &Suite{Version: hex.EncodeToString(hash[:8])}
	defaults := new(Prompt)
	var prompts node
	err = root.fields(map[string]field{
		"description": text(&s.Description),
		"defaults":    func(n node) error { return n.fields(defaults.settings()) },
		"prompts":     func(n node) error { prompts = n; return nil },
	})
	if err != nil {
		return nil, err
	}
	if prompts.Node == nil {
		return nil, errors.New("prompts is missing: write a list of prompts, each with id, prompt and expect")
	}
	list, err := prompts.elements("prompts")
	if err != nil {
		return nil, err
	}
	if len(list) > MaxPrompts {
		return nil, prompts.errorf("has %d prompts, and may have %d", len(list), MaxPrompts)
	}
	lines := make(map[string]int)
	for _, n := range list {
		p, err := parsePrompt(n, defaults)
		if err != nil {
			return nil, err
		}
		if line := lines[p.ID]; line > 0 {
			return nil, n.errorf("id %s is that of the prompt of line %d", p.ID, line)
		}
		lines[p.ID] = n.Line
		s.Prompts = append(s.Prompts, p)
	}
	return s, nil
}

// settings are the fields that defaults and prompts have in common.
func (p *Prompt) settings() map[string]field {
	return map[string]field{
		"model":  text(&p.Model),
		"system": func(n node) error { return n.into(&p.request.Messages, "system") },
		"stream": func(n node) (err error) { p.Stream, err = n.flag(); return err },
		"timeout": func(n node) (err error) {
			p.Timeout, err = n.duration(MaxTimeout)
			return err
		},
		"max_tokens": func(n node) (err error) {
			p.request.MaxTokens, err = n.number(1, 1_000_000)
			return err
		},
		"temperature": func(n node) error {
			v, err := n.decimal(0, 2)
			p.request.Temperature = &v
			return err
		},
	}
}

// into makes the text n the one message of that role.
func (n node) into(messages *[]message, role string) error {
	content, err := n.text()
	*messages = []message{{Role: role, Content: &content}}
	return err
}

// text reads a field that is a text.
func text(to *string) field {
	return func(n node) (err error) { *to, err = n.text(); return err }
}

// raw reads a field that may be any value.
func raw(to *json.RawMessage) field {
	return func(n node) (err error) { *to, err = n.json(); return err }
}

func parsePrompt(n node, defaults *Prompt) (*Prompt, error) {
	p := &Prompt{Timeout: cmp.Or(defaults.Timeout, DefaultTimeout), Model: defaults.Model, Stream: defaults.Stream, request: defaults.request}
	var asked, conversation []message
	var expected node
	fields := p.settings()
	fields["id"] = text(&p.ID)
	fields["prompt"] = func(n node) error { return n.into(&asked, "user") }
	fields["messages"] = func(n node) (err error) { conversation, err = messages(n); return err }
	fields["tools"] = func(n node) (err error) { p.request.Tools, err = tools(n); return err }
	fields["tool_choice"] = raw(&p.request.ToolChoice)
	fields["response_format"] = raw(&p.request.ResponseFormat)
	fields["expect"] = func(n node) error { expected = n; return nil }
	if err := n.fields(fields); err != nil {
		return nil, err
	}
	switch {
	case p.ID == "":
		return nil, n.errorf("id is missing")
	case !ids.MatchString(p.ID):
		return nil, n.errorf("id %q: use 1 to 64 letters, digits, dots, dashes and underscores", p.ID)
	case asked == nil == (conversation == nil):
		return nil, n.errorf("write either prompt or messages")
	case expected.Node == nil:
		return nil, n.errorf("expect is missing: write what is expected, as expect: answered")
	case p.request.ToolChoice != nil && p.request.Tools == nil:
		return nil, n.errorf("tool_choice needs tools")
	}
	if conversation != nil && len(p.request.Messages) > 0 && conversation[0].Role == "system" {
		return nil, n.errorf("messages begin with a system message, and system is given as well")
	}
	p.request.Messages = slices.Concat(p.request.Messages, asked, conversation)
	var err error
	p.expect, err = parseExpect(expected, p)
	return p, err
}

// messages reads a conversation.
func messages(n node) (list []message, err error) {
	nodes, err := n.elements("messages, each with role and content")
	for _, inner := range nodes {
		var m message
		err := inner.fields(map[string]field{
			"role": text(&m.Role),
			"content": func(n node) error {
				content, err := n.text()
				m.Content = &content
				return err
			},
			"tool_calls":   raw(&m.ToolCalls),
			"tool_call_id": text(&m.ToolCallID),
		})
		switch {
		case err != nil:
			return nil, err
		case m.Role != "system" && m.Role != "user" && m.Role != "assistant" && m.Role != "tool":
			return nil, inner.errorf("role %q: use system, user, assistant or tool", m.Role)
		case m.Content == nil && (m.Role != "assistant" || m.ToolCalls == nil):
			return nil, inner.errorf("content is missing")
		case (m.Role == "tool") != (m.ToolCallID != ""):
			return nil, inner.errorf("tool_call_id is of messages of role tool, which need it")
		}
		list = append(list, m)
	}
	return list, err
}

// tools reads what the model may call. Tools that the provider runs may act, which a suite must not.
func tools(n node) (list []json.RawMessage, err error) {
	nodes, err := n.elements("tools, each with type: function and function")
	for _, inner := range nodes {
		var kind, name string
		err := inner.fields(map[string]field{
			"type": text(&kind),
			"function": func(n node) error {
				return n.fields(map[string]field{
					"name": text(&name), "description": text(new(string)), "strict": func(n node) error { _, err := n.flag(); return err },
					"parameters": func(n node) error { _, err := parseSchema(n); return err },
				})
			},
		})
		switch {
		case err != nil:
			return nil, err
		case kind != "function":
			return nil, inner.errorf("type %q: use function; tools that the provider runs are not offered by suites", kind)
		case name == "":
			return nil, inner.errorf("function.name is missing")
		}
		tool, err := inner.json()
		if err != nil {
			return nil, err
		}
		list = append(list, tool)
	}
	return list, err
}

//go:embed builtin/*.yaml
var builtin embed.FS

// Builtins names the suites that come with the package.
func Builtins() (names []string) {
	files, _ := builtin.ReadDir("builtin") // it is there
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return names
}

// Builtin gives the file of a suite that comes with the package.
func Builtin(name string) ([]byte, error) {
	if !slices.Contains(Builtins(), name) {
		return nil, fmt.Errorf("no suite %q is built in; use %s", name, strings.Join(Builtins(), ", "))
	}
	return builtin.ReadFile("builtin/" + name + ".yaml")
}
