package upstream

import (
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
	// Members are the members of a call that stand elsewhere, by their names in OpenAI's form: the paths to there.
	Members map[string]string
	// Keep are the names of those that the upstream knows besides; empty for all but those of Drop. Drop are the names of
	// those that it does not know.
	Keep, Drop []string
	// Lists are the names of members that the upstream takes as arrays alone: a single value becomes an array of it.
	Lists []string
	// System is the path of the text that a conversation begins with, where the upstream takes it from no message.
	System string
	// Names is how its own members are written, at every depth: pascal, for MaxTokens; empty for as in OpenAI's form.
	Names string
}

// envelope is what is around requests: an object whose members change from request to request.
type envelope struct {
	root *node
	// call is where the members of a call stand; it has no members of its own where the call stands there as it is.
	call *node
	// rewrites is how the call's own members change; nil for not at all.
	rewrites *rewriting
	nonce    bool
	// added is how long the texts are that stand around a call, as they are configured.
	added int
}

// node is a member: an object, or what stands in one.
type node struct {
	// names are those of members, sorted, and quoted in JSON each.
	names, quoted []string
	members       map[string]*node
	// rest says that the members of the call stand here that stand nowhere else.
	rest bool
	kind nodeKind
	text signer.Text
	// member is the call's.
	member string
}

type nodeKind uint8

const (
	nodeObject   nodeKind = iota
	nodeInText            // an object, in a string
	nodeString            // a text
	nodeValue             // a text that is JSON
	nodeCall              // the model call
	nodeCallText          // the model call, in a string
	nodeMember            // a member of the call
	nodeSystem            // the text that the conversation begins with
)

// newEnvelope checks the fields. Errors name the option as a Caddyfile has it.
func newEnvelope(f RequestFields) (*envelope, error) {
	e := &envelope{root: &node{members: make(map[string]*node), rest: f.Inside == ""}}
	var err error
	if e.rewrites, err = newRewriting(f); err != nil {
		return nil, err
	}
	if err := e.placeCall(f); err != nil {
		return nil, err
	}
	if err := e.placeMembers(f); err != nil {
		return nil, err
	}
	if err := e.placeTexts("field", nodeString, f.Fields, f); err != nil {
		return nil, err
	}
	if err := e.placeTexts("value", nodeValue, f.Values, f); err != nil {
		return nil, err
	}
	e.root.sort()
	return e, nil
}

// place puts a node where the path of an option leads.
func (e *envelope) place(option, path string, leaf *node) error {
	names, err := wire.ParsePath(path)
	if err != nil {
		return fmt.Errorf("%s %q %w; write the names of the members to go through, like data.app_id", option, path, err)
	}
	at := e.root
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
	at.members[last] = leaf
	return nil
}

// placeCall puts the call where its members stand: as it is, or, where they change, as an object of its own.
func (e *envelope) placeCall(f RequestFields) error {
	switch {
	case f.Inside == "" && f.Text:
		return errors.New("inside has a form, and no path; write it like inside biz_content string")
	case f.Inside == "" && len(f.Fields)+len(f.Values) == 0 && e.rewrites == nil:
		return errors.New("says nothing: write inside <path>, field <path> \"<template>\", value <path> \"<template>\" or member <name> <path>")
	case f.Inside == "":
		e.call = e.root
		return nil
	case e.rewrites == nil && f.Text:
		e.call = &node{kind: nodeCallText}
	case e.rewrites == nil:
		e.call = &node{kind: nodeCall}
	case f.Text:
		e.call = &node{kind: nodeInText, members: make(map[string]*node), rest: true}
	default:
		e.call = &node{kind: nodeObject, members: make(map[string]*node), rest: true}
	}
	return e.place("inside", f.Inside, e.call)
}

// placeMembers puts those members of the call that stand elsewhere where their paths lead.
func (e *envelope) placeMembers(f RequestFields) error {
	for _, name := range slices.Sorted(maps.Keys(f.Members)) {
		if err := e.place("member "+name, f.Members[name], &node{kind: nodeMember, member: name}); err != nil {
			return err
		}
	}
	if f.System == "" {
		return nil
	}
	return e.place("system", f.System, &node{kind: nodeSystem})
}

