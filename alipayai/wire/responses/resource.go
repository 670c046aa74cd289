package responses

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// ClientWriter writes one answer in chat completions' form as a response of the Responses API. It belongs to one goroutine.
//
// reasoning_content becomes a reasoning item with a summary, content a message with an output_text, and a refusal a part of
// it; tool calls become function_call or custom_tool_call items, with {} for empty arguments. An answer that was cut is
// incomplete, by max_output_tokens or content_filter, and so is its last item then.
type ClientWriter struct {
	// Request is what is answered.
	Request *ClientRequest
	// ID is what the ids of the response and its items have in common: hexadecimal digits.
	ID string
	// Stored says that the response is kept. It may change before the answer's end.
	Stored bool
	// Now gives the time.
	Now func() time.Time
	// Keep is given the whole response before the client is, for that long; nil where it is not kept. It reports whether it
	// has been kept.
	Keep func(response, output []byte) bool

	created int64
	model   []byte // as JSON
	output  []byte // the items that are done, with commas between them
	items   int
	stream  *clientStream // nil for an answer that is whole
}

// ResponseID is the id of a response.
func ResponseID(id string) string { return "resp_" + id }

// ownMark stands in the ids of the gateway's own items between the response's and the item's number: no vendor's ids have it there.
const ownMark = 'g'

// appendItemID appends the id of the item n of a response's output.
func (w *ClientWriter) appendItemID(dst []byte, prefix string, n int) []byte {
	dst = append(append(append(append(dst, prefix...), '_'), w.ID...), ownMark)
	if n < 0x10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(n), 16)
}

// isOwn reports whether an item's id is one that appendItemID has made.
func isOwn(id string) bool {
	_, digits, _ := strings.Cut(id, "_")
	of, n, ok := strings.Cut(digits, string(ownMark))
	const hex = "0123456789abcdef"
	return ok && len(of) >= 32 && len(n) >= 2 && strings.Trim(of, hex) == "" && strings.Trim(n, hex) == ""
}

// ResponseOf gives the id of the response that an item belongs to, of whatever kind it is; false for an id of another form.
// length is how many digits the ids of responses have.
func ResponseOf(item string, length int) (id string, ok bool) {
	for i := range item {
		if item[i] == '_' {
			rest := item[i+1:]
			return rest[:min(length, len(rest))], len(rest) > length
		}
	}
	return "", false
}

func (w *ClientWriter) now() int64 {
	if w.Now == nil {
		return time.Now().Unix()
	}
	return w.Now().Unix()
}

// begin takes what the first of an answer says.
func (w *ClientWriter) begin(c *translate.Chunk) {
	w.created = w.now()
	if len(translate.Characters(c.Model)) > 0 {
		w.model = append([]byte(nil), c.Model...)
	} else {
		w.model = translate.Quote(nil, w.Request.Sent.Model)
	}
}

// status is how a response stands.
type status struct {
	word string
	// reason is why it is incomplete, and failed what it has failed with.
	reason string
	failed *wire.Error
	usage  wire.Usage
}

var inProgress = status{word: "in_progress"}

// ended gives the status of an answer by its finish reason.
func ended(finish string) status {
	switch finish {
	case "length":
		return status{word: "incomplete", reason: "max_output_tokens"}
	case "content_filter":
		return status{word: "incomplete", reason: "content_filter"}
	}
	return status{word: "completed"}
}

