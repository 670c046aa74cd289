package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// chatRequest is what the simulator reads of a chat-completions request; it
// ignores the rest, as OpenAI's own API does with most of it.
type chatRequest struct {
	Model         string    `json:"model"`
	Messages      []message `json:"messages"`
	Stream        bool      `json:"stream"`
	N             *int      `json:"n"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Tools      []chatTool      `json:"tools"`
	ToolChoice json.RawMessage `json:"tool_choice"`

	ResponseFormat struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
}

type message struct {
	Role    string      `json:"role"`
	Content chatContent `json:"content"`
}

type chatTool struct {
	Function struct {
		Name       string          `json:"name"`
		Parameters json.RawMessage `json:"parameters"`
	} `json:"function"`
}

// chatContent is null, a string, or a list of parts.
type chatContent struct{ content }

func (c *chatContent) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &c.text) == nil { // null too
		return nil
	}
	var parts []struct {
		Type     string `json:"type"`
		Text     string `json:"text"`
		ImageURL struct {
			URL string `json:"url"`
		} `json:"image_url"`
	}
	if err := json.Unmarshal(data, &parts); err != nil {
		return errors.New("content: want a string or a list of parts")
	}
	for _, p := range parts {
		switch p.Type {
		case "text":
			c.text += p.Text
		case "image_url":
			if p.ImageURL.URL == "" {
				return errors.New("content: want image_url.url in an image part")
			}
			c.images++
		case "":
			return errors.New("content: want a type in each part")
		}
	}
	return nil
}

func (r *chatRequest) parse(body []byte) error {
	if err := json.Unmarshal(body, r); err != nil {
		return errors.New("the body is not a chat request: " + inJSONsWords(err))
	}
	if len(r.Messages) == 0 {
		return errors.New("messages: want one at least")
	}
	for i, m := range r.Messages {
		if m.Role == "" {
			return fmt.Errorf("messages[%d].role: want one", i)
		}
	}
	if r.N != nil && *r.N != 1 {
		return errors.New("n: the simulator gives one choice")
	}
	switch f := r.ResponseFormat; f.Type {
	case "", "text", "json_object":
	case "json_schema":
		if f.JSONSchema.Name == "" {
			return errors.New("response_format.json_schema.name: want one")
		}
	default:
		return errors.New("response_format.type: want text, json_object or json_schema")
	}
	for i, t := range r.Tools {
		if t.Function.Name == "" {
			return fmt.Errorf("tools[%d].function.name: want one", i)
		}
	}
	return nil
}

// ask is what the request wants.
func (r *chatRequest) ask() *ask {
	q := &ask{
		model: r.Model, stream: r.Stream, usage: r.StreamOptions.IncludeUsage, choice: r.choice(), prefix: "chatcmpl-",
	}
	switch f := r.ResponseFormat; f.Type {
	case "json_object":
		q.schema = json.RawMessage(`{"type":"object","required":["text"]}`)
	case "json_schema":
		q.schema = f.JSONSchema.Schema
		if q.schema == nil {
			q.schema = json.RawMessage("{}")
		}
	}
	for _, m := range r.Messages {
		q.texts = append(q.texts, m.Content.text)
		q.images += m.Content.images
		if m.Role == "user" {
			q.prompt = m.Content.content
		}
	}
	if last := r.Messages[len(r.Messages)-1]; last.Role == "tool" {
		q.result = &last.Content.text
	}
	for _, t := range r.Tools {
		q.tools = append(q.tools, tool{t.Function.Name, t.Function.Parameters})
	}
	return q
}

func (r *chatRequest) choice() toolChoice {
	var word string
	if json.Unmarshal(r.ToolChoice, &word) == nil {
		return toolChoice{forbidden: word == "none", required: word == "required" || word == "any"}
	}
	var named chatTool
	_ = json.Unmarshal(r.ToolChoice, &named) // absent, or of a form that asks for nothing
	return toolChoice{name: named.Function.Name}
}

// chat is POST /v1/chat/completions.
func (c *call) chat() {
	var req chatRequest
	if !c.wantJSON() {
		return
	}
	if wrong := c.srv.cfg.Dialect.judge(c.body); wrong != nil {
		c.reply(wrong.status, codeParam, mustJSON(wrong.body))
		return
	}
	if err := req.parse(c.body); err != nil {
		c.fail(http.StatusBadRequest, codeParam, err.Error())
		return
	}
	if c.wantModel(req.Model) {
		c.converse(req.ask())
	}
}

// listModels is GET /v1/models.
func (c *call) listModels() {
	if !c.begin("", false) {
		return
	}
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	list := make([]model, len(c.srv.cfg.Models))
	for i, id := range c.srv.cfg.Models {
		list[i] = model{id, "model", modelsSince.Unix(), "alipay-sandbox"}
	}
	c.succeed(map[string]any{"object": "list", "data": list})
}

func (c *call) wantJSON() bool {
	kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if kind == "application/json" {
		return true
	}
	c.fail(http.StatusUnsupportedMediaType, codeMediaType, "want Content-Type application/json")
	return false
}

func (c *call) wantModel(id string) bool {
	if c.serves(id) {
		return true
	}
	c.fail(http.StatusNotFound, codeModel, "model: want one of "+strings.Join(c.srv.cfg.Models, ", "))
	return false
}

// compliant blocks what the production environment does not answer.
func (c *call) compliant(texts ...string) bool {
	if c.srv.cfg.Mode != Production {
		return true
	}
	i := slices.IndexFunc(texts, func(text string) bool { return violated(text) != "" })
	if i >= 0 {
		c.fail(http.StatusForbidden, codeBlocked, "the prompt was blocked by policy "+violated(texts[i]))
	}
	return i < 0
}