// placeTexts puts the templates of an option where their paths lead.
func (e *envelope) placeTexts(name string, kind nodeKind, templates map[string]string, f RequestFields) error {
	for _, path := range slices.Sorted(maps.Keys(templates)) {
		option := name + " " + path
		text, err := signer.ParseText(option, templates[path], f.Time, f.Zone)
		if err != nil {
			return err
		}
		if kind == nodeValue && text.HasHeader() {
			return fmt.Errorf("%s: a header field's value may be no JSON; write field for a string", option)
		}
		e.nonce = e.nonce || text.NeedsNonce()
		e.added += len(templates[path])
		if err := e.place(name, path, &node{kind: kind, text: text}); err != nil {
			return err
		}
		if value := text.Append(nil, signer.Message{Nonce: "n"}, "app"); kind == nodeValue && !json.Valid(value) {
			return fmt.Errorf("%s: gives what is no JSON, like %s; write field for a string", option, value)
		}
	}
	return nil
}

func (n *node) sort() {
	n.names = slices.Sorted(maps.Keys(n.members))
	for _, name := range n.names {
		quoted, _ := jsontext.AppendQuote(nil, name)
		n.quoted = append(n.quoted, string(quoted))
		n.members[name].sort()
	}
}

// wrapping is a call on its way into the envelope.
type wrapping struct {
	*envelope
	message  signer.Message
	clientID string
	call     []byte
	members  []member
	system   []byte
}

// wrap puts a model call into the envelope. m has the time, the nonce and the header that its texts are of.
func (e *envelope) wrap(call []byte, m signer.Message, clientID string) ([]byte, error) {
	w := wrapping{envelope: e, message: m, clientID: clientID, call: call}
	if e.rewrites != nil || e.root.rest {
		var err error
		if w.members, err = membersOf(call); err == nil && e.rewrites != nil {
			w.system, err = e.rewrites.apply(w.members)
		}
		if err != nil {
			return nil, err
		}
	}
	return w.append(make([]byte, 0, 2*len(call)+512), e.root)
}

// append appends what a node stands for; nothing for a member that the call does not have.
func (w *wrapping) append(b []byte, n *node) (_ []byte, err error) {
	switch n.kind {
	case nodeObject:
		return w.appendObject(b, n)
	case nodeInText:
		object, err := w.appendObject(nil, n)
		if err != nil {
			return b, err
		}
		return jsontext.AppendQuote(b, object)
	case nodeString:
		return jsontext.AppendQuote(b, n.text.Append(nil, w.message, w.clientID))
	case nodeValue:
		start := len(b)
		if b = n.text.Append(b, w.message, w.clientID); !json.Valid(b[start:]) {
			err = errors.New("a value around the request is no JSON")
		}
	case nodeCall:
		b = append(b, w.call...)
	case nodeCallText:
		return jsontext.AppendQuote(b, w.call)
	case nodeMember:
		for i := range w.members {
			if w.members[i].name == n.member {
				b = append(b, w.members[i].value...)
			}
		}
	case nodeSystem:
		b = append(b, w.system...)
	}
	return b, err
}

// appendObject appends an object: its own members, and those of the call that stand in it.
func (w *wrapping) appendObject(b []byte, n *node) ([]byte, error) {
	b = append(b, '{')
	empty := len(b)
	for i, name := range n.names {
		before := len(b)
		if before > empty {
			b = append(b, ',')
		}
		b = append(append(b, n.quoted[i]...), ':')
		value := len(b)
		var err error
		if b, err = w.append(b, n.members[name]); err != nil {
			return b, err
		}
		if len(b) == value || n.members[name].isEmpty(b[value:]) {
			b = b[:before]
		}
	}
	for i := range w.members {
		m := &w.members[i]
		if !n.rest || n.members[m.own] != nil || w.rewrites.placesOrDrops(m.name) {
			continue
		}
		if len(b) > empty {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, m.own)
		b = append(append(b, ':'), m.value...)
	}
	return append(b, '}'), nil
}

// isEmpty reports whether what a node stands for is an object of which nothing has come.
func (n *node) isEmpty(value []byte) bool { return n.kind == nodeObject && string(value) == "{}" }

// Check refuses fields of which there can be no envelope.
func (f RequestFields) Check() error {
	_, err := newEnvelope(f)
	return err
}
