package alipayai

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Answer is what a call brought: a whole body, or a stream that is pulled. It
// belongs to one goroutine.
type Answer struct {
	// Status is the HTTP status.
	Status int
	// Served says how the call was served.
	Served Served

	// header is the upstream's.
	header http.Header
	usage  wire.Usage
	// model is what the upstream says has answered; empty where it does not say.
	model string
	// ending is how much of an answer a JSON answer is.
	ending wire.Ending
	// finish is the finish reason of a JSON answer.
	finish string
	// content says that some of a JSON answer is content.
	content bool
	// body of a JSON answer, complete; nil for a stream. translated is what the client gets in its place.
	body       *bytes.Buffer
	translated []byte
	// stream of an event stream whose first content has arrived.
	stream *stream
	// native says that the answer is in the form of the call's Native.
	native bool
	// failed is why the client could not be given what there is.
	failed *failure.Failure
	// replayed says that the answer was given before, and to whom it is due.
	replayed *replayed
	call     *call
}

// Served says how a call was served, for the client.
type Served struct {
	RequestID string
	// Provider answered, or failed last; empty when none was asked.
	Provider string
	// Attempts is how many requests went to providers.
	Attempts int
	// Model is the one that answered, by the provider's name.
	Model string
	// Reasons say why the providers before did not answer.
	Reasons string
	// Unsupported names what of the request was not carried over.
	Unsupported string
	// Stored says where an answer was kept that had been given before, and Age
	// how long ago that was.
	Stored Stored
	Age    time.Duration
	// Packed is how many calls shared the request that was answered; 0 for none.
	Packed int
	// Cost is what the call has cost, as "0.03 CNY"; empty where that is not known, or
	// not known yet, as that of a stream.
	Cost string
}

