package anthropic

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// openCall is a tool call of a stream that has not ended. Servers that translate have several under way at once, as OpenAI's form
// allows (https://github.com/sgl-project/sglang/pull/24294, https://github.com/Wei-Shaw/sub2api/pull/4294), and Anthropic's SDKs put each together by its index.
type openCall struct {
	number int            // among all of the answer
	index  int            // of its block
	input  jsontext.Value // its arguments unless deltas give some; nil once some are given
}

// isWhole reports whether the arguments came with the beginning of the block.
func (c openCall) isWhole() bool { return len(bytes.Trim(c.input, "{} \t\r\n")) > 0 }

// beginCall begins the call of a block at an index. As many as an answer may have that is translated may be under way at once.
func (d *decoder) beginCall(dst []byte, index int, b block) ([]byte, wire.Chunk, error) {
	if len(d.open) == wire.MaxToolCalls {
		return dst, wire.Chunk{}, wire.TooManyCalls()
	}
	n := d.calls
	d.calls++
	d.open = append(d.open, openCall{number: n, index: index, input: b.input.Clone()})
	return d.chunks.call(dst, n, b.callID(n), b.name), d.content(), nil
}

// callAt gives the place among those open of the last call with such a block; -1 if there is none.
func (d *decoder) callAt(index int) int {
	for i, call := range slices.Backward(d.open) {
		if call.index == index {
			return i
		}
	}
	return -1
}

// arguments gives a piece of the arguments of the call at that place, nothing for an empty one.
func (d *decoder) arguments(dst []byte, place int, v jsontext.Value) ([]byte, wire.Chunk, error) {
	switch {
	case place < 0:
		return dst, wire.Chunk{}, malformed("a delta is of no tool call under way")
	case v.Kind() != '"':
		return dst, wire.Chunk{}, malformed("a delta without its JSON")
	case len(translate.Characters(v)) == 0:
		return dst, wire.Chunk{}, nil
	}
	d.open[place].input = nil
	return d.chunks.arguments(dst, d.open[place].number, v), d.content(), nil
}

// endCall ends the call at that place, if it is one: with what it began with, where no delta has come.
func (d *decoder) endCall(dst []byte, place int) ([]byte, wire.Chunk) {
	if place < 0 {
		return dst, wire.Chunk{}
	}
	call := d.open[place]
	d.open = slices.Delete(d.open, place, place+1)
	if call.input == nil {
		return dst, wire.Chunk{}
	}
	return d.chunks.arguments(dst, call.number, translate.Quote(nil, string(call.input))), d.content()
}

// endCalls ends the calls whose blocks have no content_block_stop.
func (d *decoder) endCalls(dst []byte) (_ []byte, last wire.Chunk) {
	for len(d.open) > 0 {
		var chunk wire.Chunk
		if dst, chunk = d.endCall(dst, 0); chunk.Content {
			last = chunk
		}
	}
	return dst, last
}
