package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// object is a JSON object whose fields are all known, as the strict readers of
// Anthropic and of the Open Platform want it. The first thing that is wrong
// anywhere in the request stays in err, which its objects share; what is read
// after it has no meaning.
type object struct {
	at     string // its place, "" for the whole body
	fields map[string]json.RawMessage
	err    *error
}

// newObject reads a body.
func newObject(body []byte, known ...string) object {
	return object{err: new(error)}.read("", body, known)
}

// child reads an object within o.
func (o object) child(name string, data []byte, known ...string) object {
	return o.read(o.place(name), data, known)
}

func (o object) read(at string, data []byte, known []string) object {
	in := object{at: at, err: o.err}
	if err := json.Unmarshal(data, &in.fields); err != nil || in.fields == nil {
		in.wrong("", "Input should be an object")
		return in
	}
	for _, name := range slices.Sorted(maps.Keys(in.fields)) {
		if !slices.Contains(known, name) {
			in.wrong(name, "Extra inputs are not permitted")
		}
	}
	return in
}

func (o object) place(name string) string {
	if o.at == "" || name == "" {
		return o.at + name
	}
	return o.at + "." + name
}

// wrong notes what is wrong with a field, unless something was already.
func (o object) wrong(name, format string, args ...any) {
	if *o.err != nil {
		return
	}
	message := fmt.Sprintf(format, args...)
	if at := o.place(name); at != "" {
		message = at + ": " + message
	}
	*o.err = errors.New(message)
}

func (o object) has(name string) bool {
	_, ok := o.fields[name]
	return ok
}

// optional reads a field into v where it is there, and reports whether it was.
// kind is what it should be, in words.
func (o object) optional(name, kind string, v any) bool {
	raw, ok := o.fields[name]
	if !ok {
		return false
	}
	if string(raw) == "null" || json.Unmarshal(raw, v) != nil {
		o.wrong(name, "Input should be a valid %s", kind)
		return false
	}
	return true
}

// required reads a field into v.
func (o object) required(name, kind string, v any) {
	if !o.has(name) {
		o.wrong(name, "Field required")
		return
	}
	o.optional(name, kind, v)
}

// word reads an optional string that is one of a few.
func (o object) word(name string, known ...string) (word string) {
	if o.optional(name, "string", &word) && !slices.Contains(known, word) {
		o.wrong(name, "Input should be one of %s", quoted(known))
	}
	return word
}

// number reads an optional number within bounds.
func (o object) number(name string, least, most float64) {
	var n float64
	if o.optional(name, "number", &n) && (n < least || n > most) {
		o.wrong(name, "Input should be %v to %v", least, most)
	}
}

func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strconv.Quote(w)
	}
	return strings.Join(out, ", ")
}

// entry names an element of a list.
func entry(list string, i int) string { return list + "." + strconv.Itoa(i) }
