package wire

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Request is what the gateway needs to know of a client's request. The rest of the body is the upstream's business and
// is never touched.
type Request struct {
	Body         []byte // the body as received; not a copy
	Model        string // never empty
	Stream       bool   // the client asked for server-sent events
	IncludeUsage bool   // stream_options.include_usage: the stream ends with a usage chunk
	HasTools     bool   // tools, or the older functions, are offered
	ChoosesTool  bool   // tool_choice is an object, as which it names a tool
	// Functions: it is of the form before tools: it offers functions, or has function_call or a message by "function".
	Functions bool
	// HostedTools: a tool of a type other than "function" and "custom" is offered. Those two are run by the client;
	// any other is run by the provider and may act.
	HostedTools bool
	// FlatTools: a tool of those two types has its name where the Responses API has it, beside its type.
	FlatTools bool
	// Mixed: a message has a part of a type that the Messages or the Responses API has and chat completions have not, or a tool has
	// its schema where the former has it.
	Mixed     bool
	HasImages bool // a message has an image_url part
	// Images is how many such parts there are, and ImageBytes what their images, or the URLs of them, take of Body.
	Images, ImageBytes int
	Messages           int // how many messages there are
	// Plain says that there is nothing in it which one chat API takes otherwise than another: texts by "user" and
	// "assistant", of which the last is the user's, after texts by "system", and no members besides but [PlainMembers], of which
	// stream_options are for streams.
	Plain bool
	// MaxTokens is the most that an answer may have, of max_tokens and max_completion_tokens the larger one, and N how
	// many answers are asked for; 0 where the client does not say, or says something else than a whole number from 1.
	MaxTokens, N int64

	// Thinking is how the model is to think, where the client's form says it: vendors of OpenAI's form have words of their own
	// for it. It is no part of Body.
	Thinking Thinking
	// CacheKey is the client's name for prompts that begin alike, as written, by which a vendor sends them to where its cache has them;
	// nil for none. It is no part of Body.
	CacheKey jsontext.Value

	modelStart, modelEnd int            // the model's value in Body, with its quotes
	user                 jsontext.Value // that of "user", a part of Body
	// Where the values of include_usage and of stream_options are in Body. An end of 0: there is none; of -1: one is
	// of another type, for the upstream to refuse.
	usageStart, usageEnd, optionsStart, optionsEnd int
}

// Thinking is how a model is to think. The zero value says nothing of it.
type Thinking struct {
	Type   string // "enabled" or "disabled"
	Budget int64  // the most tokens that it may take; 0 for no bound
}

// PlainMembers are those that a [Request] which is Plain may have.
var PlainMembers = []string{"model", "messages", "stream", "stream_options", "max_tokens", "temperature", "top_p"}

// User is the client's name for its end user: the value of "user". It is empty where there is none, or one of another type.
func (r Request) User() string {
	if r.user.Kind() != '"' {
		return ""
	}
	return unquoted(r.user)
}

// WithModel returns the body with the value of "model" replaced and every other byte as it was. When the name is the
// one already asked for, that is Body itself; otherwise it is a new slice. Invalid UTF-8 in model becomes U+FFFD.
func (r Request) WithModel(model string) []byte {
	if model == r.Model {
		return r.Body
	}
	out := make([]byte, 0, len(r.Body)+len(model)+len(`""`))
	out = append(out, r.Body[:r.modelStart]...)
	out, _ = jsontext.AppendQuote(out, model)
	return append(out, r.Body[r.modelEnd:]...)
}

// WithUsage returns the request that also asks for the usage at a stream's end, as stream_options.include_usage does: r
// itself where it is for no stream, or asks already. Every other byte is as it was.
func (r Request) WithUsage() Request {
	if !r.Stream || r.IncludeUsage || r.optionsEnd < 0 {
		return r
	}
	const wanted = `"include_usage":true`
	start := bytes.IndexByte(r.Body, '{') + 1
	end, text := start, `"stream_options":{`+wanted+`},`
	switch {
	case r.usageEnd > 0:
		start, end, text = r.usageStart, r.usageEnd, "true"
	case r.optionsEnd > 0 && r.Body[r.optionsStart] == '{' && len(bytes.TrimSpace(r.Body[r.optionsStart+1:r.optionsEnd-1])) > 0:
		start, text = r.optionsStart+1, wanted+","
		end = start
	case r.optionsEnd > 0:
		start, end, text = r.optionsStart, r.optionsEnd, "{"+wanted+"}"
	}
	r.Body = slices.Concat(r.Body[:start], []byte(text), r.Body[end:])
	if moved := len(text) - (end - start); start <= r.modelStart {
		r.modelStart, r.modelEnd = r.modelStart+moved, r.modelEnd+moved
	}
	r.usageEnd, r.optionsEnd = 0, -1 // it has been said
	return r
}

