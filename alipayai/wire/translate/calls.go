package translate

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Calls puts the pieces of a stream's tool calls in an order in which one call follows another, for APIs that want them so.
// Chat completions may mingle those of several calls, and a text with them. A call is over where its arguments are a whole
// object: until then, others wait, and what follows is passed over, as a summary that repeats it. It begins with its first
// arguments, which its whole name comes before; {} may only stand for arguments that are to come. Its zero value is ready.
type Calls struct {
	// Begun is how many have begun.
	Begun int

	places wire.CallPlaces
	calls  []streamedCall
	open   int // the call that is being written, or would be next
	waits  int // how much waits, in bytes
	ids    int // how long the calls' ids are together
	out    []Piece
	later  []laterChunk
}

// laterChunk is a chunk whose text waits for a call's end, and what those before it have told.
type laterChunk struct {
	data   []byte
	before details
}

// streamedCall is a call of a stream.
type streamedCall struct {
	id, name jsontext.Value
	waiting  []byte // characters of arguments
	begun    bool
	over     bool // its arguments are whole
}

// provisional reports whether what waits may stand for arguments that are to come.
func (c *streamedCall) provisional() bool { return !c.begun && string(c.waiting) == "{}" }

// Piece is what may be written of a tool call.
type Piece struct {
	// Begins says that it is a call's first.
	Begins bool
	// ID and Name are the call's, as strings in JSON.
	ID, Name jsontext.Value
	// Arguments are characters.
	Arguments []byte
}

const (
	// maxWaiting bounds what waits for a call's end, and the ids of calls, in bytes, and maxName the bytes of a name, which may come in parts.
	maxWaiting = 8 << 20
	maxName    = 1 << 10
)

// Put gives call and say what may be written now that a chunk has come, of which data was read: the pieces of calls, and
// chunks with a text, which wait for the end of a call that is being written. It fails where too much waits.
func (c *Calls) Put(chunk *Chunk, data []byte, say func(*Chunk), call func(*Piece)) error {
	switch {
	case !chunk.Says():
	case c.unfinished():
		c.later = append(c.later, laterChunk{bytes.Clone(data), chunk.before})
		if err := c.wait(len(data)); err != nil {
			return err
		}
	default:
		c.sayLater(say, call)
		c.leave(call)
		say(chunk)
	}
	pieces, err := c.take(chunk.Calls)
	for i := range pieces {
		call(&pieces[i])
	}
	if !c.unfinished() {
		c.sayLater(say, call)
	}
	return err
}

// End gives call and say what still waits, at the end of the stream: calls that have a name, and texts.
func (c *Calls) End(say func(*Chunk), call func(*Piece)) {
	c.out = c.out[:0]
	c.give(true)
	for i := range c.out {
		call(&c.out[i])
	}
	c.sayLater(say, call)
}

// sayLater gives the texts that have waited.
func (c *Calls) sayLater(say func(*Chunk), call func(*Piece)) {
	later := c.later
	c.later = nil
	for _, one := range later {
		c.waits -= len(one.data)
		chunk := Chunk{details: one.before}
		_ = chunk.Read(one.data) // which has been read before
		c.leave(call)
		say(&chunk)
	}
}

