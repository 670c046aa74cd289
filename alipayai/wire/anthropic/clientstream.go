package anthropic

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// clientStream is where a stream of the Messages API stands. What it keeps does not grow with the stream, but for what
// comes while a tool call has not ended, and the citations.
type clientStream struct {
	chunk translate.Chunk
	begun bool
	ended bool
	open  string // the kind of the block that is open; empty for none
	index int    // of the block that is open, or would be next

	calls translate.Calls
	cited translate.Cited
	spoke bool // it has had a text

	finish  string
	stopped jsontext.Value
	refused bool
	usage   wire.Usage
	// estimated is what is known of the usage before the provider has said it.
	estimated wire.Usage

	texts translate.Texts
}

// Events appends the events of the Messages API for events of OpenAI's stream, each whole. It fails where too much
// waits for the end of a tool call.
func (w *ClientWriter) Events(dst, canonical []byte) (_ []byte, err error) {
	if w.stream == nil {
		w.stream = new(clientStream)
	}
	err = translate.EachEvent(canonical, func(data []byte) (err error) {
		if !w.stream.ended {
			dst, err = w.event(dst, data)
		}
		return err
	})
	return dst, err
}

func (w *ClientWriter) event(dst, data []byte) ([]byte, error) {
	s := w.stream
	if text, ok := s.texts.Only(data); ok && s.open == "text" {
		return s.textDelta(dst, text), nil
	}
	if bytes.HasPrefix(data, []byte("[DONE]")) {
		return w.end(dst), nil
	}
	c := &s.chunk
	if err := c.Read(data); err != nil {
		return dst, err
	}
	if !s.begun && (c.Choice || len(translate.Characters(c.ID)) > 0) { // and not with a keepalive before the answer, or an empty event
		dst = w.begin(dst)
	}
	if c.Usage.OK {
		s.usage = c.Usage
	}
	if c.Finish != "" {
		s.finish = c.Finish
	}
	if c.Stopped != nil {
		s.stopped = c.Stopped.Clone()
	}
	err := s.calls.Put(c, data,
		func(c *translate.Chunk) { dst = w.said(dst, c) }, func(p *translate.Piece) { dst = s.toolCall(dst, p) })
	dst = s.cite(dst, c.Annotations)
	s.texts.Remember(c, data)
	return dst, err
}

// said writes the texts of a chunk.
func (w *ClientWriter) said(dst []byte, c *translate.Chunk) []byte {
	s := w.stream
	if w.Thinks && len(c.Reasoning) > len(`""`) {
		dst = s.enter(dst, "thinking", `{"type":"thinking","thinking":"","signature":""}`)
		dst = s.delta(dst, `{"type":"thinking_delta","thinking":`, c.Reasoning)
	}
	for _, text := range []jsontext.Value{c.Content, c.Refusal} {
		if len(text) > len(`""`) {
			dst = s.enter(dst, "text", emptyText)
			dst = s.textDelta(dst, translate.Characters(text))
			s.spoke = true
		}
	}
	s.refused = s.refused || len(c.Refusal) > len(`""`)
	return dst
}

func (w *ClientWriter) begin(dst []byte) []byte {
	w.stream.begun = true
	dst = append(dst, `event: message_start`+"\n"+`data: {"type":"message_start","message":`...)
	dst = appendHead(dst, &w.stream.chunk, w.Model)
	dst = append(dst, `],"stop_reason":null,"stop_sequence":null,"usage":`...)
	if w.Prompt != nil {
		w.stream.estimated.Prompt = w.Prompt()
	}
	return append(appendClientUsage(dst, w.stream.estimated), "}}\n\n"...)
}

// end writes the end of the message. The usage stands before [DONE] in OpenAI's stream.
func (w *ClientWriter) end(dst []byte) []byte {
	s := w.stream
	if !s.begun {
		dst = w.begin(dst)
	}
	s.calls.End(func(c *translate.Chunk) { dst = w.said(dst, c) }, func(p *translate.Piece) { dst = s.toolCall(dst, p) })
	dst = s.leave(s.citeLate(dst))
	s.ended = true
	dst = append(dst, "event: message_delta\n"+`data: {"type":"message_delta","delta":{"stop_reason":`...)
	dst = w.appendStop(dst, s.finish, s.stopped, s.calls.Begun > 0, s.refused)
	dst = append(dst, `},"usage":`...)
	usage := s.usage
	if !usage.OK { // the provider does not count
		usage = s.estimated
	}
	dst = append(appendClientUsage(dst, usage), "}\n\n"...)
	return append(dst, "event: message_stop\n"+`data: {"type":"message_stop"}`+"\n\n"...)
}

// enter opens a block of that kind, unless one is open.
func (s *clientStream) enter(dst []byte, kind, block string) []byte {
	if s.open == kind {
		return dst
	}
	dst = s.leave(dst)
	s.open = kind
	dst = append(dst, "event: content_block_start\n"+`data: {"type":"content_block_start","index":`...)
	dst = strconv.AppendInt(dst, int64(s.index), 10)
	return append(append(append(dst, `,"content_block":`...), block...), "}\n\n"...)
}

// leave closes the block that is open.
func (s *clientStream) leave(dst []byte) []byte {
	if s.open == "" {
		return dst
	}
	dst = append(dst, "event: content_block_stop\n"+`data: {"type":"content_block_stop","index":`...)
	dst = append(strconv.AppendInt(dst, int64(s.index), 10), "}\n\n"...)
	s.open = ""
	s.index++
	return dst
}

// delta writes one of the block that is open.
func (s *clientStream) delta(dst []byte, before string, v []byte) []byte {
	dst = append(dst, "event: content_block_delta\n"+`data: {"type":"content_block_delta","index":`...)
	dst = append(strconv.AppendInt(dst, int64(s.index), 10), `,"delta":`...)
	return append(append(append(dst, before...), v...), "}}\n\n"...)
}

func (s *clientStream) textDelta(dst, characters []byte) []byte {
	return s.characters(dst, `{"type":"text_delta","text":"`, characters)
}

// characters writes a delta that ends in those.
func (s *clientStream) characters(dst []byte, before string, characters []byte) []byte {
	dst = append(dst, "event: content_block_delta\n"+`data: {"type":"content_block_delta","index":`...)
	dst = append(append(strconv.AppendInt(dst, int64(s.index), 10), `,"delta":`...), before...)
	return append(append(dst, characters...), "\"}}\n\n"...)
}

// toolCall writes a piece of a tool call.
func (s *clientStream) toolCall(dst []byte, p *translate.Piece) []byte {
	if p.Begins {
		dst = s.leave(dst)
		block := append(append([]byte(`{"type":"tool_use","id":`), p.ID...), `,"name":`...)
		block = append(append(block, p.Name...), `,"input":{}}`...)
		dst = s.enter(dst, "tool_use", string(block))
	}
	if len(p.Arguments) > 0 {
		dst = s.characters(dst, `{"type":"input_json_delta","partial_json":"`, p.Arguments)
	}
	return dst
}
