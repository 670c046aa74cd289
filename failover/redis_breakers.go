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
	// writeEvery is how many polls it takes for one that also writes: once a second a server that
	// answers and takes no writes is found out. While it counts as away all do.
	writeEvery = 4
	// writtenFor is how long what such a poll has written lives.
	writtenFor = time.Minute
	// pageSize is how many changes one poll returns at most.
	pageSize = 256
	// queueSize is how many events wait to be sent at most.
	queueSize = 1024
)

// shared is a replica's link to the common memory of all.
type shared struct {
	scripts   scripts
	reports   chan report
	began     time.Time
	reachable atomic.Bool
	lost      atomic.Int64 // when it was last found to be away, in nanoseconds since began
	why       atomic.Pointer[error]
	dropped   atomic.Uint64
	missed    atomic.Bool // a breaker has opened that Redis has not heard of
	latest    int64       // version of the last change polled; the worker's own
	polls     int         // how many times it has polled; the worker's own

	start sync.Once
	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	done  chan struct{}
}

// NewSharedBreakers makes breakers that replicas with the same namespace share
// through Redis, version 5 or later. The client must repeat nothing by itself
// (MaxRetries -1) and keep to contexts (ContextTimeoutEnabled); it stays the
// caller's. Start begins the sharing, Close ends it; without Start each replica
// is on its own, but for the probe.
//
// Each replica decides from its own memory. It reports failures to Redis, and a
// success where there were any, in the background, so that failures in a row
// add up over the replicas; and it polls four times a second for what the others
// have changed. While Redis is away each goes on alone, and reports what it has
// open as soon as Redis is back, as it does where more has happened than could be
// reported; what its calls did besides is not made up for.
//
// Keys in Redis hold hashes only and expire after an hour. The values name
// tenants and providers, by which a replica knows whom a change concerns.
func NewSharedBreakers(client redis.UniversalClient, namespace string) *Breakers {
	ctx, stop := context.WithCancel(context.Background())
	b := &Breakers{shared: &shared{
		began:   time.Now(),
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

// Away is for how long Redis, which is asked four times a second, has not answered; zero where
// it did when it was asked last, where nothing is shared, and at the beginning.
func (b *Breakers) Away() time.Duration {
	s := b.shared
	if s == nil || s.reachable.Load() {
		return 0
	}
	return max(time.Since(s.began)-time.Duration(s.lost.Load()), 1)
}

// Lost says why Redis, while it is Away, has not answered when it was asked last; nil where it is not away.
func (b *Breakers) Lost() error {
	if s := b.shared; s != nil && !s.reachable.Load() {
		if why := s.why.Load(); why != nil {
			return *why
		}
	}
	return nil
}

// lose notes that Redis does not answer, and why.
func (s *shared) lose(why error) {
	s.why.Store(&why)
	if s.reachable.Load() {
		s.lost.Store(int64(time.Since(s.began)))
		s.reachable.Store(false)
	}
}

// Dropped is how many events were not reported to the other replicas, because Redis
// was away or too slow.
func (b *Breakers) Dropped() uint64 {
	if b.shared == nil {
		return 0
	}
	return b.shared.dropped.Load()
}

// enqueue has an event reported to the other replicas. It does not wait; the memory
// is locked, so that events stay in their order.
func (b *Breakers) enqueue(r report) {
	s := b.shared
	switch {
	case s == nil:
		return
	case !s.reachable.Load():
		s.drop(r)
		return
	}
	select {
	case s.reports <- r:
		if r.pair != nil {
			r.pair.pending++
		}
	default:
		s.drop(r)
	}
}

// drop notes that Redis may not have heard of an event. The memory is locked.
func (s *shared) drop(r report) {
	s.dropped.Add(1)
	if r.event == opened && r.pair.history.Load().isOpen() {
		r.pair.unheard = true
		s.missed.Store(true)
	}
}

// learn takes over what Redis has of a breaker. One that has opened here, without Redis
// having heard of it, is not closed by that: Redis lacks the failures which have opened it.
// The memory is locked.
func (b *Breakers) learn(key Key, common history) (learnt bool) {
	if p := b.find(key); p != nil && p.unheard && !common.isOpen() {
		return false
	}
	b.write(key, common, time.Now())
	return true
}

// askToProbe asks for the lease that the history of this replica has taken. It
// returns what Redis made of it, unless there is no answer, or Redis has not heard that the
// breaker is open.
func (b *Breakers) askToProbe(key Key, rule Rule, h history) (common history, granted, ok bool) {
	s := b.shared
	if s == nil || !s.reachable.Load() {
		return history{}, false, false
	}
	common, granted, err := s.scripts.run(report{probing, key, rule, h.probe.holder, h.opened, nil}, h.version)
	if err != nil {
		s.lose(err)
		s.dropped.Add(1)
		return history{}, false, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if common.version >= b.read(key).version && !b.learn(key, common) {
		return history{}, false, false
	}
	return b.read(key), granted, true
}

// share sends and polls until the context ends.
func (b *Breakers) share(ctx context.Context) {
	s := b.shared
	defer close(s.done)
	defer func() { s.lose(ctx.Err()) }()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	b.poll(ctx)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case r := <-s.reports:
			b.send(r)
		case <-tick.C:
			b.poll(ctx)
			if s.reachable.Load() && s.missed.Swap(false) {
				b.reportOpen(ctx, func(p *pair) bool { return p.unheard })
			}
		}
	}
}

// send reports an event to Redis, and applies what came of it once nothing more of the
// breaker is pending.
func (b *Breakers) send(r report) {
	s := b.shared
	var (
		common history
		did    bool
		err    error
		sent   = s.reachable.Load()
	)
	if sent {
		if common, did, err = s.scripts.run(r, b.read(r.key).version); err != nil {
			s.lose(err)
		}
	}
	opens := b.apply(r, common, did, sent && err == nil)
	if opens {
		r.rule.changed(r.key, Open)
	}
}

// apply takes over what became of a report; sent is false where Redis did not have it.
// It says whether the report has opened the breaker, although this replica had not.
func (b *Breakers) apply(r report, common history, did, sent bool) (opens bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.pair != nil {
		r.pair.pending--
	}
	if !sent {
		b.shared.drop(r)
		return false
	}
	if r.event == opened {
		r.pair.unheard = false
	}
	p, known := b.find(r.key), b.read(r.key)
	opens = did && r.event == failed && !known.isOpen()
	if common.version >= known.version && (opens || p == nil || p.pending == 0) {
		b.learn(r.key, common)
	}
	return opens
}

// poll merges what has changed since the last time.
func (b *Breakers) poll(ctx context.Context) {
	s := b.shared
	away := !s.reachable.Load()
	if away {
		s.latest = 0 // it may be another memory now
	}
	write := away || s.polls%writeEvery == 0
	s.polls++
	for more := true; more && ctx.Err() == nil; write = false {
		var (
			changes []change
			err     error
		)
		if changes, s.latest, more, err = s.scripts.since(s.latest, write); err != nil {
			s.lose(err)
			return
		}
		b.merge(changes)
	}
	if away {
		s.reachable.Store(true)
		b.reportOpen(ctx, func(*pair) bool { return true })
	}
}

// merge takes over what others have changed, unless a report of this replica is
// pending: the answer to that says what came of both.
func (b *Breakers) merge(changes []change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range changes {
		p := b.find(c.key)
		if p == nil || p.pending == 0 && c.history.version > p.history.Load().version {
			b.learn(c.key, c.history)
		}
	}
}

// reportOpen reports those breakers of which, with the memory locked, wanted says so, if they are open here. It does not
// change those that are open in Redis too.
func (b *Breakers) reportOpen(ctx context.Context, wanted func(*pair) bool) {
	b.mu.Lock()
	var reports []report
	for e := b.recent.Front(); e != nil; e = e.Next() {
		p := e.Value.(*pair)
		if h := p.history.Load(); h.isOpen() && wanted(p) {
			p.pending++
			reports = append(reports, report{opened, p.key, Rule{}.withDefaults(), 0, h.opened, p})
		}
	}
	b.mu.Unlock()
	for _, r := range reports {
		if ctx.Err() != nil {
			return
		}
		b.send(r)
	}
}
