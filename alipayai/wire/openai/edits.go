package openai

import (
	"cmp"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// span is a part of a body.
type span struct{ start, end int }

// member is a member of an object. The key is its name as written.
type member struct {
	name       string
	key, value span
}

// all is the member with its name.
func (m member) all() span { return span{m.key.start, m.value.end} }

// edit replaces a part of a body.
type edit struct {
	span
	text []byte
}

// edits are made in one body, which is strict JSON.
type edits struct {
	body []byte
	list []edit
	// room is where the members of objects are put, one after the other. It is from a pool.
	room *[]member
}

// rooms are those of edits that have ended.
var rooms = sync.Pool{New: func() any { return new([]member) }}

// maxRoom is the largest room, in members, that is kept.
const maxRoom = 1 << 10

// release gives the room back. Members of objects are not to be used after it.
func (e *edits) release() {
	if e.room != nil && cap(*e.room) <= maxRoom {
		clear(*e.room)
		*e.room = (*e.room)[:0]
		rooms.Put(e.room)
	}
	e.room = nil
}

func (e *edits) text(s span) jsontext.Value { return e.body[s.start:s.end:s.end] }

func (e *edits) replace(s span, text []byte) { e.list = append(e.list, edit{s, text}) }

func (e *edits) insert(at int, text []byte) { e.replace(span{at, at}, text) }

// remove takes the items of one object or array out for which gone says so, each with a comma.
func (e *edits) remove(items []span, gone func(i int) bool) {
	kept := false
	for i, item := range items {
		switch {
		case !gone(i):
			kept = true
		case kept:
			e.replace(span{items[i-1].end, item.end}, nil)
		case i+1 < len(items):
			e.replace(span{item.start, items[i+1].start}, nil)
		default:
			e.replace(item, nil)
		}
	}
}

// apply gives the body with the edits made; where there are none, the body itself.
func (e *edits) apply() []byte {
	if len(e.list) == 0 {
		return e.body
	}
	// What is inserted stands before what is replaced at the same place.
	slices.SortStableFunc(e.list, func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
	size := len(e.body)
	for _, one := range e.list {
		size += len(one.text)
	}
	out, at := make([]byte, 0, size), 0
	for _, one := range e.list {
		if one.start < at {
			continue // within a part that is taken out
		}
		out = append(append(out, e.body[at:one.start]...), one.text...)
		at = one.end
	}
	return append(out, e.body[at:]...)
}

// members are those of the object at s; none where it is no object.
func (e *edits) members(s span) (list []member) {
	dec := translate.Decode(e.text(s))
	defer dec.Close()
	if dec.PeekKind() == '{' {
		_, list = e.nextObject(dec, s.start)
	}
	return list
}

// nextObject reads the object that comes next in a text that begins at offset.
func (e *edits) nextObject(dec *translate.Decoder, offset int) (s span, list []member) {
	if _, err := dec.ReadToken(); err != nil {
		return s, nil
	}
	if e.room == nil {
		e.room = rooms.Get().(*[]member)
	}
	s.start = offset + int(dec.InputOffset()) - len("{")
	room := *e.room
	first := len(room)
	for dec.PeekKind() != '}' {
		key, err := next(dec, offset)
		if err != nil {
			break
		}
		value, err := next(dec, offset)
		if err != nil {
			break
		}
		room = append(room, member{translate.Name(e.text(key)), key, value})
	}
	*e.room = room
	if _, err := dec.ReadToken(); err == nil { // which is the end
		s.end = offset + int(dec.InputOffset())
	}
	return s, room[first:len(room):len(room)]
}

// conversation are the messages of the array at s, each with its members; none where it is no array.
func (e *edits) conversation(s span) (list []message) {
	e.each(s, '[', func(dec *translate.Decoder) bool {
		var m message
		var err error
		if dec.PeekKind() == '{' {
			m.span, m.members = e.nextObject(dec, s.start)
		} else {
			m.span, err = next(dec, s.start)
		}
		if list == nil {
			list = make([]message, 0, 8)
		}
		list = append(list, m)
		return err == nil
	})
	return list
}

// elements are those of the array at s; none where it is no array.
func (e *edits) elements(s span) (list []span) {
	e.each(s, '[', func(dec *translate.Decoder) bool {
		v, err := next(dec, s.start)
		if list == nil {
			list = make([]span, 0, 8)
		}
		list = append(list, v)
		return err == nil
	})
	return list
}

// each calls read for what stands in the value at s, if that is of the kind.
func (e *edits) each(s span, kind jsontext.Kind, read func(dec *translate.Decoder) bool) {
	dec := translate.Decode(e.text(s))
	defer dec.Close()
	if dec.PeekKind() != kind {
		return
	}
	if _, err := dec.ReadToken(); err != nil {
		return
	}
	for k := dec.PeekKind(); k != '}' && k != ']' && k != jsontext.KindInvalid; k = dec.PeekKind() {
		if !read(dec) {
			return
		}
	}
}

// next reads a value of the text that begins at offset.
func next(dec *translate.Decoder, offset int) (span, error) {
	v, err := dec.ReadValue()
	end := offset + int(dec.InputOffset())
	return span{end - len(v), end}, err
}

// quote gives s as a JSON string.
func quote(s string) []byte { return translate.Quote(nil, s) }

// editChoices gives an answer, or the chunk of one, with each of its choices as edit leaves it. Every other byte is as it was.
func editChoices(body []byte, edit func(e *edits, choice span)) []byte {
	e := edits{body: body}
	defer e.release()
	for _, top := range e.members(span{0, len(body)}) {
		if top.name != "choices" {
			continue
		}
		for _, choice := range e.elements(top.value) {
			edit(&e, choice)
		}
	}
	return e.apply()
}
