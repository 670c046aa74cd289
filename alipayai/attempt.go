package alipayai

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/signer"
)

// answer is an upstream's answer, ready to go to the client.
type answer struct {
	status int
	header http.Header
	usage  wire.Usage
	// model is what the upstream says has answered; empty where it does not say.
	model string
	// finish is the finish reason of a JSON answer.
	finish string
	// body of a JSON answer, complete; nil for a stream.
	body *bytes.Buffer
	// stream of an event stream whose first content has arrived.
	stream *stream
	// replayed says that the answer was given before, and to whom it is due.
	replayed *replayed
}

// attempt makes one request to p and classifies what comes back.
func (c *call) attempt(p *Provider, body []byte) (a *answer, f *failure) {
	ctx, cancel := context.WithCancelCause(c.r.Context())
	dog := newWatchdog(cancel)
	defer func() {
		if a == nil || a.stream == nil {
			dog.disarm()
			cancel(errAttemptIsEnded)
		}
		if a == nil {
			c.buffered.release()
		}
	}()

	token, f := c.admit(ctx, p)
	if f != nil {
		return nil, f
	}
	skew := p.Clock.Skew()
	req, departure, f := c.ready(ctx, p, token, body)
	if f != nil {
		return nil, f
	}
	if f := c.leave(); f != nil {
		departure.Cancel()
		return nil, f
	}

	c.sending(p, req)
	start := c.g.Now()
	within := min(p.Timeout, c.deadline().Sub(start))
	dog.arm(within, errNoHead)
	c.outcome.Attempts++
	resp, err := outgoing.Send(p.Transport, req)
	if err != nil {
		departure.Cancel()
		f := c.transportFailure(ctx, err, departure.Left())
		f.idled = f.Code == codeTruncated && departure.foundClosed(time.Now())
		return nil, f
	}
	resp.Request = req // what was sent, whatever the transport made of it
	received := c.g.Now()
	p.Clock.Learn(resp.Header, start, received)

	if c.request.Stream && resp.StatusCode == http.StatusOK && isEventStream(resp.Header) {
		dog.arm(within-received.Sub(start), errNoContent)
		s := &stream{ctx: ctx, cancel: cancel, dog: dog, timeout: p.StreamTimeout, provider: p, resp: resp}
		if p.Format != nil {
			s.decoder = p.Format.DecodeStream(c.wireAsk(p))
		}
		a, f = c.openStream(s)
	} else {
		resp.Body = &awaited{ReadCloser: resp.Body, call: c, dog: dog, timeout: p.Timeout}
		a, f = c.readAnswer(ctx, dog, p, req, resp)
	}
	if f != nil {
		// Another call may have been the one that taught the clock.
		f.clockLearned = (p.Clock.Skew() - skew).Abs() > minSkew
		f.token = token
	}
	return a, f
}

// awaited is the body of an answer, of which each part has to come within the
// timeout, and all before the call's deadline.
type awaited struct {
	io.ReadCloser
	call    *call
	dog     *watchdog
	timeout time.Duration
}

func (w *awaited) Read(b []byte) (int, error) {
	if left := w.call.deadline().Sub(w.call.g.Now()); left < w.timeout {
		w.dog.arm(left, errDeadline)
	} else {
		w.dog.arm(w.timeout, errNoMore)
	}
	return w.ReadCloser.Read(b)
}

