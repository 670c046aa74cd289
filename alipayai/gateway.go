package alipayai

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/failover"
)

// Defaults of a Gateway.
const (
	// DefaultMaxBody is the largest request body in bytes, inflated.
	DefaultMaxBody = 4 << 20
	// DefaultMaxAnswer is the largest answer of an upstream in bytes that is
	// not a stream.
	DefaultMaxAnswer = 32 << 20
	// DefaultMaxBuffered is how many bytes of answers are held at once.
	DefaultMaxBuffered = 256 << 20
	// DefaultDeadline bounds a whole call: to the answer's end for JSON, to
	// the first content for a stream.
	DefaultDeadline = 30 * time.Second
)

// Gateway serves calls from a list of providers. It is safe for
// concurrent use; its fields do not change after Prepare.
type Gateway struct {
	// Providers serve the calls, in order of preference; at least one.
	Providers []*upstream.Provider
	// Balance says which of them are equal, and are asked as well as each other; nil for none.
	Balance *Balance
	// AllowCrossRegion permits providers of different regions in the list.
	AllowCrossRegion bool
	// Residency says in which regions tenants' calls may be; nil for anywhere. StoreRegion is that of what keeps Answers
	// and those of Claims: where a tenant's may not be there, none are kept.
	Residency   *residency.Rules
	StoreRegion string
	// MaxBody, MaxAnswer (bytes) and Deadline have the defaults named above.
	MaxBody, MaxAnswer int64
	Deadline           time.Duration
	// MaxBuffered bounds the bytes of answers that are held until their clients have
	// read them, over all calls that share Room: those of more than 64 KiB that are
	// no streams, and streams with an event of more than 1 MiB. Beyond it such an
	// answer waits, until its call's deadline, whatever its provider's timeout; then the call fails with 503 and X-Should-Retry: false, since it was served upstream.
	// DefaultMaxBuffered when 0, or MaxAnswer where that is more.
	MaxBuffered int64
	// Room is what MaxBuffered is taken from. Gateways with the same MaxBuffered may
	// share one; a new one when nil.
	Room *Room
	// Shares are the tenants' shares of the providers' caps; DefaultShare is
	// that of all others.
	Shares       map[string]upstream.Share
	DefaultShare upstream.Share
	// TenantLimits hold tenants to what they may use; nil for no limits.
	TenantLimits *TenantLimits
	// Spending knows what calls cost and bounds it; nil where that is not wanted.
	Spending *Spending
	// Class is what repeating a call may cost; ClassInference when empty.
	Class Class
	// Breakers skip providers that answer with system errors, by Breaker's
	// rule; nil for none.
	Breakers Breakers
	Breaker  failover.Rule
	// Answers are given again when no provider answers; nil for never.
	Answers *AnswerCache
	// Claims make a call with an Idempotency-Key happen once; nil disables that.
	Claims *Claims
	// Packs puts short calls together into one request; nil for never.
	Packs *Packs
	// Canary has a part of the conversations with one of the providers go to another; nil
	// for none.
	Canary *Canary
	// Shadow has copies of a part of the calls go to another provider, once they are answered;
	// nil for none.
	Shadow *Shadow
	// Blocked remembers requests that providers have blocked; nil for not.
	Blocked *BlockedCalls
	// Evidence takes the records of system errors; nil for none.
	Evidence Evidence
	// Observer observes calls; nil for none.
	Observer Observer
	// Now is the local time; time.Now when nil.
	Now func() time.Time

	// hasUsers says that one of the providers serves tenants' users by themselves, and userField
	// what names them beside the body.
	hasUsers  bool
	userField string
}

// Breakers admit calls to providers, or reject them, as [failover.Breakers] do.
type Breakers interface {
	Allow(ctx context.Context, key failover.Key, rule failover.Rule) (failover.Admission, error)
}

// Observer observes what happens to calls, for metrics and logs. Its methods
// are called on the calls' own goroutines and must not block.
type Observer interface {
	// Attempted follows each attempt at a provider.
	Attempted(a Attempt)
	// FellOver follows each provider that brought no answer, with the reason,
	// before the next one is asked or a cached answer is given.
	FellOver(provider, reason string)
	// BreakerChanged follows a breaker that this process has opened or closed.
	BreakerChanged(tenant, provider string, state failover.State)
	// Permitted follows an attempt that waited so long for the provider's rate cap.
	Permitted(provider string, waited time.Duration)
	// Rejected follows a call that was rejected, with the reason.
	Rejected(provider, reason string)
	// Charged follows each attempt that may be billed, with what it has cost: that of a pack once, and those that
	// are made for no client too.
	Charged(c Cost)
	// SigningFailed follows a request that could not be signed.
	SigningFailed(provider string)
	// Settled comes once for each call, when nothing more happens to it.
	Settled(ctx context.Context, o Outcome)
}

