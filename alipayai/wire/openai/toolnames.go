package openai

import (
	"bytes"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// plainName is what OpenAI takes as a tool's name, and who follows it: "string does not match pattern '^[a-zA-Z0-9_-]+$'" in
// https://github.com/github/copilot-sdk/issues/743, and mistral_common's validator.
var plainName = wire.ToolName{Most: 64}

// toolName edits the name of a tool.
func (e *editor) toolName(v span) {
	name := translate.Unquote(e.text(v))
	if fit := e.names.Fit(e.ToolName, name); fit != name {
		e.replace(v, quote(fit))
	}
}

// OwnToolNames gives the chat completion, or the chunk of one, with the client's names in the place of the provider's.
// Every other byte is as it was.
func OwnToolNames(body []byte, names wire.ToolNames) []byte {
	if len(names) == 0 || !mayCall(body) {
		return body
	}
	e := edits{body: body}
	defer e.release()
	for _, top := range e.members(span{0, len(body)}) {
		if top.name != "choices" {
			continue
		}
		for _, choice := range e.elements(top.value) {
			for _, m := range e.members(choice) {
				if m.name == "message" || m.name == "delta" {
					e.ownNames(e.members(m.value), names)
				}
			}
		}
	}
	return e.apply()
}

// ownNames edits the calls of a message.
func (e *edits) ownNames(message []member, names wire.ToolNames) {
	for _, m := range message {
		switch m.name {
		case "tool_calls":
			for _, call := range e.elements(m.value) {
				for _, one := range e.members(call) {
					if one.name == "function" || one.name == "custom" {
						e.ownName(one.value, names)
					}
				}
			}
		case "function_call":
			e.ownName(m.value, names)
		}
	}
}

func (e *edits) ownName(function span, names wire.ToolNames) {
	for _, m := range e.members(function) {
		if m.name != "name" {
			continue
		}
		if own, ok := names[translate.Unquote(e.text(m.value))]; ok {
			e.replace(m.value, quote(own))
		}
	}
}

// mayCall reports whether text may have the name of a tool in it, of however many: the member is of letters that JSON need
// not escape.
func mayCall(text []byte) bool { return bytes.Contains(text, []byte(`"name"`)) }

// WithOwnToolNames gives a decoder of the same stream whose events have the client's names; d itself where there are none
// to change.
func WithOwnToolNames(d wire.StreamDecoder, names wire.ToolNames) wire.StreamDecoder {
	if len(names) == 0 {
		return d
	}
	return &ownNamed{d, names}
}

type ownNamed struct {
	wire.StreamDecoder
	names wire.ToolNames
}

// Decode implements [wire.StreamDecoder].
func (o *ownNamed) Decode(dst []byte, ev wire.Event) ([]byte, wire.Chunk, error) {
	before := len(dst)
	dst, chunk, err := o.StreamDecoder.Decode(dst, ev)
	if err == nil && mayCall(dst[before:]) {
		dst = o.events(dst[:before], bytes.Clone(dst[before:]))
	}
	return dst, chunk, err
}

// events appends events with the client's names.
func (o *ownNamed) events(dst, events []byte) []byte {
	reader := wire.NewEventReader(bytes.NewReader(events), len(events)+1)
	defer reader.Release()
	read := 0
	for {
		event, err := reader.Next()
		if err != nil {
			return append(dst, events[read:]...)
		}
		read += len(event.Raw)
		own := event.Data
		if translates(event.Data) {
			own = OwnToolNames(event.Data, o.names)
		}
		if bytes.Equal(own, event.Data) {
			dst = append(dst, event.Raw...)
			continue
		}
		dst = appendData(dst, own)
	}
}
