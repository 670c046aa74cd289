package alipayai

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// attempt makes one request to p and classifies what comes back.
func (c *call) attempt(p *upstream.Provider, body []byte) (a *Answer, f *failure.Failure) {
	defer func() {
		if a == nil {
			c.buffered.release()
		}
	}()
	r := &upstream.Request{
		Endpoint: c.Endpoint, ID: c.idempotencyID, Stream: c.Request.Stream, Header: c.Header,
		Model: p.UpstreamModel(c.Request.Model), Body: body,
		Tenant: c.Tenant, Share: c.share(), User: c.userAt(p), Regions: c.regions,
		Alternatives: c.alternatives, Equals: c.equals, Latest: c.latest(), Deadline: c.deadline(),
		Caller: c, Cleared: c.cleared(), Now: c.g.Now,
	}
	if c.pack != nil {
		r.Seal = c.pack.seal
	}
	native := c.nativeAt(p)
	if native != nil {
		r.Endpoint, r.Fields = native.Endpoint, native.Fields
	}
	r.Translated = native == nil && (c.Native != nil || !c.untouched(p))
	x, f := p.Send(c.ctx, r)
	if f != nil {
		return nil, f
	}
	c.exchange = x
	x.Inflate()
	if c.Request.Stream && succeeded(x.Response.StatusCode) {
		x.AwaitContent()
		if s := (&stream{Exchange: x, call: c, timeout: p.StreamTimeout, provider: p}); s.begin() {
			ask := c.wireAsk(p)
			decoder := c.formatAt(p).DecodeStream(ask)
			s.decoder, s.guard = p.AnswerForm.Decoder(decoder, ask), c.guardOf(x)
			s.decoder = c.ownCalls.Decoder(s.decoder)
			if native != nil && s.guard == nil {
				own, _ := decoder.(wire.OwnEnder)
				s.decoder, s.native = &untranslated{s.decoder, own, nil}, true
			}
			if s.guard == nil && c.trial == nil {
				s.passing, _ = s.decoder.(wire.Passing)
			}
			return c.openStream(s)
		}
	}
	defer x.End()
	c.awaited = awaited{ReadCloser: x.Response.Body, call: c, dog: &x.Watch, timeout: p.Timeout}
	x.Response.Body = &c.awaited
	return c.readAnswer(p, x)
}

// awaited is the body of an answer, of which each part has to come within the
// timeout, and all before the call's deadline.
type awaited struct {
	io.ReadCloser
	call    *call
	dog     *upstream.Watchdog
	timeout time.Duration
}

func (w *awaited) Read(b []byte) (int, error) {
	if left := w.call.deadline().Sub(w.call.g.Now()); left < w.timeout {
		w.dog.Arm(left, failure.ErrDeadline)
	} else {
		w.dog.Arm(w.timeout, failure.ErrNoMore)
	}
	return w.ReadCloser.Read(b)
}