// Attempt is one request to a provider, and what came of it.
type Attempt struct {
	RequestID string
	Provider  string
	// Number counts the call's attempts from 1, over all providers; one that was
	// rejected before a connection was asked for does not count.
	Number int
	Status int
	// Code is the failure's, empty if there is an answer, and Class what it
	// means.
	Code  string
	Class failure.Class
	// UpstreamID is by what the upstream's own logs know the call, where it says so.
	UpstreamID string
	// Cause is why there is no answer, where more is known than the client is told.
	Cause error
	// Packed is how many calls were in the request; 0 for one call's own.
	Packed int
	// Comparison says that it was made to compare an answer of a pack, for no client.
	Comparison bool
}

// Outcome is what became of a call.
type Outcome struct {
	RequestID string
	Tenant    string
	Endpoint  upstream.Endpoint
	// Session and Agent are what an agent's client calls them; empty where it does not say. A client chooses them: they
	// may go into a log, never into a metric's label.
	Session, Agent string
	// Model is the one asked for, by the client's name. A client chooses it:
	// it may go into a log, never into a metric's label.
	Model  string
	Stream bool
	// Provider that served, or failed, the call; empty when none was asked.
	Provider string
	// UpstreamModel is the model by that provider's name: the one that answered,
	// where the provider says which, and else the one that it was asked for.
	UpstreamModel string
	// Attempts is how many requests went to providers.
	Attempts int
	// Reasons are why those before Provider brought no answer.
	Reasons string
	// Exhausted says that every provider failed, not only for rate limits.
	Exhausted bool
	// Stored says where an answer was kept that had been given before; empty for
	// one of a provider's.
	Stored Stored
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
	// Packed is how many calls shared the request that brought the answer; 0 for one of
	// the call's own. Pack is the request id under which that request's attempts are
	// logged, behind those of packs that providers before have failed; empty for a call that
	// was in none.
	Packed int
	Pack   string
	// Canary is the arm of the canary that the call belongs to; empty for one of none.
	Canary string
	// Shadow is the provider that may get a copy of the call; empty for none.
	Shadow string
	// AskedAlone is why a call that was packed was asked alone after all.
	AskedAlone string
	// UsageEstimated says that the upstream's usage was more than the bytes of
	// prompt and answer allow, or could not be counted, so that Usage is an estimate.
	UsageEstimated bool
	// Quoted is what the last attempt should have cost, by an estimate made before it
	// was sent, as "0.03 CNY"; empty where no price is known.
	Quoted string
	// Costs are what the attempts have cost, or may have, and of a pack's the call's own share;
	// Cost is their sum as clients see it, empty where no price is known.
	Costs []Cost
	Cost  string
}

// Prepare checks the gateway and sets defaults.
func (g *Gateway) Prepare() error {
	if len(g.Providers) == 0 {
		return errors.New("no provider is named; name at least one that the alipayai global option declares")
	}
	for _, p := range g.Providers {
		if g.Answers != nil && p.Profile.Agent {
			return fmt.Errorf("cached_answer has no meaning with provider %s: what an agent answers depends on its session as well", p.Name)
		}
		if p.Profile.Kind().SignsParameters {
			return fmt.Errorf("provider %s: profile %s signs form parameters, not OpenAI calls; use it with reverse_proxy and transport alipayai", p.Name, p.Profile.Name)
		}
	}
	if err := g.Balance.check(g); err != nil {
		return err
	}
	if err := g.CheckRegions(slices.Concat(g.Providers, g.Canary.candidate(), g.Shadow.provider())...); err != nil {
		return err
	}
	if err := g.Canary.check(g); err != nil {
		return err
	}
	if err := g.Shadow.check(g); err != nil {
		return err
	}
	if err := g.findUsers(); err != nil {
		return err
	}
	if err := g.prepareBounds(); err != nil {
		return err
	}
	switch g.Class {
	case "":
		g.Class = ClassInference
	case ClassInference, ClassMoney:
	default:
		return fmt.Errorf("class %q is unknown; use inference or money", string(g.Class))
	}
	if g.Now == nil {
		g.Now = time.Now
	}
	if g.Packs != nil {
		if err := g.Packs.prepare(g.Class); err != nil {
			return err
		}
	}
	if g.Observer == nil {
		g.Observer = unobserved{}
	}
	if g.Breaker.ProbeFor == 0 {
		g.Breaker.ProbeFor = g.Deadline + leaseMargin
	}
	if g.Breaker.Changed == nil {
		g.Breaker.Changed = func(key failover.Key, state failover.State) {
			g.Observer.BreakerChanged(key.Tenant, upstream.ProviderOf(key.Provider), state)
		}
	}
	return nil
}

