package upstream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/limiter"
	"github.com/caddy-alipayai/gateway/signer"
)

// Request is one request to a provider. Send composes it from Endpoint, ID, Stream
// and Header, or takes it from Client.
type Request struct {
	Endpoint Endpoint
	// ID is what goes upstream as Idempotency-Key.
	ID string
	// Stream says that an event stream is asked for.
	Stream bool
	// Header is the client's: the fields of an allow-list go upstream, and those that Fields names.
	Header http.Header
	Fields []string

	// Translated says that the client wrote the request in another form than the provider's: what is refused of it then
	// may be the translation's fault.
	Translated bool

	// Client is a request that somebody else has composed, without its body. Method
	// and target go out as they are, its header by an allow-list, and whatever says
	// for whom or what it is has to go out as it came. It is not changed.
	Client *http.Request

	// Model is the model by the provider's name, whose hold counts where the vendor
	// limits models; empty where it is not known.
	Model string
	// Body is in the provider's form; nil for none.
	Body []byte
	// Seal, where it is set, comes as soon as there is a permit, for a request that grows
	// as long as it waits: what it gives takes the place of the fields above.
	Seal func() (Sealed, *failure.Failure)

	// Scheme signs the request; the provider's when nil.
	Scheme signer.Scheme

	// User is the tenant's user whose token the request carries; empty for the provider's own.
	User string
	// Regions are those in which the request may be, besides what the provider's Residency says of Tenant; nil for
	// anywhere.
	Regions residency.Regions
	// Address is where the request goes, for measuring it; chosen when nil.
	Address *Address
	// Tenant takes the place in the queue of the provider's rate cap, by its Share.
	Tenant string
	Share  Share

	// Alternatives says that another provider can be asked at once, so that a long
	// wait for this one is not worth it.
	Alternatives bool
	// Equals are others that can serve the request as well, for whose permits it waits at
	// the same time; nil for none.
	Equals *Equals
	// Latest is the last moment to leave: a wait that would end later is not begun.
	// Zero stands for ctx's deadline.
	Latest time.Time
	// Deadline is when the head of the answer has to be there; the provider's Timeout
	// holds as well.
	Deadline time.Time
	// LeaveBy, where it is set, counts instead of both: the request is given up if it
	// has no connection by then, and how long the answer may take is for Transport.
	LeaveBy time.Time

	// Cleared is closed when it is known whether the request may leave, which Caller then says in Leaving: no permit is
	// used before, since one is worth something only at its time. Nil for at once.
	Cleared <-chan struct{}
	// Caller hears of the request.
	Caller Caller
	// Transport carries the request; the provider's when nil.
	Transport http.RoundTripper
	// Now is the local time; time.Now when nil.
	Now func() time.Time
}

// Sealed is what a [Request] is when it leaves; see its fields of these names.
type Sealed struct {
	ID       string
	Stream   bool
	Header   http.Header
	Body     []byte
	Deadline time.Time
}

// Caller is who sends a request. Its methods run in Send.
type Caller interface {
	// Permitted: the request waited for so long to be within p's rate cap.
	Permitted(p *Provider, waited time.Duration)
	// Rejected: the request may not leave now, for the reason that code gives.
	Rejected(p *Provider, code string)
	// SigningFailed: p's scheme cannot sign.
	SigningFailed(p *Provider)
	// Leaving comes last before req is written, and keeps it here by a failure.
	Leaving(p *Provider, req *http.Request) *failure.Failure
}