// WithMember returns the request with another member before the others, as written: "name":value. Every other byte is as it was.
func (r Request) WithMember(member string) Request {
	start := bytes.IndexByte(r.Body, '{') + 1
	r.Body = slices.Concat(r.Body[:start], []byte(member+","), r.Body[start:])
	r.Plain = false
	for _, place := range []*int{&r.modelStart, &r.modelEnd, &r.usageStart, &r.usageEnd, &r.optionsStart, &r.optionsEnd} {
		if *place > 0 {
			*place += len(member) + len(",")
		}
	}
	return r
}

// ParseChatRequest reads the body of POST /v1/chat/completions. It wants one strict JSON object with a non-empty string
// "model", a non-empty array "messages" and, if present, a boolean (or null) "stream", as OpenAI's API reference has
// them. Every error is a [*RequestError].
func ParseChatRequest(body []byte, lim Limits) (Request, error) {
	s := newScanner(body, lim)
	defer s.release()
	r := Request{Body: body, Plain: true}
	messages := false
	err := s.document(func(name []byte) (err error) {
		if err := s.mistyped(requestShape, name); err != nil {
			return err
		}
		r.Plain = r.Plain && slices.Contains(PlainMembers, string(name))
		switch string(name) {
		case "model":
			return s.requestModel(&r)
		case "messages":
			messages = true
			return s.messages(&r)
		case "stream":
			r.Stream, err = s.flag("stream")
			return err
		case "stream_options":
			return s.streamOptions(&r)
		case "tools":
			return s.tools(&r)
		case "functions":
			return s.functions(&r)
		case "function_call":
			r.Functions = r.Functions || !s.is('n')
			return s.typedMember(requestShape.members["function_call"])
		case "user":
			r.user, err = s.scalar()
			return err
		case "tool_choice":
			r.ChoosesTool = s.is('{')
			return s.typedMember(requestShape.members["tool_choice"])
		case "stop", "response_format":
			return s.typedMember(requestShape.members[string(name)])
		case "max_tokens", "max_completion_tokens":
			most, err := s.count()
			r.MaxTokens = max(r.MaxTokens, most)
			return err
		case "n":
			r.N, err = s.count()
			return err
		}
		return s.other(name, "model", "messages", "stream", "stream_options", "tools", "functions", "max_tokens", "max_completion_tokens", "n", "service_tier")
	})
	if err != nil {
		return Request{}, s.requestError(err)
	}
	if r.Model == "" {
		return Request{}, missing("model", "a string")
	}
	if !messages {
		return Request{}, missing("messages", "an array of messages")
	}
	r.Plain = r.Plain && (r.Stream || r.optionsEnd == 0)
	return r, nil
}

// ParseEmbeddingsRequest reads the body of POST /v1/embeddings. It wants one strict JSON object with a non-empty string
// "model" and a non-empty string or array "input". Every error is a [*RequestError].
func ParseEmbeddingsRequest(body []byte, lim Limits) (Request, error) {
	s := newScanner(body, lim)
	defer s.release()
	r := Request{Body: body}
	input := false
	err := s.document(func(name []byte) (err error) {
		if err := s.mistyped(embeddingsShape, name); err != nil {
			return err
		}
		switch string(name) {
		case "model":
			return s.requestModel(&r)
		case "input":
			input = true
			return s.input()
		case "user":
			r.user, err = s.scalar()
			return err
		}
		return s.other(name, "model", "input")
	})
	if err != nil {
		return Request{}, s.requestError(err)
	}
	if r.Model == "" {
		return Request{}, missing("model", "a string")
	}
	if !input {
		return Request{}, missing("input", "a string or an array")
	}
	return r, nil
}

// ParseRequest reads a body of whatever endpoint: it wants one strict JSON object. Of the result Body, Model, where there
// is one, and Texts are set. Every error is a [*RequestError].
func ParseRequest(body []byte, lim Limits) (Request, error) {
	return ParseMembers(body, lim, func([]byte, jsontext.Value) error { return nil })
}

