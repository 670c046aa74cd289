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
func (q at) attempt(body []byte) (a *Answer, f *failure.Failure) {
	defer func() {
		if a == nil {
			q.intake.room.release()
		}
	}()
	r := &upstream.Request{
		Endpoint: q.Endpoint, ID: q.once.id, Stream: q.Request.Stream, Header: q.Header,
		Model: q.p.UpstreamModel(q.Request.Model), Body: body,
		Tenant: q.Tenant, Share: q.share(), User: q.tokenUser(), Regions: q.tenancy.regions,
		Alternatives: q.route.alternatives, Equals: q.route.equals, Latest: q.latest(), Deadline: q.deadline(),
		Caller: q.call, Cleared: q.cleared(), Now: q.g.Now,
	}
	if q.packing.group != nil {
		r.Seal = q.packing.group.seal
	}
	native := q.native()
	if native != nil {
		r.Endpoint, r.Fields = native.Endpoint, native.Fields
	}
	r.Translated = native == nil && (q.Native != nil || !q.untouched())
	x, f := q.p.Send(q.ctx, r)
	if f != nil {
		// The upstream is believed that it has done nothing, unless money may hang on it.
		f.NoRetry = f.NoRetry && (!f.Unprocessed || q.class() == ClassMoney)
		return nil, f
	}
	q.intake.exchange = x
	x.Inflate()
	if q.Request.Stream && succeeded(x.Response.StatusCode) {
		x.AwaitContent()
		s := &q.stream
		if *s = (stream{Exchange: x, call: q.call, timeout: q.p.StreamTimeout, provider: q.p}); s.begin() {
			ask := q.wireAsk()
			decoder := q.format().DecodeStream(ask)
			s.decoder, s.guard = q.p.AnswerForm.Decoder(decoder, ask), q.Guard.stream(q.Endpoint)
			s.decoder = q.carried.calls.Decoder(s.decoder)
			if native != nil && s.guard == nil {
				s.decoder, s.native = wire.NewUntranslated(s.decoder, decoder), true
			}
			if s.guard == nil && q.trial == nil {
				s.passing, _ = s.decoder.(wire.Passing)
			}
			return s.open()
		}
	}
	defer x.End()
	q.intake.awaited = awaited{x.Response.Body, &x.Watch, q.p.Timeout, q.deadline(), q.g.Now}
	x.Response.Body = &q.intake.awaited
	return q.readAnswer(x)
}

// awaited is the body of an answer, of which each part has to come within the
// timeout, and all before the call's deadline.
type awaited struct {
	io.ReadCloser
	dog      *upstream.Watchdog
	timeout  time.Duration
	deadline time.Time
	now      func() time.Time
}

func (w *awaited) Read(b []byte) (int, error) {
	if left := w.deadline.Sub(w.now()); left < w.timeout {
		w.dog.Arm(left, failure.ErrDeadline)
	} else {
		w.dog.Arm(w.timeout, failure.ErrNoMore)
	}
	return w.ReadCloser.Read(b)
}

