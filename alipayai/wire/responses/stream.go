package responses

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// The kinds of what may be open.
const (
	outputText = "output_text"
	refusal    = "refusal"
	reasoning  = "reasoning"
	called     = "call"
)

// clientStream is where a stream of the Responses API stands.
type clientStream struct {
	chunk        translate.Chunk
	texts        translate.Texts
	begun, ended bool
	sequence     int64

	open string // the kind of what is open: an item, or a part of a message; empty for none
	// said is the message that is open, with the part before the one that is.
	said    message
	content []byte    // characters of what is open
	logs    []byte    // of a text, with commas between them
	before  []byte    // the beginning of each delta of what is open
	cites   citations // of a text

	cited translate.Cited
	spoke bool // it has had a text

	calls  translate.Calls
	tool   *tool
	name   string
	callID []byte

	finish string
	usage  wire.Usage
}

// maxResponse bounds a response that is streamed, in bytes, since its last event has all of it again.
const maxResponse = 64 << 20

// Events appends the events of the Responses API for events of a stream of chat completions, each whole. It fails where
// too much waits for the end of a tool call, and where the response is longer than it may be.
func (w *ClientWriter) Events(dst, canonical []byte) ([]byte, error) {
	w.streams()
	err := translate.EachEvent(canonical, func(data []byte) (err error) {
		if !w.stream.ended {
			dst, err = w.event(dst, data)
		}
		if s := w.stream; len(w.output)+len(s.content)+len(s.said.text)+len(s.logs) > maxResponse {
			return fmt.Errorf("%w: a response of more than %d bytes", wire.ErrMalformed, maxResponse)
		}
		return err
	})
	return dst, err
}

// streams has a place for where the stream stands.
func (w *ClientWriter) streams() {
	if w.stream == nil {
		w.stream = new(clientStream)
	}
}

func (w *ClientWriter) event(dst, data []byte) ([]byte, error) {
	s := w.stream
	if text, ok := s.texts.Only(data); ok && s.open == outputText {
		return s.delta(dst, text, nil), nil
	}
	if bytes.HasPrefix(data, []byte("[DONE]")) {
		return w.end(dst), nil
	}
	c := &s.chunk
	if err := c.Read(data); err != nil {
		return dst, err
	}
	dst = w.start(dst)
	if c.Usage.OK {
		s.usage = c.Usage
	}
	if c.Finish != "" {
		s.finish = c.Finish
	}
	err := s.calls.Put(c, data,
		func(c *translate.Chunk) { dst = w.say(dst, c) }, func(p *translate.Piece) { dst = w.toolCall(dst, p) })
	dst = w.cite(dst, c.Annotations)
	s.texts.Remember(c, data)
	return dst, err
}

// say writes the texts of a chunk.
func (w *ClientWriter) say(dst []byte, c *translate.Chunk) []byte {
	s := w.stream
	if thought := translate.Characters(c.Reasoning); len(thought) > 0 {
		dst = s.delta(w.enter(dst, reasoning), thought, nil)
	}
	if text := translate.Characters(c.Content); len(text) > 0 {
		dst = s.delta(w.enter(dst, outputText), text, elementsOf(c.Logprobs))
		s.spoke = true
	}
	if text := translate.Characters(c.Refusal); len(text) > 0 {
		dst = s.delta(w.enter(dst, refusal), text, nil)
	}
	for _, image := range imagesOf(c.Images) {
		dst = w.image(dst, image)
	}
	return dst
}

// start writes the beginning of the response.
func (w *ClientWriter) start(dst []byte) []byte {
	s := w.stream
	if s.begun {
		return dst
	}
	s.begun = true
	w.begin(&s.chunk)
	for _, name := range []string{"response.created", "response.in_progress"} {
		dst = w.appendResponse(s.head(dst, name, `"response":`), inProgress)
		dst = s.tail(dst)
	}
	return dst
}

// head begins an event, up to what is its own.
func (s *clientStream) head(dst []byte, name, own string) []byte {
	dst = append(append(append(dst, "event: "...), name...), "\ndata: {\"type\":\""...)
	return append(append(append(dst, name...), `",`...), own...)
}

// tail ends an event.
func (s *clientStream) tail(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `,"sequence_number":`...), s.sequence, 10)
	s.sequence++
	return append(dst, "}\n\n"...)
}

// place says where the open item is.
func (w *ClientWriter) place(dst []byte, prefix string) []byte {
	dst = append(w.appendItemID(append(dst, `"item_id":"`...), prefix, w.items), `","output_index":`...)
	return strconv.AppendInt(dst, int64(w.items), 10)
}

