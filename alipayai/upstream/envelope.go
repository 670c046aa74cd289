package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/signer"
)

// RequestFields say what is around a request, by paths as [wire.ParsePath] reads them: the model call, in OpenAI's form, and
// further members beside it.
type RequestFields struct {
	// Inside is the member that holds the model call; empty for the top, where further members then stand as well.
	Inside string
	// Text says that it holds it as JSON in a string.
	Text bool
	// Fields are further members whose values are strings, and Values those whose values are JSON, by their paths. They are
	// templates as [signer.ParseText] reads them.
	Fields, Values map[string]string
	// Time and Zone are the form of {time}, as in a [signer.LayoutConfig].
	Time, Zone string
}

// envelope is what is around requests: pieces of JSON, between which stand what changes from request to request.
type envelope struct {
	pieces []piece
	// beside are the names of the members that stand beside those of the model call, in its own object; nil with a path.
	beside []string
	nonce  bool
}

type piece struct {
	literal string
	text    signer.Text
	kind    pieceKind
}

type pieceKind uint8

const (
	pieceLiteral  pieceKind = iota
	pieceString             // a text within a string
	pieceValue              // a text that is JSON
	pieceCall               // the model call
	pieceCallText           // the model call, in a string
	pieceMembers            // the members of the model call
)

// node is a member while the envelope is built: an object of others, or a piece.
type node struct {
	members map[string]*node
	piece   piece
}

// newEnvelope checks the fields. Errors name the option as a Caddyfile has it.
func newEnvelope(f RequestFields) (*envelope, error) {
	root, e := &node{members: make(map[string]*node)}, new(envelope)
	add := func(option, path string, p piece) error {
		names, err := wire.ParsePath(path)
		if err != nil {
			return fmt.Errorf("%s %q %w; write the names of the members to go through, like data.app_id", option, path, err)
		}
		at := root
		for _, name := range names[:len(names)-1] {
			next := at.members[name]
			if next == nil {
				next = &node{members: make(map[string]*node)}
				at.members[name] = next
			}
			if at = next; at.members == nil {
				return fmt.Errorf("%s %s is inside of another that is no object", option, path)
			}
		}
		last := names[len(names)-1]
		if at.members[last] != nil {
			return fmt.Errorf("%s %s has another value already", option, path)
		}
		at.members[last] = &node{piece: p}
		return nil
	}
	switch {
	case f.Inside == "" && f.Text:
		return nil, errors.New("inside has a form, and no path; write it like inside biz_content string")
	case f.Inside != "":
		kind := pieceCall
		if f.Text {
			kind = pieceCallText
		}
		if err := add("inside", f.Inside, piece{kind: kind}); err != nil {
			return nil, err
		}
	case len(f.Fields)+len(f.Values) == 0:
		return nil, errors.New("says nothing: write inside <path>, field <path> \"<template>\" or value <path> \"<template>\"")
	}
	for _, list := range []struct {
		option string
		kind   pieceKind
		fields map[string]string
	}{{"field", pieceString, f.Fields}, {"value", pieceValue, f.Values}} {
		for _, path := range slices.Sorted(maps.Keys(list.fields)) {
			option := list.option + " " + path
			text, err := signer.ParseText(option, list.fields[path], f.Time, f.Zone)
			if err != nil {
				return nil, err
			}
			if list.kind == pieceValue && text.HasHeader() {
				return nil, fmt.Errorf("%s: a header field's value may be no JSON; write field for a string", option)
			}
			e.nonce = e.nonce || text.NeedsNonce()
			if err := add(list.option, path, piece{kind: list.kind, text: text}); err != nil {
				return nil, err
			}
			if value := text.Append(nil, signer.Message{Nonce: "n"}, "app"); list.kind == pieceValue && !json.Valid(value) {
				return nil, fmt.Errorf("%s: gives what is no JSON, like %s; write field for a string", option, value)
			}
		}
	}
	if f.Inside == "" {
		e.beside = slices.Sorted(maps.Keys(root.members))
	}
	e.build(root)
	if f.Inside == "" { // the last piece closes the object, before which the call's members come
		e.pieces[len(e.pieces)-1].literal = e.pieces[len(e.pieces)-1].literal[:len(e.pieces[len(e.pieces)-1].literal)-1]
		e.pieces = append(e.pieces, piece{kind: pieceMembers})
		e.literal("}")
	}
	return e, nil
}

func (e *envelope) literal(text string) {
	if last := len(e.pieces) - 1; last >= 0 && e.pieces[last].kind == pieceLiteral {
		e.pieces[last].literal += text
		return
	}
	e.pieces = append(e.pieces, piece{literal: text})
}

// build adds an object with its members in the order of their names.
func (e *envelope) build(n *node) {
	e.literal("{")
	for i, name := range slices.Sorted(maps.Keys(n.members)) {
		if i > 0 {
			e.literal(",")
		}
		quoted, _ := jsontext.AppendQuote(nil, name)
		e.literal(string(quoted) + ":")
		if member := n.members[name]; member.members != nil {
			e.build(member)
		} else {
			e.pieces = append(e.pieces, member.piece)
		}
	}
	e.literal("}")
}

// wrap puts a model call into the envelope. m has the time, the nonce and the header that its texts are of.
func (e *envelope) wrap(call []byte, m signer.Message, clientID string) ([]byte, error) {
	b := make([]byte, 0, 2*len(call)+512)
	for i := range e.pieces {
		var err error
		switch p := &e.pieces[i]; p.kind {
		case pieceLiteral:
			b = append(b, p.literal...)
		case pieceString:
			b, err = jsontext.AppendQuote(b, p.text.Append(nil, m, clientID))
		case pieceValue:
			start := len(b)
			if b = p.text.Append(b, m, clientID); !json.Valid(b[start:]) {
				err = errors.New("a value around the request is no JSON")
			}
		case pieceCall:
			b = append(b, call...)
		case pieceCallText:
			b, err = jsontext.AppendQuote(b, call)
		case pieceMembers:
			b, err = appendMembers(b, call, e.beside)
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// appendMembers appends the members of an object, each with a comma before it, but for those that are named.
func appendMembers(b, object []byte, but []string) ([]byte, error) {
	d := jsontext.NewDecoder(bytes.NewReader(object))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, errors.New("the request is no object")
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		text := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		if slices.Contains(but, text) {
			continue
		}
		b, _ = jsontext.AppendQuote(append(b, ','), text)
		b = append(append(b, ':'), value...)
	}
	return b, nil
}

// Check refuses fields of which there can be no envelope.
func (f RequestFields) Check() error {
	_, err := newEnvelope(f)
	return err
}
