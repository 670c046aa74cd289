package anthropic

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// DecodeStream implements [wire.Format].
func (f *Format) DecodeStream(ask wire.Ask) wire.StreamDecoder {
	return &decoder{chunks: chunkWriter{created: f.created(), includeUsage: ask.IncludeUsage}, index: -1}
}

// decoder is where a stream stands. What it keeps does not grow with the stream, but for what the open text cites.
type decoder struct {
	chunks chunkWriter
	state  state

	model      string
	usage      usage
	stopReason string
	refusal    jsontext.Value // why the API refused
	free       bool           // it bills nothing for that, if there is no content

	index int    // of the block that is open or was last, -1: none
	kind  string // of the block that is open, empty if it has no counterpart
	calls int    // tool calls begun
	open  []openCall
	cites sources
}

// state is what may come next.
type state int

const (
	awaitingStart state = iota // message_start
	betweenBlocks              // content_block_start or message_delta
	inBlock                    // content_block_delta or content_block_stop
	concluding                 // message_delta or message_stop
	ended                      // nothing
)

// Decode implements [wire.StreamDecoder].
func (d *decoder) Decode(dst []byte, ev wire.Event) ([]byte, wire.Chunk, error) {
	if ev.SaysNothing() || string(ev.Type) == "error" {
		chunk, err := wire.ParseEvent(ev)
		return dst, chunk, err
	}
	if bytes.HasPrefix(ev.Data, []byte("[DONE]")) && d.state == concluding { // proxies put OpenAI's end there
		return d.stop(dst, event{})
	}
	e, err := readEvent(ev.Data)
	if err != nil {
		return dst, wire.Chunk{}, err
	}
	if d.state == awaitingStart && e.kind == "content_block_start" { // some servers leave message_start out
		return d.opened(dst, e)
	}
	var step func([]byte, event) ([]byte, wire.Chunk, error)
	in := d.state
	switch e.kind {
	case "message_start":
		if d.state == betweenBlocks && d.index < 0 {
			d.startAgain(e)
			return dst, wire.Chunk{Again: true}, nil
		}
		step, in = d.start, awaitingStart
	case "content_block_start":
		if d.state == inBlock {
			return d.nextBlock(dst, e)
		}
		step, in = d.startBlock, betweenBlocks
	case "content_block_delta":
		if d.state == betweenBlocks || d.state == inBlock && e.index != d.index {
			return d.unopened(dst, e)
		}
		step, in = d.delta, inBlock
	case "content_block_stop":
		if d.state == betweenBlocks || d.state == inBlock && e.index != d.index {
			// Of a block that has ended, or never began (https://github.com/QuantumNous/new-api/issues/5482), or of a call beside the open one.
			dst, chunk := d.endCall(dst, d.callAt(e.index))
			return dst, chunk, nil
		}
		step, in = d.stopBlock, inBlock
	case "message_delta":
		step = d.conclude
		if d.state == awaitingStart || d.state == ended {
			in = concluding
		}
	case "message_stop":
		step, in = d.stop, concluding
	default:
		return other(dst, ev, e)
	}
	if d.state != in {
		return dst, wire.Chunk{}, malformed("an event of the stream is out of order")
	}
	return step(dst, e)
}

// opened begins the stream with a block.
func (d *decoder) opened(dst []byte, e event) ([]byte, wire.Chunk, error) {
	a := answer{id: jsontext.Value(`""`), model: jsontext.Value(`""`)}
	d.state = betweenBlocks
	d.chunks.head = a.appendHead(nil, "chat.completion.chunk", d.chunks.created)
	dst, chunk, err := d.startBlock(d.chunks.delta(dst, `{"role":"assistant","content":""}`), e)
	chunk.HasChoices = true
	return dst, chunk, err
}

// unopened reads a delta of a block that has not begun, or is not the open one. A text needs no beginning
// (https://github.com/ankitcharolia/kiro-gateway/issues/74); a tool call does, which has its name there, but several may be under way.
func (d *decoder) unopened(dst []byte, e event) (_ []byte, last wire.Chunk, err error) {
	kind, added, err := readDelta(e.delta)
	if err != nil {
		return dst, wire.Chunk{}, err
	}
	of := blockOf(kind)
	if of == "tool_use" {
		return d.arguments(dst, d.callAt(e.index), added)
	}
	if d.state == inBlock && of != d.kind {
		if dst, last, err = d.leaveBlock(dst, false); err != nil {
			return dst, wire.Chunk{}, err
		}
	}
	d.state, d.index, d.kind = inBlock, max(e.index, 0), of
	dst, chunk, err := d.delta(dst, event{index: d.index, delta: e.delta})
	if last.Content {
		chunk = last
	}
	return dst, chunk, err
}

