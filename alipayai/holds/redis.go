// Package holds lets replicas have in common how long a provider's accounts are
// throttling, through Redis: what one was answered keeps the others from asking too.
//
// Each replica decides from its own memory, so that no call waits for Redis. One
// background exchange, four times a second and whenever this replica was throttled,
// states the holds that this replica knows of and learns those of the others. While
// Redis is away each goes on with what it knows, and afterwards states what still
// lasts.
package holds

import (
	"context"
	_ "embed" // the script
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

const (
	// redisTimeout bounds one exchange with Redis, connecting included.
	redisTimeout = 50 * time.Millisecond
	// pollEvery is how often a replica learns of the others' holds.
	pollEvery = 250 * time.Millisecond
	// maxHeld bounds the holds in Redis, and those that one replica states: clients
	// may choose the names of models. Beyond it the shortest are dropped, whose next
	// call is answered 429 as well.
	maxHeld = 1024
)

//go:embed redis.lua
var source string

// Redis has the holds of all accounts in common with the replicas at the same
// server, version 5 or later. Only hashes are seen there, and times are the server's:
// the clocks of replicas need not agree.
type Redis struct {
	// A hold that is stated twice lasts as long as the later one: no harm.
	exchange redisstore.Exchange
	script   *redis.Script
	key      string
	longest  time.Duration

	// known is what Redis said last: when each hold ends, by its name.
	known atomic.Pointer[map[string]time.Time]

	mu     sync.Mutex
	own    map[string]time.Time // when those end that this replica was answered
	stated chan struct{}        // has something while own is new

	start sync.Once
	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	done  chan struct{}
}

// NewRedis makes the holds of a replica; none lasts for more than longest. The client
// must repeat nothing by itself and keep to the deadline of a context; it stays the
// caller's. Start begins the sharing and Close ends it.
func NewRedis(client redis.UniversalClient, longest time.Duration) *Redis {
	ctx, stop := context.WithCancel(context.Background())
	r := &Redis{
		exchange: redisstore.Exchange{Client: client, Timeout: redisTimeout, Repeat: redisstore.Idempotent},
		script:   redis.NewScript(source),
		key:      redisstore.KeysOf("holds").Key("holds"),
		longest:  longest,
		own:      make(map[string]time.Time), stated: make(chan struct{}, 1),
		ctx: ctx, stop: stop, done: make(chan struct{}),
	}
	r.known.Store(new(map[string]time.Time))
	return r
}

// Start begins the sharing; a second time changes nothing.
func (r *Redis) Start() { r.start.Do(func() { go r.share() }) }

// Close ends the sharing and waits for its end, at most for the 50 ms that an
// exchange takes.
func (r *Redis) Close() error {
	r.stop()
	r.start.Do(func() { close(r.done) }) // it never began
	<-r.done
	return nil
}

// share exchanges holds until Close.
func (r *Redis) share() {
	defer close(r.done)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for r.ctx.Err() == nil {
		r.poll()
		select {
		case <-r.ctx.Done():
		case <-r.stated:
		case <-tick.C:
		}
	}
}

// poll states what Redis may not know and learns what it does. Where it fails, what
// was known goes on, and the next one states the same.
func (r *Redis) poll() {
	args := append([]any{maxHeld, r.longest.Microseconds()}, r.pending(time.Now())...)
	reply, err := r.exchange.Run(r.ctx, r.script, []string{r.key}, args...)
	received := time.Now() // no hold ends earlier for this replica than in Redis
	if err != nil {
		return
	}
	values, err := reply.List(0)
	if err != nil || len(values)%2 != 0 {
		return
	}
	known := make(map[string]time.Time, len(values)/2)
	for i := 0; i < len(values); i += 2 {
		name, err := values.Text(i)
		left, err1 := values.Integer(i + 1)
		if err != nil || err1 != nil {
			return
		}
		left = max(0, min(left, r.longest.Microseconds()))
		known[name] = received.Add(time.Duration(left) * time.Microsecond)
	}
	r.known.Store(&known)
}

// pending is which holds of this replica Redis did not know last, as the script
// takes them.
func (r *Redis) pending(now time.Time) (args []any) {
	known := *r.known.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, end := range r.own {
		switch {
		case !end.After(now):
			delete(r.own, name)
		case known[name].Before(end):
			args = append(args, name, end.Sub(now).Microseconds())
		}
	}
	return args
}

// extend notes a hold of this replica, and has it stated.
func (r *Redis) extend(name string, end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held, ok := r.own[name]
	if ok && !held.Before(end) || !ok && len(r.own) >= maxHeld {
		return
	}
	r.own[name] = end
	select {
	case r.stated <- struct{}{}:
	default: // the next exchange states it as well
	}
}

// Account is the holds of one account of a provider's host.
type Account struct {
	redis         *Redis
	host, account string
	whole         string // name of the hold of all its models
}

// Account gives the holds of an account, which names it at host: a client id, or a
// hash of its key.
func (r *Redis) Account(host, account string) *Account {
	a := &Account{redis: r, host: host, account: account}
	a.whole = a.name("")
	return a
}

// name is the hold's name of one model, or of all for "".
func (a *Account) name(model string) string {
	return redisstore.Digest(redisstore.Texts(a.host, a.account, model))
}

// Extend has the other replicas hold model, or all models for "", until d from now,
// or longer if that was asked for already. It does not wait.
func (a *Account) Extend(now time.Time, d time.Duration, model string) {
	a.redis.extend(a.name(model), now.Add(d))
}

// Left is how long model, or all models for "", is still held by what replicas were
// answered, this one included, as Redis knows it. It does not wait.
func (a *Account) Left(now time.Time, model string) time.Duration {
	known := *a.redis.known.Load()
	if len(known) == 0 {
		return 0
	}
	end := known[a.whole]
	if model != "" {
		if of := known[a.name(model)]; of.After(end) {
			end = of
		}
	}
	return max(end.Sub(now), 0)
}