// readAnswer reads an answer that is not a stream, and tells a success from a
// failure in any of the shapes and under any status.
func (q at) readAnswer(x *upstream.Exchange) (*Answer, *failure.Failure) {
	resp := x.Response
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 599 {
		return nil, failure.BadAnswer(failure.CodeMalformed, "the provider answered with an invalid status")
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		// A redirect could carry the signed request to another host.
		return nil, failure.BadAnswer(failure.CodeRedirect, "the provider answered with a redirect, which is not followed")
	}
	buffer, err := q.intake.readAll(q.g, x, q.deadline())
	switch {
	case errors.Is(err, errNoRoom):
		return nil, noRoom()
	case err != nil:
		return nil, x.Broken(err)
	}
	unverified := x.Verify(buffer.Bytes())
	body := bare(buffer)
	a := &q.answer
	*a = Answer{Status: resp.StatusCode, header: resp.Header, body: buffer, ending: wire.EndingWhole}
	if upstream.AsksForPayment(resp) && q.hears() && unverified == nil {
		a.body = bytes.NewBuffer(q.secrets.mask().Bytes(body))
		return a, nil // agent payments: the client pays and comes back with the proof
	}
	parsed, event, err := q.decode(a)
	good := err == nil && parsed.Failure == nil && succeeded(a.Status)
	if good {
		q.complete(a, &parsed)
	}
	failed := resp.StatusCode >= http.StatusBadRequest && !upstream.AsksForPayment(resp) ||
		succeeded(a.Status) && err == nil && parsed.Failure != nil
	if f := upstream.Unverified(unverified, failed); f != nil {
		return nil, f
	}
	switch {
	case upstream.AsksForPayment(resp):
		return nil, q.failed(x, &wire.Failure{Code: failure.CodePaymentRequired}, body, nil)
	case good:
		return q.accepted(x, a, parsed, buffer)
	case err != nil && succeeded(a.Status):
		return nil, failure.BadAnswer(failure.CodeMalformed, "the provider's answer is not valid JSON"+x.Unread())
	case parsed.Failure == nil:
		parsed.Failure = refusal(resp.StatusCode, a.body.Bytes())
	}
	f := q.failed(x, parsed.Failure, body, event)
	if generates(parsed) {
		f.AfterContent()
		f.Used = parsed.Usage
	}
	return nil, f
}

// accepted makes an answer of a success, unless it is none to the call or the guard refuses it. received is what has come.
func (q at) accepted(x *upstream.Exchange, a *Answer, parsed wire.Answer, received *bytes.Buffer) (*Answer, *failure.Failure) {
	if !parsed.HasChoices && q.Endpoint.HasChoices() {
		return nil, unusable(failure.CodeMalformed, "the provider's answer has neither choices nor data", parsed.Usage)
	}
	if parsed.Silent { // as a stream that ends before any content: https://github.com/diegosouzapw/OmniRoute/issues/7000
		return nil, unusable(failure.CodeTruncated, "the provider's answer has no content, and does not say that it is whole", parsed.Usage)
	}
	if !q.Endpoint.AnsweredBy(a.body.Bytes()) {
		return nil, unusable(failure.CodeMalformed, "the provider's answer is one to something else", parsed.Usage)
	}
	if f := q.brokenOff(x, parsed, a.body.Bytes(), received.Bytes()); f != nil {
		return nil, f
	}
	native := q.native() != nil && !q.Request.Stream
	var own []byte
	if native {
		own = received.Bytes()
	}
	a.usage, a.model, a.ending, a.finish, a.content = parsed.Usage, parsed.Model, parsed.Ending(), parsed.FinishReason, parsed.Content
	if f := q.guardWhole(a, own); f != nil {
		q.chargeRefused(a)
		return nil, f
	}
	if native { // what it is in canonical form has been looked at
		a.body, a.native = received, true
	}
	if !strings.HasPrefix(x.Response.Header.Get("Content-Type"), jsonType[0]) {
		a.header["Content-Type"] = jsonType // whatever it called itself
	}
	if q.Request.Stream {
		return a.streamed(q.Request.IncludeUsage)
	}
	return a, nil
}

