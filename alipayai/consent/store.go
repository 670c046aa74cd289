package consent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

// ErrStore is a store that cannot be reached.
var ErrStore = errors.New("store of users' consents is unavailable")

// Store is where replicas have consents in common. What it is given is sealed. Its errors are [ErrStore].
type Store interface {
	// Get gives what is kept under key; nil for nothing.
	Get(ctx context.Context, key string) ([]byte, error)
	// Replace keeps value under key for life in the place of old, which is nil for nothing. It reports false
	// where something else is kept there.
	Replace(ctx context.Context, key string, old, value []byte, life time.Duration) (bool, error)
	// Lease is what one replica has at a time, under a key of its own.
	Lease(key string) Lease
}

// Lease is taken by one at a time.
type Lease interface {
	// Take takes it for life, again where it is taken by this same Lease; ok is false while another has it.
	Take(ctx context.Context, life time.Duration) (release func(), ok bool, err error)
}

// redisTimeout bounds one exchange with Redis, connecting included.
const redisTimeout = 250 * time.Millisecond

// replaceValue compares and writes in one step. A repeat finds its own value.
var replaceValue = redis.NewScript(`
local is = redis.call('GET', KEYS[1])
if is == ARGV[2] then return 1 end
if (is or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`)

// Redis is a [Store] in Redis, version 5 or later.
type Redis struct{ exchange redisstore.Exchange }

// NewRedis makes the store. The client stays the caller's; nothing is sent yet.
func NewRedis(client redis.UniversalClient) *Redis {
	return &Redis{redisstore.Exchange{Client: client, Timeout: redisTimeout, Repeat: redisstore.Idempotent}}
}

func redisKey(key string) string { return redisstore.KeysOf("consent " + key).Key("consent") }

// Get implements [Store].
func (r *Redis) Get(ctx context.Context, key string) (value []byte, err error) {
	if err = ctx.Err(); err == nil {
		err = r.exchange.Do(ctx, func(ctx context.Context) (err error) {
			value, err = r.exchange.Client.Get(ctx, redisKey(key)).Bytes()
			return err
		})
	}
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	return value, nil
}

// Replace implements [Store].
func (r *Redis) Replace(ctx context.Context, key string, old, value []byte, life time.Duration) (done bool, err error) {
	var n int64
	if err = ctx.Err(); err == nil {
		var reply redisstore.Reply
		if reply, err = r.exchange.Run(ctx, replaceValue, []string{redisKey(key)}, old, value, max(life.Milliseconds(), 1)); err == nil {
			n, err = reply.Integer()
		}
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrStore, err)
	}
	return n == 1, nil
}

// Lease implements [Store].
func (r *Redis) Lease(key string) Lease {
	return redisLease{redisstore.NewLease(r.exchange, redisstore.KeysOf("consent "+key).Key("consent_lease"))}
}

type redisLease struct{ *redisstore.Lease }

// Take implements [Lease].
func (l redisLease) Take(ctx context.Context, life time.Duration) (release func(), ok bool, err error) {
	if release, ok, err = l.Lease.Take(ctx, life); err != nil {
		err = fmt.Errorf("%w: %w", ErrStore, err)
	}
	return release, ok, err
}

// Interface guards
var _ Store = (*Redis)(nil)
