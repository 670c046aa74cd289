// Package pool keeps connections to one upstream ready before requests need them. How many
// is worked out from what is asked for: see demand. Those that have not been used are
// replaced before the upstream closes them: see limit.
//
// It knows neither what a connection speaks nor how it is made.
package pool

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Conn is a connection.
type Conn interface {
	// Streams is how many requests it carries at once, and whether that is known by now:
	// see [Pool.Changed]. It does not wait for anything.
	Streams() (n int, known bool)
	// Alive reports whether a request can be written to it, which is false where the
	// upstream has closed it. Where it carries one request at once, that one has ended.
	Alive() bool
	// Close closes it.
	Close()
}

// Settings are what a user of a pool wants. They are not changed once they are in use.
type Settings struct {
	// Min is how many connections are kept at least, and Max how many there are at most.
	Min, Max int
	// Idle is after how long the upstream closes a connection that is not used; 0 where
	// that is to be learned, and [DefaultIdle] until it has been.
	Idle time.Duration
	// Dial makes a connection that is ready for requests.
	Dial func(ctx context.Context) (Conn, error)
	// Failing, where it is set, gets the first error in a row: Dial's, or [ErrClosed].
	Failing func(err error)
}

// Pool keeps connections to one upstream. Its zero value is ready, and keeps none until it
// is opened.
type Pool struct {
	mu sync.Mutex
	// users are the Settings that have opened it, of which the last counts.
	users []*Settings
	// asked are those of who has asked for a connection while it was not open.
	asked *Settings
	dials context.Context // that of dials, while it is open
	end   context.CancelFunc
	stop  context.CancelFunc // ends keep

	entries []*entry // that take requests
	free    []*entry // of these, those that can take one now; the last used comes last
	active  int      // requests on connections
	dialing int
	waiters []*waiter
	streams int // of the connection of which that was known last

	demand demand
	limit  limit
	served time.Time // when a request was last done with a connection that is used again

	failures int       // in a row
	failedAt time.Time // when the last was counted
	retryAt  time.Time // when the next dial may be made ahead
	counts   Counts
}

// entry is a connection in a pool.
type entry struct {
	Conn
	requests int
	isFree   bool
	carried  bool // a request before
	proved   bool // see proved
	retired  bool // takes no more requests
	renewing bool // another one is being made in its place

	made    time.Time
	used    time.Time // when it was made, or a request on it began or ended
	checked time.Time // when it was last seen alive
	renewAt time.Time
}

// Lease is a place for one request on a connection. It is given back with Put.
type Lease struct {
	Conn Conn
	// Idled is how long no request was on the connection before; 0 for one that others are
	// on, and for a new one that the request has waited for.
	Idled time.Duration
	// Used says that the connection has carried a request before. One that breaks under its first request was not
	// found closed, most likely.
	Used bool

	entry *entry
	began time.Time
}

// waiter is a request that waits for a connection.
type waiter struct {
	since time.Time
	got   chan result
}

type result struct {
	lease Lease
	err   error
}

// Open begins to keep connections as s says, which counts until others open the pool too or s is left.
func (p *Pool) Open(s *Settings) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users = append(p.users, s)
	if len(p.users) == 1 {
		p.dials, p.end = context.WithCancel(context.Background())
		var ctx context.Context
		ctx, p.stop = context.WithCancel(context.Background())
		go p.keep(ctx)
	}
	p.grow(time.Now())
}

// Leave takes Open back. With the last user the pool closes the connections that no
// request is on, and the others when their requests have ended.
func (p *Pool) Leave(s *Settings) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.users, s)
	if i < 0 {
		return
	}
	if p.users = slices.Delete(p.users, i, i+1); len(p.users) > 0 {
		return
	}
	p.asked = s
	p.stop()
	if len(p.waiters) == 0 {
		p.end()
	}
	for _, e := range slices.Clone(p.entries) {
		p.retire(e)
	}
	p.demand, p.limit, p.failures, p.failedAt, p.retryAt = demand{}, limit{}, 0, time.Time{}, time.Time{}
}

func (p *Pool) open() bool { return len(p.users) > 0 }

// settings are those that count.
func (p *Pool) settings() *Settings {
	if p.open() {
		return p.users[len(p.users)-1]
	}
	return p.asked
}