// readAnswer reads an answer that is not a stream, and tells a success from a
// failure in any of the shapes and under any status.
func (c *call) readAnswer(p *upstream.Provider, x *upstream.Exchange) (*Answer, *failure.Failure) {
	resp := x.Response
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 599 {
		return nil, failure.BadAnswer(failure.CodeMalformed, "the provider answered with an invalid status")
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		// A redirect could carry the signed request to another host.
		return nil, failure.BadAnswer(failure.CodeRedirect, "the provider answered with a redirect, which is not followed")
	}
	buffer, err := c.readAll(x)
	switch {
	case errors.Is(err, errNoRoom):
		return nil, noRoom()
	case err != nil:
		return nil, x.Broken(err)
	}
	body := buffer.Bytes()
	unverified := x.Verify(body)
	if bytes.HasPrefix(body, byteOrderMark) { // which clients pass over, and JSON does not have
		buffer.Next(len(byteOrderMark))
		body = buffer.Bytes()
	}
	a := &c.answer
	*a = Answer{Status: resp.StatusCode, header: resp.Header, body: buffer, ending: wire.EndingWhole}
	if upstream.AsksForPayment(resp) && c.hears(p) && unverified == nil {
		a.body = bytes.NewBuffer(c.mask().Bytes(body))
		return a, nil // agent payments: the client pays and comes back with the proof
	}
	parsed, event, err := c.decode(p, a)
	good := err == nil && parsed.Failure == nil && succeeded(a.Status)
	if good {
		c.complete(p, a, parsed.FinishReason)
	}
	failed := resp.StatusCode >= http.StatusBadRequest && !upstream.AsksForPayment(resp) ||
		succeeded(a.Status) && err == nil && parsed.Failure != nil
	if f := upstream.Unverified(unverified, failed); f != nil {
		return nil, f
	}
	switch {
	case upstream.AsksForPayment(resp):
		return nil, c.failed(p, x, &wire.Failure{Code: failure.CodePaymentRequired}, body, nil)
	case good:
		return c.accepted(p, x, a, parsed, buffer)
	case err != nil && succeeded(a.Status):
		return nil, failure.BadAnswer(failure.CodeMalformed, "the provider's answer is not valid JSON"+x.Unread())
	case parsed.Failure == nil:
		parsed.Failure = refusal(resp.StatusCode, a.body.Bytes())
	}
	return nil, c.failed(p, x, parsed.Failure, body, event)
}

// accepted makes an answer of a success, unless it is none to the call or the guard refuses it. received is what has come.
func (c *call) accepted(p *upstream.Provider, x *upstream.Exchange, a *Answer, parsed wire.Answer, received *bytes.Buffer) (*Answer, *failure.Failure) {
	if !parsed.HasChoices && c.Endpoint.HasChoices() {
		return nil, failure.BadAnswer(failure.CodeMalformed, "the provider's answer has neither choices nor data")
	}
	if !c.Endpoint.AnsweredBy(a.body.Bytes()) {
		return nil, failure.BadAnswer(failure.CodeMalformed, "the provider's answer is one to something else")
	}
	if f := c.brokenOff(p, x, parsed, received.Bytes()); f != nil {
		return nil, f
	}
	native := c.nativeAt(p) != nil && !c.Request.Stream
	var own []byte
	if native {
		own = received.Bytes()
	}
	a.usage, a.model, a.ending, a.finish, a.content = parsed.Usage, parsed.Model, parsed.Ending(), parsed.FinishReason, parsed.Content
	if f := c.guardWhole(a, own); f != nil {
		c.chargeRefused(a)
		return nil, f
	}
	if native { // what it is in canonical form has been looked at
		a.body, a.native = received, true
	}
	if !strings.HasPrefix(x.Response.Header.Get("Content-Type"), jsonType[0]) {
		a.header["Content-Type"] = jsonType // whatever it called itself
	}
	if c.Request.Stream {
		return a.streamed(c.Request.IncludeUsage)
	}
	return a, nil
}

// complete gives an answer of p's, which ended for that reason, what it lacks for a client, in the form that was asked for.
func (c *call) complete(p *upstream.Provider, a *Answer, finish string) {
	whole := a.body.Bytes()
	if c.nativeAt(p) == nil {
		switch c.Endpoint {
		case upstream.EndpointChat:
			whole = openai.CompleteAnswer(whole, c.idempotencyID, finish, c.Request.ChoosesTool)
		case upstream.EndpointEmbeddings:
			whole = openai.Embeddings(c.Request.Body, whole)
		}
	}
	if whole = c.ownCalls.Own(whole); !bytes.Equal(whole, a.body.Bytes()) {
		a.body = bytes.NewBuffer(whole)
	}
}

// succeeded reports whether a status is one of success. Which of them it is says nothing of an answer.
func succeeded(status int) bool { return status >= 200 && status < 300 }

var byteOrderMark = []byte("\ufeff")

// refusal reads a body of which nothing but the status says that it is a failure.
func refusal(status int, body []byte) *wire.Failure {
	reported := wire.ParseRefusal(body)
	if reported == (wire.Failure{}) {
		reported.Message = "the provider answered " + cmp.Or(http.StatusText(status), strconv.Itoa(status))
		reported.NotOfAPI = !json.Valid(body)
	}
	return &reported
}