// Error is a call that brought no answer.
type Error struct {
	*failure.Failure
	Served Served

	call *call
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Header fields that tell a client how it was served.
const (
	headerRequestID   = "X-Request-Id"
	headerProvider    = "X-Alipayai-Provider"
	headerAttempts    = "X-Alipayai-Attempts"
	headerModel       = "X-Alipayai-Model"
	headerReason      = "X-Alipayai-Reason"
	headerUnsupported = "X-Alipayai-Unsupported"
	headerPacked      = "X-Alipayai-Packed"
	headerCost        = "X-Alipayai-Cost"
)

// Header values that every answer shares.
var (
	jsonType    = []string{"application/json"}
	eventStream = []string{"text/event-stream"}
	// unbuffered has nginx before the gateway pass each event on at once: https://github.com/xorbitsai/xagent/issues/1358,
	// https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering.
	unbuffered = []string{"no"}
)

// forwardedToClient are the upstream's headers that reach the client. Those that describe the account there, such as
// X-Ratelimit-* and Openai-Organization, are the operator's: they are shared by all tenants, and are not a client's limits.
var forwardedToClient = [...]string{
	"Content-Type",
	"Cache-Control",
	"Payment-Needed",
	"Openai-Processing-Ms",
}

// Describe sets the header fields that say how the call was served. Those of an
// answer that was given before are those of RFC 9211 and RFC 9111, section 5.1.
func (s *Served) Describe(h http.Header) { s.describe(h, new([ownFields]string)) }

// ownFields is how many values of a header Served describes by itself, in one allocation.
const ownFields = 4

func (s *Served) describe(h http.Header, own *[ownFields]string) {
	*own = [...]string{s.RequestID, s.Provider, strconv.Itoa(s.Attempts), s.Model}
	h[headerRequestID] = own[0:1:1]
	if s.Provider != "" {
		h[headerProvider] = own[1:2:2]
		h[headerAttempts] = own[2:3:3]
	}
	// It is the upstream's word, or without a mapping the client's: it may be anything.
	if s.Model != "" && IsVisible(s.Model) {
		h[headerModel] = own[3:4:4]
	}
	if s.Reasons != "" {
		h[headerReason] = []string{s.Reasons}
	}
	if s.Unsupported != "" {
		h[headerUnsupported] = []string{s.Unsupported}
	}
	if s.Packed > 0 {
		h[headerPacked] = []string{strconv.Itoa(s.Packed)}
	}
	if s.Cost != "" {
		h[headerCost] = []string{s.Cost}
	}
	if s.Stored == "" {
		return
	}
	h["Age"] = []string{strconv.FormatInt(max(int64(s.Age/time.Second), 0), 10)}
	if s.Stored == StoredClaim {
		h["Idempotent-Replayed"] = []string{"true"}
	} else {
		h["Cache-Status"] = []string{"alipayai; hit"}
	}
}

// Values is room for the values of an answer's header. It belongs to the header, which may be kept for longer than the answer.
type Values struct {
	served    [ownFields]string
	forwarded [3]string // which are the most that usually come
	length    [1]string
}

// Describe sets the header fields of the answer: those of the upstream that a
// client may see, how the call was served and, of a whole body, how long it is.
func (a *Answer) Describe(h http.Header, values *Values) {
	upstream.Forward(h, a.header, forwardedToClient[:], values.forwarded[:])
	a.hide(h)
	a.Served.describe(h, &values.served)
	if a.stream == nil {
		values.length[0] = a.length()
		h["Content-Length"] = values.length[:]
	} else {
		h["X-Accel-Buffering"] = unbuffered
	}
}

// length is the length of a whole body, in the upstream's own string where that is right.
func (a *Answer) length() string {
	var room [20]byte
	digits := strconv.AppendInt(room[:0], int64(len(a.Body())), 10)
	if said := a.header["Content-Length"]; len(said) == 1 && said[0] == string(digits) {
		return said[0]
	}
	return string(digits)
}

// hide takes credentials out of what the upstream gives to the client in a header,
// and of the model's name: they are compared together, since a reader may put parts
// of one together. What was seen before costs a look into a map.
func (a *Answer) hide(h http.Header) {
	c := a.call
	passed := c.secrets.pass(a.Served.Model, a.Served.Unsupported)
	for _, name := range forwardedToClient {
		for _, value := range h[name] {
			passed = passed && c.secrets.pass(value)
		}
	}
	if passed {
		return
	}
	texts := []*string{&a.Served.Model, &a.Served.Unsupported}
	for _, name := range forwardedToClient {
		for i := range h[name] {
			texts = append(texts, &h[name][i])
		}
	}
	c.secrets.mask().Texts(texts...)
}

// DescribeEnd sets the trailer fields of a stream that has come to its end: what the call
// has cost. Clients that know no trailers pass over them (RFC 9110, section 6.5).
func (a *Answer) DescribeEnd(h http.Header) {
	if cost := a.call.account.cost(); cost != "" {
		h[http.TrailerPrefix+headerCost] = []string{cost}
	}
}

// Cost is what the call has cost, as "0.03 CNY", when the answer is closed; empty where that is not known.
func (a *Answer) Cost() string { return a.call.account.cost() }

// Body is the whole answer, valid until Close; nil for a stream.
func (a *Answer) Body() []byte {
	if a.translated != nil {
		return a.translated
	}
	if a.body == nil {
		return nil
	}
	return a.body.Bytes()
}

// Native reports whether the answer is in the form of the call's Native, as it came from the provider; else it is
// canonical.
func (a *Answer) Native() bool { return a.native }

// SetBody gives a whole answer another body: the same in its client's form.
func (a *Answer) SetBody(body []byte) { a.translated = body }

// Fail makes an answer one that the client cannot be given, for a reason that Close then settles.
func (a *Answer) Fail(f *failure.Failure) *Error {
	a.failed = f
	f.NoRetry = true
	return a.call.refused(f)
}

// Streams reports whether the answer is pulled with Next.
func (a *Answer) Streams() bool { return a.stream != nil }

// HoldsStream reports whether Body is the events of a stream that was given before, all at once.
func (a *Answer) HoldsStream() bool { return a.stream == nil && upstream.IsEventStream(a.header) }

// Next gives the events of a stream that have arrived since the last call, and
// waits where there are none: the first time, those up to the first content.
// They are valid until the next call. After the last it fails with io.EOF;
// an [*Error] says that the stream broke, and a client must not take what it
// has for an end.
func (a *Answer) Next() ([]byte, error) {
	if a.stream == nil {
		return nil, io.EOF
	}
	return a.stream.next()
}

// Ended reports whether what Next gave last is all that is left of a stream, and its end
// has come from the provider: it may go to the client together with the end. An end that
// says what the call has cost is a trailer, which only an answer has that was begun.
func (a *Answer) Ended() bool {
	return a.call.g.Spending == nil && a.stream != nil && a.stream.done && a.stream.broken == nil && a.stream.events.Ended()
}

// ClosesSlowly reports whether Close exchanges something with a shared store, which a client
// that has its answer need not wait for, or passes on a copy of the call, which comes after it.
func (a *Answer) ClosesSlowly() bool {
	return a.call.g.Answers != nil && a.call.g.Answers.Remote && a.call.recording.on || a.call.g.Shadow.copies(a.call)
}

// ClosesSlowly is [Answer.ClosesSlowly] for a call that brought none.
func (e *Error) ClosesSlowly() bool { return e.call.g.Shadow.copies(e.call) }

// Close says that the client has been told.
func (e *Error) Close() { e.call.g.Shadow.pass(e.call) }

// Close ends the call and settles it. delivered says that the client has all of
// the answer; a call that brought one and did not deliver it counts as left by
// the client.
func (a *Answer) Close(delivered bool) {
	c := a.call
	broken := a.failed != nil
	if a.stream != nil {
		broken = broken || a.stream.broken != nil
		a.stream.settle(delivered)
	}
	c.cacheAnswer() // whether this client has it or not
	switch {
	case !delivered && !broken: // the buffer is not recycled: see there
		c.outcome.Status, c.outcome.Code, c.outcome.Aborted = failure.ClientClosedRequest, failure.CodeClientGone, true
	case delivered && a.stream == nil && a.replayed == nil:
		c.intake.spent = a.body
	}
	c.settle()
	c.g.Shadow.pass(c)
}

// Recycle gives the memory of a closed answer to one to come. It comes last, from a caller that uses neither the answer nor
// what it gave any more, but for the header that Describe has filled. An answer that is not recycled is the garbage collector's.
func (a *Answer) Recycle() { a.call.recycle() }

// streamed gives a whole answer as the stream that the client has asked for, and
// would read nothing else as.
func (a *Answer) streamed(includeUsage bool) (*Answer, *failure.Failure) {
	events, err := wire.AppendStream(nil, a.body.Bytes(), includeUsage)
	if err != nil {
		return nil, failure.BadAnswer(failure.CodeMalformed, "the provider's answer is no chat completion")
	}
	a.body = bytes.NewBuffer(events)
	a.header["Content-Type"] = eventStream
	return a, nil
}

// succeeded reports whether a status is one of success. Which of them it is says nothing of an answer.
func succeeded(status int) bool { return status >= 200 && status < 300 }

var byteOrderMark = []byte("\ufeff")

// commit makes a the call's answer. After this no other provider can be asked.
func (c *call) commit(a *Answer) *Answer {
	a.call = c
	if a.model != "" {
		c.outcome.UpstreamModel = a.model
	}
	if a.replayed != nil {
		c.outcome.Stored, c.outcome.Provider, c.outcome.UpstreamModel = a.replayed.from, a.replayed.Provider, a.replayed.Model
		c.carried.unsupported = a.replayed.Header.Get(headerUnsupported)
	}
	a.Served = c.served()
	if a.replayed != nil {
		a.Served.Age = c.g.Now().Sub(a.replayed.Answer.StoredAt)
	}
	c.outcome.Status = a.Status
	if c.Endpoint == upstream.EndpointModels {
		a.Served = Served{RequestID: c.outcome.RequestID} // it is of several providers
		return a
	}
	now := c.g.Now()
	c.trial.begin(a)
	c.startRecording(a, now)
	c.Seen.begin(a, now)
	if a.stream != nil {
		a.stream.Watch.Arm(a.stream.timeout, failure.ErrNoEvent)
		a.stream.Watch.Pause() // until it is pulled
	} else {
		c.outcome.Usage, c.taken.answered = a.usage, int64(a.body.Len())
		if a.Status < http.StatusBadRequest && a.replayed == nil && !a.usage.OK && c.Endpoint.Costs() {
			c.taken.estimate(c.Request, a.generated(c.Endpoint, 0).textTokens())
		}
		c.recording.end(a.ending)
		if c.once.claim.held() {
			c.endClaim()    // the client may repeat its key as soon as it has the answer
			now = c.g.Now() // its store may be far away
		}
	}
	c.outcome.FirstByte = now.Sub(c.Began)
	return a
}

// refused makes what the client sees of a failure.
func (c *call) refused(f *failure.Failure) *Error {
	c.outcome.Status, c.outcome.Code = f.Status, f.Code
	if n := len(c.route.failed); n > 0 { // the last provider's failure says more than that of them together
		c.Seen.refused(c.route.failed[n-1].f)
	} else {
		c.Seen.refused(f)
	}
	f.NoRetry = f.NoRetry || c.route.mayHaveExecuted
	f.RequestID = c.outcome.RequestID
	c.secrets.mask().Texts(&f.Code, &f.Message, &f.Param)
	return &Error{Failure: f, Served: c.served(), call: c}
}

func (c *call) served() Served {
	if len(c.route.failed) > 0 {
		c.outcome.Reasons = c.route.reasons()
	}
	if !c.secrets.pass(c.outcome.UpstreamModel, c.carried.unsupported) {
		c.secrets.mask().Texts(&c.outcome.UpstreamModel, &c.carried.unsupported)
	}
	return Served{
		RequestID: c.outcome.RequestID, Provider: c.outcome.Provider, Attempts: c.outcome.Attempts,
		Model: c.outcome.UpstreamModel, Reasons: c.outcome.Reasons, Unsupported: c.carried.unsupported, Stored: c.outcome.Stored,
		Packed: c.outcome.Packed,
		Cost:   c.account.costSoFar(),
	}
}
