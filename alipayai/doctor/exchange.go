package doctor

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/limiter"
	"github.com/caddy-alipayai/gateway/signer"
)

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 1 << 20

// tenant is who the requests are of, in the queue of the rate cap.
const tenant = "alipayai check"

// request is one request to the upstream.
type request struct {
	endpoint upstream.Endpoint
	body     []byte
	stream   bool
	// signedAt moves the time that is signed, and signsOther signs another request
	// than the one that is sent.
	signedAt   time.Duration
	signsOther bool
	// change makes the request another one after it has been signed.
	change func(p *upstream.Provider, req *http.Request)
}

// exchange is a request and what came of it.
type exchange struct {
	host string
	conn connection
	// sent describes the request, without its credentials, and canonical is the
	// string that its signature is over; empty where there is none.
	sent, canonical string
	// keyVersion is that of the key which signed; 0 for none that has one.
	keyVersion    int
	sentAt, gotAt time.Time

	// answer is the head of the answer, nil where there is none, and body its body.
	answer *http.Response
	body   []byte
	// reason is why there is no answer.
	reason string

	verdict       verdict
	code, message string
	class         failure.Class
	// unverified is what is wrong with the answer's signature; nil for nothing.
	unverified error
	models     []string
	life       time.Duration // of a token
	stream     streamed
}

// ask sends a request by the provider's one way out, within its rate cap and behind
// all clients.
func (c *check) ask(p *upstream.Provider, r *request) *exchange {
	x := &exchange{host: p.BaseURL.Host}
	if !c.left() {
		x.verdict, x.reason = unreachable, fmt.Sprintf("not sent: a check sends %d requests at most", MaxRequests)
		return x
	}
	if p.Tokens != nil {
		if _, live := p.Tokens.Cell.Live(c.options.Now()); !live {
			p.Tokens.Cell.Set(c.access) // or it would be fetched once more
		}
	}
	caller := &caller{check: c, request: r, exchange: x}
	sent, f := p.Send(httptrace.WithClientTrace(c.ctx, x.conn.trace()), &upstream.Request{
		Endpoint: r.endpoint, Body: r.body, Stream: r.stream, ID: "check-" + rand.Text(),
		Tenant: tenant, Share: upstream.Share{Priority: limiter.Low},
		Deadline: c.options.Now().Add(p.Timeout), Caller: caller,
	})
	if f != nil {
		x.gotAt = c.options.Now()
		x.unanswered(f)
		return x
	}
	defer sent.End()
	sent.Inflate()
	x.gotAt, x.answer = c.options.Now(), sent.Response
	defer func() { _ = sent.Response.Body.Close() }()
	if r.stream && x.answer.StatusCode == http.StatusOK && (upstream.IsEventStream(x.answer.Header) || p.AnswerForm.Values()) {
		x.verdict = good
		c.readStream(p, sent, x)
		return x
	}
	body, err := io.ReadAll(io.LimitReader(sent.Response.Body, maxAnswer))
	if err != nil {
		x.verdict, x.reason = unreachable, failure.ReasonOf(err).Error()
		return x
	}
	x.body = body
	x.unverified = sent.Verify(body)
	x.read(p)
	if first := bytes.TrimSpace(body); r.stream && x.verdict == notJSON && bytes.HasPrefix(first, []byte("{")) {
		x.verdict, x.stream.reason = good, "it is of JSON values, and not of events"
	}
	return x
}

// unanswered takes in why there is no answer.
func (x *exchange) unanswered(f *failure.Failure) {
	x.verdict, x.reason = unreachable, f.Message
	if f.Cause != nil {
		x.reason = f.Message + ": " + f.Cause.Error()
	}
	if x.conn.brokeHTTP2() {
		x.verdict = version
	}
}

// read says what the answer is, by its status and by what its body reports.
func (x *exchange) read(p *upstream.Provider) {
	reported := new(wire.Failure)
	inside, parsed, err := p.AnswerForm.ParseBody(x.body, x.answer.StatusCode >= http.StatusBadRequest)
	x.code, x.message, x.class = "", "", ""
	failed := x.answer.StatusCode >= http.StatusMultipleChoices
	if err == nil && parsed.Failure != nil {
		reported, failed = parsed.Failure, true
	}
	if !failed && err == nil {
		x.verdict = good
		if x.models = modelsOf(inside); len(x.models) == 0 && x.listsModels() {
			x.verdict = otherNames
		}
		return
	}
	if encoding := x.answer.Header.Get("Content-Encoding"); err != nil && encoding != "" && encoding != "identity" {
		x.verdict = compressed
		return
	}
	if !failed {
		x.verdict = notJSON
		return
	}
	if err != nil {
		*reported = wire.ParseRefusal(x.body)
	}
	x.message = reported.Message
	x.code, x.class = failure.Classify(x.answer.StatusCode, reported, slices.Concat(p.Codes, p.Profile.Codes))
	x.verdict = judge(x.answer.StatusCode, x.code, x.message, x.class)
	switch {
	case x.answer.StatusCode < http.StatusMultipleChoices && x.listsModels():
		x.verdict = otherNames
	case x.verdict == refused && bytes.HasPrefix(bytes.TrimSpace(x.body), []byte("<")):
		x.verdict = page
	}
}