// complete gives an answer of p's, of which parsed was read, what it lacks for a client, in the form that was asked for.
func (q at) complete(a *Answer, parsed *wire.Answer) {
	whole := a.body.Bytes()
	if q.native() == nil {
		switch q.Endpoint {
		case upstream.EndpointChat:
			whole = openai.CompleteAnswer(whole, parsed, q.wireAsk())
		case upstream.EndpointEmbeddings:
			whole = openai.Embeddings(q.Request.Body, whole, q.p.UpstreamModel(q.Request.Model))
		}
	}
	if whole = q.carried.calls.Own(whole); !bytes.Equal(whole, a.body.Bytes()) {
		a.body = bytes.NewBuffer(whole)
	}
}

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
// of it was paid for, and is not asked for again: it goes to the client where no other provider can be asked. Where
// its text is the failure that it reports, it goes nowhere: what says by no word that is known what failed may be half an answer.
func (q at) brokenOff(x *upstream.Exchange, parsed wire.Answer, whole, received []byte) *failure.Failure {
	code := wire.FinishCode(parsed.FinishReason)
	if _, bad := failure.FinishClass(code); !bad {
		return nil
	}
	reported := &wire.Failure{Code: code, Message: brokenOffMessage}
	if code == wire.FinishErrorText {
		reported = finishedBy(whole)
	} else if parsed.Content && !q.route.alternatives {
		return nil
	}
	f := q.failed(x, reported, received, nil)
	if code == wire.FinishErrorText && f.Class != failure.Retry {
		parsed.Content = false
	} else if parsed.Content && !q.route.alternatives {
		return nil
	}
	if generates(parsed) {
		f.AfterContent()
		f.Used = parsed.Usage
	}
	return f
}

// finishedBy gives what a choice says that ends in [wire.FinishErrorText].
func finishedBy(data []byte) *wire.Failure {
	reported := wire.ParseRefusal([]byte(wire.ErrorText(data)))
	reported.Code, reported.Message = cmp.Or(reported.Code, wire.FinishErrorText), cmp.Or(reported.Message, brokenOffMessage)
	return &reported
}

const brokenOffMessage = "the provider broke its answer off"

// failed makes the failure that p reports in its answer, or in an event of its
// stream, and does what has to be done about it at once.
func (q at) failed(x *upstream.Exchange, reported *wire.Failure, body, event []byte) *failure.Failure {
	f := x.Failed(reported, q.secrets.mask())
	if f.Model == failure.ModelUnknown && !q.namesModel() {
		f.UnsupportedHere = true
	}
	// Clients recover by the wording of their vendor's errors, which includes members that the gateway does not read.
	if event == nil && q.native() != nil && f.Status == x.Response.StatusCode && f.Message == reported.Message && reported.Type != "" {
		f.Original = q.secrets.mask().Bytes(bytes.Clone(body))
	}
	if f.Class.Policy().Evidence {
		q.recordEvidence(f, x.Response, body, event)
	}
	return f
}

// decode makes sense of an answer's body, and puts it into OpenAI's form. Of a
// body that is a stream, event is what reports its failure.
func (q at) decode(a *Answer) (parsed wire.Answer, event []byte, err error) {
	parsed, event, err = q.decodeWhole(a)
	if err == nil || q.Endpoint != upstream.EndpointChat || q.native() != nil || !succeeded(a.Status) || !wire.IsStream(a.body.Bytes()) {
		return parsed, event, err
	}
	whole, used, failed := q.gathered(a.body.Bytes())
	if failed.Failure != nil {
		return failed, nil, nil
	}
	if whole == nil { // it is no answer, or not all of one
		return parsed, event, err
	}
	a.body, a.header = bytes.NewBuffer(whole), http.Header{"Content-Type": jsonType}
	parsed, err = wire.ParseBody(whole, wire.Limits{})
	parsed.Usage = used
	return parsed, nil, err
}

// gathered gives the chat completion that a whole stream is, nil where that is not all of one, with what the provider has counted, which
// is not what a client is told who has a type for it, or the failure that it reports, with whether it had content.
func (q at) gathered(stream []byte) (whole []byte, used wire.Usage, failed wire.Answer) {
	ask := q.wireAsk()
	ask.IncludeUsage = true // as a whole answer does
	decoder := q.p.AnswerForm.Decoder(q.format().DecodeStream(ask), ask)
	events := wire.EventsIn(stream)
	defer events.Release()
	var answer wire.Gathered
	for {
		event, ended := events.Next()
		chunks, chunk, err := decoder.Decode(nil, event.Unframed()) // at the end, of nothing or of what is not ended by a blank line
		failed.Content = failed.Content || generates(chunk.Answer)
		if err != nil || chunk.Failure != nil || answer.Add(chunks) != nil {
			failed.Failure = chunk.Failure
			return nil, wire.Usage{}, failed
		}
		used = used.With(chunk.Usage)
		if ended != nil && !chunk.Done {
			chunks, chunk, _ = decoder.End(nil)
			used = used.With(chunk.Usage)
			_ = answer.Add(chunks) // which the decoder has written
		}
		switch {
		case chunk.Done:
			whole, _ = answer.Append(nil) // nil where no choice has come
			return whole, used, wire.Answer{}
		case ended != nil:
			return nil, wire.Usage{}, wire.Answer{}
		}
	}
}