// brokenOff makes the failure of an answer whose finish reason is one. What there is
// of it was paid for: it goes to the client where no other provider can be asked.
func (c *call) brokenOff(p *upstream.Provider, x *upstream.Exchange, parsed wire.Answer, body []byte) *failure.Failure {
	if _, bad := failure.FinishClass(parsed.FinishReason); !bad || parsed.Content && !c.alternatives {
		return nil
	}
	return c.failed(p, x, &wire.Failure{Code: wire.FinishCode(parsed.FinishReason), Message: brokenOffMessage}, body, nil)
}

const brokenOffMessage = "the provider broke its answer off"

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

// failed makes the failure that p reports in its answer, or in an event of its
// stream, and does what has to be done about it at once.
func (c *call) failed(p *upstream.Provider, x *upstream.Exchange, reported *wire.Failure, body, event []byte) *failure.Failure {
	f := x.Failed(reported, c.mask())
	if f.Model == failure.ModelUnknown && !c.namesModel(p) {
		f.UnsupportedHere = true
	}
	// Clients recover by the wording of their vendor's errors, which includes members that the gateway does not read.
	if event == nil && c.nativeAt(p) != nil && f.Status == x.Response.StatusCode && f.Message == reported.Message && reported.Type != "" {
		f.Original = c.mask().Bytes(bytes.Clone(body))
	}
	if f.Class.Policy().Evidence {
		c.recordEvidence(p, f, x.Response, body, event)
	}
	return f
}

// decode makes sense of an answer's body, and puts it into OpenAI's form. Of a
// body that is a stream, event is what reports its failure.
func (c *call) decode(p *upstream.Provider, a *Answer) (parsed wire.Answer, event []byte, err error) {
	parsed, event, err = c.decodeWhole(p, a)
	if err == nil || c.Endpoint != upstream.EndpointChat || c.nativeAt(p) != nil || !succeeded(a.Status) || !wire.IsStream(a.body.Bytes()) {
		return parsed, event, err
	}
	whole, failed := c.gathered(p, a.body.Bytes())
	if failed != nil {
		return wire.Answer{Failure: failed}, nil, nil
	}
	if whole == nil { // it is no answer, or not all of one
		return parsed, event, err
	}
	a.body, a.header = bytes.NewBuffer(whole), http.Header{"Content-Type": jsonType}
	parsed, err = wire.ParseBody(whole, wire.Limits{})
	return parsed, nil, err
}

// gathered gives the chat completion that a whole stream is, nil where that is not all of one, or the failure that it reports.
func (c *call) gathered(p *upstream.Provider, stream []byte) (whole []byte, failed *wire.Failure) {
	ask := c.wireAsk(p)
	decoder := p.AnswerForm.Decoder(c.formatAt(p).DecodeStream(ask), ask)
	events := wire.EventsIn(stream)
	defer events.Release()
	var answer wire.Gathered
	for {
		event, ended := events.Next()
		chunks, chunk, err := decoder.Decode(nil, event) // at the end, of nothing or of what is not ended by a blank line
		if err != nil || chunk.Failure != nil || answer.Add(chunks) != nil {
			return nil, chunk.Failure
		}
		if ended != nil && !chunk.Done {
			chunks, chunk, _ = decoder.End(nil)
			_ = answer.Add(chunks) // which the decoder has written
		}
		switch {
		case chunk.Done:
			whole, _ = answer.Append(nil) // nil where no choice has come
			return whole, nil
		case ended != nil:
			return nil, nil
		}
	}
}

