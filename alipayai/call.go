package alipayai

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// AnonymousTenant is the tenant of calls without an authenticated user.
const AnonymousTenant = tenants.Anonymous

// Call is one request, parsed: what a door makes of a client's dialect, and
// what has no client makes by itself.
type Call struct {
	Endpoint upstream.Endpoint
	// Tenant is the authenticated user; AnonymousTenant when empty.
	Tenant string
	// Request is the request in Format, which is the form of the answer as well.
	// EndpointModels has none.
	Request wire.Request
	Format  wire.Format
	// Native is the request as its client sent it; nil where that is Request itself.
	Native *Native
	// IdempotencyKey is the client's; empty where there is none.
	IdempotencyKey string
	// Header is the client's: the fields of an allow-list go upstream.
	Header http.Header
	// Verdict says whether the call may be sent, and Guard what may be shown of its answer; nil where neither is wanted.
	Verdict *Verdict
	Guard   *OutputGuard
	// PackedWith is how many other calls the request carries, for the ledger.
	PackedWith int
	// Regions are those in which the call may be, besides what is said of its Tenant: of one that is made for another's. Nil
	// for anywhere.
	Regions residency.Regions
	// Waits is how long the client of a list of models waits: of providers that have not answered by then nothing is listed.
	// Zero for as long as the gateway's deadline.
	Waits time.Duration
	// Seen, where it is set, is filled when the call is settled.
	Seen *Seen
	// Began is when the request began to arrive, and Received when it had: a slow
	// upload is the client's own, and does not count against the deadline. Both
	// are the time of Do where they are zero.
	Began, Received time.Time
}

// Native is a request in the form of its client's own API, beside the canonical one that it was translated to.
type Native struct {
	// Form names it, as "messages". The same bytes in another form are another request.
	Form string
	// Format is that of the API: a provider that speaks it gets the request as it came, but for its model's name, and
	// its answer goes back as it comes. Nil where no provider does.
	Format wire.Format
	// Endpoint is the provider's for it.
	Endpoint upstream.Endpoint
	// Body is the request's, as received.
	Body []byte
	// Sendable is the request for such a provider: without what must not be sent to one, and else as received.
	Sendable *wire.Request
	// Fields name what of the client's header goes to such a provider, besides what always does.
	Fields []string
	// User is the client's name for its end user, where the canonical request does not carry it.
	User string
	// Unsupported names, sorted, what of the request the canonical one does not carry.
	Unsupported []string
}

// received gives the body as the client has sent it.
func (c *Call) received() []byte {
	if c.Native != nil {
		return c.Native.Body
	}
	return c.Request.Body
}

// call is a Call on its way through the gateway. It belongs to one goroutine.
//
// Each step keeps what it has to remember in a part of its own, which stands beside the step, with all that needs nothing
// else. The parts are values, and what nearly every call needs is in one piece with it: each object of its own would be
// an allocation, and a call has seventy from Caddy and net/http already.
type call struct {
	Call
	g *Gateway
	// ctx is the client's: it ends when the client leaves, or a verdict forbids the call.
	ctx      context.Context
	unending context.Context // see lasting
	// outcome is what becomes of it.
	outcome Outcome
	// alone says that nothing else can look at it any more; see recycle.
	alone bool

	tenancy   tenancy   // tenants.go: whose it is, and what it may use
	trial     *trial    // canary.go: its part in the canary; nil for none
	once      once      // claims.go: by what it happens once
	route     route     // walk.go: which provider is asked, and which were
	packing   packing   // packing.go: its part in a pack
	carried   carried   // ask.go: what of the request the provider gets
	account   account   // spending.go: what it costs
	secrets   secrets   // caller.go: what must not be shown
	intake    intake    // buffers.go: what is being read of an answer
	answer    Answer    // answer.go: what is made of that
	stream    stream    // events.go: what is read of one, where it is a stream
	taken     taken     // charged.go: how much it has taken, where nothing says so
	recording recording // cached.go: its answer, to give it again

	unwatch context.CancelFunc // moderation.go: ends what a verdict could have ended; nil without one
}

// at is a call at one provider: where what happens depends on both.
type at struct {
	*call
	p *upstream.Provider
}

func (c *call) at(p *upstream.Provider) at { return at{c, p} }

// Do serves one call. The answer is the caller's to close. An error is an
// [*Error], which says what the client sees; the call is settled then.
//
// ctx is the client's: when it ends, the upstream is cancelled and the call is
// not repeated.
func (g *Gateway) Do(ctx context.Context, in *Call) (*Answer, error) {
	c := g.begin(ctx, in)
	settled := false
	defer func() {
		if !settled { // refused, or a panic broke it off
			c.settle()
		}
	}()
	watch := c.watchVerdict()
	a, f := c.serve()
	if f = watch.end(c, f); f == nil && a.replayed != nil {
		f = c.guardWhole(a, nil) // the rules may not have been there when it was generated
	}
	if f != nil {
		return nil, c.refused(f)
	}
	settled = true // when the answer is closed
	return c.commit(a), nil
}

// serve gives the call's answer, step by step: each is in the file that doc.go names beside it.
func (c *call) serve() (*Answer, *failure.Failure) {
	if f := c.tenancy.enter(c.g, &c.Call); f != nil {
		return nil, f
	}
	c.once.name(&c.Call, c.tenancy.user, c.outcome.RequestID)
	if c.Endpoint == upstream.EndpointModels {
		return c.listModels()
	}
	providers, f := c.plan()
	if f != nil {
		return nil, f
	}
	c.route.preferred = providers[0]
	if c.g.Shadow.samples(&c.Call, c.class(), c.g.maySee) {
		c.Seen, c.outcome.Shadow = new(Seen), c.g.Shadow.Provider.Name
	}
	if given, f := c.takeClaim(); given != nil || f != nil {
		return given, f
	}
	return c.walk(providers)
}

