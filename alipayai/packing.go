package alipayai

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/limiter"
)

// Defaults of Packs.
const (
	DefaultPackWait       = 30 * time.Millisecond
	DefaultPackCalls      = 20
	DefaultPackCharacters = 4000
	DefaultPackVerify     = 0.02
	DefaultPackAgreement  = 0.9
)

// maxPackedBody is the largest body, in bytes, that is looked at for packing: most of it
// may be the system prompt, which all calls of a pack share.
const maxPackedBody = 64 << 10

// Packs puts short calls of one tenant and one end user, which differ in their one text
// alone, together into one request, and gives each its own answer. Its fields do not
// change after Prepare.
type Packs struct {
	// MaxWait is how long a call waits for others. It passes while the call waits for the
	// provider's rate cap as well, and is no bound for that: whatever has come together by
	// the time of the permit leaves with it. DefaultPackWait when 0.
	MaxWait time.Duration
	// MaxCalls and MaxCharacters bound a pack: the calls, or for embeddings the inputs, and
	// the characters of their texts. A call of more than half of either is not packed.
	// DefaultPackCalls and DefaultPackCharacters when 0.
	MaxCalls, MaxCharacters int
	// AcrossUsers packs calls of several end users of a tenant, and those that name none.
	// One user's text may then change what another is answered.
	AcrossUsers bool
	// UserHeader is a field, in canonical form, that names the end user as well as "user" in
	// the body does; empty for none.
	UserHeader string
	// Verify is the part of packed chat calls of temperature 0 that are asked alone too, to
	// compare the answers; DefaultPackVerify when 0, negative for none. Agreement is the
	// part that must be the same, or the tenant's calls are packed no more for a time;
	// DefaultPackAgreement when 0.
	Verify, Agreement float64
	// Agreements are what was compared; new ones when nil.
	Agreements *pack.Agreements
	// Observer observes packs; nil for none.
	Observer PackObserver
	// Running, where it is set, is called when a pack begins, and what it gives when nothing of
	// it runs any more: that may be after its calls have ended.
	Running func() (ended func())

	mu        sync.Mutex
	open      map[replay.Key]*group
	refused   map[refusing]refusals
	comparing atomic.Int32
}

// PackObserver observes packs. Its methods must not block.
type PackObserver interface {
	// Packed follows a pack of so many calls that leaves.
	Packed(provider string, calls int)
	// AskedAlone follows a call that was in a pack and has to be asked alone.
	AskedAlone(provider, reason string)
	// Compared follows the comparison of an answer of a pack.
	Compared(provider string, agreed bool)
	// PackingStopped follows the comparison, or the pack, after which the tenant's calls are packed no more.
	PackingStopped(tenant string, agreement float64)
}

// refusals is how much of the form of a pack a provider has refused that takes its calls
// alone: first response_format, then all of it.
type refusals int

const (
	refusesFormat refusals = 1 + iota
	refusesPacks
)

// Why a call of a pack is asked alone, besides the mistakes of package pack.
const (
	aloneBlocked = "blocked"
	aloneRefused = "refused"
	aloneUnread  = "unread"
	aloneBudget  = "budget"
)

func (k *Packs) prepare(class Class) error {
	if class == ClassMoney {
		return errors.New("pack has no meaning for class money, whose calls are never put together")
	}
	setDefault(&k.MaxWait, DefaultPackWait)
	setDefault(&k.MaxCalls, DefaultPackCalls)
	setDefault(&k.MaxCharacters, DefaultPackCharacters)
	setDefault(&k.Verify, DefaultPackVerify)
	setDefault(&k.Agreement, DefaultPackAgreement)
	switch {
	case k.MaxWait < 0 || k.MaxWait > time.Second:
		return errors.New("pack: max_wait must be a duration up to 1s")
	case k.MaxCalls < 2 || k.MaxCalls > 1000:
		return errors.New("pack: max_calls must be a number from 2 to 1000")
	case k.MaxCharacters < 2:
		return errors.New("pack: max_characters must be a number from 2")
	case k.Verify > 1 || k.Agreement < 0 || k.Agreement > 1:
		return fmt.Errorf("pack: verify and agreement must be parts from 0 to 1, not %v and %v", k.Verify, k.Agreement)
	}
	if k.Agreements == nil {
		k.Agreements = new(pack.Agreements)
	}
	if k.Observer == nil {
		k.Observer = unobservedPacks{}
	}
	if k.Running == nil {
		k.Running = func() func() { return func() {} }
	}
	k.open, k.refused = make(map[replay.Key]*group), make(map[refusing]refusals)
	return nil
}