// nextBlock begins a block where the one before it has no content_block_stop: some servers leave that out.
func (d *decoder) nextBlock(dst []byte, e event) ([]byte, wire.Chunk, error) {
	dst, last, err := d.leaveBlock(dst, false)
	if err != nil {
		return dst, wire.Chunk{}, err
	}
	dst, chunk, err := d.startBlock(dst, e)
	if last.Content {
		chunk = last
	}
	return dst, chunk, err
}

// End implements [wire.StreamDecoder]: some servers leave out message_stop, as others do [DONE], but the answer is whole where its
// stop_reason has come (https://github.com/lidge-jun/opencodex/issues/658).
func (d *decoder) End(dst []byte) ([]byte, wire.Chunk, bool) {
	if d.state != concluding {
		return dst, wire.Chunk{}, false
	}
	dst, last, err := d.stop(dst, event{})
	return dst, last, err == nil
}

// other is for ping, error and the events that are not known, which are to be ignored, says Anthropic's guide.
func other(dst []byte, ev wire.Event, e event) ([]byte, wire.Chunk, error) {
	chunk, err := wire.ParseEvent(ev)
	if err == nil && chunk.Failure == nil && e.kind == "" && !isStranger(ev.Type) {
		err = malformed("an event of the stream has no type")
	}
	return dst, wire.Chunk{Answer: wire.Answer{Failure: chunk.Failure}}, err
}

// isStranger reports whether an event has the name of none of Anthropic's, which its SDKs pass over, as a keepalive of a proxy.
func isStranger(name []byte) bool {
	return len(name) > 0 && string(name) != "ping" && !bytes.HasPrefix(name, []byte("message")) && !bytes.HasPrefix(name, []byte("content_block"))
}

func (d *decoder) start(dst []byte, e event) ([]byte, wire.Chunk, error) {
	var a answer
	if err := a.read(e.message); err != nil {
		return dst, wire.Chunk{}, err
	}
	if a.content.Kind() == '[' {
		err := translate.Elements(a.content, func(int, jsontext.Value) error { return malformed("a stream begins with content") })
		if err != nil {
			return dst, wire.Chunk{}, asMalformed(err)
		}
	}
	d.state, d.model, d.usage = betweenBlocks, translate.Unquote(a.model), a.usage
	d.chunks.head = a.appendHead(nil, "chat.completion.chunk", d.chunks.created)
	return d.chunks.delta(dst, `{"role":"assistant","content":""}`), d.chunk(), nil
}

// startAgain reads a message_start that some servers send twice, or many times (https://github.com/MoonshotAI/Kimi-K2.5/issues/33). What
// it counts is the later word; the message is known already, so that one that cannot be read fails nothing.
func (d *decoder) startAgain(e event) {
	var a answer
	if a.read(e.message) == nil && a.usage.ok && a.usage.input > 0 {
		d.usage = a.usage
	}
}

func (d *decoder) startBlock(dst []byte, e event) ([]byte, wire.Chunk, error) {
	b, err := readBlock(e.block)
	if err != nil {
		return dst, wire.Chunk{}, asMalformed(err)
	}
	d.state, d.index, d.kind = inBlock, e.index, b.kind // which some servers give to several
	switch b.kind {
	case "text":
		return d.text(dst, "content", b.text)
	case "thinking":
		return d.text(dst, "reasoning_content", b.thinking)
	case "tool_use":
		return d.beginCall(dst, e.index, b)
	case "fallback":
		d.usage.hop(&b)
	}
	d.kind = ""
	return dst, wire.Chunk{}, nil
}

func (d *decoder) delta(dst []byte, e event) ([]byte, wire.Chunk, error) {
	kind, v, err := readDelta(e.delta)
	if err != nil {
		return dst, wire.Chunk{}, err
	}
	of := blockOf(kind)
	switch {
	case kind == "citations_delta" && d.kind == "text":
		d.cites.cite(v.Clone())
		return dst, wire.Chunk{}, nil
	case of == "" || d.kind == "": // signatures, and what there is no counterpart of
		return dst, wire.Chunk{}, nil
	case of != d.kind:
		return dst, wire.Chunk{}, malformed("a delta is not of its block's kind")
	case of == "text":
		return d.text(dst, "content", v)
	case of == "thinking":
		return d.text(dst, "reasoning_content", v)
	}
	return d.arguments(dst, d.callAt(d.index), v)
}

