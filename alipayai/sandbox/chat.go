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
	Tools      []tool          `json:"tools"`
	ToolChoice json.RawMessage `json:"tool_choice"`
}

type message struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

type tool struct {
	Function struct {
		Name       string          `json:"name"`
		Parameters json.RawMessage `json:"parameters"`
	} `json:"function"`
}

// content is a message's text and how many images came with it. On the wire it
// is null, a string, or a list of parts.
type content struct {
	text   string
	images int
}

func (c *content) UnmarshalJSON(data []byte) error {
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
		return errors.New("the body is not a chat request: " + strings.TrimPrefix(err.Error(), "json: "))
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
	for i, t := range r.Tools {
		if t.Function.Name == "" {
			return fmt.Errorf("tools[%d].function.name: want one", i)
		}
	}
	return nil
}

// prompt is the last message of the user.
func (r *chatRequest) prompt() content {
	for _, m := range slices.Backward(r.Messages) {
		if m.Role == "user" {
			return m.Content
		}
	}
	return content{}
}

// chat is POST /v1/chat/completions.
func (c *call) chat() {
	var req chatRequest
	if !c.wantJSON() {
		return
	}
	if err := req.parse(c.body); err != nil {
		c.fail(http.StatusBadRequest, codeParam, err.Error())
		return
	}
	if !c.wantModel(req.Model) || !c.begin(req.prompt().text, req.Stream) {
		return
	}
	texts := make([]string, len(req.Messages))
	for i, m := range req.Messages {
		texts[i] = m.Content.text
	}
	if !c.compliant(texts...) {
		return
	}
	a := c.answer(&req)
	if req.Stream {
		c.stream(a, req.StreamOptions.IncludeUsage)
		return
	}
	c.succeed(a.completion())
}

// models is GET /v1/models.
func (c *call) models() {
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
		list[i] = model{id, "model", 1767225600, "alipay-sandbox"}
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
	if slices.Contains(c.srv.cfg.Models, id) {
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
	for _, text := range texts {
		if policy := violated(text); policy != "" {
			c.fail(http.StatusForbidden, codeBlocked, "the prompt was blocked by policy "+policy)
			return false
		}
	}
	return true
}
