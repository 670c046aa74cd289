package translate

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// piece is a piece of a call, of which empty strings are not there.
func piece(place int, id, name, arguments string) CallPiece {
	quoted := func(s string) jsontext.Value {
		if s == "" {
			return nil
		}
		return Quote(nil, s)
	}
	return CallPiece{Index: place, ID: quoted(id), Name: quoted(name), Arguments: quoted(arguments)}
}

// written puts the pieces of a stream's chunks together as they are written: each call's name, and its arguments.
func written(c *Calls, chunks ...[]CallPiece) (calls []string, err error) {
	add := func(p *Piece) {
		if p.Begins {
			calls = append(calls, Unquote(p.Name)+" ")
		}
		calls[len(calls)-1] += Unquote(slices.Concat([]byte{'"'}, p.Arguments, []byte{'"'}))
	}
	for _, pieces := range chunks {
		if err := c.Put(&Chunk{Calls: pieces}, nil, nil, add); err != nil {
			return calls, err
		}
	}
	c.End(nil, add)
	return calls, nil
}

func TestCalls(t *testing.T) {
	const none = wire.NoPlace
	f := piece(0, "A", "f", `{"a":1}`)
	for name, tt := range map[string]struct {
		chunks [][]CallPiece
		want   []string
	}{
		"a summary in one piece":  {[][]CallPiece{{f}, {piece(0, "", "", `{"a":1}`)}}, []string{`f {"a":1}`}},
		"a summary in pieces":     {[][]CallPiece{{f}, {piece(0, "", "", `{"a":`)}, {piece(0, "", "", `1}`)}}, []string{`f {"a":1}`}},
		"a summary that is cut":   {[][]CallPiece{{f}, {piece(0, "", "", `{"a":`)}, {piece(1, "B", "g", `{}`)}}, []string{`f {"a":1}`, `g {}`}},
		"arguments after {}":      {[][]CallPiece{{piece(0, "A", "f", `{}`)}, {piece(0, "", "", `{"a":`)}, {piece(0, "", "", `1}`)}}, []string{`f {"a":1}`}},
		"white space after {}":    {[][]CallPiece{{piece(0, "A", "f", `{}`)}, {piece(0, "", "", "\n")}, {piece(0, "", "", " ")}}, []string{`f {}`}},
		"ids in another order":    {[][]CallPiece{{piece(none, "A", "f", ""), piece(none, "B", "g", "")}, {piece(none, "B", "", `{"b":2}`), piece(none, "A", "", `{"a":1}`)}}, []string{`f {"a":1}`, `g {"b":2}`}},
		"ids of a later chunk":    {[][]CallPiece{{piece(none, "A", "f", "")}, {piece(none, "B", "g", ""), piece(none, "C", "h", "{}")}, {piece(none, "A", "", `{"a":1}`), piece(none, "B", "", `{"b":2}`)}}, []string{`f {"a":1}`, `g {"b":2}`, `h {}`}},
		"a name in words of none": {[][]CallPiece{{piece(0, "A", "f", "")}, {piece(0, "", "null", `{}`)}}, []string{`f {}`}},
	} {
		t.Run(name, func(t *testing.T) {
			var c Calls
			if got, err := written(&c, tt.chunks...); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
			if c.waits != 0 {
				t.Errorf("%d bytes wait in the end", c.waits)
			}
		})
	}
}

// A stream without end is cut before it takes memory without end.
func TestCallsWithoutEnd(t *testing.T) {
	for name, next := range map[string]func(n int) CallPiece{
		"calls":     func(n int) CallPiece { return piece(0, strconv.Itoa(n), "f", "{}") },
		"a name":    func(n int) CallPiece { return piece(0, "A", "name"+strconv.Itoa(n), "") },
		"arguments": func(n int) CallPiece { return piece(min(n, 1), "", "f", `{"`+string(make([]byte, 1<<16))) },
	} {
		t.Run(name, func(t *testing.T) {
			var c Calls
			for n := range 1 << 12 {
				if _, err := c.take([]CallPiece{next(n)}); errors.Is(err, wire.ErrMalformed) {
					return
				}
			}
			t.Error("it goes on")
		})
	}
}
