package sandbox

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// parseMessages reads a Messages request as strictly as the API does, and more
// strictly in one thing: turns must alternate, where the API would join two
// turns of one role. The messages are worded as the API's own are.
//
// betas are the features that the request names in its header: members that only they permit are refused without them.
func parseMessages(body []byte, betas ...string) (*ask, error) {
	var of, ofTools []string
	for _, name := range betas {
		of, ofTools = append(of, betaFields[name]...), append(ofTools, betaToolFields[name]...)
	}
	o := newObject(body, append(of, "model", "messages", "max_tokens", "cache_control", "container", "inference_geo", "metadata",
		"output_config", "service_tier", "stop_sequences", "stream", "system", "temperature", "thinking", "tool_choice",
		"tools", "top_k", "top_p")...)
	q := &ask{prefix: "msg_"}
	o.required("model", "string", &q.model)
	o.required("max_tokens", "integer", &q.most)
	if q.most < 1 {
		o.wrong("max_tokens", "Input should be greater than or equal to 1")
	}
	o.optional("stream", "boolean", &q.stream)
	o.number("temperature", 0, 1)
	o.number("top_p", 0, 1)
	var topK uint
	o.optional("top_k", "integer", &topK)
	o.word("service_tier", "auto", "standard_only")
	if o.optional("stop_sequences", "list of strings", &q.stops) {
		for i, s := range q.stops {
			if strings.TrimSpace(s) == "" {
				o.wrong(entry("stop_sequences", i), "each stop sequence must contain non-whitespace")
			}
		}
	}
	if o.has("metadata") {
		var user string
		o.child("metadata", o.fields["metadata"], "user_id").optional("user_id", "string", &user)
	}
	readThinking(o, q)
	if system := readContent(o, "system", "text"); o.has("system") {
		q.add(system)
	}
	prefilled := readTurns(o, q)
	var g grammar
	readTools(o, q, &g, ofTools)
	readOutputConfig(o, q, &g, prefilled)
	readFallbacks(o, slices.Contains(betas, betaFallbacks))
	g.check(o)
	return q, *o.err
}

// betaFallbacks is the feature by which models may answer in the place of one that declines, and betaNamed its first version, which
// wants them named (https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback).
const (
	betaFallbacks = "server-side-fallback-2026-07-01"
	betaNamed     = "server-side-fallback-2026-06-01"
)

// readFallbacks reads models by their names, three at most (https://docs.rs/vtcode-config), or the word for those that the vendor
// recommends.
func readFallbacks(o object, byDefault bool) {
	if !o.has("fallbacks") {
		return
	}
	var word string
	var named []struct{ Model string }
	switch v := o.fields["fallbacks"]; {
	case json.Unmarshal(v, &word) == nil:
		if word != "default" || !byDefault {
			o.wrong("fallbacks", "Input should be a valid list")
		}
	case json.Unmarshal(v, &named) != nil:
		o.wrong("fallbacks", "Input should be a valid list")
	case len(named) == 0 || len(named) > 3:
		o.wrong("fallbacks", "List should have at least 1 and at most 3 items after validation")
	}
	for i, f := range named {
		if f.Model == "" {
			o.wrong(entry("fallbacks", i)+".model", "Field required")
		}
	}
}

// Members of requests, and of tools, that a beta feature permits; those that Claude Code sends are here.
var (
	betaFields = map[string][]string{
		"context-management-2025-06-27": {"context_management"}, betaFallbacks: {"fallbacks"}, betaNamed: {"fallbacks"},
	}
	betaToolFields = map[string][]string{"advanced-tool-use-2025-11-20": {"defer_loading", "allowed_callers", "input_examples"}}
)

// add counts the text and the images of a message.
func (q *ask) add(blocks []block) {
	var text strings.Builder
	for _, b := range blocks {
		text.WriteString(b.text)
		q.images += b.images
		q.found = append(q.found, b.found...)
	}
	q.texts = append(q.texts, text.String())
}

