package alipayai

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/limiter"
)

// AnonymousTenant is the tenant of calls without an authenticated user.
const AnonymousTenant = "anonymous"

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

// nativeAt gives the request as its client sent it where p speaks its form; nil where it is translated.
func (c *call) nativeAt(p *upstream.Provider) *Native {
	if c.Native == nil || c.pack != nil || !p.Speaks(c.Native.Format) {
		return nil
	}
	return c.Native
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
// What nearly every call needs is in one piece with it: each object of its own would be
// an allocation, and a call has seventy from Caddy and net/http already.
type call struct {
	Call
	g *Gateway
	// ctx is the client's: it ends when the client leaves.
	ctx context.Context

	// user is the tenant's user that the call names, where a provider serves users by themselves.
	user string
	// idempotencyID goes upstream, and stays the same over the call's attempts.
	idempotencyID string
	// regions are those in which the call may be; nil for anywhere. keptOut says that a provider is in none of them.
	regions residency.Regions
	keptOut bool
	// failedProviders are the providers that brought no answer.
	failedProviders []failedProvider
	// alternatives says that there are providers after the one that is asked.
	alternatives bool
	// at is the provider that is asked, or was last.
	at *upstream.Provider
	// equals are the providers that may be asked as well as the one that is; nil for none.
	// leftAt is when the last request left, if there are any.
	equals *upstream.Equals
	leftAt time.Time
	// by is when the provider that is asked must have answered, where that is before the deadline; zero for none.
	by time.Time
	// preferred is the provider that is asked first.
	preferred *upstream.Provider
	// unsupported names what of the request was not carried over to the
	// provider that answers; a header field names it to the client.
	unsupported string
	// unbounded is the provider that the request goes to without its max_tokens; nil for none.
	unbounded *upstream.Provider
	// ownCalls is how the client has the calls of an answer, where the provider that is asked has them otherwise.
	ownCalls openai.Calls
	// claim is the call's hold of its Idempotency-Key; nil without one.
	claim *claim
	// recording keeps the answer, to give it again; nil where that is not wanted.
	recording *recording
	// spent is a pooled buffer that has no reader once the call is settled.
	spent *bytes.Buffer
	// buffered is the room that the answer takes until it is written.
	buffered buffered
	// filter knows the credentials of the provider that is asked; sent are the
	// requests that went out, which carry more of them.
	filter *credentials.Filter
	sent   []sent
	// exchange is the last one with an answer. Nothing needs it once the call is settled;
	// nil where that is not so.
	exchange *upstream.Exchange
	// hiding is what mask has made of them; nil when it has to be made anew.
	hiding *credentials.Mask
	// mayHaveExecuted says that an attempt may have executed although it
	// brought no answer.
	mayHaveExecuted bool
	// answered is how many bytes of the answer were given out.
	answered int64
	// estimated are the tokens that the call has taken, by an estimate, and cut says that its
	// stream did not come to its end.
	estimated int64
	cut       bool
	// limited is the call as the tenant's limits have admitted it.
	limited limiter.TenantCall
	// prompt is what the call asks, and charge the attempt that is under way, for
	// Spending; nil where there is none.
	prompt prompt
	charge *charge
	// unaffordable is what the tenant's budget did not permit; nil for nothing.
	unaffordable *unaffordable
	outcome      Outcome

	// packable is what the call would bring into a pack, pack is what it is the call of,
	// and lost is its part of what a pack took that brought it no answer; nil for none.
	packable *packable
	pack     *group
	lost     *wire.Usage
	// comparison says that it is made to compare an answer of a pack.
	comparison bool
	// trial is the call's part in the canary; nil for none.
	trial *trial

	// What providers, sent and the answer point to.
	providersRoom [4]*upstream.Provider
	sentRoom      [1]sent
	answer        Answer
	awaited       awaited
	reading       io.LimitedReader
	claimRoom     claim
	recordingRoom recording
	unending      unending // see lasting
	hash          [sha256.Size]byte
	hashed        bool // see bodyHash
}

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

// Refuse settles a call that cannot be served, because its request could not be
// read, and gives what the client sees.
func (g *Gateway) Refuse(ctx context.Context, in *Call, f *failure.Failure) *Error {
	c := g.begin(ctx, in)
	defer c.settle()
	return c.refused(f)
}

func (g *Gateway) begin(ctx context.Context, in *Call) *call {
	c := &call{Call: *in, g: g, ctx: ctx, filter: g.Providers[0].Credentials}
	c.sent = c.sentRoom[:0]
	if c.Tenant == "" {
		c.Tenant = AnonymousTenant
	}
	c.regions = g.Residency.Of(c.Tenant).And(in.Regions)
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
	return c
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

// serve gives the call's answer, step by step: each is in the file that doc.go names beside it.
func (c *call) serve() (*Answer, *failure.Failure) {
	admitted, f := c.g.TenantLimits.allow(c.Tenant, c.Endpoint, c.Began)
	if f != nil {
		c.g.Observer.Rejected("", f.Code)
		return nil, f
	}
	c.limited = admitted
	if f := c.readUser(); f != nil {
		return nil, f
	}
	c.idempotencyID = c.newIdempotencyID()
	if c.Endpoint == upstream.EndpointModels {
		return c.listModels()
	}
	providers, f := c.plan()
	if f != nil {
		return nil, f
	}
	c.preferred = providers[0]
	c.g.Shadow.sample(c)
	if given, f := c.claimKey(); given != nil || f != nil {
		return given, f
	}
	return c.walk(providers)
}

// deadline is when the call must have its answer.
func (c *call) deadline() time.Time {
	if !c.by.IsZero() {
		return c.by
	}
	return c.Received.Add(c.g.Deadline)
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