// settle ends the call's bookkeeping, whichever way it went.
func (c *call) settle() {
	c.trial.settle(&c.Call, &c.answer, &c.outcome)
	c.Seen.settle(&c.Call, &c.outcome)
	c.endClaim()
	c.account.settle()
	c.outcome.Usage, c.outcome.UsageEstimated = c.taken.check(c.outcome.Usage, c.Request)
	c.packing.addLost(&c.outcome.Usage)
	now := c.g.Now()
	c.tenancy.limited.Done(now, int(c.taken.tokens(c.outcome.Usage)))
	c.intake.end()
	if !c.secrets.pass(c.outcome.Model, c.outcome.UpstreamModel) {
		c.secrets.mask().Texts(&c.outcome.Model, &c.outcome.UpstreamModel)
	}
	c.outcome.Cost = c.account.cost()
	c.outcome.Duration = now.Sub(c.Began)
	c.g.Observer.Settled(c.ctx, c.outcome)
	if c.intake.exchange != nil && c.packing.group == nil { // a pack's answer belongs to its calls
		c.secrets.forget()
		c.answer.header = nil
		c.alone = c.intake.exchange.Recycle() && c.isAlone()
		c.intake.exchange = nil
	}
	if c.unwatch != nil {
		c.unwatch()
	}
}

// isAlone reports whether nothing can look at the call but by the exchange that it has ended with: no other request went out
// for it, and nothing watches what becomes of it.
func (c *call) isAlone() bool {
	return c.outcome.Attempts == 1 && c.Verdict == nil && c.Guard == nil && c.Seen == nil && c.trial == nil &&
		(c.packing.one == nil || c.packing.one == &notPackable)
}

// calls are those that were recycled. A call is the largest thing that the gateway allocates for one.
var calls = sync.Pool{New: func() any { return new(call) }}

// recycle gives the memory of a settled call to one to come, where provably nothing but the caller can look at it any more.
func (c *call) recycle() {
	if c.alone {
		*c = call{}
		calls.Put(c)
	}
}

// Refuse settles a call that cannot be served, because its request could not be
// read, and gives what the client sees.
func (g *Gateway) Refuse(ctx context.Context, in *Call, f *failure.Failure) *Error {
	c := g.begin(ctx, in)
	defer c.settle()
	return c.refused(f)
}

// begin makes a call of in, with all of its parts that have something to know from the start.
func (g *Gateway) begin(ctx context.Context, in *Call) *call {
	c := calls.Get().(*call)
	c.Call, c.g, c.ctx = *in, g, ctx
	if c.Tenant == "" {
		c.Tenant = AnonymousTenant
	}
	if c.Began.IsZero() {
		c.Began = g.Now()
	}
	if c.Received.IsZero() {
		c.Received = g.Now()
	}
	c.outcome = Outcome{
		RequestID: NewRequestID(), Tenant: c.Tenant, Endpoint: c.Endpoint,
		Model: c.Request.Model, Stream: c.Request.Stream,
	}
	if c.Native != nil {
		c.outcome.Session, c.outcome.Agent = word(c.Header, "X-Claude-Code-Session-Id"), word(c.Header, "X-Claude-Code-Agent-Id")
	}
	c.tenancy.regions = g.Residency.Of(c.Tenant).And(in.Regions)
	c.secrets.begin(c.Header, g.Providers[0].Credentials)
	c.account.begin(g, &c.Call, &c.outcome)
	return c
}

// deadline is when the call must have its answer.
func (c *call) deadline() time.Time {
	if !c.route.by.IsZero() {
		return c.route.by
	}
	return c.Received.Add(c.g.Deadline)
}

// latest is the last moment to start an attempt: a later one would be billed, but
// not finish in time.
func (c *call) latest() time.Time {
	if !c.route.by.IsZero() {
		return c.route.by
	}
	return c.deadline().Add(-min(time.Second, c.g.Deadline/10))
}

// lasting is the client's context for what is done whether it has left or not.
func (c *call) lasting() context.Context {
	if c.unending == nil {
		c.unending = context.WithoutCancel(c.ctx)
	}
	return c.unending
}

// word is the value of a field that has one, and that may stand in a log.
func word(h http.Header, name string) string {
	if values := h[name]; len(values) == 1 && IsVisible(values[0]) {
		return values[0]
	}
	return ""
}

// maxVisible bounds what IsVisible takes, in bytes.
const maxVisible = 255

// IsVisible reports whether value is at most 255 bytes of visible ASCII, as header values that are
// keys and names should be.
func IsVisible(value string) bool {
	for i := range len(value) {
		if value[i] <= ' ' || value[i] > '~' {
			return false
		}
	}
	return len(value) <= maxVisible
}

// NewRequestID makes the id under which a client and a log know a call: 128
// random bits. Handlers that answer in place of the gateway use it too.
func NewRequestID() string {
	const prefix = "req_"
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	var id [len(prefix) + 2*len(random)]byte
	copy(id[:], prefix)
	hex.Encode(id[len(prefix):], random[:])
	return string(id[:])
}
