package budget

import (
	"context"
	"crypto/rand"
	_ "embed" // the script
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

const (
	// redisTimeout bounds one exchange with Redis, connecting included.
	redisTimeout = 50 * time.Millisecond
	// pollEvery is how often a process looks for budgets that were recalled, and for a
	// server that has lost its data.
	pollEvery = 200 * time.Millisecond
	// recallWait is how long a recall takes: all processes look, and give back.
	recallWait = 2*pollEvery + 2*redisTimeout
	// settleTime is how long nothing more is taken of a history that has just begun.
	settleTime = 4 * pollEvery
	// aheadEvery and aheadBatch spread what is taken of windows that begin soon: each process takes parts of so many
	// budgets in that time, which makes 360,000 in the hour before.
	aheadEvery = time.Second
	aheadBatch = 100
)

//go:embed redis.lua
var source string

// Redis is the store of processes that share their budgets through Redis, version 5 or
// later. The keys are those of one hash tag, and only hashes of tenants are in them.
//
// Every process takes parts of a budget: twice as many as there are replicas make up
// what is left, and of a window that begins soon such a part ahead, so that it has one
// whenever Redis goes away. While Redis is away each goes on with what it has. A server
// that has lost its data, or was replaced by one that knows less, permits nothing more
// until every process has restated what it has taken.
type Redis struct {
	exchange redisstore.Exchange
	script   *redis.Script
	replicas int
	process  string
	seq      atomic.Int64
	keys     redisstore.Keys

	mu sync.Mutex
	// held is what this process has taken, by the name of the budget. Of one budget there
	// is one exchange at a time.
	held map[string]*held
	// down is until when Redis counts as away without being asked, because of why.
	down time.Time
	why  error

	start sync.Once
	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	done  chan struct{}
	work  sync.WaitGroup // of what a look has begun
}

// held is what this process has taken of one budget.
type held struct {
	amount price.Amount
}

// NewRedis makes a store for that many replicas. The client must repeat nothing by
// itself and keep to the deadline of a context; it stays the caller's. Start begins the
// background work, and Close ends it.
func NewRedis(client redis.UniversalClient, replicas int) *Redis {
	ctx, stop := context.WithCancel(context.Background())
	return &Redis{
		// What is taken is stated altogether, with a number: twice is the same as once.
		exchange: redisstore.Exchange{Client: client, Timeout: redisTimeout, Repeat: redisstore.Idempotent},
		script:   redis.NewScript(source), replicas: max(replicas, 1), process: rand.Text(), keys: redisstore.KeysOf("budgets"),
		held: make(map[string]*held),
		ctx:  ctx, stop: stop, done: make(chan struct{}),
	}
}

// Start begins the background work for budgets that are counted with this store; a
// second time changes nothing.
func (r *Redis) Start(b *Budgets) {
	r.start.Do(func() {
		go r.watch(b)
		r.work.Go(func() { r.takeAhead(b) })
	})
}

// Close ends the background work and waits for its end.
func (r *Redis) Close() error {
	r.stop()
	r.start.Do(func() { close(r.done) }) // it never began
	<-r.done
	r.work.Wait()
	return nil
}

// nameOf is the budget's name in Redis.
func nameOf(key Key) string { return redisstore.Digest(redisstore.Texts(key.parts()...)) }

func (r *Redis) run(ctx context.Context, name string, args ...any) (redisstore.List, error) {
	r.mu.Lock()
	down, why := time.Now().Before(r.down), r.why
	r.mu.Unlock()
	if down {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, why)
	}
	keys := []string{r.keys.Key("budget:" + name), r.keys.Key("budgets-began"), r.keys.Key("budgets-recalled")}
	reply, err := r.exchange.Run(ctx, r.script, keys, args...)
	var values redisstore.List
	if err == nil {
		values, err = reply.List(2)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.down, r.why = time.Now().Add(pollEvery/2), err
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return values, nil
}

// Take implements Store.
func (r *Redis) Take(ctx context.Context, key Key, amount, limit price.Amount, end time.Time) (others price.Amount, ok bool, err error) {
	for {
		others, outcome, err := r.take(ctx, key, amount, limit, end)
		if err != nil || outcome != tooYoung {
			return others, outcome == taken, err
		}
		select {
		case <-ctx.Done():
			return others, false, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

// What the script answers.
const (
	taken    = 1
	tooYoung = 2
)

func (r *Redis) take(ctx context.Context, key Key, amount, limit price.Amount, end time.Time) (others price.Amount, outcome int64, err error) {
	name := nameOf(key)
	r.mu.Lock()
	h := r.held[name]
	if h == nil {
		h = new(held)
		r.held[name] = h
	}
	h.amount = min(h.amount, amount) // what is given back is gone before Redis hears of it: its reply may be lost
	had := h.amount
	r.mu.Unlock()
	values, err := r.run(ctx, name, "take", r.process, settleTime.Milliseconds(), r.seq.Add(1),
		whole(amount), whole(had), whole(limit), max(time.Until(end), 0).Milliseconds()+keepAfter.Milliseconds())
	if err != nil {
		return 0, 0, err
	}
	outcome, err = values.Integer(0)
	taken2, err2 := values.Integer(1)
	if err = errors.Join(err, err2); err != nil {
		return 0, 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if outcome == taken {
		r.mu.Lock()
		h.amount = amount
		r.mu.Unlock()
	}
	return price.Amount(taken2), outcome, nil
}

// whole writes an amount as Lua's doubles hold it exactly; more than that is more than
// any budget.
func whole(a price.Amount) string { return strconv.FormatInt(int64(min(a, MaxAmount)), 10) }

// Share implements Store.
func (r *Redis) Share() price.Amount { return price.Amount(2 * r.replicas) }

// Recall implements Store.
func (r *Redis) Recall(ctx context.Context, key Key) bool {
	if r.replicas == 1 {
		return false
	}
	if _, err := r.run(ctx, "", "recall", nameOf(key), settleTime.Milliseconds()); err != nil {
		return false
	}
	select {
	case <-time.After(recallWait):
		return true
	case <-ctx.Done():
		return false
	}
}

// watch looks until Close.
func (r *Redis) watch(b *Budgets) {
	defer close(r.done)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var began, since string
	for {
		began, since = r.look(b, began, since)
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// takeAhead takes parts of windows that begin soon, until Close.
func (r *Redis) takeAhead(b *Budgets) {
	tick := time.NewTicker(aheadEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
			b.TakeAhead(r.ctx, aheadBatch)
		}
	}
}

// look gives back what was recalled, and restates what was taken where the server may
// have lost it. It gives when the server's history began, and since when to look next.
func (r *Redis) look(b *Budgets, began, since string) (string, string) {
	if since == "" {
		since = "+inf"
	}
	values, err := r.run(r.ctx, "", "look", since, settleTime.Milliseconds())
	if err != nil {
		return began, since
	}
	now, err := values.Text(1)
	history, err2 := values.Text(0)
	if err != nil || err2 != nil {
		return began, since
	}
	recalled := make(map[string]bool)
	for i := 2; i < len(values); i++ {
		if name, err := values.Text(i); err == nil {
			recalled[name] = true
		}
	}
	// A call may have the account meanwhile, until its own exchange is over.
	if history != began && began != "" {
		r.work.Go(func() { b.Restate(r.ctx) })
	}
	if len(recalled) > 0 {
		r.work.Go(func() { b.Trim(r.ctx, func(key Key) bool { return recalled[nameOf(key)] }) })
	}
	return history, now
}

// Forget implements Store.
func (r *Redis) Forget(key Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, nameOf(key))
}

// Interface guards
var _ Store = (*Redis)(nil)
