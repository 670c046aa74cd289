package wire

import (
	"bytes"
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// TextKind is where in a request a text stands.
type TextKind uint8

// The kinds.
const (
	// TextContent is a message's content, or an input to embed.
	TextContent TextKind = iota
	// TextCall is with what a message calls a tool: its name and its arguments.
	TextCall
	// TextDefinition is of the tools and schemas that are offered, with the names of their members.
	TextDefinition
	// TextOther is any other: the name of a speaker, thinking that is played back, members that the gateway does not know.
	TextOther
)

// Text is one text of a request that a model may read.
type Text struct {
	Kind TextKind
	// Role is that of the text's message, and Message its index; "" and -1 for what stands outside of messages.
	Role    string
	Message int
	// Value is the text, unescaped.
	Value string
}

// Texts gives every text of the request that a model may read, in their order. What is not known to be something else
// counts as text, so that a rule over the texts covers all that a provider is sent. Not among them are values that
// choose (the model, a role, and types, ids and formats that look like one) and the data of images, sound and files.
func (r Request) Texts() []Text {
	s := newScanner(r.Body, Limits{})
	defer s.release()
	t := texts{s: s, outside: Text{Kind: TextOther, Message: -1}, found: make([]Text, 0, r.Messages+1)}
	// The body was accepted when the request was parsed, so that there is no error.
	_ = s.document(func(name []byte) error {
		switch string(name) {
		case "messages":
			return t.messages()
		case "input":
			return t.each(Text{Kind: TextContent, Message: -1})
		case "tools", "functions", "response_format":
			return t.each(Text{Kind: TextDefinition, Message: -1})
		case "model", "user", "stream_options":
			_, err := s.skip()
			return err
		}
		return t.each(t.outside)
	})
	return t.found
}

// Opening gives how the conversation begins, by which its later requests can be recognised: role and content, as written,
// of the messages up to the first one of the user. It is empty where there is none, and for a request without messages.
func (r Request) Opening() (opening []string) {
	s := newScanner(r.Body, Limits{})
	defer s.release()
	found := false
	// The body was accepted when the request was parsed, so that the only error is errFound.
	_ = s.document(func(name []byte) error {
		if string(name) != "messages" || !s.is('[') {
			_, err := s.skip()
			return err
		}
		return s.array(func() error {
			role, content := "", ""
			err := s.eachMember(func(name []byte) error {
				v, err := s.raw()
				switch string(name) {
				case "role":
					role = string(v)
				case "content":
					content = string(v)
				}
				return err
			})
			opening = append(opening, role, content)
			if found = found || err == nil && equals(jsontext.Value(role), "user"); found {
				return errFound
			}
			return err
		})
	})
	if !found {
		return nil
	}
	return opening
}

// errFound ends a walk that has what it looked for.
var errFound = errors.New("found")

// texts collects texts.
type texts struct {
	s       *scanner
	found   []Text
	outside Text
}

func (t *texts) messages() error {
	if !t.s.is('[') {
		return t.each(t.outside)
	}
	n := -1
	return t.s.array(func() error {
		n++
		first, at, role := len(t.found), Text{Message: n}, ""
		if !t.s.is('{') {
			return t.each(at)
		}
		err := t.s.object(func(name []byte) error {
			switch string(name) {
			case "role":
				v, err := t.s.scalar()
				if role = plainRole(v); role == "" && v.Kind() == '"' {
					role = unquoted(v)
				}
				return err
			case "content", "refusal":
				return t.each(at)
			case "tool_calls", "function_call":
				return t.each(Text{Kind: TextCall, Message: n})
			}
			return t.member(name, Text{Kind: TextOther, Message: n})
		})
		for i := first; i < len(t.found); i++ {
			t.found[i].Role = role
		}
		return err
	})
}

// each collects the strings of the value that comes next, as texts like at.
func (t *texts) each(at Text) error {
	switch {
	case t.s.is('"'):
		v, err := t.s.scalar()
		if err == nil && len(v) > len(`""`) {
			at.Value = unquoted(v)
			t.found = append(t.found, at)
		}
		return err
	case t.s.is('['):
		return t.s.array(func() error { return t.each(at) })
	case !t.s.is('{'):
		_, err := t.s.skip()
		return err
	}
	return t.s.object(func(name []byte) error {
		if at.Kind == TextDefinition {
			named := at
			named.Value = string(name)
			t.found = append(t.found, named)
		}
		return t.member(name, at)
	})
}

// member collects the strings of a member's value, unless it refers to something.
func (t *texts) member(name []byte, at Text) error {
	if !refers(name) || !t.s.is('"') {
		return t.each(at)
	}
	before := len(t.found)
	err := t.each(at)
	if len(t.found) > before && !strings.ContainsFunc(t.found[before].Value, isProse) {
		t.found = t.found[:before]
	}
	return err
}

// refers reports whether a member of that name should choose something, or hold data that is no text.
func refers(name []byte) bool {
	switch string(name) {
	case "type", "id", "tool_call_id", "call_id", "detail", "format", "url", "image_url", "data", "file_data", "file_id", "signature", "encrypted_content":
		return true
	}
	return false
}

// isProse reports whether r is in no URL, identifier or Base64.
func isProse(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"'<>\\^`{|}!*()", r)
}

// unquoted is unquote, faster where nothing is escaped.
func unquoted(v jsontext.Value) string {
	if plain := v[1 : len(v)-1]; bytes.IndexByte(plain, '\\') < 0 {
		return string(plain)
	}
	return unquote(v)
}