// readAnswer reads an answer that is not a stream, and tells a success from a
// failure in any of the shapes and under any status.
func (c *call) readAnswer(ctx context.Context, dog *watchdog, p *Provider, req *http.Request, resp *http.Response) (*answer, *failure) {
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 599 {
		return nil, badAnswer(codeMalformed, "the provider answered with an invalid status")
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		// A redirect could carry the signed request to another host.
		return nil, badAnswer(codeRedirect, "the provider answered with a redirect, which is not followed")
	}
	buffer, err := c.readAll(ctx, dog, resp)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, badAnswer(codeTooLarge, "the provider's answer is larger than this gateway takes")
	case errors.Is(err, errNoRoom):
		// What has been generated was paid for: a repeat would pay again, and find no room either.
		f := badAnswer(codeBuffersFull, "the gateway holds as many answers as it may that clients have yet to read")
		f.Status = http.StatusServiceUnavailable
		return nil, f
	case err != nil:
		return nil, c.transportFailure(ctx, err, true)
	}
	body := buffer.Bytes()
	var unverified error
	if p.verifies() && !isEventStream(resp.Header) { // streams carry no signature
		unverified = p.verify(req, resp.Header, body)
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, body: buffer}
	if resp.StatusCode == http.StatusPaymentRequired && p.Format == nil && c.outcome.Endpoint != EndpointModels && unverified == nil {
		a.body = bytes.NewBuffer(c.mask().Bytes(body))
		return a, nil // agent payments: the client pays and comes back with the proof
	}
	parsed, event, err := c.decode(p, a)
	failed := isError(resp.StatusCode) || resp.StatusCode < http.StatusBadRequest && err == nil && parsed.Failure != nil
	switch {
	case unverified != nil && !(failed && errors.Is(unverified, signer.ErrUnsigned)):
		return nil, badAnswer(codeBadSignature, ErrBadAnswer.Error())
	case err != nil && resp.StatusCode < http.StatusBadRequest:
		return nil, badAnswer(codeMalformed, "the provider's answer is not valid JSON")
	case err == nil && parsed.Failure == nil && resp.StatusCode < http.StatusBadRequest:
		if !parsed.HasChoices && c.outcome.Endpoint != EndpointModels {
			return nil, badAnswer(codeMalformed, "the provider's answer has neither choices nor data")
		}
		a.usage, a.model, a.finish = parsed.Usage, parsed.Model, parsed.FinishReason
		if !strings.HasPrefix(resp.Header.Get("Content-Type"), jsonType[0]) {
			a.header["Content-Type"] = jsonType // whatever it called itself
		}
		if c.request.Stream {
			return a.streamed(c.request.IncludeUsage)
		}
		return a, nil
	case parsed.Failure == nil:
		parsed.Failure = &wire.Failure{Message: "the provider answered " + http.StatusText(resp.StatusCode)}
	}
	return nil, c.failed(p, parsed.Failure, resp, body, event)
}

// streamed gives a whole answer as the stream that the client has asked for, and
// would read nothing else as.
func (a *answer) streamed(includeUsage bool) (*answer, *failure) {
	events, err := wire.AppendStream(nil, a.body.Bytes(), includeUsage)
	if err != nil {
		return nil, badAnswer(codeMalformed, "the provider's answer is no chat completion")
	}
	a.body = bytes.NewBuffer(events)
	a.header["Content-Type"] = eventStream
	return a, nil
}

// failed makes the failure that p reports in its answer, or in an event of its
// stream, and does what has to be done about it at once.
func (c *call) failed(p *Provider, reported *wire.Failure, resp *http.Response, body, event []byte) *failure {
	now := c.g.Now()
	f := p.upstreamFailure(resp.StatusCode, reported, resp, now, c.mask())
	switch f.action {
	case ActionThrottle:
		p.throttled(now, f.RetryAfter)
	case ActionSystemError:
		c.recordEvidence(p, f, resp, body, event)
	}
	return f
}

// decode makes sense of an answer's body, and puts it into OpenAI's form. Of a
// body that is a stream, event is what reports its failure.
func (c *call) decode(p *Provider, a *answer) (parsed wire.Answer, event []byte, err error) {
	body := a.body.Bytes()
	if isEventStream(a.header) {
		if failure, event := failingEvent(body); failure != nil {
			return wire.Answer{Failure: failure}, event, nil
		}
	}
	if p.Format == nil || c.outcome.Endpoint != EndpointChat || a.status != http.StatusOK {
		parsed, err = wire.ParseBody(body, wire.Limits{})
		return parsed, nil, err
	}
	translated, parsed, err := p.Format.DecodeAnswer(body, c.wireAsk(p))
	if err == nil && parsed.Failure == nil {
		a.body, a.header = bytes.NewBuffer(translated), http.Header{"Content-Type": jsonType}
	}
	return parsed, nil, err
}

// failingEvent finds the event of a whole stream that reports a failure; nil where
// none does.
func failingEvent(stream []byte) (*wire.Failure, []byte) {
	events := wire.NewEventReader(bytes.NewReader(stream), 0)
	defer events.Release()
	for {
		event, err := events.Next()
		if err != nil {
			return nil, nil
		}
		if chunk, err := wire.ParseEvent(event); err == nil && chunk.Failure != nil {
			return chunk.Failure, bytes.Clone(event.Raw)
		}
	}
}

// wireAsk is the request as p's format needs to know it.
func (c *call) wireAsk(p *Provider) wire.Ask {
	return wire.Ask{
		Request: c.request, UpstreamModel: p.upstreamModel(c.request.Model),
		ID: c.idempotencyID, Tenant: c.outcome.Tenant,
	}
}

// badAnswer makes the failure of an answer that cannot be used. What the
// upstream did for it is not known, so nobody should repeat it blindly.
func badAnswer(code, message string) *failure {
	f := &failure{action: ActionFail, sent: true}
	f.Status, f.Code, f.Message, f.NoRetry = http.StatusBadGateway, code, message, true
	return f
}