func setDefault[T comparable](to *T, value T) {
	if *to == *new(T) {
		*to = value
	}
}

// packing is a call's part in a pack.
type packing struct {
	// one is what the call would bring into a pack, once that was read; see readPackable.
	one *packable
	// group is the pack that it is the call of, and lost is its part of what a pack took that brought it no answer; nil for
	// none.
	group *group
	lost  *wire.Usage
	// comparison says that it is made to compare an answer of a pack.
	comparison bool
}

// packable is what a call would bring into a pack.
type packable struct {
	pack.Item
	// key is over all that the calls of a pack have in common, but for the providers.
	key replay.Key
}

// among is the key of packs that may go to each of those providers, whichever of them is asked first.
func (one *packable) among(providers []*upstream.Provider) replay.Key {
	names := make([]string, 0, len(providers)+1)
	for _, p := range providers {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return replay.NewKey(append(names, string(one.key[:]))...)
}

// notPackable is that of calls which are not packed.
var notPackable packable

// mayPack reports whether the call may be packed at p.
func (q at) mayPack() bool {
	k := q.g.Packs
	if k == nil || q.p.Profile.Agent { // whose agents take no system prompt
		return false
	}
	return q.readPackable() != &notPackable && k.refusals(q.p, q.Endpoint) < refusesPacks && !k.Agreements.Off(q.Tenant, q.g.Now())
}

// readPackable is what the call would bring into a pack, read once.
func (c *call) readPackable() *packable {
	if c.packing.one == nil {
		c.packing.one = &notPackable
		if c.g.Packs != nil {
			c.packing.one = c.g.Packs.read(&c.Call, c.class(), c.tenancy.user)
		}
	}
	return c.packing.one
}

// read says what c, a call of that class for that user of its tenant, would bring into a pack. Never packed are calls of
// tenants that are not known, those that may move money, those that shall happen once (a claim is of one call's request),
// and those that are more than a short text with common parameters.
func (k *Packs) read(c *Call, class Class, user string) *packable {
	if c.Tenant == AnonymousTenant || class != ClassInference || c.IdempotencyKey != "" || c.Format.Name() != wire.OpenAI ||
		c.Native != nil && len(c.Native.Unsupported) > 0 || c.Request.Thinking.Type != "" || c.Request.HasTools || c.Request.HasImages || c.Request.N > 1 || len(c.Request.Body) > maxPackedBody {
		return &notPackable
	}
	var item pack.Item
	ok := false
	switch c.Endpoint {
	case upstream.EndpointChat:
		item, ok = pack.ReadChat(c.Request.Body)
	case upstream.EndpointEmbeddings:
		item, ok = pack.ReadEmbeddings(c.Request.Body)
	}
	header := c.Header[k.UserHeader]
	if !ok || len(header) > 1 || k.size(&item) > k.MaxCalls/2 || item.Characters() > k.MaxCharacters/2 || item.Most() < 2 {
		return &notPackable
	}
	parts := []string{c.Tenant, string(c.Endpoint), user} // whose token the request carries
	if item.Chats() && !k.AcrossUsers {
		header = append(slices.Clip(header), "")
		if !namesUser(header[0]) && !namesUser(item.User) {
			return &notPackable
		}
		parts = append(parts, header[0], item.User)
	}
	return &packable{item, replay.NewKey(append(parts, item.Remainder()...)...)}
}

// namesUser reports whether a text can be the name of one end user: templates that have none leave it empty, or blank.
func namesUser(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) })
}

// size is what the item takes of MaxCalls.
func (k *Packs) size(item *pack.Item) int { return len(item.Texts) }