// enter opens what is of that kind, unless it is open.
func (w *ClientWriter) enter(dst []byte, kind string) []byte {
	s := w.stream
	if s.open == kind {
		return dst
	}
	if s.open == outputText && kind == refusal {
		dst = w.leavePart(dst)
	} else {
		dst = w.leave(dst, "completed")
		switch kind {
		case reasoning:
			dst = w.added(dst, append(w.appendItemID([]byte(`{"type":"reasoning","id":"`), "rs", w.items), `","summary":[]}`...))
		case outputText, refusal:
			dst = w.added(dst, append(w.appendItemID([]byte(`{"type":"message","id":"`), "msg", w.items), `","status":"in_progress","role":"assistant","content":[]}`...))
		}
	}
	s.open = kind
	switch kind {
	case reasoning:
		dst = w.place(s.head(dst, "response.reasoning_summary_part.added", ""), "rs")
		dst = s.tail(append(dst, `,"summary_index":0,"part":{"type":"summary_text","text":""}`...))
		s.before = append(w.place(s.head(s.before[:0], "response.reasoning_summary_text.delta", ""), "rs"), `,"summary_index":0,"delta":"`...)
	case outputText, refusal:
		dst = w.content(w.place(s.head(dst, "response.content_part.added", ""), "msg"))
		dst = s.tail(appendPart(append(dst, `,"part":`...), kind, nil, nil, nil))
		s.before = append(w.content(w.place(s.head(s.before[:0], "response."+kind+".delta", ""), "msg")), `,"delta":"`...)
	}
	return dst
}

// content says which part of a message is open: a refusal comes after a text.
func (w *ClientWriter) content(dst []byte) []byte {
	index := byte('0')
	if w.stream.open == refusal && len(w.stream.said.text) > 0 {
		index = '1'
	}
	return append(append(dst, `,"content_index":`...), index)
}

// added writes that an item has begun.
func (w *ClientWriter) added(dst, item []byte) []byte {
	dst = strconv.AppendInt(w.stream.head(dst, "response.output_item.added", `"output_index":`), int64(w.items), 10)
	return w.stream.tail(append(append(dst, `,"item":`...), item...))
}

// delta writes more characters of what is open.
func (s *clientStream) delta(dst, characters, logprobs []byte) []byte {
	s.content = append(s.content, characters...)
	dst = append(append(append(dst, s.before...), characters...), '"')
	if s.open == outputText {
		dst = append(append(append(dst, `,"logprobs":[`...), logprobs...), ']')
		s.logs = translate.Join(s.logs, logprobs)
	}
	return s.tail(dst)
}

// leavePart closes the part of a message that is open.
func (w *ClientWriter) leavePart(dst []byte) []byte {
	s := w.stream
	dst = w.content(w.place(s.head(dst, "response."+s.open+".done", ""), "msg"))
	if s.open == outputText {
		dst = append(append(append(dst, `,"logprobs":[`...), s.logs...), `],"text":"`...)
		s.said.text, s.said.logprobs, s.said.cites = s.content, s.logs, s.cites.list
	} else {
		dst = append(dst, `,"refusal":"`...)
		s.said.refusal = s.content
	}
	dst = s.tail(append(append(dst, s.content...), '"'))
	dst = w.content(w.place(s.head(dst, "response.content_part.done", ""), "msg"))
	dst = s.tail(appendPart(append(dst, `,"part":`...), s.open, s.content, s.logs, s.cites.list))
	s.content, s.logs, s.cites = nil, nil, citations{}
	return dst
}

// leave closes the item that is open, with that status.
func (w *ClientWriter) leave(dst []byte, status string) []byte {
	s := w.stream
	var item []byte
	switch s.open {
	case "":
		return dst
	case reasoning:
		dst = w.place(s.head(dst, "response.reasoning_summary_text.done", ""), "rs")
		dst = s.tail(append(append(append(dst, `,"summary_index":0,"text":"`...), s.content...), '"'))
		dst = w.place(s.head(dst, "response.reasoning_summary_part.done", ""), "rs")
		dst = s.tail(append(append(append(dst, `,"summary_index":0,"part":{"type":"summary_text","text":"`...), s.content...), `"}`...))
		item = w.appendReasoning(nil, s.content, status)
	case called:
		dst, item = w.leaveCall(dst, status)
	default:
		dst = w.leavePart(dst)
		item = w.appendMessage(nil, s.said, status)
		s.said = message{}
	}
	s.open, s.content = "", nil
	dst = strconv.AppendInt(s.head(dst, "response.output_item.done", `"output_index":`), int64(w.items), 10)
	dst = s.tail(append(append(dst, `,"item":`...), item...))
	w.done(item)
	return dst
}

