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
	l.has(headChunk, IsChunk(v))
	l.has(headWhole, string(v) == `"chat.completion"`)
}

// IsChunk reports whether the object that a chunk says that it is, a JSON string, is OpenAI's, or one of those by which Perplexity's tell
// the stages of an answer, where that is asked for, and its clients what they have before them
// (https://docs.perplexity.ai/docs/sonar/pro-search/stream-mode.md).
func IsChunk(object jsontext.Value) bool {
	switch string(object) {
	case `"chat.completion.chunk"`, `"chat.reasoning"`, `"chat.reasoning.done"`, `"chat.completion.done"`:
		return true
	}
	return false
}

// IsWhole reports whether a value is a whole number in digits alone, which every client reads as one, as some do not read 7.0 or 7e0.
func IsWhole(v jsontext.Value) bool {
	_, ok := digits(v)
	return ok
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
		e.loose.has(headCreated, IsWhole(v))
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