// leastBudget is the least that a thought may be allowed to cost.
const leastBudget = 1024

func readThinking(o object, q *ask) {
	if !o.has("thinking") {
		return
	}
	t := o.child("thinking", o.fields["thinking"], "type", "budget_tokens", "display")
	if !t.has("type") {
		t.wrong("type", "Field required")
	}
	var budget int
	if t.word("type", "enabled", "disabled", "adaptive") != "enabled" {
		return
	}
	t.required("budget_tokens", "integer", &budget)
	if budget < leastBudget {
		t.wrong("budget_tokens", "Input should be greater than or equal to %d", leastBudget)
	}
	if budget >= q.most {
		o.wrong("", "`max_tokens` must be greater than `thinking.budget_tokens`")
	}
	var temperature, topP float64
	if o.optional("temperature", "number", &temperature) && temperature != 1 {
		o.wrong("", "`temperature` may only be set to 1 when thinking is enabled.")
	}
	if o.optional("top_p", "number", &topP) && topP < 0.95 {
		o.wrong("", "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.")
	}
	q.thinking = true
}

// block is one piece of a message's content.
type block struct {
	kind   string
	text   string // of a tool's result, what the tool said
	id     string // that links a call and its result
	images int
	found  []string // the tools that a search has found
}

// blockFields are the known blocks, and the fields that each has beyond its type.
var blockFields = map[string][]string{
	"text":              {"text", "cache_control", "citations"},
	"image":             {"source", "cache_control"},
	"document":          {"source", "title", "context", "citations", "cache_control"},
	"tool_use":          {"id", "name", "input", "cache_control"},
	"tool_result":       {"tool_use_id", "content", "is_error", "cache_control"},
	"tool_reference":    {"tool_name", "cache_control"},
	"thinking":          {"thinking", "signature"},
	"redacted_thinking": {"data"},
}

// readContent reads a field that is a string or a list of blocks of certain kinds.
func readContent(o object, name string, kinds ...string) []block {
	raw := o.fields[name]
	var text string
	var items []json.RawMessage
	switch {
	case len(raw) == 0:
		return nil
	case string(raw) != "null" && json.Unmarshal(raw, &text) == nil:
		return []block{{kind: "text", text: text}}
	case json.Unmarshal(raw, &items) != nil || items == nil:
		o.wrong(name, "Input should be a valid string or list of content blocks")
	}
	blocks := make([]block, len(items))
	for i, item := range items {
		blocks[i] = readBlock(o, entry(name, i), item, kinds)
	}
	return blocks
}

func readBlock(o object, name string, data []byte, kinds []string) (b block) {
	var typed struct {
		Type *string `json:"type"`
	}
	if json.Unmarshal(data, &typed) != nil || typed.Type == nil {
		o.wrong(name, "Unable to extract tag using discriminator 'type'")
		return b
	}
	b.kind = *typed.Type
	if !slices.Contains(kinds, b.kind) {
		o.wrong(name, "Input tag %q found using 'type' does not match any of the expected tags: %s", b.kind, quoted(kinds))
		return b
	}
	in := o.child(name+"."+b.kind, data, append([]string{"type"}, blockFields[b.kind]...)...)
	var ignored string
	switch b.kind {
	case "text":
		in.required("text", "string", &b.text)
		if b.text == "" {
			in.wrong("text", "text content blocks must be non-empty")
		}
	case "image":
		readSource(in, "base64", "url", "file")
		b.images = 1
	case "document":
		readSource(in, "base64", "url", "file", "text", "content")
	case "tool_use":
		in.required("id", "string", &b.id)
		in.required("name", "string", &ignored)
		var input map[string]json.RawMessage
		in.required("input", "object", &input)
	case "tool_result":
		in.required("tool_use_id", "string", &b.id)
		var failed bool
		in.optional("is_error", "boolean", &failed)
		for _, part := range readContent(in, "content", "text", "image", "document", "tool_reference") {
			b.text += part.text
			b.images += part.images
			b.found = append(b.found, part.found...)
		}
	case "tool_reference":
		in.required("tool_name", "string", &b.text)
		b.found = []string{b.text}
	case "thinking":
		in.required("thinking", "string", &ignored)
		in.required("signature", "string", &ignored)
	case "redacted_thinking":
		in.required("data", "string", &ignored)
	}
	return b
}

