package limiter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

// RedisWindow is a Window that several replicas share through Redis. While Redis
// answers, all permits are reserved there, by the same rule as in a
// MemoryWindow and in the time of the server. While it does not, each replica
// keeps to its part of the cap, by its own memory of its own permits.
//
// # What holds
//
// No span holds more permits than the cap, also while Redis stops, hangs,
// restarts empty or loses its last writes in a failover, provided that
//
//   - Replicas is not less than their number, and not more than the cap (beyond
//     that each sends once in Replicas spans, which keeps the mean alone),
//   - callers go by Slot.Revoked and have, per replica, no more slots waiting
//     than its part of the cap,
//   - Redis is away for all replicas or for none: one that is cut off alone
//     sends on top of the others, by no more than its part of the cap,
//   - no replica is later for a slot than the guard,
//   - and the server's clock is not set forward by less than a window; slewing
//     does no harm, a step back or a larger one is recognised.
//
// # How
//
// A replica knows the server's clock as exactly as its exchanges are quick: a slot may
// begin there earlier than the replica takes it to. By so much later the script
// books it, for the slots a window after it to keep their distance. So the way to
// Redis costs a replica's permits as much as a guard that is longer by it would.
//
// A replica that fails to reach Redis once is on its own (Degraded). Its first
// permit is silence later, and it asks Redis again all the time. The script
// keeps a mark of when it last ran and one of the latest answer that is known to
// have arrived, since every replica says, at least each beat, what it has been
// told last. Where a mark is missing, or so old that replicas may have been on
// their own, or older than what a replica has been told before, the history is
// worth nothing: the script begins a new one, in which nothing is sent until all
// replicas have noticed (settle) and one more window has passed. Where Redis
// executes what it is sent and its answers are lost, the second mark tells: it begins
// a new history with every run, until an answer has arrived. So a fault
// shorter than a window costs nothing, and any other one window at each end. The
// same holds for the first start of a fleet, and for one that was gone as a whole.
type RedisWindow struct {
	script   redisScript
	owner    uint32 // random
	replicas int
	now      func() time.Time
	onState  func(State, error)

	memory *MemoryWindow // the permits of this replica, whoever gave them
	seq    atomic.Uint32
	state  atomic.Int32

	mu       sync.Mutex
	clock    clock
	limit    Limit // the last one seen
	server   redisTime
	seen     int64     // the newest time that the server has told
	opened   int64     // of the history in use, as the server says
	closed   int64     // until when it is closed, as the server says
	free     int64     // next free permit there, in clock time
	share    int64     // of the cap
	learned  int64     // when opened or closed changed
	reached  int64     // when the latest attempt that succeeded began
	failed   int64     // when the latest attempt that failed began
	lost     int64     // when it became degraded
	silence  time.Time // degraded: nothing is sent before
	together chan struct{}
	alone    chan struct{}
	revoked  chan struct{} // closed
	licence  licence       // to act alone

	wake chan struct{}
	over context.Context // done once the window is closed
	stop context.CancelFunc
	done chan struct{}
}

// RedisWindowOptions say which window it is.
type RedisWindowOptions struct {
	// Key names what the cap belongs to, such as a hash of upstream host and
	// client id. Replicas with the same key share a window.
	Key string
	// Replicas is how many replicas there may be at once; at least 1.
	Replicas int
	// Limit is what holds until a call brings another.
	Limit Limit
	// Now is the clock; time.Now if it is nil.
	Now func() time.Time
	// OnState hears of every change of state, one after the other, and of a
	// shared history that was lost in between. It is called under the lock of
	// the window: it must return soon and call nothing of it but State.
	OnState func(State, error)
}

// ErrRedisWindow are options that make no window.
var ErrRedisWindow = errors.New("redis window needs a key and at least one replica")