// toolCall writes a piece of a tool call.
func (w *ClientWriter) toolCall(dst []byte, p *translate.Piece) []byte {
	s := w.stream
	if p.Begins {
		dst = w.leave(dst, "completed")
		s.open, s.name = called, translate.Unquote(p.Name)
		s.tool = w.Request.c.offered.find(s.name)
		s.callID = p.ID
		dst = w.added(dst, w.appendCall(nil, w.items, s.tool, s.callID, s.name, nil, "in_progress"))
		s.before = append(w.place(s.head(s.before[:0], "response.function_call_arguments.delta", ""), "fc"), `,"delta":"`...)
	}
	return w.arguments(dst, p.Arguments)
}

// arguments writes more of a call's arguments. A custom tool's input is known when all of them are, and so are those of a search.
func (w *ClientWriter) arguments(dst, characters []byte) []byte {
	s := w.stream
	if len(characters) == 0 {
		return dst
	}
	if s.tool != nil && (s.tool.custom || s.tool.search) {
		s.content = append(s.content, characters...)
		return dst
	}
	return s.delta(dst, characters, nil)
}

// leaveCall writes the end of a call, and gives its item.
func (w *ClientWriter) leaveCall(dst []byte, status string) (_, item []byte) {
	s := w.stream
	custom := s.tool != nil && s.tool.custom
	arguments := argumentsOf(s.tool, s.content)
	if s.tool != nil && s.tool.search { // which has no events of its own
		return dst, w.appendCall(nil, w.items, s.tool, s.callID, s.name, arguments, status)
	}
	prefix, name, member := "fc", "response.function_call_arguments", "arguments"
	if custom {
		prefix, name, member = "ctc", "response.custom_tool_call_input", "input"
	}
	if custom && len(arguments) > 0 || len(s.content) == 0 && !custom {
		dst = append(w.place(s.head(dst, name+".delta", ""), prefix), `,"delta":"`...)
		dst = s.tail(append(append(dst, arguments...), '"'))
	}
	dst = append(append(append(w.place(s.head(dst, name+".done", ""), prefix), `,"`...), member...), `":"`...)
	dst = append(append(dst, arguments...), '"')
	if !custom {
		dst = translate.Quote(append(dst, `,"name":`...), w.shownName(s))
	}
	return s.tail(dst), w.appendCall(nil, w.items, s.tool, s.callID, s.name, arguments, status)
}

func (w *ClientWriter) shownName(s *clientStream) string {
	if s.tool != nil {
		return s.tool.name
	}
	return s.name
}

// end writes the end of the response. The usage stands before [DONE] in a stream of chat completions.
func (w *ClientWriter) end(dst []byte) []byte {
	s := w.stream
	dst = w.start(dst)
	how := ended(s.finish)
	how.usage = s.usage
	s.calls.End(func(c *translate.Chunk) { dst = w.say(dst, c) }, func(p *translate.Piece) { dst = w.toolCall(dst, p) })
	switch {
	case s.open == "" && w.items == 0:
		dst = w.enter(dst, outputText)
	case s.open != outputText && s.spoke && s.cited.Waits():
		// What has been cited behind the last text, when that had ended: an item that is done takes no more.
		dst = w.cite(w.enter(dst, outputText), nil)
	}
	dst = w.leave(dst, how.word)
	s.ended = true
	dst = s.head(dst, "response."+how.word, `"response":`)
	return s.tail(w.finish(dst, how))
}

// Broken appends the end of a stream that has broken.
func (w *ClientWriter) Broken(dst []byte, e wire.Error) []byte {
	w.streams()
	s := w.stream
	if s.ended {
		return dst
	}
	dst = w.start(dst)
	s.ended, w.Stored = true, false
	dst = s.tail(appendError(s.head(dst, "error", ""), e))
	dst = w.appendResponse(s.head(dst, "response.failed", `"response":`), status{word: "failed", failed: &e, usage: s.usage})
	return s.tail(dst)
}

func appendError(dst []byte, e wire.Error) []byte {
	code := e.Code
	if code == "" {
		code = errorCode(e)
	}
	dst = translate.Quote(append(dst, `"code":`...), code)
	dst = translate.Quote(append(dst, `,"message":`...), e.Message)
	dst = append(dst, `,"param":`...)
	if e.Param == "" {
		return append(dst, "null"...)
	}
	return translate.Quote(dst, e.Param)
}

// AppendErrorEvent appends the event of a stream in a provider's own words that breaks: how many events it has had is not
// known.
func AppendErrorEvent(dst []byte, e wire.Error) []byte {
	var s clientStream
	return s.tail(appendError(s.head(dst, "error", ""), e))
}