// findUsers finds out whether providers serve tenants' users by themselves, and by what a call names its user.
func (g *Gateway) findUsers() error {
	for _, p := range append(slices.Clone(g.Providers), g.Canary.candidate()...) {
		switch {
		case p.Users == nil:
			continue
		case g.hasUsers && p.UserField != g.userField:
			return fmt.Errorf("provider %s: user_token has another name_header than the providers beside it; a call can name its user in one way only", p.Name)
		}
		g.hasUsers, g.userField = true, p.UserField
	}
	return nil
}

// prepareBounds sets how large bodies and answers may be, and how long a call may take.
func (g *Gateway) prepareBounds() error {
	if g.MaxBody == 0 {
		g.MaxBody = DefaultMaxBody
	}
	if g.MaxAnswer == 0 {
		g.MaxAnswer = DefaultMaxAnswer
	}
	if g.Deadline == 0 {
		g.Deadline = DefaultDeadline
	}
	if g.MaxBuffered == 0 {
		g.MaxBuffered = max(DefaultMaxBuffered, g.MaxAnswer)
	}
	if g.MaxBody < 0 || g.MaxAnswer < 0 || g.MaxBuffered < 0 || g.Deadline < 0 {
		return errors.New("max_body, max_answer, max_buffered and deadline must not be negative")
	}
	if g.MaxBuffered < g.MaxAnswer {
		return fmt.Errorf("max_buffered is %d bytes, less than the %d of max_answer: an answer of that size could never be held; raise the one or lower the other",
			g.MaxBuffered, g.MaxAnswer)
	}
	if g.Room == nil {
		g.Room = new(Room)
	}
	g.Room.open(g.MaxBuffered)
	return nil
}

// CheckRegions refuses providers that see the gateway's calls in another region than the first of its own, unless it is
// said that this is meant: its own, and those that see the calls beside them, as a moderator's.
func (g *Gateway) CheckRegions(others ...*upstream.Provider) error {
	if g.AllowCrossRegion {
		return nil
	}
	first := g.Providers[0]
	if of := first.Regions(); len(of) > 1 {
		return fmt.Errorf("provider %s has addresses in several regions (%s), between which data would move; allow_cross_region says that this is meant",
			first.Name, strings.Join(of, ", "))
	}
	for _, p := range others {
		if of, other := first.Regions(), p.Regions(); !slices.Equal(of, other) {
			return fmt.Errorf("providers %s (region %q) and %s (region %q) would move data between regions; allow_cross_region says that this is meant",
				first.Name, strings.Join(of, ", "), p.Name, strings.Join(other, ", "))
		}
		if p.Region == "" && p.Place() != first.Place() {
			return fmt.Errorf("providers %s and %s do not say where data stays; declare the region of each, or permit it to move with allow_cross_region",
				first.Name, p.Name)
		}
	}
	return nil
}

// maySee reports whether p may see what a tenant's calls carry, wherever a copy of them goes.
func (g *Gateway) maySee(p *upstream.Provider, tenant string) bool {
	return p.Within(g.Residency.Of(tenant)) && p.Within(p.Residency.Of(tenant))
}

// MayStore reports whether what a tenant's calls carry may be kept in the store.
func (g *Gateway) MayStore(tenant string) bool { return g.Residency.Of(tenant).Permit(g.StoreRegion) }

// share gives the tenant's share.
func (g *Gateway) share(tenant string) upstream.Share {
	if s, ok := g.Shares[tenant]; ok {
		return s
	}
	return g.DefaultShare
}

type unobserved struct{}

func (unobserved) Attempted(Attempt)                             {}
func (unobserved) FellOver(string, string)                       {}
func (unobserved) BreakerChanged(string, string, failover.State) {}
func (unobserved) Permitted(string, time.Duration)               {}
func (unobserved) Rejected(string, string)                       {}
func (unobserved) Charged(Cost)                                  {}
func (unobserved) SigningFailed(string)                          {}
func (unobserved) Settled(context.Context, Outcome)              {}
