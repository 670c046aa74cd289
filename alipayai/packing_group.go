package alipayai

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// group is calls that leave together. It is open until it is full or has its permit, and
// goes its way as a call of its own: it asks the breaker once, waits for one permit, of whichever
// equal provider has it first, is repeated by the rules of any call, and ends when all of its clients have left.
//
// A group of one sends that call's own request, and hands the answer over as it comes, a
// stream too.
type group struct {
	k   *Packs
	key replay.Key
	// providers are those that each member may go to: equal ones, or one.
	providers []*upstream.Provider
	// p is the one of them that is asked. The group's goroutine sets it, under k.mu.
	p *upstream.Provider
	// call is what goes to p. It belongs to the group's goroutine until done is closed.
	call         *call
	alternatives bool
	// attempts is how many the call seemed to have made before: those of its first member.
	attempts int
	// sent is when its first request went to p.
	sent time.Time
	// cancel ends the call.
	cancel context.CancelFunc
	// full is closed when no more can join, cleared when there is a member, done when the members have their results.
	full, cleared, done chan struct{}
	// form is what p has refused of packs when the group was sealed, and so does not get.
	form refusals

	// The rest is locked by k.mu until done is closed.

	// members may leave; waiting are those on whom there is no verdict yet.
	members, waiting []*member

	size       int // of MaxCalls, by members
	characters int
	// latest is when the last deadline of a member is over, less the gateway's Deadline.
	latest time.Time
	// live is how many members have a client that waits.
	live int
	// closed says that no more can join, and left that the permit is there: who is in the
	// group then stays in it.
	closed, left, ended bool
	// sealed is the pack of the members; nil for one member alone.
	sealed *pack.Pack
	body   []byte
	// alone is why its calls have to be asked alone, where it did not leave.
	alone string
	// weights are by what its calls share its cost; nil for by their texts.
	weights []int64
}

// leaving notes, of the call that a group makes, when it leaves.
func (k *packing) leaving(now time.Time) {
	if g := k.group; g != nil && g.sent.IsZero() {
		g.sent = now
	}
}

// background makes a call of of's tenant to p that belongs to no client.
func (g *Gateway) background(of *call, p *upstream.Provider, r wire.Request) *call {
	c := g.begin(context.Background(), &Call{Endpoint: of.Endpoint, Tenant: of.Tenant, Request: r, Format: of.Format})
	c.tenancy.user = of.tenancy.user
	c.goTo(p)
	return c
}

// join gives c, which may go to those providers, a place in the open group of its kind, or in a new one, which is to
// ask the first of them.
func (k *Packs) join(c *call, providers []*upstream.Provider, alternatives bool, reserved *charge) *member {
	key := c.packing.one.among(providers)
	k.mu.Lock()
	defer k.mu.Unlock()
	g := k.open[key]
	cleared := c.Verdict.forbids() == nil
	if g != nil && cleared && !g.fits(c.packing.one) {
		g.close()
		g = nil
	}
	if g == nil {
		p := providers[0]
		g = &group{k: k, key: key, providers: providers, p: p, alternatives: alternatives, full: make(chan struct{}), cleared: make(chan struct{}), done: make(chan struct{})}
		g.call = c.g.background(c, p, c.Request)
		g.call.Received, g.call.packing.group = c.Received, g
		g.call.outcome.RequestID, g.call.outcome.Attempts, g.attempts = c.outcome.RequestID, c.outcome.Attempts, c.outcome.Attempts
		g.call.ctx, g.cancel = context.WithCancel(context.Background())
		g.call.route.equals = c.route.equals.Anew()
		k.open[key] = g
		ended := k.Running()
		go func() {
			defer ended()
			g.run()
		}()
	}
	m := &member{group: g, call: c, charge: reserved, out: make(chan struct{})}
	g.live++
	if cleared {
		g.admit(m)
	} else {
		g.waiting = append(g.waiting, m)
	}
	return m
}

// admit makes m, which may leave, a member. The lock is held.
func (g *group) admit(m *member) {
	if len(g.members) == 0 {
		g.clear()
	}
	c := m.call
	g.members = append(g.members, m)
	g.size += g.k.size(&c.packing.one.Item)
	g.characters += c.packing.one.Characters()
	if c.Received.After(g.latest) {
		g.latest = c.Received
	}
	if g.size == g.k.MaxCalls || len(g.members) == c.packing.one.Most() {
		g.close()
	}
}

