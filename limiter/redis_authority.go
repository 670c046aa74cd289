package limiter

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// State says who gives permits.
type State int32

// The states.
const (
	// Shared: Redis decides, for all replicas.
	Shared State = iota
	// Degraded: Redis is away, and each replica keeps to its part of the cap.
	Degraded
)

// String is the state in a word, as metrics and logs have it.
func (s State) String() string {
	if s == Degraded {
		return "degraded"
	}
	return "shared"
}

// ErrHistoryLost is reported with Shared when Redis has restarted empty, or
// without its last writes: no permit is given until no window can be overfull.
var ErrHistoryLost = errors.New("redis has lost the permits of the last window")

const (
	// beat is how often a replica is in touch with Redis at least.
	beat = 200 * time.Millisecond
	// probe is how often it asks while Redis is away.
	probe = 100 * time.Millisecond
	// settle is how long after Redis is back a replica may still act on its own:
	// longer than probe and redisTimeout together. It is also for how long a
	// failure to reach Redis is a licence to do so.
	settle = 250 * time.Millisecond
	// shortestQuiet is several beats, so that windows shorter than these do
	// not begin their history anew all the time.
	shortestQuiet = time.Second
)

// quiet is how long Redis must be away before replicas send on their own: a
// window, so that all that it has given is out of it.
func quiet(l Limit) time.Duration { return max(l.Span(), shortestQuiet) }

// State is who decides at present.
func (w *RedisWindow) State() State { return State(w.state.Load()) }

// Away is for how long Redis has not answered; zero while it decides.
func (w *RedisWindow) Away() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.State() == Shared {
		return 0
	}
	return max(time.Duration(w.clock.read(w.now())-w.lost), 1)
}

// heard is what a window made of an answer at once, under its lock.
type heard struct {
	clock  clock
	server redisTime
	// valid is closed when what was reserved must not be used.
	valid chan struct{}
}

// at is the local time that is not before t at the server.
func (h heard) at(t int64) time.Time { return h.clock.time(h.server.local(t)) }

// shared says whether to ask Redis: always while it answers, and when the last
// failure to reach it is too long ago to act on.
func (w *RedisWindow) shared(l Limit) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = l
	if w.over.Err() != nil {
		return false
	}
	return w.State() == Shared || w.clock.read(w.now())-w.failed > int64(settle)
}

// exchange runs the script and draws the conclusions from its answer or failure.
func (w *RedisWindow) exchange(op string, l Limit, arg any) (redisAnswer, heard, error) {
	w.mu.Lock()
	sent, seen := w.clock.read(w.now()), w.seen
	late := w.server.latest(sent)
	w.mu.Unlock()
	answer, err := w.script.run(op, l, seen, late, arg)

	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.fail(sent, l, err)
		return answer, heard{}, err
	}
	h := w.learn(sent, answer)
	if w.server.late() > late*int64(time.Microsecond) {
		h.valid = w.revoked // its slot would be later than was booked: the exchange took long, or a clock was set
	}
	return answer, h, nil
}

// licence is until when a replica may act on its own. Others wait for no longer than that when Redis is back, so a slot
// must not be used after it either, whenever it was reserved.
type licence struct {
	base  time.Time
	until atomic.Int64 // since base
}

func (l *licence) extend(until time.Time) { l.until.Store(int64(until.Sub(l.base))) }

func (l *licence) over(now time.Time) bool { return int64(now.Sub(l.base)) > l.until.Load() }

// fail notes an attempt that failed.
func (w *RedisWindow) fail(sent int64, l Limit, err error) {
	w.failed = max(w.failed, sent)
	w.licence.extend(w.clock.time(w.failed).Add(settle))
	if w.State() == Degraded {
		return
	}
	w.silence = w.now().Add(quiet(l) + settle)
	w.lost = w.clock.read(w.now())
	w.state.Store(int32(Degraded))
	w.onState(Degraded, err)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// learn notes an answer to what was sent.
func (w *RedisWindow) learn(sent int64, a redisAnswer) heard {
	received := w.clock.read(w.now())
	first := w.opened == 0
	renewed := !first && a.opened != w.opened
	if sent < w.learned && (renewed || a.closed < w.closed) {
		// Overtaken by an answer to something later.
		return heard{w.clock, w.server, w.revoked}
	}
	w.server.observe(sent, received, a.now)
	if renewed || a.closed > w.closed {
		w.revoke(&w.together)
		w.learned = received
	}
	if renewed || first {
		w.seen = a.now
	}
	w.seen = max(w.seen, a.now)
	// A history that was replaced in its first silence had given no permit to lose.
	silence := (quiet(w.limit) + settle).Microseconds()
	lost := renewed && a.opened-w.opened > silence
	w.opened, w.closed, w.share = a.opened, a.closed, a.share
	w.free = w.server.local(a.free)
	w.reached = max(w.reached, sent)
	switch {
	case w.State() == Degraded && sent > w.failed:
		w.revoke(&w.alone)
		w.state.Store(int32(Shared))
		w.onState(Shared, nil)
	case lost:
		w.onState(w.State(), ErrHistoryLost)
	}
	return heard{w.clock, w.server, w.together}
}

// revoke withdraws all slots that were given with a channel.
func (w *RedisWindow) revoke(slots *chan struct{}) {
	close(*slots)
	*slots = make(chan struct{})
}

// keepInTouch asks Redis for its state when no call has for a beat, so that
// a replica that idles notices what the others do, and the mark of their being
// alive stays fresh. While Redis is away it asks more often.
func (w *RedisWindow) keepInTouch(ctx context.Context) {
	defer close(w.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-timer.C:
		}
		timer.Reset(w.look())
	}
}

// look asks Redis for its state if that is due, and says when to look again.
func (w *RedisWindow) look() time.Duration {
	w.mu.Lock()
	l, before := w.limit, w.State()
	idle := time.Duration(w.clock.read(w.now()) - w.reached)
	w.mu.Unlock()
	if before == Shared && idle < beat {
		return beat - idle
	}
	answer, _, err := w.exchange(opLook, l, "")
	if err != nil {
		return probe
	}
	if before == Degraded && answer.closed <= answer.now {
		if d := w.memory.closedFor(); d > 0 {
			_, _, _ = w.exchange(opThrottle, l, d.Microseconds()) // the other replicas do not have it yet
		}
	}
	return beat
}