// decodeWhole is decode but for a stream that no stream was asked for.
func (c *call) decodeWhole(p *upstream.Provider, a *Answer) (parsed wire.Answer, event []byte, err error) {
	body := a.body.Bytes()
	if upstream.IsEventStream(a.header) {
		if reported, event := failingEvent(p, body); reported != nil {
			return wire.Answer{Failure: reported}, event, nil
		}
	}
	if c.Endpoint == upstream.EndpointChat && succeeded(a.Status) && p.AnswerForm.Translates() && c.nativeAt(p) == nil {
		translated, parsed, err := p.AnswerForm.Translate(body, c.wireAsk(p))
		if err == nil && parsed.Failure == nil {
			a.body, a.header = bytes.NewBuffer(translated), http.Header{"Content-Type": jsonType}
		}
		return parsed, nil, err
	}
	if c.untouched(p) && c.nativeAt(p) == nil || !c.Endpoint.Generates() || !succeeded(a.Status) {
		if c.Endpoint == upstream.EndpointModels && succeeded(a.Status) {
			body = listOf(body)
			a.body = bytes.NewBuffer(body)
		}
		inside, parsed, err := p.AnswerForm.ParseBody(body, a.Status >= http.StatusBadRequest)
		if len(inside) != len(body) {
			a.body = bytes.NewBuffer(inside)
		}
		return parsed, nil, err
	}
	translated, parsed, err := c.formatAt(p).DecodeAnswer(body, c.wireAsk(p))
	if err == nil && parsed.Failure == nil {
		a.body, a.header = bytes.NewBuffer(translated), http.Header{"Content-Type": jsonType}
	}
	return parsed, nil, err
}

// failingEvent finds the event of a whole stream that reports a failure; nil where
// none does.
func failingEvent(p *upstream.Provider, stream []byte) (*wire.Failure, []byte) {
	events := wire.EventsIn(stream)
	defer events.Release()
	for {
		event, err := events.Next()
		if err != nil {
			return nil, nil
		}
		inside, reported, err := p.AnswerForm.OpenEvent(event)
		if err == nil && reported == nil {
			var chunk wire.Chunk
			chunk, err = wire.ParseEvent(inside)
			reported = chunk.Failure
		}
		if err == nil && reported != nil {
			return reported, bytes.Clone(event.Raw)
		}
	}
}

// formatAt is the form of p's answers to the call.
func (c *call) formatAt(p *upstream.Provider) wire.Format {
	if n := c.nativeAt(p); n != nil {
		return n.Format
	}
	return p.Format
}

// untouched reports whether the client and p speak the same format, so that the
// bytes pass as they are.
func (c *call) untouched(p *upstream.Provider) bool { return p.Format.Name() == c.Format.Name() }

// hears reports whether p's demand for payment can go to the client as it is, who pays then: where it asks for an answer in the
// form that p speaks. To a client of another API the demand says nothing, and so it is one of the gateway's own account.
func (c *call) hears(p *upstream.Provider) bool {
	switch {
	case c.Endpoint == upstream.EndpointModels:
		return false
	case c.Native != nil && c.Native.Format != nil:
		return c.nativeAt(p) != nil
	}
	return c.untouched(p)
}

// Evidence takes the records of system errors. Record must not block.
type Evidence interface {
	Record(r evidence.Record)
}

// recordEvidence records what p answered with a system error, and to what. Of a stream,
// event is what reports the error; nil for none.
func (c *call) recordEvidence(p *upstream.Provider, f *failure.Failure, resp *http.Response, body, event []byte) {
	if c.g.Evidence == nil {
		return
	}
	req := resp.Request
	c.exchange = nil // the record has its headers
	c.g.Evidence.Record(evidence.Record{
		Time: c.g.Now(), RequestID: c.outcome.RequestID, Tenant: c.Tenant,
		Provider: p.Name, Endpoint: string(c.Endpoint), Model: c.outcome.UpstreamModel,
		Attempt: c.outcome.Attempts, Code: f.Code,
		Request:  evidence.Request{Method: req.Method, URL: req.URL.String(), Header: req.Header, Body: upstream.SentBody(req)},
		Response: evidence.Response{Status: resp.StatusCode, Header: resp.Header, Body: body, Event: event},
		Conceal:  c.mask().Bytes,
	})
}