// decided makes m a member now that there is a verdict that permits it. Where it fits in no more, it is late.
func (g *group) decided(m *member) {
	g.k.mu.Lock()
	defer g.k.mu.Unlock()
	i := slices.Index(g.waiting, m)
	if i < 0 || m.call.Verdict.forbids() != nil {
		return // it has left, or will
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	if g.fits(m.call.packing.one) {
		g.admit(m)
	} else {
		g.turnAway(m)
	}
}

// turnAway has m, which waits no longer, join another group. The lock is held.
func (g *group) turnAway(m *member) {
	g.live--
	m.late = true
	close(m.out)
}

// fits reports whether one more of its kind fits in.
func (g *group) fits(one *packable) bool {
	return g.size+g.k.size(&one.Item) <= g.k.MaxCalls && g.characters+one.Characters() <= g.k.MaxCharacters && len(g.members) < one.Most()
}

// close closes the group to others. The lock is held.
func (g *group) close() {
	if g.closed {
		return
	}
	g.closed = true
	close(g.full)
	if g.k.open[g.key] == g {
		delete(g.k.open, g.key)
	}
}

// clear lets the group leave: there is a member. The lock is held.
func (g *group) clear() {
	select {
	case <-g.cleared: // the first has left since
	default:
		close(g.cleared)
	}
}

// run asks the provider and gives the members their results, whatever happens.
func (g *group) run() {
	defer close(g.done)
	var a *Answer
	var f *failure.Failure
	if panicked := g.guarded(func() { a, f = g.ask() }); panicked != nil {
		a, f = nil, panicked
	}
	g.k.mu.Lock()
	g.close()
	g.ended = true // from now on they wait for done, whatever happens
	g.members, g.waiting = append(g.members, g.waiting...), nil
	g.k.mu.Unlock()
	if panicked := g.guarded(func() { g.end(a, f) }); panicked != nil {
		for _, m := range g.members {
			m.a, m.f, m.alone = nil, panicked, ""
		}
		g.cancel()
	}
	g.share()
}

// ask waits for the first permit of the group's providers, and asks the one that has it.
func (g *group) ask() (*Answer, *failure.Failure) {
	e := g.call.route.equals
	if e == nil {
		return g.call.at(g.p).tryAlone(g.alternatives)
	}
	defer e.Release()
	for {
		e.Others = slices.DeleteFunc(slices.Clone(g.providers), func(p *upstream.Provider) bool { return p == g.p })
		a, f := g.call.at(g.p).tryAlone(g.alternatives)
		if f == nil || e.Next == nil || e.Next == g.p {
			return a, f
		}
		g.k.mu.Lock()
		g.p = e.Next
		g.k.mu.Unlock()
		g.sent = time.Time{}
		g.call.goTo(g.p)
	}
}

// at is where m was asked, or would have been, with its group; p where it left that before.
func (m *member) at(p *upstream.Provider) *upstream.Provider {
	g := m.group
	g.k.mu.Lock()
	defer g.k.mu.Unlock()
	if (g.left || g.ended) && slices.Contains(g.members, m) {
		return g.p
	}
	return p
}

// guarded makes a panic of do the failure of each of the group's calls, 502: it is on no goroutine of theirs, and
// would end the process. What may have been sent stays charged.
func (g *group) guarded(do func()) (f *failure.Failure) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		f = failure.BadAnswer(failure.CodeGateway, "the gateway failed while it served this call")
		f.Cause = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		if f.Sent = g.left; g.left {
			g.call.account.settle()
		} else {
			g.call.account.nothing()
		}
		g.call.g.Observer.Attempted(g.call.attempted(f))
	}()
	do()
	return nil
}

// gather waits for more calls, but no longer than the first of them would wait for the
// rate cap and those that may be kept waiting. It gives a body that stands for the pack's
// in the queue.
func (g *group) gather() []byte {
	least := g.call.at(g.p).waits()
	for _, p := range g.providers {
		least = min(least, g.call.at(p).waits())
	}
	wait := g.k.MaxWait - least
	if e := g.call.route.equals; wait > 0 && (e == nil || e.Next == nil) { // else there is a permit
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-g.full:
		case <-g.call.ctx.Done():
		}
	}
	return g.call.Request.Body
}