// NewRedisWindow starts a window and asks Redis for its state in the background.
// The client should be one of NewRedisClient, and stays the caller's. Close ends
// the window.
func NewRedisWindow(client redis.UniversalClient, o RedisWindowOptions) (*RedisWindow, error) {
	if o.Key == "" || o.Replicas < 1 {
		return nil, ErrRedisWindow
	}
	if err := o.Limit.Check(); err != nil {
		return nil, fmt.Errorf("redis window: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnState == nil {
		o.OnState = func(State, error) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &RedisWindow{
		script:   newRedisScript(client, redisKey(o.Key)),
		owner:    rand.Uint32(),
		replicas: o.Replicas,
		now:      o.Now,
		onState:  o.OnState,
		memory:   NewMemoryWindow(o.Now),
		clock:    clock{base: o.Now()},
		limit:    o.Limit,
		server:   redisTime{ppm: drift},
		share:    ppm,
		reached:  never,
		failed:   never,
		together: make(chan struct{}),
		alone:    make(chan struct{}),
		revoked:  make(chan struct{}),
		licence:  licence{base: o.Now()},
		wake:     make(chan struct{}, 1),
		over:     ctx,
		stop:     cancel,
		done:     make(chan struct{}),
	}
	close(w.revoked)
	go w.keepInTouch(ctx)
	return w, nil
}

// redisKey is the key of a window in Redis.
func redisKey(name string) string { return redisstore.KeysOf(name).Key("window") }

// Close ends the asking in the background and waits for its end, at most the
// 50 ms that an exchange takes. From then on Redis is not asked any more, and
// onState is not called: what a call still reserves is this replica's part.
func (w *RedisWindow) Close() error {
	w.stop()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	w.licence.until.Store(math.MaxInt64)
	if silence := w.now().Add(quiet(w.limit)); silence.After(w.silence) {
		w.silence = silence
	}
	return nil
}

// Reserve takes the next free permit, from Redis or from what this replica
// may do on its own. It blocks for at most 50 ms, and fails only for a limit that
// cannot be kept and a context that has ended.
func (w *RedisWindow) Reserve(ctx context.Context, l Limit) (Slot, error) {
	if err := l.Check(); err != nil {
		return Slot{}, err
	}
	if err := ctx.Err(); err != nil {
		return Slot{}, err
	}
	if !w.shared(l) {
		return w.reserveAlone(l), nil
	}
	slot, err := w.reserveShared(l)
	if err != nil {
		return w.reserveAlone(l), nil
	}
	if err := ctx.Err(); err != nil {
		w.Return(slot)
		return Slot{}, err
	}
	return slot, nil
}

// reserveShared takes the next free permit of all replicas.
func (w *RedisWindow) reserveShared(l Limit) (Slot, error) {
	seq := w.seq.Add(1)
	answer, heard, err := w.exchange(opReserve, l, w.slotID(seq))
	if err != nil {
		return Slot{}, err
	}
	slot := Slot{At: heard.at(answer.slot), seq: seq, revoked: heard.valid}
	slot.id = w.memory.record(l, slot.At)
	return slot, nil
}

// reserveAlone takes the next free permit of this replica's part of the cap.
func (w *RedisWindow) reserveAlone(l Limit) Slot {
	w.mu.Lock()
	silence, valid := w.silence, w.alone
	if w.State() == Shared && w.over.Err() == nil {
		valid = w.revoked // Redis came back just now
	}
	w.mu.Unlock()
	slot := w.memory.reserve(part(l, w.replicas), silence)
	slot.revoked, slot.licence = valid, &w.licence
	return slot
}

// slotID is the slot's name in Redis, 8 bytes: unique among the few that are
// kept. What differs most between them comes first, where a search looks.
func (w *RedisWindow) slotID(seq uint32) []byte {
	return binary.LittleEndian.AppendUint64(nil, uint64(w.owner)<<32|uint64(seq))
}

// Return gives back a permit that is not used. Where Redis cannot be reached
// it is lost for one window, no more.
func (w *RedisWindow) Return(s Slot) {
	w.memory.Return(s)
	if s.seq == 0 || w.State() == Degraded || w.over.Err() != nil {
		return
	}
	w.mu.Lock()
	l := w.limit
	w.mu.Unlock()
	_, _, _ = w.exchange(opReturn, l, w.slotID(s.seq))
}

// Next predicts when the next free permit is, from what Redis said last; it
// does not ask.
func (w *RedisWindow) Next(l Limit, now time.Time) time.Time {
	w.mu.Lock()
	free, silence := w.clock.time(w.free), w.silence
	w.mu.Unlock()
	if w.State() == Degraded {
		free = w.memory.Next(part(l, w.replicas), now)
		if free.Before(silence) {
			return silence
		}
	}
	if free.Before(now) {
		return now
	}
	return free
}

// NextAfter predicts the free permit that is left when so many others have
// taken theirs, from what Redis said last and the permits of this replica: those
// of others, of which it knows the next free one alone, can make it later.
func (w *RedisWindow) NextAfter(l Limit, from time.Time, pace time.Duration, ahead int) time.Time {
	if next := w.Next(l, from); from.Before(next) {
		from = next
	}
	if w.State() == Degraded {
		return w.memory.NextAfter(part(l, w.replicas), from, pace, ahead)
	}
	w.mu.Lock()
	closed, share := w.clock.time(max(w.server.local(w.closed), w.reached)), w.share
	w.mu.Unlock()
	return w.memory.nextAfter(l, from, closed, share, pace, ahead)
}

// Sharers is Replicas while they share the window; on its own a replica has its part alone.
func (w *RedisWindow) Sharers() int {
	if w.State() == Degraded {
		return 1
	}
	return w.replicas
}

// Throttle closes the window for d for every replica, and revokes the slots that
// wait. Where Redis is away, it closes this replica's part, and the others'
// when Redis is back.
func (w *RedisWindow) Throttle(d time.Duration) {
	if d <= 0 {
		return
	}
	w.memory.Throttle(d)
	w.mu.Lock()
	w.revoke(&w.together)
	w.revoke(&w.alone)
	l := w.limit
	w.mu.Unlock()
	if w.shared(l) {
		_, _, _ = w.exchange(opThrottle, l, d.Microseconds())
	}
}

// Rate is the effective number of permits in a window: of all replicas while
// they share it, of this one while it is on its own, none while a throttle holds
// the window closed.
func (w *RedisWindow) Rate(l Limit, now time.Time) float64 {
	if w.State() == Degraded {
		return w.memory.Rate(part(l, w.replicas), now)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.server.known && w.clock.at(now) < w.server.local(w.closed) {
		return 0
	}
	return max(1, float64(l.Requests)*float64(w.share)/ppm)
}

// part is what one of several replicas may do on its own: the same fraction of
// the cap for each, or where that is less than one permit, one in as many
// windows as there are replicas.
func part(l Limit, replicas int) Limit {
	if l.Requests < replicas {
		return Limit{Requests: 1, Per: l.Per * time.Duration(replicas), Guard: l.Guard * time.Duration(replicas)}
	}
	l.Requests /= replicas
	return l
}
