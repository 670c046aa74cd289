package wire

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// shape is which JSON may stand in a place of a request, as OpenAI's reference has it, so that a field of the wrong type is
// the client's 400 whichever provider is asked, and whether any can be: some formats could not be written of it, and the
// provider that the client chose may be down. Null is taken anywhere but in an array, as an absent member. What the
// reference leaves open, or vendors have made more of, is theirs to judge. Some vendors take more than OpenAI does: arguments
// that are objects (https://github.com/aaif-goose/goose-mobile/pull/20 has OpenAI's refusal) and parts that are strings
// (https://github.com/microsoft/graphrag/issues/672) are refused all the same, as are numbers in stop, which the reference has
// as strings alone: other providers of the call would each make something else of them.
type shape struct {
	// kinds are those of the value.
	kinds string
	// want says so in words.
	want string
	// members are those of an object that have one, and elements those of an array; nil for any.
	members  map[string]member
	elements *shape
}

// member is a member of an object, which has its name without an allocation.
type member struct {
	name string
	*shape
}

// objectOf is the shape of an object, which may be something else besides.
func objectOf(otherKinds, want string, members map[string]*shape) *shape {
	sh := &shape{kinds: "{" + otherKinds, want: want, members: make(map[string]member, len(members))}
	for name, of := range members {
		sh.members[name] = member{name, of}
	}
	return sh
}

var (
	aString  = &shape{kinds: `"`, want: "a string"}
	aJSON    = &shape{kinds: `"`, want: `a string that holds JSON, as "{}"`}
	aNumber  = &shape{kinds: `0`, want: "a number"}
	aWhole   = &shape{kinds: `0`, want: "a whole number"}
	aBoolean = &shape{kinds: `tf`, want: "a boolean"}
	anObject = &shape{kinds: `{`, want: "an object"}

	function = objectOf("", "an object", map[string]*shape{
		"name": aString, "arguments": aJSON, "description": aString, "parameters": anObject, "strict": aBoolean,
	})
	part = objectOf("", `an object, as {"type":"text","text":"..."}`, map[string]*shape{
		"type": aString, "text": aString, "refusal": aString,
		// Mistral's images are their address alone.
		"image_url": objectOf(`"`, "an object", map[string]*shape{"url": aString}),
	})
	parts        = &shape{kinds: `"[`, want: "a string or an array of parts", elements: part}
	messageShape = objectOf("", "an object", map[string]*shape{
		"role": aString, "content": parts, "refusal": parts, "tool_call_id": aString, "function_call": function,
		"tool_calls": {kinds: `[`, want: "an array", elements: objectOf("", "an object", map[string]*shape{"id": aString, "function": function})},
	})
	embeddingsShape = objectOf("", "an object", map[string]*shape{"user": aString})
	toolShape       = objectOf("", "an object", map[string]*shape{"function": function})
	requestShape    = objectOf("", "an object", map[string]*shape{
		"max_tokens": aWhole, "max_completion_tokens": aWhole, "n": aWhole, "temperature": aNumber, "top_p": aNumber,
		"user": aString, "safety_identifier": aString, "parallel_tool_calls": aBoolean, "stream_options": anObject,
		"stop":          {kinds: `"[`, want: "a string or an array of strings", elements: aString},
		"tools":         {kinds: `[`, want: "an array"},
		"tool_choice":   objectOf(`"`, "a string or an object", map[string]*shape{"function": function}),
		"functions":     {kinds: `[`, want: "an array"},
		"function_call": objectOf(`"`, "a string or an object", map[string]*shape{"name": aString}),
		"response_format": objectOf("", "an object", map[string]*shape{
			"json_schema": objectOf("", "an object", map[string]*shape{"name": aString, "schema": anObject, "strict": aBoolean}),
		}),
	})
)

// step leads into a member of that name, or without one into an element.
type step struct {
	name  string
	index int
}

// enter goes into a member, and elements into an array before the first of its elements, which next goes to.
func (s *scanner) enter(name string) { s.path = append(s.path, step{name: name}) }
func (s *scanner) elements()         { s.path = append(s.path, step{index: -1}) }
func (s *scanner) next()             { s.path[len(s.path)-1].index++ }
func (s *scanner) leave()            { s.path = s.path[:len(s.path)-1] }

// where says where the scanner is, as messages[0].role.
func (s *scanner) where() string {
	var at []byte
	for i, step := range s.path {
		switch {
		case step.name == "":
			at = append(strconv.AppendInt(append(at, '['), int64(step.index), 10), ']')
		case i > 0:
			at = append(append(at, '.'), step.name...)
		default:
			at = append(at, step.name...)
		}
	}
	return string(at)
}

// takes reports whether a value of that kind may be a member.
func (sh *shape) takes(kind jsontext.Kind) bool {
	// What is no JSON at all is found by whoever reads it.
	return kind == 'n' || kind == jsontext.KindInvalid || strings.IndexByte(sh.kinds, byte(kind)) >= 0
}

// typed reads the next value, which is where the scanner is, and refuses what the shape does not take.
func (s *scanner) typed(sh *shape) error {
	kind := s.dec.PeekKind()
	switch {
	case !sh.takes(kind):
		return s.wrongType(s.where(), sh.want)
	case kind == '{' && sh.members != nil:
		return s.object(func(name []byte) error {
			m, ok := sh.members[string(name)]
			if !ok {
				_, err := s.skip()
				return err
			}
			return s.typedMember(m)
		})
	case kind == '[' && sh.elements != nil:
		s.elements()
		defer s.leave()
		return s.array(func() error {
			if s.next(); s.is('n') {
				return s.wrongType(s.where(), sh.elements.want)
			}
			return s.typed(sh.elements)
		})
	}
	_, err := s.skip()
	return err
}

// typedMember is typed for a member of what is where the scanner is.
func (s *scanner) typedMember(m member) error {
	s.enter(m.name)
	defer s.leave()
	return s.typed(m.shape)
}

// mistyped refuses the next member, of that name, where the object's shape does not take its kind. It reads no other.
func (s *scanner) mistyped(of *shape, name []byte) error {
	m, ok := of.members[string(name)]
	if !ok || m.takes(s.dec.PeekKind()) {
		return nil
	}
	s.enter(m.name)
	defer s.leave()
	return s.wrongType(s.where(), m.want)
}