// Get gives a place on a connection that is alive, and waits for one if it must. s counts while the
// pool is not open. The errors are ctx's, those of Dial, and [ErrClosed].
func (p *Pool) Get(ctx context.Context, s *Settings) (Lease, error) {
	if err := ctx.Err(); err != nil {
		return Lease{}, err
	}
	p.mu.Lock()
	now := time.Now()
	if !p.open() {
		p.asked = s
	}
	p.demand.arrived(now)
	for {
		l, ok := p.take(now)
		if !ok {
			break
		}
		if l.Idled >= p.limit.usable(now, p.settings()) {
			p.counts.Replaced++
			p.drop(l.entry)
			continue
		}
		p.grow(now) // ahead of those to come
		p.mu.Unlock()
		if l.entry.Alive() {
			return l, nil
		}
		p.mu.Lock()
		p.closedByUpstream(l.entry, l.Idled, now)
		p.drop(l.entry)
	}
	p.counts.Waited++
	w := &waiter{now, make(chan result, 1)}
	p.waiters = append(p.waiters, w)
	for {
		p.grow(time.Now())
		p.mu.Unlock()
		l, err := p.wait(ctx, w)
		if err != nil || l.Conn.Alive() {
			return l, err
		}
		p.mu.Lock()
		p.closedByUpstream(l.entry, l.Idled, time.Now())
		p.drop(l.entry)
		// One that was made for those who wait is as good as a dial that failed. Any other is given up, and who had it
		// is the first to get another.
		if !l.entry.made.Before(w.since) && !l.entry.proved {
			p.grow(time.Now())
			p.mu.Unlock()
			return Lease{}, ErrClosed
		}
		p.waiters = slices.Insert(p.waiters, 0, w)
	}
}

// wait gives what w gets.
func (p *Pool) wait(ctx context.Context, w *waiter) (Lease, error) {
	select {
	case r := <-w.got:
		return r.lease, r.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	i := slices.Index(p.waiters, w)
	if i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 {
		if r := <-w.got; r.err == nil {
			p.Return(r.lease)
		}
	}
	return Lease{}, ctx.Err()
}

// Put gives a place back whose request has ended. again says that the connection may carry
// others; Put reports whether it will. If not, it is closed as soon as no request is on it.
func (p *Pool) Put(l Lease, again bool) (kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if again {
		p.served = now
		p.proved(l.entry)
		p.demand.served(now.Sub(l.began))
	} else if !l.entry.retired {
		p.counts.Broken++
	}
	return p.put(l.entry, now, again)
}

// Return gives a place back of which no use was made. It reports what Put does.
func (p *Pool) Return(l Lease) (kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.put(l.entry, time.Now(), true)
}

func (p *Pool) put(e *entry, now time.Time, again bool) (kept bool) {
	e.requests--
	p.active--
	e.used, e.checked = now, now
	kept = again && !e.retired && (p.open() || len(p.waiters) > 0)
	if kept {
		p.rest(e)
	} else {
		p.retire(e)
	}
	p.serve(now)
	p.grow(now)
	return kept
}

// rest has a connection wait for a request.
func (p *Pool) rest(e *entry) {
	if e.requests == 0 {
		e.renewAt = p.limit.renewAt(e.used, p.settings())
	}
	p.setFree(e)
}

// Changed says that connections' Streams may have changed.
func (p *Pool) Changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		p.setFree(e)
	}
	p.serve(time.Now())
}

// take gives a place on the connection that was used last.
func (p *Pool) take(now time.Time) (Lease, bool) {
	if len(p.free) == 0 {
		return Lease{}, false
	}
	e := p.free[len(p.free)-1]
	l := Lease{Conn: e.Conn, Used: e.carried, entry: e, began: now}
	if e.requests == 0 {
		l.Idled = now.Sub(e.used)
		if e.carried {
			l.Idled = max(l.Idled, 1)
		}
	}
	e.carried = true
	e.requests++
	p.active++
	e.used = now
	p.setFree(e)
	return l, true
}

// setFree notes whether a connection can take a request.
func (p *Pool) setFree(e *entry) {
	streams, known := e.Streams()
	if known {
		p.streams = streams
	}
	if e.isFree {
		i := slices.Index(p.free, e)
		p.free = slices.Delete(p.free, i, i+1)
	}
	if e.isFree = !e.retired && e.requests < streams; !e.isFree {
		return
	}
	i := len(p.free)
	for i > 0 && p.free[i-1].used.After(e.used) {
		i--
	}
	p.free = slices.Insert(p.free, i, e)
}

// retire takes a connection out of use, and closes it as soon as no request is on it.
func (p *Pool) retire(e *entry) {
	if !e.retired {
		e.retired = true
		i := slices.Index(p.entries, e)
		p.entries = slices.Delete(p.entries, i, i+1)
		if e.isFree {
			p.setFree(e)
		}
	}
	if e.requests == 0 {
		go e.Close() // over TLS, the goodbye may have to wait
	}
}

// drop gives up a place on a connection that turned out to be closed.
func (p *Pool) drop(e *entry) {
	e.requests--
	p.active--
	p.retire(e)
}

// serve gives waiters the places that there are, the first one first.
func (p *Pool) serve(now time.Time) {
	for len(p.waiters) > 0 {
		l, ok := p.take(now)
		if !ok {
			return
		}
		p.waiters[0].got <- result{lease: l}
		p.waiters = slices.Delete(p.waiters, 0, 1)
	}
}