// decodeWhole is decode but for a stream that no stream was asked for.
func (q at) decodeWhole(a *Answer) (parsed wire.Answer, event []byte, err error) {
	body := a.body.Bytes()
	if upstream.IsEventStream(a.header) {
		if failed, event := failingEvent(q.p, body); failed.Failure != nil {
			return failed, event, nil
		}
	}
	if q.Endpoint == upstream.EndpointChat && succeeded(a.Status) && q.p.AnswerForm.Translates() && q.native() == nil {
		translated, parsed, err := q.p.AnswerForm.Translate(body, q.wireAsk())
		if err == nil && parsed.Failure == nil {
			a.body, a.header = bytes.NewBuffer(translated), http.Header{"Content-Type": jsonType}
		}
		return parsed, nil, err
	}
	if q.untouched() && q.native() == nil || !q.Endpoint.Generates() || !succeeded(a.Status) {
		if q.Endpoint == upstream.EndpointModels && succeeded(a.Status) {
			body = listOf(body)
			a.body = bytes.NewBuffer(body)
		}
		inside, parsed, err := q.p.AnswerForm.ParseBody(body, a.Status >= http.StatusBadRequest)
		if len(inside) != len(body) {
			a.body = bytes.NewBuffer(inside)
		}
		return parsed, nil, err
	}
	translated, parsed, err := q.format().DecodeAnswer(body, q.wireAsk())
	if err == nil && parsed.Failure == nil {
		a.body, a.header = bytes.NewBuffer(translated), http.Header{"Content-Type": jsonType}
	}
	return parsed, nil, err
}

// format is the form of p's answers to the call.
func (q at) format() wire.Format {
	if n := q.native(); n != nil {
		return n.Format
	}
	return q.p.Format
}

// untouched reports whether the client and p speak the same format, so that the
// bytes pass as they are.
func (q at) untouched() bool { return q.p.Format.Name() == q.Format.Name() }

// hears reports whether p's demand for payment can go to the client as it is, who pays then: where it asks for an answer in the
// form that p speaks. To a client of another API the demand says nothing, and so it is one of the gateway's own account.
func (q at) hears() bool {
	switch {
	case q.Endpoint == upstream.EndpointModels:
		return false
	case q.Native != nil && q.Native.Format != nil:
		return q.native() != nil
	}
	return q.untouched()
}

// Evidence takes the records of system errors. Record must not block.
type Evidence interface {
	Record(r evidence.Record)
}

// recordEvidence records what p answered with a system error, and to what. Of a stream,
// event is what reports the error; nil for none.
func (q at) recordEvidence(f *failure.Failure, resp *http.Response, body, event []byte) {
	if q.g.Evidence == nil {
		return
	}
	req := resp.Request
	q.intake.exchange = nil // the record has its headers
	q.g.Evidence.Record(evidence.Record{
		Time: q.g.Now(), RequestID: q.outcome.RequestID, Tenant: q.Tenant,
		Provider: q.p.Name, Endpoint: string(q.Endpoint), Model: q.outcome.UpstreamModel,
		Attempt: q.outcome.Attempts, Code: f.Code,
		Request:  evidence.Request{Method: req.Method, URL: req.URL.String(), Header: req.Header, Body: upstream.SentBody(req)},
		Response: evidence.Response{Status: resp.StatusCode, Header: resp.Header, Body: body, Event: event},
		Conceal:  q.secrets.mask().Bytes,
	})
}