// readDelta gives the kind of a delta and what it adds, nothing for null: a string, or of a citation an object.
func readDelta(v jsontext.Value) (kind string, added jsontext.Value, err error) {
	of := make(map[string]jsontext.Value, 1)
	err = translate.Members(v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			kind = translate.Unquote(v)
		case "text", "thinking", "partial_json":
			orEmpty(&v, `""`)
			of[name] = v
		case "citation":
			of[name] = v
		}
		return nil
	})
	if err != nil {
		return "", nil, asMalformed(err)
	}
	switch kind {
	case "text_delta":
		added = of["text"]
	case "thinking_delta":
		added = of["thinking"]
	case "input_json_delta":
		added = of["partial_json"]
	case "citations_delta":
		added = of["citation"]
	}
	return kind, added, nil
}

// blockOf gives the kind of the blocks that such deltas belong to, empty for deltas that have no counterpart.
func blockOf(delta string) string {
	switch delta {
	case "text_delta":
		return "text"
	case "thinking_delta":
		return "thinking"
	case "input_json_delta":
		return "tool_use"
	}
	return ""
}

func (d *decoder) stopBlock(dst []byte, e event) ([]byte, wire.Chunk, error) {
	if e.index != d.index {
		return dst, wire.Chunk{}, malformed("the block that ends is not the open one")
	}
	return d.leaveBlock(dst, true)
}

// leaveBlock leaves the open block, which has been told to end, or is passed over for another one.
func (d *decoder) leaveBlock(dst []byte, told bool) ([]byte, wire.Chunk, error) {
	d.state = betweenBlocks
	d.cites.leave()
	if cites := d.cites.take(); cites != nil {
		return d.chunks.delta(dst, `{"annotations":`, string(cites), "}"), d.chunk(), nil
	}
	var chunk wire.Chunk
	if place := d.callAt(d.index); d.kind == "tool_use" && place >= 0 && (told || d.open[place].isWhole()) {
		dst, chunk = d.endCall(dst, place)
	}
	return dst, chunk, nil
}

func (d *decoder) conclude(dst []byte, e event) ([]byte, wire.Chunk, error) {
	err := translate.Members(e.delta, func(name string, v jsontext.Value) (err error) {
		switch {
		case name == "stop_reason" && v.Kind() != 'n':
			v, err = word(v)
			d.state, d.stopReason = concluding, wire.Visible(translate.Unquote(v))
		case name == "stop_details":
			d.refusal, d.free = explanation(v).Clone(), freeRefusal(v)
		}
		return err
	})
	if err == nil {
		err = d.usage.read(e.usage)
	}
	d.usage.unbilled = d.free && d.index < 0 && d.stopReason == refusal
	if err != nil {
		return dst, wire.Chunk{}, asMalformed(err)
	}
	var chunk wire.Chunk
	if d.state == concluding {
		dst, chunk = d.endCalls(dst)
	}
	chunk.Model, chunk.Usage = d.model, d.usage.wire()
	return dst, chunk, nil
}

func (d *decoder) stop(dst []byte, _ event) ([]byte, wire.Chunk, error) {
	d.state = ended
	chunk := d.chunk()
	chunk.FinishReason, chunk.Done = finishReason(d.stopReason, d.calls), true
	if d.refusal != nil {
		dst = d.chunks.text(dst, "refusal", d.refusal)
	}
	return d.chunks.end(dst, finishWord(chunk.FinishReason), d.usage), chunk, nil
}

// text gives a piece of text, nothing for an empty one.
func (d *decoder) text(dst []byte, field string, v jsontext.Value) ([]byte, wire.Chunk, error) {
	if v.Kind() != '"' {
		return dst, wire.Chunk{}, malformed("a delta without its text")
	}
	if len(translate.Characters(v)) == 0 {
		return dst, wire.Chunk{}, nil
	}
	if field == "content" {
		d.cites.say(v)
	}
	return d.chunks.text(dst, field, v), d.content(), nil
}

func (d *decoder) chunk() wire.Chunk {
	return wire.Chunk{Answer: wire.Answer{Model: d.model, HasChoices: true, Usage: d.usage.wire()}}
}

func (d *decoder) content() wire.Chunk {
	return wire.Chunk{Answer: wire.Answer{Model: d.model, HasChoices: true, Content: true}}
}
