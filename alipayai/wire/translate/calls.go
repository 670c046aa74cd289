package translate

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Calls puts the pieces of a stream's tool calls in an order in which one call follows another, for APIs that want them so.
// Chat completions may mingle those of several calls, and a text with them. A call is over where its arguments are a whole
// object; until then, others wait. It begins with its first arguments, which its whole name comes before. Its zero value is ready.
type Calls struct {
	// Begun is how many have begun.
	Begun int

	places wire.CallPlaces
	calls  []streamedCall
	open   int // the call that is being written, or would be next
	waits  int // how much waits, in bytes
	out    []Piece
}

// streamedCall is a call of a stream.
type streamedCall struct {
	id, name jsontext.Value
	waiting  []byte // characters of arguments
	begun    bool
}

// Piece is what may be written of a tool call.
type Piece struct {
	// Begins says that it is a call's first.
	Begins bool
	// ID and Name are the call's, as strings in JSON.
	ID, Name jsontext.Value
	// Arguments are characters.
	Arguments []byte
}

// maxWaiting bounds what waits for a call's end, in bytes.
const maxWaiting = 8 << 20

// Take gives what may be written now that pieces have come, which are those of one chunk. What it gives is valid until the
// next call, and no longer than the pieces are. It fails for a piece of a call that is over.
func (c *Calls) Take(pieces []CallPiece) ([]Piece, error) {
	c.out = c.out[:0]
	for i := range pieces {
		p := &pieces[i]
		place := p.Index
		if place == wire.NoPlace && len(pieces) > 1 {
			place = i
		}
		n := c.places.Place(place, Unquote(p.ID), Unquote(p.Name), Unquote(p.Arguments))
		if n == len(c.calls) {
			c.calls = append(c.calls, streamedCall{})
		}
		call, arguments := &c.calls[n], Characters(p.Arguments)
		if call.id == nil && len(Characters(p.ID)) > 0 {
			call.id = p.ID.Clone()
		}
		call.named(p.Name)
		switch {
		case n < c.open:
			if len(bytes.TrimSpace([]byte(Unquote(p.Arguments)))) > 0 {
				return nil, fmt.Errorf("%w: a tool call goes on after it has ended", wire.ErrMalformed)
			}
		case n == c.open && call.begun && len(arguments) > 0:
			c.out = append(c.out, Piece{Arguments: arguments})
		default:
			call.waiting = append(call.waiting, arguments...)
			if err := c.Wait(len(arguments)); err != nil {
				return nil, err
			}
		}
		c.give(false)
	}
	return c.out, nil
}

// named takes the name of a call, which may come in parts, and which some providers repeat.
func (c *streamedCall) named(name jsontext.Value) {
	switch {
	case len(Characters(name)) == 0:
	case c.name == nil:
		c.name = name.Clone()
	case !c.begun && len(c.waiting) == 0 && !bytes.Equal(name, c.name):
		c.name = slices.Concat(c.name[:len(c.name)-1], name[1:])
	}
}

// Rest gives what still waits, at the end of the stream: calls that have a name.
func (c *Calls) Rest() []Piece {
	c.out = c.out[:0]
	c.give(true)
	return c.out
}

// give gives what may be written of the open call, and of those after it once it is over, or else all.
func (c *Calls) give(all bool) {
	for ; c.open < len(c.calls); c.open++ {
		call := &c.calls[c.open]
		switch {
		case !call.begun && (call.name == nil || len(call.waiting) == 0) && !all: // there may be more of the name
			return
		case call.name == nil:
			continue
		case !call.begun:
			c.Begun++
			call.begun = true
			id := call.id
			if id == nil {
				id = strconv.AppendQuote(nil, "call_"+strconv.Itoa(c.open))
			}
			c.out = append(c.out, Piece{Begins: true, ID: id, Name: call.name, Arguments: call.waiting})
		case len(call.waiting) > 0:
			c.out = append(c.out, Piece{Arguments: call.waiting})
		}
		c.waits -= len(call.waiting)
		call.waiting = nil
		if !all && (!c.places.Whole(c.open) || c.open == len(c.calls)-1) {
			return
		}
	}
}

// Unfinished reports whether a call is being written that is not over: a text has to wait for it.
func (c *Calls) Unfinished() bool {
	return c.open < len(c.calls) && c.calls[c.open].begun && !c.places.Whole(c.open)
}

// Leave ends the call that is being written, if there is one: something else follows.
func (c *Calls) Leave() {
	if c.open < len(c.calls) && c.calls[c.open].begun {
		c.open++
	}
}

// Wait notes that more bytes wait for the end of a call.
func (c *Calls) Wait(more int) error {
	if c.waits += more; c.waits > maxWaiting {
		return fmt.Errorf("%w: what stands beside a tool call that does not end is too long", wire.ErrMalformed)
	}
	return nil
}