// take gives what may be written now that pieces have come, which are those of one chunk. What it gives is valid until the
// next call, and no longer than the pieces are. It fails where too much waits.
func (c *Calls) take(pieces []CallPiece) ([]Piece, error) {
	c.out = c.out[:0]
	c.places.Chunk()
	for i := range pieces {
		p := &pieces[i]
		place := p.Index
		if place == wire.NoPlace && len(pieces) > 1 && len(Characters(p.ID)) == 0 {
			place = i
		}
		n := c.places.Place(place, Unquote(p.ID), Unquote(p.Name), Unquote(p.Arguments))
		if n == len(c.calls) {
			if n == wire.MaxToolCalls {
				return nil, wire.TooManyCalls()
			}
			c.calls = append(c.calls, streamedCall{})
		}
		call, arguments := &c.calls[n], Characters(p.Arguments)
		if call.id == nil && len(Characters(p.ID)) > 0 {
			call.id = p.ID.Clone()
			if c.ids += len(call.id); c.ids > maxWaiting {
				return nil, fmt.Errorf("%w: the ids of tool calls are too long", wire.ErrMalformed)
			}
		}
		if err := call.named(p.Name); err != nil {
			return nil, err
		}
		over := call.over && !call.provisional()
		call.over = over || c.places.Whole(n)
		switch {
		case len(arguments) == 0, call.provisional() && strings.TrimSpace(Unquote(p.Arguments)) == "":
		case call.provisional():
			c.waits -= len(call.waiting)
			call.waiting = call.waiting[:0]
			fallthrough
		case !over && (n > c.open || !call.begun):
			call.waiting = append(call.waiting, arguments...)
			if err := c.wait(len(arguments)); err != nil {
				return nil, err
			}
		case !over && n == c.open:
			c.out = append(c.out, Piece{Arguments: arguments})
		}
		c.give(false)
	}
	return c.out, nil
}

// named takes the name of a call, which may come in parts, and which some providers repeat.
func (c *streamedCall) named(name jsontext.Value) error {
	switch {
	case len(Characters(name)) == 0, wire.IsNoName(Unquote(name)):
	case c.begun || c.name != nil && (len(c.waiting) > 0 || bytes.Equal(name, c.name)):
	case len(c.name)+len(name) > maxName:
		return fmt.Errorf("%w: a tool's name is too long", wire.ErrMalformed)
	case c.name == nil:
		c.name = name.Clone()
	default:
		c.name = slices.Concat(c.name[:len(c.name)-1], name[1:])
	}
	return nil
}

// give gives what may be written of the open call, and of those after it once it is over, or else all.
func (c *Calls) give(all bool) {
	for ; c.open < len(c.calls); c.open++ {
		call := &c.calls[c.open]
		switch {
		case !call.begun && (call.name == nil || len(call.waiting) == 0) && !all: // there may be more of the name
			return
		case call.provisional() && c.open == len(c.calls)-1 && !all:
			return
		case call.name == nil:
			continue
		}
		c.write(call)
		if !all && (!call.over || c.open == len(c.calls)-1) {
			return
		}
	}
}

// write gives what waits of the open call.
func (c *Calls) write(call *streamedCall) {
	piece := Piece{Begins: !call.begun, Arguments: call.waiting}
	if piece.Begins {
		c.Begun++
		call.begun = true
		piece.Name, piece.ID = call.name, call.id
		if piece.ID == nil {
			piece.ID = strconv.AppendQuote(nil, "call_"+strconv.Itoa(c.open))
		}
	}
	if piece.Begins || len(piece.Arguments) > 0 {
		c.out = append(c.out, piece)
	}
	c.waits -= len(call.waiting)
	call.waiting = nil
}

// unfinished reports whether a call is being written that is not over: a text has to wait for it.
func (c *Calls) unfinished() bool {
	return c.open < len(c.calls) && c.calls[c.open].begun && !c.calls[c.open].over
}

// leave gives what waits of a call that is whole, and ends the one that is being written, if there is one: something else
// follows.
func (c *Calls) leave(give func(*Piece)) {
	c.out = c.out[:0]
	if c.open == len(c.calls) {
		return
	}
	call := &c.calls[c.open]
	if call.provisional() && call.name != nil {
		c.write(call)
	}
	if call.begun {
		c.open++
	}
	for i := range c.out {
		give(&c.out[i])
	}
}

// wait notes that more bytes wait for the end of a call.
func (c *Calls) wait(more int) error {
	if c.waits += more; c.waits > maxWaiting {
		return fmt.Errorf("%w: what stands beside a tool call that does not end is too long", wire.ErrMalformed)
	}
	return nil
}
