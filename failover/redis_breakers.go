package failover

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// redisTimeout bounds one exchange with Redis, connecting included.
	redisTimeout = 50 * time.Millisecond
	// pollEvery is how often a replica asks what the others have changed.
	pollEvery = 250 * time.Millisecond
	// pageSize is how many changes it hears of at once.
	pageSize = 256
	// queueSize is how many events wait to be told at most.
	queueSize = 1024
)

// shared is a replica's link to the common memory of all.
type shared struct {
	scripts   scripts
	reports   chan report
	reachable atomic.Bool
	dropped   atomic.Uint64
	latest    int64 // version that has been heard of; the worker's own

	start sync.Once
	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	done  chan struct{}
}

// NewSharedBreakers makes breakers that replicas with the same namespace share
// through Redis, version 5 or later. The client must repeat nothing by itself
// (MaxRetries -1) and heed contexts (ContextTimeoutEnabled); it stays the
// caller's. Start begins the sharing, Close ends it; without Start each replica
// is on its own, but for the probe.
//
// Each replica decides from its own memory. It tells Redis of failures, and of a
// success where there were any, in the background, so that failures in a row
// add up over the replicas; and it asks four times a second for what the others
// have changed. While Redis is away each goes on alone, and tells of what it has
// open as soon as Redis is back; what its calls did besides is not made up for.
//
// Keys in Redis hold hashes only and expire after an hour. The values name
// tenants and providers, by which a replica knows whom a change concerns.
func NewSharedBreakers(client redis.UniversalClient, namespace string) *Breakers {
	ctx, stop := context.WithCancel(context.Background())
	b := &Breakers{shared: &shared{
		scripts: newScripts(client, namespace, redisTimeout),
		reports: make(chan report, queueSize),
		ctx:     ctx,
		stop:    stop,
		done:    make(chan struct{}),
	}}
	b.shared.reachable.Store(true)
	return b
}

// Start begins the sharing, where there is any; a second time changes nothing.
func (b *Breakers) Start() {
	if s := b.shared; s != nil {
		s.start.Do(func() { go b.share(s.ctx) })
	}
}

// Close ends the sharing and waits for its end, at most for the 50 ms that an
// exchange takes. The breakers then go on alone.
func (b *Breakers) Close() error {
	if s := b.shared; s != nil {
		s.stop()
		s.start.Do(func() { close(s.done) }) // it never began
		<-s.done
	}
	return nil
}

// Reachable reports whether Redis answered when it was asked last, which is four
// times a second; true where nothing is shared, and at the beginning.
func (b *Breakers) Reachable() bool { return b.shared == nil || b.shared.reachable.Load() }

// Dropped is how many events the other replicas were not told of, because Redis
// was away or too slow.
func (b *Breakers) Dropped() uint64 {
	if b.shared == nil {
		return 0
	}
	return b.shared.dropped.Load()
}

// tell has the other replicas told of an event. It does not wait; the memory is
// locked, so that events stay in their order.
func (b *Breakers) tell(r report) {
	s := b.shared
	switch {
	case s == nil:
		return
	case !s.reachable.Load():
		s.dropped.Add(1)
		return
	}
	select {
	case s.reports <- r:
		if r.pair != nil {
			r.pair.untold++
		}
	default:
		s.dropped.Add(1)
	}
}

// askToProbe asks for the lease that the history of this replica has taken. It
// returns what Redis made of it, unless there is no answer.
func (b *Breakers) askToProbe(key Key, rule Rule, h history) (common history, granted, ok bool) {
	s := b.shared
	if s == nil || !s.reachable.Load() {
		return history{}, false, false
	}
	common, granted, err := s.scripts.run(report{probing, key, rule, h.probe.holder, h.opened, nil}, h.version)
	if err != nil {
		s.reachable.Store(false)
		s.dropped.Add(1)
		return history{}, false, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if common.version >= b.read(key).version {
		b.write(key, common, time.Now())
	}
	return b.read(key), granted, true
}

// share tells and listens until the context ends.
func (b *Breakers) share(ctx context.Context) {
	s := b.shared
	defer close(s.done)
	defer s.reachable.Store(false)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	b.listen(ctx)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case r := <-s.reports:
			b.pass(r)
		case <-tick.C:
			b.listen(ctx)
		}
	}
}

// pass tells Redis of an event, and adopts what came of it once there is nothing
// more to tell of the breaker.
func (b *Breakers) pass(r report) {
	s := b.shared
	var (
		common history
		did    bool
		err    error
		sent   = s.reachable.Load()
	)
	if sent {
		if common, did, err = s.scripts.run(r, b.read(r.key).version); err != nil {
			s.reachable.Store(false)
		}
	}
	opens := b.heed(r, common, did, sent && err == nil)
	if opens {
		r.rule.changed(r.key, Open)
	}
}

// heed takes note of a report's end. It says whether the report has opened the
// breaker, although this replica had not.
func (b *Breakers) heed(r report, common history, did, told bool) (opens bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.pair != nil {
		r.pair.untold--
	}
	if !told {
		b.shared.dropped.Add(1)
		return false
	}
	p, known := b.find(r.key), b.read(r.key)
	opens = did && r.event == failed && !known.isOpen()
	if common.version >= known.version && (opens || p == nil || p.untold == 0) {
		b.write(r.key, common, time.Now())
	}
	return opens
}

// listen adopts what has changed since the last time.
func (b *Breakers) listen(ctx context.Context) {
	s := b.shared
	away := !s.reachable.Load()
	if away {
		s.latest = 0 // it may be another memory now
	}
	for more := true; more && ctx.Err() == nil; {
		var (
			changes []change
			err     error
		)
		if changes, s.latest, more, err = s.scripts.since(s.latest); err != nil {
			s.reachable.Store(false)
			return
		}
		b.adopt(changes)
	}
	if away {
		s.reachable.Store(true)
		b.tellOpen(ctx)
	}
}

// adopt takes over what others have changed, unless this replica still has to
// tell of what it did: the answer to that says what came of both.
func (b *Breakers) adopt(changes []change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for _, c := range changes {
		p := b.find(c.key)
		if p == nil || p.untold == 0 && c.history.version > p.history.Load().version {
			b.write(c.key, c.history, now)
		}
	}
}

// tellOpen tells of all breakers that are open here. Those that Redis knows to be
// open are left alone there.
func (b *Breakers) tellOpen(ctx context.Context) {
	b.mu.Lock()
	var reports []report
	for e := b.recent.Front(); e != nil; e = e.Next() {
		p := e.Value.(*pair)
		if h := p.history.Load(); h.isOpen() {
			p.untold++
			reports = append(reports, report{opened, p.key, Rule{}.withDefaults(), 0, h.opened, p})
		}
	}
	b.mu.Unlock()
	for _, r := range reports {
		if ctx.Err() != nil {
			return
		}
		b.pass(r)
	}
}
