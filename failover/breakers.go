package failover

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Breakers are those of all tenants and providers. A breaker opens after too many
// failures in a row, rejects calls for a while, and then admits one call, the
// probe: if that succeeds it closes. Results of calls that began before it opened
// are ignored.
//
// The probe holds its place by a lease, so that one that hangs is replaced. It
// is one for all replicas where they share their state (NewSharedBreakers).
//
// Memory is held only for breakers that have seen failures since a success or
// have been open: for an hour after their latest change, and for at most 100,000,
// of which the one that changed longest ago is forgotten first. An open breaker
// that is forgotten is closed, without a call of Rule.Changed. The zero value is
// ready, is not shared with other processes, and is safe for concurrent use.
type Breakers struct {
	memory
	calls  sync.Pool // of *call
	shared *shared   // nil where the process is on its own
}

// call is a call that was admitted. Values are reused.
type call struct {
	key  Key
	rule Rule
	// turn is the latest one when the call began.
	turn uint64
	// probe is the lease's holder if it is a probe.
	probe uint64
	// ended counts the calls that this value was.
	ended atomic.Uint64
}

// Admission is a call that a breaker admitted. That of the zero value had no breaker.
type Admission struct {
	b *Breakers
	c *call
	// ended is c's when it was admitted: it may be another call by now.
	ended uint64
}

// Allow admits a call or rejects it with an *OpenError. When the result of an
// admitted call is known, the admission's Done has to be called with it: the first
// time counts. If it is never called nothing is lost, except that a probe keeps its
// place until the lease ends.
//
// It decides from memory. Only where replicas share their state, the call that
// would be the probe asks Redis whether it is, for 50 ms at most. If ctx has
// ended before, its error is returned.
func (b *Breakers) Allow(ctx context.Context, key Key, rule Rule) (Admission, error) {
	// Read the turn first: if the breaker opens in between, then this call began
	// before it opened.
	turn := b.turns.Load()
	p := b.find(key)
	if p == nil {
		return b.admit(key, rule, turn, 0), nil
	}
	h := p.history.Load()
	if !h.isOpen() {
		return b.admit(key, rule, turn, 0), nil
	}
	rule = rule.withDefaults()
	if wait := h.wait(rule, time.Now()); wait > 0 {
		return Admission{}, &OpenError{RetryAfter: wait}
	}
	if err := ctx.Err(); err != nil {
		return Admission{}, err
	}
	return b.probe(key, rule)
}

// probe admits a call as the probe, if it gets the lease.
func (b *Breakers) probe(key Key, rule Rule) (Admission, error) {
	// The place in this replica comes first, so that one call at a time asks.
	b.mu.Lock()
	now := time.Now()
	h := b.read(key)
	if !h.isOpen() || h.wait(rule, now) > 0 {
		b.mu.Unlock()
		return b.decide(key, rule, h, now)
	}
	h.probe = lease{holder: rand.Uint64() | 1, until: now.Add(rule.ProbeFor)}
	b.write(key, h, now)
	b.mu.Unlock()

	if common, granted, ok := b.askToProbe(key, rule, h); ok && !granted {
		return b.decide(key, rule, common, time.Now())
	}
	return b.admit(key, rule, h.turn, h.probe.holder), nil
}

// decide admits a call that found another history than it began with, unless the
// breaker is open.
func (b *Breakers) decide(key Key, rule Rule, h history, now time.Time) (Admission, error) {
	if !h.isOpen() {
		return b.admit(key, rule, h.turn, 0), nil
	}
	return Admission{}, &OpenError{RetryAfter: max(h.wait(rule, now), time.Millisecond)}
}

// admit admits a call. It costs no allocation, since the call comes from those that
// have ended.
func (b *Breakers) admit(key Key, rule Rule, turn, probe uint64) Admission {
	c, _ := b.calls.Get().(*call)
	if c == nil {
		c = new(call)
	}
	c.key, c.rule, c.turn, c.probe = key, rule, turn, probe
	return Admission{b, c, c.ended.Load()}
}

// Done tells the breaker what came of the call, from any goroutine.
func (a Admission) Done(result Result) {
	b, c := a.b, a.c
	if c == nil {
		return
	}
	if result == Begun {
		if c.ended.Load() == a.ended && c.probe != 0 {
			b.settle(c, Success)
			c.turn, c.probe = b.turns.Load(), 0 // an ordinary call from now on
		}
		return
	}
	if !c.ended.CompareAndSwap(a.ended, a.ended+1) {
		return // it may be another call by now
	}
	b.settle(c, result)
	c.key, c.rule = Key{}, Rule{} // a configuration that is gone may be freed
	b.calls.Put(c)
}

// settle applies the result of a call.
func (b *Breakers) settle(c *call, result Result) {
	if c.probe == 0 && (result == Ignored || result == Success && !b.remembersFailures(c.key)) {
		return
	}
	rule := c.rule.withDefaults()
	b.mu.Lock()
	now := time.Now()
	before := b.read(c.key)
	if c.turn < before.turn {
		b.mu.Unlock()
		return
	}
	after, did := before.after(result, c.probe, rule, now)
	if did != nothing {
		p := b.write(c.key, after, now)
		b.enqueue(report{did, c.key, rule, c.probe, after.opened, p})
	}
	b.mu.Unlock()
	if state, ok := did.changed(); ok {
		rule.changed(c.key, state)
	}
}

// remembersFailures reports whether a success would change anything.
func (b *Breakers) remembersFailures(key Key) bool {
	p := b.find(key)
	return p != nil && len(p.history.Load().failures) > 0
}