// appendResponse appends the response with all of its members.
func (w *ClientWriter) appendResponse(dst []byte, s status) []byte {
	dst = append(append(dst, `{"id":"resp_`...), w.ID...)
	dst = strconv.AppendInt(append(dst, `","object":"response","created_at":`...), w.created, 10)
	dst = append(append(append(dst, `,"status":"`...), s.word...), `","completed_at":`...)
	if s.word == "completed" {
		dst = strconv.AppendInt(dst, w.now(), 10)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"error":`...)
	if s.failed != nil {
		dst = append(append(append(dst, `{"code":"`...), errorCode(*s.failed)...), `","message":`...)
		dst = append(translate.Quote(dst, s.failed.Message), '}')
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"incomplete_details":`...)
	if s.reason != "" {
		dst = append(append(append(dst, `{"reason":"`...), s.reason...), `"}`...)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(append(dst, `,"model":`...), w.model...)
	dst = append(append(append(dst, `,"output":[`...), w.output...), `],"store":`...)
	dst = strconv.AppendBool(dst, w.Stored)
	dst = w.Request.c.echo.append(dst)
	return append(appendUsage(append(dst, `,"usage":`...), s), '}')
}

// errorCode is the word for an error in a response: there are few (platform.openai.com/docs/api-reference/responses/object). Codex
// repeats a request by them: after a server_error up to five times, after rate_limit_exceeded when its message says, and after
// invalid_prompt never (codex-rs/codex-api/src/sse/responses.rs in https://github.com/openai/codex).
func errorCode(e wire.Error) string {
	switch {
	case e.Code == wire.CodeContextLength || e.Code == "insufficient_quota": // which Codex tells from others
		return e.Code
	case e.Status == http.StatusTooManyRequests || e.Type == wire.TypeRateLimit:
		return "rate_limit_exceeded"
	case e.Status == http.StatusRequestTimeout || e.Status == http.StatusConflict || e.Status == http.StatusTooEarly:
	case e.Status >= http.StatusBadRequest && e.Status < http.StatusInternalServerError:
		return "invalid_prompt"
	}
	return "server_error"
}

// appendUsage appends what the call took: null while that is not known. A provider that counts nothing gives zeros, since the
// AI SDK takes no end of an answer without numbers.
func appendUsage(dst []byte, s status) []byte {
	if s.word == inProgress.word || s.word == "failed" && !s.usage.OK {
		return append(dst, "null"...)
	}
	u := s.usage
	dst = strconv.AppendInt(append(dst, `{"input_tokens":`...), u.Prompt, 10)
	dst = strconv.AppendInt(append(dst, `,"input_tokens_details":{"cached_tokens":`...), u.Cached, 10)
	if u.Written > 0 {
		dst = strconv.AppendInt(append(dst, `,"cache_write_tokens":`...), u.Written, 10)
	}
	dst = strconv.AppendInt(append(dst, `},"output_tokens":`...), u.Completion, 10)
	dst = strconv.AppendInt(append(dst, `,"output_tokens_details":{"reasoning_tokens":`...), u.Reasoning, 10)
	return append(strconv.AppendInt(append(dst, `},"total_tokens":`...), max(u.Total, u.Prompt+u.Completion), 10), '}')
}

// done adds an item to the output.
func (w *ClientWriter) done(item []byte) {
	if w.output == nil {
		w.output = item
	} else {
		w.output = translate.Join(w.output, item)
	}
	w.items++
}

// next gives the output with what comes before its next item.
func (w *ClientWriter) next() []byte {
	if w.items == 0 {
		return w.output
	}
	return append(w.output, ',')
}

// finish appends the whole response, which has been kept by then if it is to be.
func (w *ClientWriter) finish(dst []byte, s status) []byte {
	at := len(dst)
	dst = w.appendResponse(slices.Grow(dst, len(w.output)+w.Request.c.echo.size()), s)
	if w.Stored && w.Keep != nil && !w.Keep(dst[at:], w.output) {
		w.Stored = false
		dst = w.appendResponse(dst[:at], s)
	}
	return dst
}

// appendPart appends a part of a message; text are characters.
func appendPart(dst []byte, kind string, text, logprobs, cites []byte) []byte {
	if kind == refusal {
		return append(append(append(dst, `{"type":"refusal","refusal":"`...), text...), `"}`...)
	}
	dst = append(append(dst, `{"type":"output_text","annotations":[`...), cites...)
	dst = append(append(dst, `],"logprobs":[`...), logprobs...)
	return append(append(append(dst, `],"text":"`...), text...), `"}`...)
}

// appendCall appends a call of a tool, whose arguments, or input, are characters.
func (w *ClientWriter) appendCall(dst []byte, n int, t *tool, callID []byte, name string, arguments []byte, status string) []byte {
	if t != nil && t.search {
		return w.appendSearch(dst, n, callID, arguments, status)
	}
	kind, prefix, member := "function_call", "fc", "arguments"
	if t != nil && t.custom {
		kind, prefix, member = "custom_tool_call", "ctc", "input"
	}
	dst = append(append(append(dst, `{"type":"`...), kind...), `","id":"`...)
	dst = append(w.appendItemID(dst, prefix, n), `","status":"`...)
	dst = append(append(dst, status...), `","call_id":`...)
	dst = append(append(dst, callID...), `,"name":`...)
	if t != nil {
		name = t.name
	}
	dst = translate.Quote(dst, name)
	if t != nil && t.namespace != "" {
		dst = translate.Quote(append(dst, `,"namespace":`...), t.namespace)
	}
	dst = append(append(append(dst, `,"`...), member...), `":"`...)
	return append(append(dst, arguments...), `"}`...)
}

// inputOf gives the characters of a custom tool's input, of those of the arguments that it is in; a model that does not keep
// to the form gives the input itself, and {} stands for none.
func inputOf(arguments []byte) []byte {
	text := translate.Unquote(append(append([]byte{'"'}, arguments...), '"'))
	input, found := "", false
	_ = translate.Generated([]byte(text), func(name string, v jsontext.Value) error {
		if name == customArgument && v.Kind() == '"' {
			input, found = translate.Unquote(v), true
		}
		return nil
	})
	if rest, object := strings.CutPrefix(strings.TrimSpace(text), "{"); object && strings.TrimSpace(rest) == "}" {
		return nil
	}
	if !found {
		return arguments
	}
	return translate.Characters(translate.Quote(nil, input))
}
