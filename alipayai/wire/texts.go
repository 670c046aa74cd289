package wire

import (
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

// Texts gives every text of the request that a model may read, in their order, and then those that are wrapped in others. What is not known to be something else
// counts as text, so that a rule over the texts covers all that a provider is sent, and so do the names of members that a
// client chooses: those of tools' arguments, of schemas, and wherever else an API has none of that name. Not among them are values that choose (the model, a role that
// is one, and types, ids and formats that look like one) and the data of images, sound and files. A text that is wrapped as
// such data, in Base64 or a data: URL, is a text.
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
		case "tools", "functions", "response_format", "output_config", "output_format":
			return t.each(Text{Kind: TextDefinition, Message: -1})
		case "model", "user", "stream_options":
			_, err := s.skip()
			return err
		}
		return t.member(name, t.outside, false)
	})
	return append(t.found, t.unwrapped...)
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
	s     *scanner
	found []Text
	// unwrapped are those that stand in a wrapping, and names of members outside of arguments and schemas. They come after all
	// others: the parts of a message, over which a word may be split, stay side by side.
	unwrapped []Text
	outside   Text
}

func (t *texts) messages() error {
	if !t.s.is('[') {
		return t.each(t.outside)
	}
	n := -1
	return t.s.array(func() error {
		n++
		first, firstUnwrapped, at, role := len(t.found), len(t.unwrapped), Text{Message: n}, ""
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
				if err == nil && role != "" && !isRole(role) { // a template may print it as it is
					t.found = append(t.found, Text{Kind: TextOther, Message: n, Value: role})
				}
				return err
			case "content", "refusal":
				return t.each(at)
			case "tool_calls", "function_call":
				return t.each(Text{Kind: TextCall, Message: n})
			}
			at := Text{Kind: TextOther, Message: n}
			if (refers(name) || carries(name)) && t.s.is('"') {
				var err error
				if at.Value, err = t.reference(name, at); string(name) == "data" {
					t.wrapped(at, true)
				}
				return err
			}
			return t.member(name, at, false)
		})
		for i := first; i < len(t.found); i++ {
			t.found[i].Role = role
		}
		for i := firstUnwrapped; i < len(t.unwrapped); i++ {
			t.unwrapped[i].Role = role
		}
		return err
	})
}

// isRole reports whether role is one that an API knows.
func isRole(role string) bool {
	switch role {
	case "system", "developer", "user", "assistant", "tool", "function":
		return true
	}
	return false
}

// each collects the strings of the value that comes next, as texts like at.
func (t *texts) each(at Text) error { return t.value(at, at.Kind == TextDefinition) }

// value is each; named says that the names of members are texts too.
func (t *texts) value(at Text, named bool) error {
	switch t.s.dec.PeekKind() {
	case '"':
		v, err := t.s.scalar()
		if err == nil && len(v) > len(`""`) {
			at.Value = unquoted(v)
			t.found = append(t.found, at)
			if isDataURL(at.Value) && hasMediaType(at.Value) {
				t.wrapped(at, false)
			}
		}
		return err
	case '[':
		return t.s.array(func() error { return t.value(at, named) })
	case '{':
		return t.object(at, named)
	}
	_, err := t.s.skip()
	return err
}

func (t *texts) object(at Text, named bool) error {
	var kind, data, mediaType string
	err := t.s.object(func(name []byte) error {
		if named {
			chosen := at
			chosen.Value = asString(name)
			t.found = append(t.found, chosen)
		} else if !isAPIName(name) {
			chosen := at
			chosen.Value = string(name)
			t.unwrapped = append(t.unwrapped, chosen)
		}
		free := named && at.Kind != TextDefinition // nothing in it is the API's
		if free || !t.s.is('"') || !refers(name) && !carries(name) && !isMediaType(name) {
			return t.member(name, at, named)
		}
		v, err := t.reference(name, at)
		switch {
		case string(name) == "type":
			kind = v
		case string(name) == "data":
			data = v
		case isMediaType(name):
			mediaType = v
		}
		return err
	})
	if at.Value = data; data == "" {
		return err
	}
	if kind == "text" && isReference(data) { // a document's, which is text however it looks
		t.found = append(t.found, at)
	}
	t.wrapped(at, kind != "text" && mediaType == "")
	if at.Value = dataScheme + mediaType + ";base64," + data; mediaType != "" && (!isDataURL(data) || strings.Contains(mediaType, ",")) {
		t.wrapped(at, false)
	}
	return err
}

// wrapped collects the text that at is a wrapping of: a data: URL, or mere Base64 where bare.
func (t *texts) wrapped(at Text, bare bool) {
	text, ok := textOf(at.Value)
	if !ok && bare {
		text, ok = bareText(at.Value)
	}
	if ok {
		at.Value = text
		t.unwrapped = append(t.unwrapped, at)
	}
}

// member collects the strings of a member's value that refers to nothing.
func (t *texts) member(name []byte, at Text, named bool) error {
	switch string(name) {
	case "schema", "input_schema", "parameters":
		at.Kind, named = TextDefinition, true
	case "input", "arguments":
		named = true
	}
	first, bare := len(t.found), carries(name) && !t.s.is('{')
	err := t.value(at, named)
	for _, text := range t.found[first:] {
		if bare && !isDataURL(text.Value) {
			t.wrapped(text, true)
		}
	}
	return err
}

// reference reads a string that should refer to something, or be the data of a file, and collects it where it does not.
func (t *texts) reference(name []byte, at Text) (string, error) {
	v, err := t.s.scalar()
	if err != nil || len(v) <= len(`""`) {
		return "", err
	}
	said := unquoted(v)
	if at.Value = said; !refers(name) || !isReference(said) || at.Kind == TextDefinition && chooses(name) && !schemaWords[said] {
		t.found = append(t.found, at)
	}
	if string(name) != "data" { // what that is depends on members that may follow
		t.wrapped(at, carries(name))
	}
	return said, nil
}

// chooses reports whether a member of that name chooses something in a schema, of words that are known.
func chooses(name []byte) bool {
	switch string(name) {
	case "type", "format", "id", "detail":
		return true
	}
	return false
}

// isReference reports whether text may be a URL, an identifier or Base64.
func isReference[T ~string | ~[]byte](text T) bool {
	for i := range len(text) {
		if prose[text[i]] {
			return false
		}
	}
	return true
}

// refers reports whether a member of that name should choose something, or hold data that is no text.
func refers(name []byte) bool {
	switch string(name) {
	case "type", "id", "tool_call_id", "call_id", "detail", "format", "url", "image_url", "data", "file_data", "file_id", "signature", "encrypted_content":
		return true
	}
	return false
}

// carries reports whether a member of that name may hold a file, an image or a sound as it is, in Base64 without an
// address around it: some of them are OpenAI's and Anthropic's, others those of servers that speak OpenAI's API.
func carries(name []byte) bool {
	switch string(name) {
	case "data", "file_data", "file_url", "url", "image_url", "video_url", "audio_url", "file", "image", "images", "video", "audio", "bytes", "base64", "b64_json":
		return true
	}
	return false
}

// isMediaType reports whether a member of that name says what the data beside it is.
func isMediaType(name []byte) bool {
	switch string(name) {
	case "media_type", "mime_type", "mimeType":
		return true
	}
	return false
}

// prose are the bytes that are in no URL, identifier or Base64. A picture is millions of others.
var prose = func() (prose [256]bool) {
	for c := range prose {
		prose[c] = c <= ' ' || c >= 0x7f || strings.IndexByte("\"'<>\\^`{|}!*()", byte(c)) >= 0
	}
	return prose
}()
