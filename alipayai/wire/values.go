package wire

import (
	"bytes"
	"errors"
	"io"
)

// valueFrame finds the ends of JSON values that follow each other.
type valueFrame struct {
	on       bool
	begun    bool // a value has begun, at a byte that is no white space
	depth    int  // of objects and arrays that are open
	inString bool
	escaped  bool
}

// ReadValues has Next give JSON values that follow each other, each on lines of its own or not (JSON Lines, concatenated
// JSON): of an event then Data is the value, Raw the same with the white space before it, and Type nil. What begins with
// neither { nor [ ends with its line. Call it before Next.
func (r *EventReader) ReadValues() { r.values.on = true }

// frameValue is frame for values.
func (r *EventReader) frameValue() bool {
	v := &r.values
	for ; r.framed == 0 && r.scanned < r.filled; r.scanned++ {
		switch c := r.buf[r.scanned]; {
		case v.inString:
			v.inString = v.escaped || c != '"'
			v.escaped = c == '\\' && !v.escaped
		case !v.begun && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
		case c == '{' || c == '[':
			v.begun = true
			v.depth++
		case v.depth > 0 && c == '"':
			v.inString = true
		case v.depth > 0 && (c == '}' || c == ']'):
			if v.depth--; v.depth == 0 {
				r.framed = r.scanned + 1
			}
		case v.depth == 0 && (c == '\n' || c == '\r'):
			r.framed = r.scanned + 1
		default:
			v.begun = true
		}
	}
	if r.framed > 0 {
		r.values = valueFrame{on: true}
	}
	return r.framed > 0
}

// parseValue is parse for values.
func parseValue(raw []byte) Event {
	return Event{Raw: raw, Data: bytes.TrimSpace(bytes.TrimPrefix(raw, byteOrderMark))}
}

// finishValues is finish for values: white space after the last one is its line's end.
func (r *EventReader) finishValues() (Event, error) {
	if rest := parseValue(r.buf[r.start:r.filled]); errors.Is(r.err, io.EOF) && len(rest.Data) > 0 {
		r.err = io.ErrUnexpectedEOF
		return rest, r.err
	}
	return Event{}, r.err
}