// readSource reads where the bytes of an image or a document are.
func readSource(o object, kinds ...string) {
	if !o.has("source") {
		o.wrong("source", "Field required")
		return
	}
	s := o.child("source", o.fields["source"], "type", "media_type", "data", "url", "file_id", "content")
	if !s.has("type") {
		s.wrong("type", "Field required")
	}
	var value string
	switch s.word("type", kinds...) {
	case "base64":
		s.required("media_type", "string", &value)
		var data []byte
		s.required("data", "base64 string", &data)
	case "url":
		s.required("url", "string", &value)
		if value != "" && !strings.HasPrefix(strings.ToLower(value), "https://") {
			s.wrong("url", "Only HTTPS URLs are supported")
		}
	}
}

var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

func readTools(o object, q *ask, g *grammar, ofBetas []string) {
	var items []json.RawMessage
	o.optional("tools", "list", &items)
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		t := o.child(entry("tools", i), item, append(ofBetas, "type", "name", "description", "input_schema", "cache_control", "strict")...)
		t.word("type", "custom")
		var name, description string
		var schema struct {
			Type                string
			AnyOf, OneOf, AllOf json.RawMessage
		}
		t.required("name", "string", &name)
		t.optional("description", "string", &description)
		t.required("input_schema", "object", &schema)
		switch {
		case !toolName.MatchString(name):
			t.wrong("name", "String should match pattern '%s'", toolName)
		case seen[name]:
			o.wrong("tools", "Tool names must be unique.")
		case schema.Type != "object":
			t.wrong("input_schema.type", "Input should be 'object'")
		case schema.AnyOf != nil || schema.OneOf != nil || schema.AllOf != nil:
			t.wrong("custom.input_schema", "input_schema does not support oneOf, allOf, or anyOf at the top level")
		}
		seen[name] = true
		var strict bool
		if t.optional("strict", "boolean", &strict); strict {
			g.tools++
			g.read(o, entry("tools", i)+".custom", t.fields["input_schema"])
		}
		q.tools = append(q.tools, tool{name, t.fields["input_schema"]})
	}
	for _, name := range q.found { // the first error of a tool search in Anthropic's guide to it
		if !seen[name] {
			o.wrong("", "Tool reference '%s' has no corresponding tool definition", name)
		}
	}
	if o.has("tool_choice") {
		readToolChoice(o, q, seen)
	}
}

// readToolChoice reads which of the offered tools is to be called.
func readToolChoice(o object, q *ask, offered map[string]bool) {
	c := o.child("tool_choice", o.fields["tool_choice"], "type", "name", "disable_parallel_tool_use")
	if !c.has("type") {
		c.wrong("type", "Field required")
	}
	var single bool
	c.optional("disable_parallel_tool_use", "boolean", &single)
	switch c.word("type", "auto", "any", "tool", "none") {
	case "any":
		q.choice.required = true
	case "none":
		q.choice.forbidden = true
	case "tool":
		c.required("name", "string", &q.choice.name)
		if !offered[q.choice.name] {
			o.wrong("", "Tool '%s' not found in provided tools", q.choice.name)
		}
	}
	if q.thinking && (q.choice.required || q.choice.name != "") {
		o.wrong("", "Thinking may not be enabled when tool_choice forces tool use.")
	}
	if len(offered) == 0 {
		o.wrong("tool_choice", "may only be specified while providing tools")
	}
}
