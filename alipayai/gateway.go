package alipayai

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/signer"
)

// Defaults of a Gateway.
const (
	// DefaultMaxBody is the largest request body in bytes, inflated.
	DefaultMaxBody = 4 << 20
	// DefaultMaxAnswer is the largest answer of an upstream in bytes that is
	// not a stream.
	DefaultMaxAnswer = 32 << 20
	// DefaultDeadline bounds a whole call: to the answer's end for JSON, to
	// the first content for a stream.
	DefaultDeadline = 30 * time.Second
)

// AnonymousTenant is the tenant of calls without an authenticated user.
const AnonymousTenant = "anonymous"

// Gateway serves OpenAI's endpoints from a list of providers. It is safe for
// concurrent use; its fields do not change after Prepare.
type Gateway struct {
	// Providers serve the calls, in order of preference; at least one.
	Providers []*Provider
	// AllowCrossRegion permits providers of different regions in the list.
	AllowCrossRegion bool
	// MaxBody, MaxAnswer (bytes) and Deadline have the defaults named above.
	MaxBody, MaxAnswer int64
	Deadline           time.Duration
	// Shares are the tenants' shares of the providers' caps; DefaultShare is
	// that of all others.
	Shares       map[string]Share
	DefaultShare Share
	// TenantLimits hold tenants to what they may use; nil for no limits.
	TenantLimits *TenantLimits
	// Observer is told what happens; nil for nobody.
	Observer Observer
	// Now is the local time; time.Now when nil.
	Now func() time.Time
}

// Observer is told what happens to calls, for metrics and logs. Its methods
// are called on the calls' own goroutines and must not block.
type Observer interface {
	// Attempted is told of each attempt at a provider: the outcome so far, whose
	// Code is empty if there is an answer, and why there is none, where more is
	// known than the client is told.
	Attempted(o Outcome, cause error)
	// Departed is told how long an attempt waited for the provider's rate cap.
	Departed(provider string, waited time.Duration)
	// Rejected is told of a call that was not let through, and the reason.
	Rejected(provider, reason string)
	// SigningFailed is told of a request that could not be signed.
	SigningFailed(provider string)
	// Settled is told once of each call, when nothing more happens to it.
	Settled(ctx context.Context, o Outcome)
}

// Outcome is what became of a call.
type Outcome struct {
	RequestID string
	Tenant    string
	Endpoint  Endpoint
	// Model is the one asked for, by the client's name. A client chooses it:
	// it may go into a log, never into a metric's label.
	Model  string
	Stream bool
	// Provider that served, or failed, the call; empty when none was asked.
	Provider string
	// Attempts is how many requests went to providers.
	Attempts int
	// Status is the HTTP status that the client saw; 499 when it had left.
	Status int
	// Code is the failure's code, empty for a success.
	Code string
	// Aborted says that a stream broke after its first content.
	Aborted bool
	// FirstByte is the time from the call's start until the first byte of
	// content went to the client; zero when none did.
	FirstByte time.Duration
	Duration  time.Duration
	// Usage is what the upstream says the call took, where it says so.
	Usage wire.Usage
}

// Prepare checks the gateway and sets defaults.
func (g *Gateway) Prepare() error {
	if len(g.Providers) == 0 {
		return errors.New("no provider is named; name at least one that the alipayai global option declares")
	}
	for _, p := range g.Providers {
		if p.Profile.Scheme == signer.NameOpenAPIV2 {
			return fmt.Errorf("provider %s: profile %s signs form parameters, not OpenAI calls; use it with reverse_proxy and transport alipayai", p.Name, p.Profile.Name)
		}
	}
	for _, p := range g.Providers[1:] {
		if first := g.Providers[0]; p.Region != first.Region && !g.AllowCrossRegion {
			return fmt.Errorf("providers %s (region %q) and %s (region %q) would move data between regions; allow_cross_region says that this is meant",
				first.Name, first.Region, p.Name, p.Region)
		}
	}
	if g.MaxBody == 0 {
		g.MaxBody = DefaultMaxBody
	}
	if g.MaxAnswer == 0 {
		g.MaxAnswer = DefaultMaxAnswer
	}
	if g.Deadline == 0 {
		g.Deadline = DefaultDeadline
	}
	if g.MaxBody < 0 || g.MaxAnswer < 0 || g.Deadline < 0 {
		return errors.New("max_body, max_answer and deadline must be positive")
	}
	if g.Now == nil {
		g.Now = time.Now
	}
	if g.Observer == nil {
		g.Observer = unobserved{}
	}
	return nil
}

// Serve answers one request of an authenticated tenant (AnonymousTenant
// without one). It writes every error itself. When a stream breaks after its
// first content it sends the error event and panics http.ErrAbortHandler, as
// net/http's own reverse proxy does, so that the client cannot take the
// truncation for an end.
func (g *Gateway) Serve(w http.ResponseWriter, r *http.Request, tenant string) {
	c := &call{g: g, w: w, r: r, start: g.Now()}
	c.outcome.Tenant = tenant
	c.outcome.RequestID = NewRequestID()
	defer c.settle()

	f := c.read()
	c.received = g.Now()
	if f != nil {
		c.refuse(f)
		return
	}
	if c.outcome.Endpoint == EndpointModels {
		c.listModels()
		return
	}
	done, f := g.TenantLimits.allow(tenant, c.start)
	if f != nil {
		g.Observer.Rejected("", f.Code)
		c.refuse(f)
		return
	}
	defer func() { done(g.Now(), int(c.outcome.Usage.Total)) }()
	providers, f := c.plan()
	if f != nil {
		c.refuse(f)
		return
	}
	answer, f := c.ask(providers[0])
	if f != nil {
		c.refuse(f)
		return
	}
	c.commit(answer)
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

// share gives the tenant's share.
func (g *Gateway) share(tenant string) Share {
	if s, ok := g.Shares[tenant]; ok {
		return s
	}
	return g.DefaultShare
}

type unobserved struct{}

func (unobserved) Attempted(Outcome, error)         {}
func (unobserved) Departed(string, time.Duration)   {}
func (unobserved) Rejected(string, string)          {}
func (unobserved) SigningFailed(string)             {}
func (unobserved) Settled(context.Context, Outcome) {}