// Exchange is a request that was sent, and its answer. It belongs to one goroutine.
type Exchange struct {
	// Request is what was sent.
	Request *http.Request
	// Response has its head; the body is the caller's to read and to close.
	Response *http.Response
	// Watch cancels the exchange when the upstream keeps it waiting.
	Watch Watchdog

	// What Request and its context point to, in one piece with the rest.
	request http.Request
	body    outgoing.Body
	header  http.Header
	own     [2]string // header values: the id and the token
	signed  [4]string // and those of a signature
	fields  [4]signer.Field

	provider *Provider
	// client is the caller's context, and ctx that of the exchange.
	address      *Address // the request's
	client       context.Context
	ctx          ending
	now          func() time.Time
	token, model string
	user         string // the access token of a user
	keyVersion   int    // of the key that has signed; 0 for one that Request.Scheme has chosen
	translated   bool
	permit       permit
	// skew is the correction of p's clock that the request was signed with.
	skew time.Duration
	// connecting says that the watch is for the connection, and not for the answer.
	connecting bool
	// unrefusable: the transport may write a request that is refused when there is a connection.
	unrefusable bool
	// at is the time after the last step before leaving that may have waited: the others take none.
	at             time.Time
	sent, received time.Time
	deadline       time.Time     // Request.Deadline
	within         time.Duration // for the answer's head, since sent
}

// Send is the one way out to a provider: whatever goes to it, calls and what others
// have composed, goes by this one sequence. It waits until p may be asked and there
// is an access token, takes a permit within the rate cap, signs with a time and a
// nonce of its own, asks the caller, and sends once. The head of the answer then
// teaches p's clock; what the answer says goes by [Exchange.Failed] and
// [Exchange.Verify], or by [Exchange.PassOn] for both. The exchange is the caller's
// to End. Repeating is for the caller as well: each repeat is a request of its own.
//
// ctx is the client's: a request ends with it.
func (p *Provider) Send(ctx context.Context, r *Request) (*Exchange, *failure.Failure) {
	x := exchanges.Get().(*Exchange)
	x.provider, x.client, x.now, x.model, x.translated = p, ctx, r.Now, r.Model, r.Translated
	if x.now == nil {
		x.now = time.Now
	}
	x.begin()
	if f := x.send(r); f != nil {
		x.End()
		return nil, f
	}
	return x, nil
}

// begin begins the exchange's context.
func (x *Exchange) begin() {
	wake := x.Watch.wake // one func for both, and for all requests that x carries
	if wake == nil {
		wake = x.wake
	}
	x.Watch.begin(&x.ctx, wake)
	x.ctx.begin(x.client, (*sender)(x), wake)
}

// wake runs when the client has left, and when the watchdog's time has come.
func (x *Exchange) wake() {
	if err := x.client.Err(); err != nil {
		x.ctx.end(err)
		return
	}
	x.Watch.check()
}

func (x *Exchange) send(r *Request) *failure.Failure {
	if f := x.outside(r); f != nil {
		return f
	}
	if x.connecting = !r.LeaveBy.IsZero(); x.connecting {
		x.Watch.Arm(time.Until(r.LeaveBy), failure.ErrNotSent)
	}
	if f := x.admit(r); f != nil {
		return f
	}
	// The permit comes after all other waits since it is worth something only at its
	// time. Nothing is left to do then but to sign and to write.
	if f := x.reserve(r); f != nil {
		return f
	}
	var f *failure.Failure
	if r.Seal != nil {
		var s Sealed
		s, f = r.Seal()
		r.ID, r.Stream, r.Header, r.Body, r.Deadline = s.ID, s.Stream, s.Header, s.Body, s.Deadline
	}
	if f == nil {
		f = x.compose(r)
	}
	if f == nil {
		f = r.Caller.Leaving(x.provider, x.Request)
	}
	if f != nil {
		x.permit.cancel()
		return f
	}
	return x.roundTrip(r)
}