// seal implements the hook of [upstream.Request]: the permit is there, and whoever is in
// the group by now leaves with it. A repeat is of the same body.
func (g *group) seal() (upstream.Sealed, *failure.Failure) {
	g.k.mu.Lock()
	first := !g.left
	g.left = true
	g.close()
	for _, m := range g.waiting {
		g.turnAway(m)
	}
	g.waiting = nil
	if g.live == 0 {
		g.cancel()
	}
	g.k.mu.Unlock() // members and latest do not change from here on
	pc := g.call
	if first {
		if len(g.members) == 0 {
			return upstream.Sealed{}, failure.OfTransport(pc.ctx, pc.ctx, context.Canceled, false)
		}
		pc.Received = g.latest
		if f := g.compose(); f != nil {
			return upstream.Sealed{}, f
		}
	}
	return upstream.Sealed{ID: pc.once.id, Stream: pc.Request.Stream, Header: pc.Header, Body: g.body, Deadline: pc.deadline()}, nil
}

// compose makes the body of what leaves.
func (g *group) compose() (f *failure.Failure) {
	pc := g.call
	if len(g.members) == 1 {
		one := g.members[0].call
		pc.Request, pc.Header, pc.route.preferred, pc.once.id = one.Request, one.Header, one.route.preferred, one.once.id
		pc.secrets.client = one.Header
		pc.Guard = one.Guard
		pc.outcome.RequestID = one.outcome.RequestID
		pc.account.prompt = one.account.prompt
		if g.body, f = pc.at(g.p).encode(); f != nil {
			return f
		}
		return g.cover()
	}
	items := make([]pack.Item, len(g.members))
	for i, m := range g.members {
		items[i] = m.call.packing.one.Item
	}
	g.form = g.k.refusals(g.p, pc.Endpoint)
	g.sealed = pack.New(items, g.form < refusesFormat && g.p.Format.Name() == wire.OpenAI)
	parse := wire.ParseChatRequest
	if !items[0].Chats() {
		parse = wire.ParseEmbeddingsRequest
	}
	var err error
	if pc.Request, err = parse(g.sealed.Body, wire.Limits{}); err != nil {
		return failure.UnreadableRequest(err)
	}
	pc.outcome.RequestID, pc.outcome.Packed = NewRequestID(), len(items)
	pc.once.id = pc.outcome.RequestID
	pc.PackedWith, pc.account.prompt = len(items)-1, prompt{} // which was counted for the first call
	if g.body, f = pc.at(g.p).encode(); f != nil {
		return f
	}
	if f = g.cover(); f == nil {
		g.k.Observer.Packed(g.p.Name, len(items))
	}
	return f
}

// end gives the members their results.
func (g *group) end(a *Answer, f *failure.Failure) {
	switch {
	case f != nil:
		alone := g.alone
		if g.sealed != nil && alone == "" {
			alone = asksAlone(f)
		}
		for _, m := range g.members {
			own := *f
			m.f, m.alone = &own, alone
		}
	case g.sealed != nil:
		g.deal(a)
		g.call.intake.room.release()
	case g.members[0].gone:
		if a.stream != nil {
			a.stream.settle(false)
		}
		g.members[0].lost = a.usage
		g.call.intake.room.release()
	default:
		g.members[0].a = a
		if a.stream != nil {
			return // until it has been read
		}
	}
	g.cancel()
}

// asksAlone says why the calls of a pack that failed by f are to be asked alone; empty for
// what each of them would have met as well. That which may have executed is not asked
// again here: as for any call, another provider may be.
func asksAlone(f *failure.Failure) string {
	switch {
	case f.Class == failure.Blocked:
		return aloneBlocked // for one of the texts, most likely
	case f.UnsupportedHere, f.FromUpstream && f.Class == failure.Fail && !f.FallsOver() && !f.MayHaveExecuted():
		return aloneRefused
	}
	return ""
}

// chosen is true for that part of all calls.
func chosen(part float64) bool { return rand.Float64() < part }