// ParseMembers is ParseRequest that besides gives each member to member, whose value is a part of body, until that fails:
// its error is given for a body that ParseRequest takes.
func ParseMembers(body []byte, lim Limits, member func(name []byte, value jsontext.Value) error) (Request, error) {
	s := newScanner(body, lim)
	defer s.release()
	r := Request{Body: body}
	var failed error
	err := s.document(func(name []byte) (err error) {
		s.key = append(s.key[:0], name...) // which is valid up to the value only
		var v jsontext.Value
		if string(name) == "model" && s.is('"') {
			err = s.requestModel(&r)
			v = body[r.modelStart:r.modelEnd]
		} else {
			v, err = s.raw()
		}
		if err == nil && failed == nil {
			failed = member(s.key, slices.Clip(v))
		}
		return err
	})
	if err != nil {
		return Request{}, s.requestError(err)
	}
	return r, failed
}

func (s *scanner) requestModel(r *Request) error {
	if !s.is('"') {
		return s.wrongType("model", "a string")
	}
	v, err := s.scalar()
	if err != nil {
		return err
	}
	if len(v) == len(`""`) {
		return empty("model", "string")
	}
	r.Model = s.intern(v)
	r.modelEnd = int(s.dec.InputOffset())
	r.modelStart = r.modelEnd - len(v)
	return nil
}

// flag reads a boolean. OpenAI's schema lets it be null, which means absent.
func (s *scanner) flag(param string) (bool, error) {
	if !s.is('t') && !s.is('f') && !s.is('n') {
		return false, s.wrongType(param, "a boolean")
	}
	v, err := s.scalar()
	return v.Kind() == 't', err
}

// count reads a whole number from 1, as upstreams read it; 0 for anything else.
func (s *scanner) count() (int64, error) {
	v, err := s.scalar()
	if v.Kind() != '0' {
		return 0, err
	}
	return wholeNumber(v), err
}

// wholeNumber is a number from 1 without a fraction, as upstreams read it; 0 for any other.
func wholeNumber(v jsontext.Value) int64 {
	n, err := strconv.ParseFloat(string(v), 64)
	if err != nil || n < 1 || n > 1<<53 || n != math.Trunc(n) {
		return 0
	}
	return int64(n)
}

func (s *scanner) streamOptions(r *Request) error {
	if s.is('n') {
		_, err := s.scalar()
		r.optionsEnd = int(s.dec.InputOffset())
		r.optionsStart = r.optionsEnd - len("null")
		return err
	}
	odd := false
	r.optionsStart = bytes.IndexByte(s.text[s.dec.InputOffset():], '{') + int(s.dec.InputOffset())
	err := s.object(func(name []byte) error {
		if string(name) != "include_usage" {
			_, err := s.skip()
			return err
		}
		if !s.is('t') && !s.is('f') && !s.is('n') {
			odd = true
			_, err := s.skip()
			return err
		}
		v, err := s.scalar()
		r.IncludeUsage = v.Kind() == 't'
		r.usageEnd = int(s.dec.InputOffset())
		r.usageStart = r.usageEnd - len(v)
		return err
	})
	r.optionsEnd = int(s.dec.InputOffset())
	if odd {
		r.optionsEnd = -1
	}
	return err
}

func (s *scanner) input() error {
	kind := "string"
	if s.is('[') {
		kind = "array"
	} else if !s.is('"') {
		return s.wrongType("input", "a string or an array")
	}
	filled, err := s.skip()
	if err == nil && !filled {
		return empty("input", kind)
	}
	return err
}

// eachMember is object for a value that need not be one: anything else is skipped, for the upstream to judge.
func (s *scanner) eachMember(member func(name []byte) error) error {
	if !s.is('{') {
		_, err := s.skip()
		return err
	}
	return s.object(member)
}

// other skips a member that the gateway does not read. It refuses a name that differs only in case from one that it
// does read: upstreams built on Go's encoding/json match names regardless of case, so {"model":"a","MODEL":"b"} would be
// routed and charged as a, and answered by b.
func (s *scanner) other(name []byte, known ...string) error {
	lower := true
	for _, c := range name {
		lower = lower && c < 0x80 && (c < 'A' || c > 'Z')
	}
	for i := 0; !lower && i < len(known); i++ {
		if bytes.EqualFold(name, []byte(known[i])) {
			return &RequestError{Param: known[i], Code: CodeUnknownParameter,
				Message: "a key differs from '" + known[i] + "' only in case: write it in lower case, once"}
		}
	}
	_, err := s.skip()
	return err
}