// tryPacked asks p together with other calls, and alone where that brings no answer.
func (q at) tryPacked(alternatives bool) (*Answer, *failure.Failure) {
	if f := q.blockedAlone(); f != nil {
		return nil, f
	}
	providers := q.packedWith()
	var m *member
	var a *Answer
	var f *failure.Failure
	var alone string
	for late := true; late; late = m.late && f == nil {
		var reserved *charge
		if q.account.limited() {
			reserved, providers = q.quoteAmong(providers)
			if q.account.hold(q.ctx, reserved) != nil {
				return q.tryAlone(alternatives) // which takes less, or says what is wrong
			}
		}
		m = q.g.Packs.join(q.call, providers, alternatives, reserved)
		if a, f, alone = m.await(); m.late && f == nil { // it joins another when it may leave
			f = q.awaitVerdict()
		}
	}
	q.p = m.at(q.p)
	q.goTo(q.p)
	if alone == "" {
		return a, f
	}
	q.route.repeat() // which is p's
	q.outcome.AskedAlone = alone
	q.g.Packs.Observer.AskedAlone(q.p.Name, alone)
	a, f = q.tryAlone(alternatives)
	if f == nil && alone == aloneRefused {
		q.g.Packs.learn(q.p, q.Endpoint, m.group.form) // it was for the form
	}
	return a, f
}

// packedWith gives the providers that a pack with the call may go to: p, and those of its equals that may have the call in a pack.
func (q at) packedWith() []*upstream.Provider {
	providers := []*upstream.Provider{q.p}
	if q.route.equals == nil || q.account.unaffordable != nil { // which goes only where it costs less: see dearer
		return providers
	}
	for _, other := range q.route.equals.Others {
		if there := q.at(other); there.mayPack() && !there.wouldBlock() {
			providers = append(providers, other)
		}
	}
	return providers
}

// awaitVerdict gives the failure of a call that must not be sent, and waits no longer than for the call's deadline.
func (c *call) awaitVerdict() *failure.Failure {
	ctx, cancel := context.WithTimeoutCause(c.ctx, c.deadline().Sub(c.g.Now()), failure.ErrDeadline)
	defer cancel()
	return c.Verdict.Await(ctx)
}

// blockedAlone gives the failure of a call that must not enter a pack, which p would block for the others' calls too.
func (q at) blockedAlone() *failure.Failure {
	if q.g.Blocked == nil {
		return nil
	}
	body, f := q.encode()
	if f != nil {
		return f
	}
	return q.wasBlocked(body)
}

// wouldBlock reports whether p has blocked the call already, or cannot carry it.
func (q at) wouldBlock() bool {
	if q.g.Blocked == nil || q.g.Blocked.Calls.Empty() {
		return false
	}
	body, f := q.encode()
	if f != nil {
		return true
	}
	_, was := q.g.Blocked.Calls.Get(q.blockedKey(body), q.g.Now())
	return was
}

// refusing names an endpoint of a provider that may refuse packs.
type refusing struct {
	account  string
	endpoint upstream.Endpoint
}

// refusals is how much of a pack's form p refuses.
func (k *Packs) refusals(p *upstream.Provider, endpoint upstream.Endpoint) refusals {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refused[refusing{p.Account(), endpoint}]
}

// learn notes that p has refused a pack in that form.
func (k *Packs) learn(p *upstream.Provider, endpoint upstream.Endpoint, form refusals) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := refusing{p.Account(), endpoint}
	k.refused[at] = max(k.refused[at], form+1)
}

// share is the call's part of the permits. A comparison has those that no client waits for.
func (c *call) share() upstream.Share {
	if c.packing.comparison {
		return upstream.Share{Weight: 1, Priority: limiter.Background}
	}
	return c.g.share(c.Tenant)
}

type unobservedPacks struct{}

func (unobservedPacks) Packed(string, int)             {}
func (unobservedPacks) AskedAlone(string, string)      {}
func (unobservedPacks) Compared(string, bool)          {}
func (unobservedPacks) PackingStopped(string, float64) {}
