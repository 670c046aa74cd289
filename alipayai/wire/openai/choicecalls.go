package openai

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// choiceCalls are the calls of a choice.
type choiceCalls struct {
	places wire.CallPlaces
	// indexes are those by which the client knows the calls, by their places here.
	indexes map[int]int
	// named says that one of them has a name, without which it calls nothing.
	named bool
	// silent are those of functions that have had no arguments yet, by their places.
	silent []int
	// stood says that {} has stood for a call's arguments, which are silent then.
	stood bool
	// calling says that the last finish reason is one that a choice with tool calls may have.
	calling bool
	// said is what the client has of each call, by its place.
	said []saidCall
}

// saidCall is what the client has of a call.
type saidCall struct {
	name      string
	id, begun bool // its id, and of its arguments
	// whole says that these are a whole object, and empty that it is {}, which has stood for them where stood is set.
	whole, empty, stood bool
}

// hasID reports whether the client has the id of a call.
func (c *choiceCalls) hasID(call int) bool { return call < len(c.said) && c.said[call].id }

// repeats reports whether the id and the name of a piece say nothing new of a call, as those of pieces do that come later.
func (c *choiceCalls) repeats(call int, p *callPiece) (id, name bool) {
	for len(c.said) <= call {
		c.said = append(c.said, saidCall{})
	}
	said := &c.said[call]
	id = said.id && p.idAt != (span{})
	name = said.name != "" && p.nameIn != (span{}) && (said.begun || p.name == said.name || p.name == "" || wire.IsNoName(p.name))
	if !name && !wire.IsNoName(p.name) && len(said.name) < maxName {
		said.name += strings.Clone(p.name[:min(len(p.name), maxName)])
	}
	said.id = said.id || p.id != "" || said.name != "" // with which it has been given one
	said.begun = said.begun || p.arguments != ""
	return id, name
}

// repeatsArguments reports whether a piece has arguments behind those of a call that are whole, as a summary that says all of them again:
// https://github.com/vllm-project/vllm/pull/31438. Behind {} they may be the ones that it has stood for.
func (c *choiceCalls) repeatsArguments(call int, p *callPiece) bool {
	for len(c.said) <= call {
		c.said = append(c.said, saidCall{})
	}
	said, more := &c.said[call], strings.TrimSpace(p.arguments)
	switch {
	case said.whole && !said.empty:
		return more != ""
	case said.empty && more == "{}" && !slices.Contains(c.silent, call):
		return true
	}
	said.empty = !said.begun && more == "{}" || said.empty && more == ""
	said.whole = c.places.Whole(call)
	return false
}

// maxName bounds what is remembered of a call's name, in bytes, and maxIndex how the index of a choice is written.
const (
	maxName  = 1 << 10
	maxIndex = 32
)

// hear notes whether a piece brings arguments.
func (c *choiceCalls) hear(call int, begins bool, p *callPiece) {
	said := strings.TrimSpace(p.arguments) != ""
	switch at := slices.Index(c.silent, call); {
	case begins && p.ofFunction && !said:
		c.silent = append(c.silent, call)
	case at >= 0 && said:
		c.silent = slices.Delete(c.silent, at, at+1)
	}
}

// rest gives the pieces that calls lack which have ended without arguments, with commas between them: of the first calls, as many as
// began before.
func (c *choiceCalls) rest(before int) []byte {
	return c.end(func(call int) bool { return call < before })
}

// before gives the pieces of those for whose arguments {} has stood until the call of that number begins.
func (c *choiceCalls) before(begins int) []byte {
	return c.end(func(call int) bool { return call < begins && c.said[call].stood })
}

// end gives the pieces that those silent calls lack which have ended, with commas between them.
func (c *choiceCalls) end(ended func(call int) bool) (pieces []byte) {
	c.silent = slices.DeleteFunc(c.silent, func(call int) bool {
		if !ended(call) {
			return false
		}
		piece := strconv.AppendInt([]byte(`{"index":`), int64(c.index(call)), 10)
		pieces = translate.Join(pieces, append(piece, `,"function":{"arguments":"{}"}}`...))
		return true
	})
	return pieces
}

// index gives the index by which the client is to know a call.
func (c *choiceCalls) index(call int) int {
	index, known := c.indexes[call]
	if !known {
		if c.indexes == nil {
			c.indexes = make(map[int]int)
		}
		index = len(c.indexes)
		c.indexes[call] = index
	}
	return index
}
