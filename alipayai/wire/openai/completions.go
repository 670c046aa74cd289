package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Completion is a request of the older API, POST /v1/completions, and what becomes of it.
type Completion struct {
	Sent, Canonical wire.Request
	Unsupported     []string
}

// The members of a completion that chat completions have too, and those that they have nothing for.
var (
	completionFields = map[string]bool{
		"model": true, "max_tokens": true, "temperature": true, "top_p": true, "n": true, "stream": true, "stream_options": true,
		"stop": true, "presence_penalty": true, "frequency_penalty": true, "logit_bias": true, "user": true, "seed": true,
	}
	completionDefaults = map[string]string{"best_of": "1", "echo": "false", "logprobs": "null", "suffix": "null"}
)

// ParseCompletion reads the body of POST /v1/completions: its prompt, a text, becomes the one message of a user. Every
// error is a [*wire.RequestError].
func ParseCompletion(body []byte) (c Completion, err error) {
	if c.Sent, err = wire.ParseRequest(body, wire.Limits{}); err != nil {
		return Completion{}, err
	}
	e := edits{body: body}
	defer e.release()
	var prompt jsontext.Value
	chat := []byte{'{'}
	for _, m := range e.members(span{0, len(body)}) {
		v := e.text(m.value)
		switch {
		case m.name == "prompt":
			prompt = v
		case completionFields[m.name]:
			chat = append(append(append(append(chat, e.text(m.key)...), ':'), v...), ',')
		case v.Kind() != 'n' && string(v) != completionDefaults[m.name]:
			for known := range completionFields {
				if strings.EqualFold(m.name, known) {
					return Completion{}, translate.OnlyInCase(known)
				}
			}
			c.Unsupported = append(c.Unsupported, wire.Visible(m.name))
		}
	}
	if prompt.Kind() == '[' {
		var texts []string
		if json.Unmarshal(prompt, &texts) == nil && len(texts) == 1 {
			prompt = quote(texts[0])
		}
	}
	var refused error
	switch prompt.Kind() {
	case '"':
	case 0, 'n':
		refused = translate.Missing("prompt", "a string")
	default:
		refused = &wire.RequestError{Param: "prompt", Code: wire.CodeInvalidType,
			Message: "invalid type for 'prompt': expected a string, or an array of one; several prompts are several requests"}
	}
	if refused != nil { // for the other members to be looked at first
		prompt = quote("")
	}
	chat = append(append(append(chat, `"messages":[{"role":"user","content":`...), prompt...), "}]}"...)
	if c.Canonical, err = wire.ParseChatRequest(chat, wire.Limits{}); err == nil {
		err = refused
	}
	if err != nil {
		return Completion{}, err
	}
	return c, nil
}

// completion is what of an answer the older form has.
type completion struct {
	ID      string             `json:"id"`
	Object  string             `json:"object"`
	Created json.RawMessage    `json:"created,omitempty"`
	Model   string             `json:"model"`
	Choices []completionChoice `json:"choices"`
	Usage   json.RawMessage    `json:"usage,omitempty"`
}

type completionChoice struct {
	Text         json.RawMessage `json:"text"` // as written: half an emoji is none by itself
	Index        int             `json:"index"`
	Logprobs     *struct{}       `json:"logprobs"`
	FinishReason json.RawMessage `json:"finish_reason"`
}

var null = json.RawMessage("null")

// AppendCompletion appends the older form of a chat completion, or of a chunk of one.
func AppendCompletion(dst, chat []byte) ([]byte, error) {
	type words struct{ Content, Refusal json.RawMessage }
	var a struct {
		ID, Model      string
		Created, Usage json.RawMessage
		Choices        []struct {
			Index          int
			Message, Delta words
			FinishReason   json.RawMessage `json:"finish_reason"`
		}
	}
	err := json.Unmarshal(chat, &a)
	if _, mistyped := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !mistyped { // which counts as absent
		return dst, err
	}
	out := completion{
		ID: "cmpl-" + strings.TrimPrefix(a.ID, "chatcmpl-"), Object: "text_completion", Created: a.Created, Model: a.Model,
		Choices: make([]completionChoice, len(a.Choices)), Usage: a.Usage,
	}
	for i, c := range a.Choices {
		text := []byte{'"'}
		for _, v := range []json.RawMessage{c.Message.Content, c.Message.Refusal, c.Delta.Content, c.Delta.Refusal} {
			text = append(text, translate.Characters(translate.Text(jsontext.Value(v)))...)
		}
		out.Choices[i] = completionChoice{Text: append(text, '"'), Index: c.Index, FinishReason: c.FinishReason}
		if len(c.FinishReason) == 0 {
			out.Choices[i].FinishReason = null
		}
	}
	written, err := json.Marshal(out)
	return append(dst, written...), err
}

// AppendCompletionEvents appends the older form of a stream's events.
func AppendCompletionEvents(dst, events []byte) ([]byte, error) {
	reader := wire.EventsIn(events)
	defer reader.Release()
	for {
		event, err := reader.Next()
		if err != nil {
			return dst, nil // there is no more of them
		}
		if len(event.Data) == 0 {
			continue
		}
		dst = append(dst, "data: "...)
		if bytes.HasPrefix(event.Data, []byte("[DONE]")) {
			dst = append(dst, event.Data...)
		} else if dst, err = AppendCompletion(dst, event.Data); err != nil {
			return dst, err
		}
		dst = append(dst, "\n\n"...)
	}
}
