package anthropic

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// openCall is where a tool call of a stream stands. Servers that translate have several under way at once, as OpenAI's form
// allows (https://github.com/sgl-project/sglang/pull/24294, https://github.com/Wei-Shaw/sub2api/pull/4294), and Anthropic's SDKs put each together by its index.
type openCall struct {
	index int            // of its block
	input jsontext.Value // its arguments unless deltas give some; nil once some are given
	ended bool
}

// isWhole reports whether the arguments came with the beginning of the block.
func (c openCall) isWhole() bool { return len(bytes.Trim(c.input, "{} \t\r\n")) > 0 }

// callAt gives the number of the call under way that such a block has; -1 if there is none.
func (d *decoder) callAt(index int) int {
	for n, call := range slices.Backward(d.calls) {
		if call.index == index && !call.ended {
			return n
		}
	}
	return -1
}

// arguments gives a piece of the arguments of the n-th call, nothing for an empty one.
func (d *decoder) arguments(dst []byte, n int, v jsontext.Value) ([]byte, wire.Chunk, error) {
	switch {
	case n < 0:
		return dst, wire.Chunk{}, malformed("a delta is of no tool call under way")
	case v.Kind() != '"':
		return dst, wire.Chunk{}, malformed("a delta without its JSON")
	case len(translate.Characters(v)) == 0:
		return dst, wire.Chunk{}, nil
	}
	d.calls[n].input = nil
	return d.chunks.arguments(dst, n, v), d.content(), nil
}

// leaveCall ends the n-th call; -1 is none.
func (d *decoder) leaveCall(dst []byte, n int) ([]byte, wire.Chunk, error) {
	if n < 0 {
		return dst, wire.Chunk{}, nil
	}
	d.calls[n].ended = true
	if d.calls[n].input == nil {
		return dst, wire.Chunk{}, nil
	}
	return d.arguments(dst, n, translate.Quote(nil, string(d.calls[n].input)))
}

// leaveCalls ends the calls whose blocks have no content_block_stop.
func (d *decoder) leaveCalls(dst []byte) (_ []byte, chunk wire.Chunk, err error) {
	for n := range d.calls {
		if d.calls[n].ended {
			continue
		}
		var given wire.Chunk
		if dst, given, err = d.leaveCall(dst, n); err != nil {
			return dst, chunk, err
		}
		if given.Content {
			chunk = given
		}
	}
	return dst, chunk, nil
}
