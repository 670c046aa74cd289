package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-alipayai/gateway/limiter"
)

// Equals are providers that can serve a request as well as the one it is sent to. It waits
// for the permit of any: where another has one first, Send fails before anything is sent, for
// no other reason, and the request is to be sent to Next, whose permit is kept for it. The request has its place in each provider's own queue, so that no call of
// one that is named alone waits longer for it than for another's.
type Equals struct {
	// Others are those besides the provider of Send. All have a cap of their own.
	Others []*Provider
	// Alone is how long the request waits for the provider of Send alone.
	Alone time.Duration
	// Next is the provider that had a permit first; nil where that of Send has, or none.
	Next *Provider

	slot  limiter.Slot // of Next
	ready bool         // slot is there to use
	began time.Time    // of the first wait; zero before
}

// Anew gives the equals of another try, which has no others until they are set; nil for nil.
func (e *Equals) Anew() *Equals {
	if e == nil {
		return nil
	}
	return &Equals{Alone: e.Alone}
}

// errMoved says that another provider has a permit first.
var errMoved = errors.New("an equal provider has a permit first")

// since is when the request began to wait, at whichever provider; now where it has not yet.
func (e *Equals) since(now time.Time) time.Time {
	if e == nil || e.began.IsZero() {
		return now
	}
	return e.began
}

// reserve waits for p's permit, or says by errMoved that Next has one.
func (e *Equals) reserve(ctx context.Context, p *Provider, r *Request) (limiter.Slot, error) {
	if e.began.IsZero() {
		e.began = time.Now()
	}
	if e.ready && e.Next == p {
		if s, ok := e.take(ctx, p.Cap, r); ok {
			return s, nil
		}
	}
	e.Release()
	places := make([]limiter.Place, 0, 1+len(e.Others))
	add := func(k *Cap) {
		at := k.request(r)
		at.MaxWait = min(at.MaxWait, time.Until(e.began.Add(k.MaxWait-limiter.Handover))) // which passes at the others as well
		places = append(places, limiter.Place{Queue: k.Queue, Request: at})
	}
	add(p.Cap)
	others := make([]*Provider, 0, len(e.Others))
	now := time.Now()
	for _, other := range e.Others {
		if other.Cap != nil && other.ready(now, r) && !waitsIn(places, other.Cap.Queue) {
			others = append(others, other)
			add(other.Cap)
		}
	}
	from, slot, err := limiter.WaitAny(ctx, places, e.Alone)
	if err != nil || from == 0 {
		return slot, err
	}
	e.Next, e.slot, e.ready = others[from-1], slot, true
	return limiter.Slot{}, errMoved
}

// waitsIn reports whether the request waits in q already: providers of one host and account
// share a queue.
func waitsIn(places []limiter.Place, q *limiter.Queue) bool {
	for _, place := range places {
		if place.Queue == q {
			return true
		}
	}
	return false
}

// take gives the permit that an earlier Send has moved for. In place of one that has come to
// be too old there is the next one, since the request has had its turn, unless the window was
// closed meanwhile, for who knows how long.
func (e *Equals) take(ctx context.Context, k *Cap, r *Request) (limiter.Slot, bool) {
	d := permit{cap: k, slot: e.slot}
	if d.slot.Void(time.Now()) {
		return limiter.Slot{}, false
	}
	e.ready = false
	if !d.stale(time.Now()) {
		return d.slot, true
	}
	latest := e.began.Add(k.MaxWait)
	if !r.Latest.IsZero() && r.Latest.Before(latest) {
		latest = r.Latest
	}
	next, err := k.Queue.Renew(ctx, d.slot, k.Limit, latest)
	if err != nil {
		return limiter.Slot{}, false
	}
	e.slot, e.ready = next, true
	timer := time.NewTimer(time.Until(next.At))
	defer timer.Stop()
	select {
	case <-timer.C:
		if !k.Queue.Moved(next) {
			e.ready = false
			return next, true
		}
	case <-next.Revoked():
	case <-ctx.Done():
	}
	return limiter.Slot{}, false
}

// Release gives the permit of Next back, if there is one that has not been used.
func (e *Equals) Release() {
	if e.ready {
		e.ready = false
		e.Next.Cap.Queue.Return(e.slot)
	}
	e.Next = nil
}

// ready reports whether p could send r as soon as it has a permit.
func (p *Provider) ready(now time.Time, r *Request) bool {
	if p.Unavailable != nil && p.Unavailable(now) != nil || p.Held(now, r.Model) > 0 {
		return false
	}
	if p.Tokens == nil {
		return true
	}
	_, live := p.Tokens.Cell.Live(now)
	return live
}
