package wire

import "github.com/go-json-experiment/json/jsontext"

// looseness is where an answer differs from the schema of OpenAI's API in what its typed clients insist on
// (https://github.com/openai/openai-python/blob/main/src/openai/types/chat/chat_completion.py and chat_completion_chunk.py beside it), and
// other servers leave out or write otherwise. Nothing is decided by it here: package openai mends it.
type looseness struct {
	// seen are the members of the answer that are there, each with a value of its type.
	seen headMembers
	// odd says that something else is not as it should be.
	odd bool
	// role is what the message or the delta that is being read has for one, and roleless says that a delta has none, as all but the
	// first of a choice.
	role     roleKind
	roleless bool
}

// headMembers are members of a whole answer or of a chunk. The object is the one or the other.
type headMembers uint8

const (
	headID headMembers = 1 << iota
	headCreated
	headModel
	headChoices
	headWhole
	headChunk

	headBoth = headID | headCreated | headModel | headChoices
)

type roleKind uint8

const (
	roleNone roleKind = iota
	roleEmpty
	roleSaid
)

// has notes that the member is there, if it is right.
func (l *looseness) has(member headMembers, right bool) {
	if right {
		l.seen |= member
	}
}

// is notes something that is odd.
func (l *looseness) is(odd bool) { l.odd = l.odd || odd }

// object notes what the answer says that it is.
func (l *looseness) object(v jsontext.Value) {
	switch string(v) {
	case `"chat.completion.chunk"`:
		l.seen |= headChunk
	case `"chat.completion"`:
		l.seen |= headWhole
	}
}

// spoke notes the role of a message, or of a delta, that has been read.
func (l *looseness) spoke(whole bool) {
	l.odd = l.odd || l.role == roleEmpty || whole && l.role == roleNone
	l.roleless = l.roleless || l.role == roleNone
}

// whole reports whether a whole answer is loose, and chunk whether one of a stream is.
func (l *looseness) whole() bool { return l.odd || l.seen&(headBoth|headWhole) != headBoth|headWhole }
func (l *looseness) chunk() bool { return l.odd || l.seen&(headBoth|headChunk) != headBoth|headChunk }

// headMember reads the id of an answer, or when it was created.
func (s *scanner) headMember(e *envelope, name []byte) error {
	v, err := s.scalar()
	if string(name) == "id" {
		e.loose.has(headID, v.Kind() == '"' && len(v) > len(`""`))
	} else {
		_, whole := digits(v)
		e.loose.has(headCreated, whole)
	}
	return err
}

// usageOf reads the usage of an answer.
func (s *scanner) usageOf(e *envelope) error {
	e.loose.is(!s.is('{') && !s.is('n'))
	plain, err := s.readUsage(&e.Usage)
	e.loose.is(!plain)
	return err
}

// PlainTier gives OpenAI's word for a service tier that goes by another vendor's, which clients refuse that know OpenAI's alone; empty
// for any other: https://github.com/pydantic/pydantic-ai/issues/4895 and https://github.com/microsoft/graphrag/pull/2390 of OpenRouter,
// https://github.com/pydantic/pydantic-ai/issues/2499 of Groq and Amazon Bedrock.
func PlainTier(tier string) string {
	switch tier {
	case "standard", "on_demand":
		return "default"
	}
	return ""
}
