package wire

import (
	"bytes"
	"slices"
)

// Chunk is one payload of a streamed answer.
type Chunk struct {
	Answer
	// Done: the stream is complete, as its own format says it: by [DONE] in OpenAI's, which is the only end that
	// [ParseChunk] knows, and by what a [StreamDecoder] reads in another. Failures are read in every format's shape,
	// since they must never pass for a success; an end must never be made of what the format does not call one.
	Done bool
	// ContentBytes is how long the content is, as JSON; 0 where the format does not tell.
	ContentBytes int
	// Again: the event repeats what has come. Clients that speak the format, and take each event by its state, must not get it.
	Again bool
	// Resumes: there is content behind a finish reason that the decoder has not given out.
	Resumes bool
}

var done = []byte("[DONE]")

// ParseChunk reads the data of one server-sent event of a streamed answer. Like the OpenAI SDKs, it takes whatever begins
// with [DONE] for the end. It fails with [ErrMalformed] when data is neither that nor what [ParseBody] takes.
func ParseChunk(data []byte) (Chunk, error) {
	return parseChunk(data, &envelope{})
}

func parseChunk(data []byte, e *envelope) (Chunk, error) {
	if bytes.HasPrefix(data, done) {
		return Chunk{Done: true}, nil
	}
	if err := parseEnvelope(data, Limits{}, e); err != nil {
		return Chunk{}, err
	}
	e.Loose = e.loose.chunk()
	return Chunk{Answer: e.Answer, ContentBytes: e.contentBytes}, nil
}

// ContentBytes gives how long the content of a whole answer in OpenAI's form is, as [Chunk] has it; 0 for what is none.
func ContentBytes(body []byte) int {
	var e envelope
	_ = parseEnvelope(body, Limits{}, &e)
	return e.contentBytes
}

// IsVoid reports whether the event has fields, but no data, or null for it: some servers send that between two chunks, and gateways a
// comment that they have taken for data (https://github.com/mnfst/llm-gateway/issues/2053). Clients read a chunk in it, and so must
// not get it (https://github.com/openai/openai-python/issues/3833). A block without a field, such as a comment, is none.
func (ev Event) IsVoid() bool {
	return ev.saysNothing() && (ev.Data != nil || slices.ContainsFunc(bytes.FieldsFunc(ev.Raw, isLineEnd), func(line []byte) bool { return line[0] != ':' }))
}

// AppendComments appends the comments of a block that has nothing else, each as a line, without the blank line that ends it.
func (ev Event) AppendComments(dst []byte) []byte {
	for _, line := range bytes.FieldsFunc(ev.Raw, isLineEnd) {
		dst = append(append(dst, line...), '\n')
	}
	return dst
}

func isLineEnd(r rune) bool { return r == '\r' || r == '\n' }

// SaysNothing reports whether the event has nothing to read, in whichever format: no data, null or a comment for it, and not the name
// of an error, which is one all the same.
func (ev Event) SaysNothing() bool { return ev.saysNothing() && string(ev.Type) != "error" }

func (ev Event) saysNothing() bool {
	data := bytes.TrimSpace(ev.Data)
	return len(data) == 0 || data[0] == ':' || string(data) == "null"
}

// ParseEvent is [ParseChunk] for an event. An event without data, or with null for it, is an empty Chunk. An event of type "error" always has a
// Failure, in whatever shape, and be its data no JSON at all.
func ParseEvent(ev Event) (Chunk, error) {
	return parseEvent(ev, &envelope{})
}

// parseEvent reads the event by way of e, which is empty.
func parseEvent(ev Event, e *envelope) (Chunk, error) {
	if string(ev.Type) != "error" {
		if ev.saysNothing() {
			return Chunk{}, nil
		}
		e.succeeded = ev.succeeded
		return parseChunk(ev.Data, e)
	}
	e.isError = true
	if parseEnvelope(ev.Data, Limits{}, e) != nil {
		return Chunk{Answer: Answer{Failure: &Failure{Message: plainWords(ev.Data)}}}, nil
	}
	return Chunk{Answer: e.Answer}, nil
}