// listsModels reports whether there is a list of models anywhere in the answer.
func (x *exchange) listsModels() bool {
	return len(modelsOf(x.body)) > 0 || slices.ContainsFunc(membersOf(x.body), func(m member) bool { return m.models })
}

// readBy is the same answer as p reads it.
func (x *exchange) readBy(p *upstream.Provider) *exchange {
	after := &exchange{
		host: x.host, sent: x.sent, canonical: x.canonical, sentAt: x.sentAt, gotAt: x.gotAt,
		answer: x.answer, body: x.body, unverified: x.unverified,
	}
	after.conn.peer, after.conn.addresses = x.conn.peer, x.conn.addresses
	after.read(p)
	return after
}

// modelsOf reads a list of models in OpenAI's form; none where it is none.
func modelsOf(body []byte) (ids []string) {
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &list) != nil {
		return nil
	}
	for _, m := range list.Data {
		if m.ID != "" {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// received describes the answer.
func (x *exchange) received() string {
	if x.answer == nil {
		return x.reason
	}
	text := fmt.Sprintf("%d %s", x.answer.StatusCode, x.answer.Proto)
	if x.code != "" {
		text += ", code " + x.code
	}
	if x.message != "" {
		text += ": " + x.message
	}
	if more := x.said(); len(more) > 0 {
		text += ": " + strings.Join(more, "; ")
	} else if x.code == "" && x.message == "" {
		text += ", " + members(x.answer, x.body)
	}
	return text
}

// members describes a body by the names in it, none of its values.
func members(answer *http.Response, body []byte) string {
	var object map[string]json.RawMessage
	switch {
	case json.Unmarshal(body, &object) == nil && len(object) > 0:
		return "JSON with " + strings.Join(slices.Sorted(maps.Keys(object)), ", ")
	case len(body) == 0:
		return "no body"
	}
	kind := answer.Header.Get("Content-Type")
	if kind == "" {
		kind = "unknown type"
	}
	return "a body of " + kind + " that is no JSON object"
}

// caller describes a request that leaves, and signs or changes it once more.
type caller struct {
	check    *check
	request  *request
	exchange *exchange
}

// Permitted implements upstream.Caller.
func (*caller) Permitted(*upstream.Provider, time.Duration) {}

// Rejected implements upstream.Caller.
func (*caller) Rejected(*upstream.Provider, string) {}

// SigningFailed implements upstream.Caller.
func (*caller) SigningFailed(*upstream.Provider) {}

// Leaving implements upstream.Caller. The request is signed once more, over a time
// that is known, so that what was signed can be shown.
func (c *caller) Leaving(p *upstream.Provider, req *http.Request) *failure.Failure {
	c.check.requests++
	x := c.exchange
	x.sentAt = c.check.options.Now()
	if kind := p.Profile.Kind(); p.Scheme != nil && kind.Signs() && !kind.SignsParameters {
		m := signer.Message{
			Method: req.Method, Target: req.URL.RequestURI(), Header: req.Header, Body: upstream.SentBody(req),
			Time: p.Clock.At(x.sentAt).Add(c.request.signedAt),
		}
		if kind.Nonce || p.Scheme.Traits().Nonce {
			m.Nonce = rand.Text()
		}
		if c.request.signsOther {
			m.Target, m.Body = m.Target+"/other", []byte("other")
		}
		signed, err := p.Scheme.Sign(m)
		if err != nil {
			return failure.Misconfigured(failure.CodeSigningFailed, "provider "+p.Name+" cannot sign the request", err)
		}
		for _, field := range signed.Fields {
			req.Header[field.Name] = []string{field.Value}
		}
		x.keyVersion = signed.KeyVersion
		if x.canonical, err = p.Scheme.Canonical(m); err != nil {
			x.canonical = ""
		}
	}
	c.check.sentAs(p, req)
	if c.request.change != nil {
		c.request.change(p, req)
		c.check.sentAs(p, req)
	}
	x.sent = describe(req)
	return nil
}

// describe gives a request by its method, its target and the names of its fields.
func describe(req *http.Request) string {
	target := req.URL.Path
	if req.URL.RawQuery != "" {
		target += "?…"
	}
	return req.Method + " " + target + " with " + strings.Join(slices.Sorted(maps.Keys(req.Header)), ", ")
}
