package anthropic

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// clientStream is where a stream of the Messages API stands. What it keeps does not grow with the stream.
type clientStream struct {
	chunk chunk
	begun bool
	ended bool
	open  string // the kind of the block that is open; empty for none
	index int    // of the block that is open, or would be next

	call  int    // the index of the tool call that is open, or was last
	calls int    // how many have begun
	early []byte // characters of arguments that came before their call's name

	finish  string
	refused bool
	usage   wire.Usage

	// before and after are what stands around the text of the last chunk that had nothing else: most differ in that alone.
	before, after []byte
}

// Events appends the events of the Messages API for events of OpenAI's stream, each whole. It fails where a tool call goes
// on after another has begun, which the API has no form for.
func (w *ClientWriter) Events(dst, canonical []byte) (_ []byte, err error) {
	var data []byte // of the event that is being read
	for len(canonical) > 0 && err == nil {
		var line []byte
		line, canonical = nextLine(canonical)
		value, ok := bytes.CutPrefix(line, []byte("data:"))
		switch {
		case len(line) == 0 && data != nil:
			if !w.stream.ended {
				dst, err = w.event(dst, bytes.TrimSpace(data))
			}
			data = nil
		case ok && data == nil:
			data = value
		case ok:
			data = append(append(bytes.Clone(data), '\n'), value...)
		}
	}
	return dst, err
}

// nextLine cuts a line off, which may end as the standard on server-sent events says: in CR, LF or both.
func nextLine(text []byte) (line, rest []byte) {
	end := bytes.IndexAny(text, "\r\n")
	if end < 0 {
		return text, nil
	}
	line, rest = text[:end], text[end+1:]
	if text[end] == '\r' && len(rest) > 0 && rest[0] == '\n' {
		rest = rest[1:]
	}
	return line, rest
}

func (w *ClientWriter) event(dst, data []byte) ([]byte, error) {
	s := &w.stream
	if text, ok := s.onlyText(data); ok && s.open == "text" {
		return s.textDelta(dst, text), nil
	}
	if bytes.HasPrefix(data, []byte("[DONE]")) {
		return w.end(dst), nil
	}
	c := &s.chunk
	if err := c.read(data); err != nil {
		return dst, err
	}
	if !s.begun {
		dst = w.begin(dst)
	}
	if c.usage.OK {
		s.usage = c.usage
	}
	if c.finish != "" {
		s.finish = c.finish
	}
	if w.Thinks && len(c.reasoning) > len(`""`) {
		dst = s.enter(dst, "thinking", `{"type":"thinking","thinking":"","signature":""}`)
		dst = s.delta(dst, `{"type":"thinking_delta","thinking":`, c.reasoning)
	}
	for _, text := range []jsontext.Value{c.content, c.refusal} {
		if len(text) > len(`""`) {
			dst = s.enter(dst, "text", `{"type":"text","text":""}`)
			dst = s.textDelta(dst, characters(text))
		}
	}
	s.refused = s.refused || len(c.refusal) > len(`""`)
	for i := range c.calls {
		var err error
		if dst, err = s.toolCall(dst, &c.calls[i]); err != nil {
			return dst, err
		}
	}
	s.remember(data)
	return dst, nil
}

func (w *ClientWriter) begin(dst []byte) []byte {
	w.stream.begun = true
	dst = append(dst, `event: message_start`+"\n"+`data: {"type":"message_start","message":`...)
	dst = w.stream.chunk.appendHead(dst, w.Model)
	dst = append(dst, `],"stop_reason":null,"stop_sequence":null,"usage":`...)
	return append(appendClientUsage(dst, wire.Usage{}), "}}\n\n"...)
}

// end writes the end of the message. The usage stands before [DONE] in OpenAI's stream.
func (w *ClientWriter) end(dst []byte) []byte {
	s := &w.stream
	if !s.begun {
		dst = w.begin(dst)
	}
	dst = s.leave(dst)
	s.ended = true
	dst = append(dst, "event: message_delta\n"+`data: {"type":"message_delta","delta":{"stop_reason":`...)
	dst = appendStopReason(dst, s.finish, s.calls > 0, s.refused)
	dst = append(dst, `,"stop_sequence":null},"usage":`...)
	dst = append(appendClientUsage(dst, s.usage), "}\n\n"...)
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
	dst = append(dst, "event: content_block_delta\n"+`data: {"type":"content_block_delta","index":`...)
	dst = append(strconv.AppendInt(dst, int64(s.index), 10), `,"delta":{"type":"text_delta","text":"`...)
	return append(append(dst, characters...), "\"}}\n\n"...)
}

// toolCall writes a piece of a tool call. A call begins when its name is known.
func (s *clientStream) toolCall(dst []byte, c *callPiece) ([]byte, error) {
	if s.calls > 0 && c.index < s.call || s.open != "tool_use" && s.calls > 0 && c.index == s.call && len(characters(c.name)) == 0 {
		return dst, fmt.Errorf("%w: a tool call goes on after it has ended", wire.ErrMalformed)
	}
	begins := s.calls == 0 || c.index > s.call
	if begins && len(characters(c.name)) == 0 {
		s.early = append(s.early, characters(c.arguments)...)
		return dst, nil
	}
	if begins {
		dst = s.leave(dst)
		s.call = c.index
		block := append(append([]byte(`{"type":"tool_use","id":`), c.idOr(c.index)...), `,"name":`...)
		block = append(append(block, c.name...), `,"input":{}}`...)
		dst = s.enter(dst, "tool_use", string(block))
		s.calls++
		if len(s.early) > 0 {
			dst = s.delta(dst, `{"type":"input_json_delta","partial_json":`, append(append([]byte{'"'}, s.early...), '"'))
			s.early = nil
		}
	}
	if len(characters(c.arguments)) > 0 {
		dst = s.delta(dst, `{"type":"input_json_delta","partial_json":`, c.arguments)
	}
	return dst, nil
}

// remember keeps what stands around the text of a chunk that has nothing else.
func (s *clientStream) remember(data []byte) {
	c := &s.chunk
	s.before, s.after = s.before[:0], s.after[:0]
	if c.content == nil || c.reasoning != nil || len(c.refusal) > 0 || len(c.calls) > 0 || c.finish != "" || c.usage.OK {
		return
	}
	at := bytes.Index(data, c.content)
	if at < 0 || bytes.LastIndex(data, c.content) != at {
		return // it is not known which of them it is
	}
	s.before = append(s.before, data[:at+1]...)
	s.after = append(s.after, data[at+len(c.content)-1:]...)
}

// onlyText gives the characters of the text of a chunk that differs from the one before in that alone.
func (s *clientStream) onlyText(data []byte) ([]byte, bool) {
	if len(s.before) == 0 || len(data) <= len(s.before)+len(s.after) || !bytes.HasPrefix(data, s.before) || !bytes.HasSuffix(data, s.after) {
		return nil, false
	}
	text := data[len(s.before) : len(data)-len(s.after)]
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' {
			return nil, false
		}
	}
	return text, utf8.Valid(text)
}
