package sandbox

import (
	"bytes"
	"net/http"
)

// Format names the API that a simulator speaks.
type Format string

// The formats: the Alipay AI API, which is OpenAI's with Ant's signatures;
// Anthropic's Messages API; and the streaming agent API of the Open Platform.
const (
	OpenAI      Format = "openai"
	Anthropic   Format = "anthropic"
	NextBuilder Format = "nextbuilder"
)

// format is how one API is spoken. What happens to a call, faults and statistics
// among it, is the same in all of them.
type format interface {
	// credentials lists the fields of [App] that the API knows: those that an app
	// must have, and those that it may have.
	credentials() (required, optional []string)
	// models are those served unless others are configured.
	models() []string
	endpoint(path string) (endpoint, bool)
	// caller names the app that a call says it comes from, nil if it is not known.
	caller(c *call) *app
	// verify judges the call's credentials, and returns what is wrong with them.
	verify(c *call) *refusal
	// callID is what the repeats of one call have in common, "" if it has no such id.
	callID(r *http.Request, body []byte) string
	// refusal puts a status and a code of the simulator into the API's own terms.
	// Without a code it finds the one that belongs to the status.
	refusal(status int, code string) (int, string)
	// shapes are those of errors, in a body and in a stream, unless a fault names one.
	shapes() (body, event Shape)
	// whole is the answer as one JSON value.
	whole(a *answer) any
	// script is the answer as a stream.
	script(a *answer) script
}

var formats = map[Format]format{OpenAI: openAI{}, Anthropic: anthropic{}, NextBuilder: nextBuilder{}}

type endpoint struct {
	method string
	// token marks the endpoints that hand out tokens: no signature, no cap.
	token bool
	serve func(*call)
}

// refusal is an answer that is none.
type refusal struct {
	status       int
	code, reason string
}

// script is a streamed answer, event by event.
type script struct {
	open    [][]byte // what comes before the content
	content [][]byte // each may have others before it, that are no content
	finish  [][]byte // what follows the content of a whole answer
	end     []byte   // the mark of the stream's end alone
}

// next is the event that follows n content events.
func (s *script) next(n int) []byte {
	if n < len(s.content) {
		return s.content[n]
	}
	return s.finish[0]
}

// half is the last of the events that b holds, cut in the middle of its data.
func half(b []byte) []byte {
	if i := bytes.LastIndex(b[:len(b)-2], []byte("\n\n")); i >= 0 {
		b = b[i+2:]
	}
	data := bytes.Index(b, []byte("data: ")) + len("data: ")
	end := data + (len(b)-data)/2
	return b[:end:end]
}
