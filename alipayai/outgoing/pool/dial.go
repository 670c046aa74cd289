package pool

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// grow makes the connections that are missing: those that requests wait for, and while the
// pool is open those that it expects to be asked for.
func (p *Pool) grow(now time.Time) {
	s := p.settings()
	if s == nil {
		return
	}
	n := 0
	// Where the upstream does not take a further connection but serves by those it has, the
	// requests wait for these.
	mayDial := !now.Before(p.retryAt)
	if mayDial || now.Sub(p.served) > time.Second || !p.open() {
		n = p.connections(float64(len(p.waiters))) - p.dialing
	}
	if p.open() {
		wanted := p.demand.target(now, s, p.active+len(p.waiters), max(p.streams, 1))
		if mayDial {
			n = max(n, wanted-len(p.entries)-p.dialing)
		}
	}
	for range min(n, s.Max-len(p.entries)-p.dialing) {
		p.dial(s, nil)
	}
}

// connections is how many carry so many requests.
func (p *Pool) connections(requests float64) int {
	return int(math.Ceil(requests / float64(max(p.streams, 1))))
}

// dialTime bounds a dial, whose own timeouts are for its parts.
const dialTime = 15 * time.Second

// dial makes a connection, in place of another if that is not nil.
func (p *Pool) dial(s *Settings, replaced *entry) {
	p.dialing++
	dials, began := p.dials, time.Now()
	if !p.open() {
		dials = context.Background()
	}
	go func() {
		ctx, cancel := context.WithTimeout(dials, dialTime)
		conn, err := s.Dial(ctx)
		cancel()
		if err != nil && dials.Err() != nil {
			p.cancelled()
			return
		}
		if p.dialed(conn, err, replaced, began) && s.Failing != nil {
			s.Failing(err)
		}
	}()
}

// dialed takes a new connection, or the error instead of one, and reports whether that is the first in a row.
func (p *Pool) dialed(conn Conn, err error, replaced *entry, began time.Time) (failing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing--
	now := time.Now()
	if replaced != nil {
		replaced.renewing = false // a request may be on it by now, and it stays
	}
	if err != nil {
		p.counts.Failed++
		first := p.failed(began, now)
		// A request waits on only where others have just been served.
		if len(p.waiters) > 0 && !p.served.After(began) {
			p.waiters[0].got <- result{err: err}
			p.waiters = slices.Delete(p.waiters, 0, 1)
		}
		p.grow(now)
		return first
	}
	p.counts.Dialed++
	if !p.open() && len(p.waiters) == 0 {
		go conn.Close() // over TLS, the goodbye may have to wait
		return false
	}
	e := &entry{Conn: conn, made: now, used: now, checked: now}
	p.entries = append(p.entries, e)
	if replaced != nil && !replaced.retired && replaced.requests == 0 {
		p.counts.Replaced++
		p.retire(replaced)
	}
	p.rest(e)
	p.serve(now)
	return false
}

// cancelled notes the end of a dial for a pool that was closed; requests may wait by now.
func (p *Pool) cancelled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing--
	p.grow(time.Now())
}

// ErrClosed is the error of a request that has waited for a connection which the upstream closed as soon as it was made.
// Nothing was written to it.
var ErrClosed = errors.New("the upstream has closed a new connection")

// failed notes that a dial which began then has failed, or that the upstream has closed a connection which was made then,
// and reports whether that is the first in a row. What was begun before the last failure is of the same event: ten dials
// that fail together do not make the next wait as the tenth.
func (p *Pool) failed(began, now time.Time) (first bool) {
	if !began.After(p.failedAt) {
		return false
	}
	p.failures++
	p.failedAt, p.retryAt = now, now.Add(backoff(p.failures))
	return p.failures == 1 && p.open()
}

// proved notes that a connection is worth having been made: it has carried a request, or has idled for minLearned. That a
// dial succeeds proves nothing of an upstream that closes what it has accepted.
func (p *Pool) proved(e *entry) {
	e.proved = true
	p.failures, p.retryAt = 0, time.Time{}
}

// Backoff of dials that no request waits for.
const (
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 30 * time.Second
)

// backoff is how long to wait after so many failures in a row: from half of a bound that
// doubles to the whole of it.
func backoff(failures int) time.Duration {
	bound := maxBackoff
	if failures < 8 {
		bound = min(firstBackoff<<(failures-1), maxBackoff)
	}
	return bound/2 + rand.N(bound/2)
}