// roundTrip sends the request and waits for the head of its answer.
func (x *Exchange) roundTrip(r *Request) *failure.Failure {
	p := x.provider
	x.deadline = r.Deadline
	x.leave()
	transport := r.Transport
	if transport == nil {
		transport = p.Transport
	}
	x.unrefusable = !outgoing.Refuses(transport)
	resp, err := outgoing.Send(transport, x.Request)
	answered := err == nil
	if ended := x.ctx.Err(); answered && ended != nil && resp.StatusCode >= http.StatusBadRequest {
		// Over TLS, and HTTP/2, an upstream hears that the request is given up while it can still answer. A failure that it
		// reports then, as by a 503, may be that, and says nothing of what it has done.
		_ = resp.Body.Close()
		err = ended
	}
	if err != nil {
		x.permit.cancel()
		sent := answered || x.permit.left()
		if rejection, ok := errors.AsType[*limiter.Rejection](context.Cause(&x.ctx)); ok && !sent {
			f := p.Cap.Rejected(rejection, x.now())
			r.Caller.Rejected(p, f.Code)
			return f
		}
		unprocessed := outgoing.Unprocessed(err)
		if r.Client != nil { // whose sender may want to know more than a failure says
			err = p.hideError(x.Request, err)
		}
		f := failure.OfTransport(x.client, &x.ctx, err, sent)
		f.Unprocessed = unprocessed && f.Code == failure.CodeTruncated
		f.StaleConnection = f.Code == failure.CodeTruncated && x.permit.foundClosed(time.Now())
		x.measureFailure(f)
		return f
	}
	if x.connecting {
		x.Watch.Disarm()
	}
	resp.Request = x.Request // what was sent, whatever the transport made of it
	x.Response, x.received = resp, x.now()
	p.Clock.Learn(resp.Header, x.sent, x.received)
	x.measure(r)
	return nil
}

// leave begins the time that the head of the answer may take.
func (x *Exchange) leave() {
	x.sent = x.now()
	if !x.connecting {
		x.within = min(x.provider.Timeout, x.deadline.Sub(x.sent))
		x.Watch.Arm(x.within, failure.ErrNoHead)
	}
}

// AwaitContent arms the watch for a stream's first content: it has what the head has
// left of its time.
func (x *Exchange) AwaitContent() {
	x.Watch.Arm(x.within-x.received.Sub(x.sent), failure.ErrNoContent)
}

// Context ends with the exchange.
func (x *Exchange) Context() context.Context { return &x.ctx }

// End ends the exchange, wherever it is.
func (x *Exchange) End() {
	x.Watch.Disarm()
	x.ctx.detach()
	x.ctx.end(ErrEnded)
}

// exchanges are those that were recycled.
var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

// Recycle gives an exchange that has ended to a request to come. It comes last, when its
// caller uses neither it nor what came with it any more: Request and Response, their
// headers and bodies. It reports whether nothing else can use it any more; else the garbage collector has it.
func (x *Exchange) Recycle() bool {
	if !x.atRest() {
		return false
	}
	x.clear()
	exchanges.Put(x)
	return true
}

// atRest reports whether provably nothing but the caller can use x any more, now or later:
// its request went by a connection that had idled and does again, which net/http and a
// dialler have not seen; neither the watchdog nor the client's end has run, or will; and
// nothing else has waited for its context. All others are the garbage collector's.
func (x *Exchange) atRest() bool {
	return x.body.AtRest() && x.permit.reused.Load() != 0 && x.Watch.atRest() && x.ctx.atRest()
}

// clear makes a new exchange of one that is at rest, and keeps what is worth keeping.
func (x *Exchange) clear() {
	clear(x.header)
	x.body.Clear()
	x.Watch.clear()
	x.ctx.clear()
	x.permit.clear()
	x.Request, x.Response, x.request = nil, nil, http.Request{}
	x.own, x.signed, x.fields = [2]string{}, [4]string{}, [4]signer.Field{}
	x.provider, x.address, x.client, x.now, x.token, x.model, x.user = nil, nil, nil, nil, "", "", ""
	x.keyVersion, x.translated = 0, false
	x.skew, x.connecting, x.unrefusable, x.sent, x.received, x.within = 0, false, false, time.Time{}, time.Time{}, 0
	x.at, x.deadline = time.Time{}, time.Time{}
}

// mask hides the credentials of the provider and of the request.
func (x *Exchange) mask() *credentials.Mask {
	return x.provider.Credentials.With(func() []string { return x.provider.SentSecrets(nil, x.Request) })
}
