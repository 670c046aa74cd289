package wire

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// messages reads the conversation, which is not empty.
func (s *scanner) messages(r *Request) error {
	if !s.is('[') {
		return s.wrongType("messages", "an array")
	}
	s.enter("messages")
	s.elements()
	var turns turns
	err := s.array(func() error {
		s.next()
		by, err := s.message(r)
		turns.add(by)
		return err
	})
	s.path = s.path[:0]
	r.Messages += turns.n
	r.Plain = r.Plain && turns.plain()
	if err == nil && r.Messages == 0 {
		return empty("messages", "array")
	}
	return err
}

// message reads a message. by is the role of one with nothing but a text.
func (s *scanner) message(r *Request) (by string, err error) {
	if !s.is('{') {
		return "", s.wrongType(s.where(), messageShape.want)
	}
	text, plain := false, true
	err = s.object(func(name []byte) (err error) {
		if err := s.mistyped(messageShape, name); err != nil {
			return err
		}
		switch {
		case string(name) == "role":
			var role jsontext.Value
			role, err = s.scalar()
			by = plainRole(role)
			r.Functions = r.Functions || equals(role, "function")
			return err
		case string(name) == "content" && s.is('"'):
			text, err = s.skip()
			return err
		}
		plain = false
		switch {
		case string(name) == "content" && s.is('['):
			return s.contentParts(r)
		case string(name) == "function_call":
			r.Functions = r.Functions || !s.is('n')
			return s.typedMember(messageShape.members["function_call"])
		case string(name) == "tool_calls" || string(name) == "refusal":
			return s.typedMember(messageShape.members[string(name)])
		}
		_, err = s.skip()
		return err
	})
	if !text || !plain {
		by = ""
	}
	return by, err
}

// contentParts counts the images among the parts of a message's content.
func (s *scanner) contentParts(r *Request) error {
	s.enter("content")
	s.elements()
	defer func() { s.path = s.path[:len(s.path)-2] }()
	return s.array(func() error {
		if s.next(); !s.is('{') {
			return s.wrongType(s.where(), part.want)
		}
		return s.contentPart(r)
	})
}

// contentPart reads one, with how long the address or the data of an image is.
func (s *scanner) contentPart(r *Request) error {
	isImage, size := false, 0
	err := s.object(func(name []byte) error {
		if err := s.mistyped(part, name); err != nil {
			return err
		}
		switch string(name) {
		case "image_url":
			before := s.dec.InputOffset()
			err := s.typedMember(part.members["image_url"])
			if after := s.dec.InputOffset(); isPicture(s.text[before:after]) {
				size += int(after - before)
			}
			return err
		case "type":
			v, err := s.scalar()
			isImage = equals(v, "image_url")
			r.Mixed = r.Mixed || isOfOthers(v)
			return err
		}
		_, err := s.skip()
		return err
	})
	if isImage {
		r.HasImages = true
		r.Images++
		r.ImageBytes += size
	}
	return err
}

// isOfOthers reports whether the type of a part is one of the Messages or the Responses API's own.
func isOfOthers(typ jsontext.Value) bool {
	if bytes.IndexByte(typ, '\\') >= 0 && typ.Kind() == '"' { // spelt otherwise
		typ, _ = jsontext.AppendQuote(nil, unquote(typ))
	}
	switch string(typ) {
	case `"tool_use"`, `"tool_result"`, `"image"`, `"document"`, `"search_result"`, `"input_text"`, `"output_text"`, `"input_image"`, `"input_file"`:
		return true
	}
	return false
}

// isPicture reports whether what names an image, as written, is an address or holds a picture: a PDF, which some formats
// take in its place, may have any number of pages.
func isPicture(image []byte) bool {
	image = bytes.ToLower(image[:min(len(image), 256)])
	return bytes.Contains(image, []byte(`"data:image/`)) || !bytes.Contains(image, []byte("data:")) && bytes.Contains(image, []byte(`"http`))
}

// plainRole gives a role that all chat APIs have; "" for any other.
func plainRole(v jsontext.Value) string {
	switch string(v) {
	case `"user"`:
		return "user"
	case `"assistant"`:
		return "assistant"
	case `"system"`:
		return "system"
	}
	return ""
}

func (s *scanner) tools(r *Request) error {
	if !s.is('[') { // null
		_, err := s.skip()
		return err
	}
	s.enter("tools")
	s.elements()
	defer func() { s.path = s.path[:0] }()
	return s.array(func() error {
		r.HasTools = true
		if s.next(); !s.is('{') {
			return s.wrongType(s.where(), toolShape.want)
		}
		client, odd, named, nested := false, false, false, false
		err := s.object(func(name []byte) error {
			switch string(name) {
			case "function":
				nested = true
				return s.typedMember(toolShape.members["function"])
			case "custom":
				nested = true
			case "name":
				named = s.is('"')
			case "input_schema":
				r.Mixed = true
			}
			if string(name) != "type" {
				// Some upstreams read names in any letters; the last one counts there.
				odd = odd || bytes.EqualFold(name, []byte("type"))
				_, err := s.skip()
				return err
			}
			v, err := s.scalar()
			client = equals(v, "function") || equals(v, "custom")
			return err
		})
		r.HostedTools = r.HostedTools || !client || odd
		r.FlatTools = r.FlatTools || client && named && !nested
		return err
	})
}

// functions reads what is offered in the form before tools.
func (s *scanner) functions(r *Request) error {
	if s.is('n') {
		_, err := s.skip()
		return err
	}
	s.enter("functions")
	s.elements()
	defer func() { s.path = s.path[:0] }()
	return s.array(func() error {
		r.HasTools, r.Functions = true, true
		if s.next(); !s.is('{') {
			return s.wrongType(s.where(), function.want)
		}
		return s.typed(function)
	})
}
