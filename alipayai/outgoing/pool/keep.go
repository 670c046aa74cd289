package pool

import (
	"context"
	"slices"
	"time"
)

// checkEvery is how often connections are looked at that are not used.
const checkEvery = 500 * time.Millisecond

// keep looks after the connections until ctx ends.
func (p *Pool) keep(ctx context.Context) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.check()
			p.renew(time.Now())
		}
	}
}

// check takes out of use what the upstream has closed. While one is looked at, no
// request can have it.
func (p *Pool) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range slices.Clone(p.free) {
		if !e.isFree || e.requests > 0 {
			continue
		}
		e.requests++
		used := e.used
		p.active++
		p.setFree(e)
		p.mu.Unlock()
		alive, now := e.Alive(), time.Now()
		p.mu.Lock()
		if !alive {
			p.closedByUpstream(e, now.Sub(used), now)
			p.drop(e)
			continue
		}
		e.requests--
		p.active--
		e.checked = now
		if now.Sub(e.made) >= minLearned {
			p.proved(e)
		}
		if p.setFree(e); e.retired && e.requests == 0 {
			go e.Close()
		}
		p.serve(now)
	}
}

// closedByUpstream notes that the upstream has closed a connection that had idled, if it had.
func (p *Pool) closedByUpstream(e *entry, idled time.Duration, now time.Time) {
	p.counts.Closed++
	if s := p.settings(); !e.proved && p.failed(e.made, now) && s.Failing != nil {
		go s.Failing(ErrClosed) // which may ask the pool
	}
	if idled > 0 {
		p.limit.closed(now, e.checked.Sub(now.Add(-idled)))
	}
}

// renew replaces the connections that have not been used for so long that the upstream
// might close them, and closes those that are too many, the one that has idled the longest first.
func (p *Pool) renew(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open() {
		return
	}
	s := p.settings()
	surplus := len(p.entries) + p.dialing - p.demand.target(now, s, p.active+len(p.waiters), max(p.streams, 1))
	for _, e := range p.free {
		if e.renewing && e.requests == 0 {
			surplus-- // what is made in its place makes none more
		}
	}
	usable := p.limit.usable(now, s)
	for _, e := range slices.Clone(p.free) {
		switch idled := now.Sub(e.used); {
		case e.requests > 0 || e.renewing:
		case surplus > 0:
			surplus--
			p.counts.Shrunk++
			p.retire(e)
		case idled >= usable:
			p.counts.Replaced++
			p.retire(e) // and grow makes another
		case !now.Before(e.renewAt) || idled+2*checkEvery >= usable: // where that has become less, or is short
			if now.Before(p.retryAt) {
				continue
			}
			if len(p.entries)+p.dialing >= s.Max {
				p.counts.Replaced++
				p.retire(e)
				p.dial(s, nil)
				continue
			}
			e.renewing = true
			p.dial(s, e)
		}
	}
	p.grow(now)
}

// Said takes how long the upstream says that it keeps a connection which is not used.
func (p *Pool) Said(idle time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit.said = min(max(idle, MinIdle), MaxIdle)
}

// Counts are what has happened in a pool.
type Counts struct {
	Dialed   uint64 // connections that were made
	Failed   uint64 // connections that could not be made
	Waited   uint64 // requests that found no place
	Replaced uint64 // connections that were closed before the upstream would have
	Shrunk   uint64 // connections that were too many
	Closed   uint64 // connections that the upstream has closed while they were not used
	Broken   uint64 // connections that a request has ended
}

// Stats are a pool's.
type Stats struct {
	Idle, Active, Dialing int           // connections
	Waiting               int           // requests
	Limit                 time.Duration // after how long the upstream is taken to close what is not used
	Counts
}

// Stats gives those of now.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := Stats{Dialing: p.dialing, Waiting: len(p.waiters), Limit: p.limit.idle(time.Now(), p.settings()), Counts: p.counts}
	for _, e := range p.entries {
		if e.requests == 0 {
			st.Idle++
		} else {
			st.Active++
		}
	}
	return st
}

// Plus adds those of another pool; of their limits it is the shorter.
func (st Stats) Plus(o Stats) Stats {
	if st.Limit > 0 {
		o.Limit = min(o.Limit, st.Limit)
	}
	return Stats{
		Idle: st.Idle + o.Idle, Active: st.Active + o.Active, Dialing: st.Dialing + o.Dialing, Waiting: st.Waiting + o.Waiting, Limit: o.Limit,
		Counts: Counts{
			Dialed: st.Dialed + o.Dialed, Failed: st.Failed + o.Failed, Waited: st.Waited + o.Waited,
			Replaced: st.Replaced + o.Replaced, Shrunk: st.Shrunk + o.Shrunk, Closed: st.Closed + o.Closed, Broken: st.Broken + o.Broken,
		},
	}
}
