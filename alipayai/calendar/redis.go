package calendar

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

const (
	// redisTimeout bounds one exchange with Redis, connecting included.
	redisTimeout = 250 * time.Millisecond
	// redisKept is how long a record stays that is not written any more.
	redisKept = 400 * 24 * time.Hour
)

var (
	redisTakeLease = redis.NewScript(`
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)

	redisEndLease = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`)
)

// Redis is a [Store] in Redis, version 5 or later.
type Redis struct {
	exchange redisstore.Exchange
	owner    string // random: of the leases
	record   string // key
	lease    string // key
}

// NewRedis makes the store of the record that name names, of which only the hash is seen in Redis. The client stays
// the caller's; nothing is sent yet.
func NewRedis(client redis.UniversalClient, name string) *Redis {
	keys := redisstore.KeysOf(name)
	return &Redis{
		// Owners are named, and records written whole: a repeat comes to the same end.
		exchange: redisstore.Exchange{Client: client, Timeout: redisTimeout, Repeat: redisstore.Idempotent},
		owner:    rand.Text(), record: keys.Key("keys"), lease: keys.Key("lease"),
	}
}

// Load implements Store.
func (r *Redis) Load(ctx context.Context) (content []byte, err error) {
	err = r.exchange.Do(ctx, func(ctx context.Context) error {
		content, err = r.exchange.Client.Get(ctx, r.record).Bytes()
		if errors.Is(err, redis.Nil) {
			content, err = nil, nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the record of keys: %w", err)
	}
	return content, nil
}

// Save implements Store.
func (r *Redis) Save(ctx context.Context, content []byte) error {
	err := r.exchange.Do(ctx, func(ctx context.Context) error {
		return r.exchange.Client.Set(ctx, r.record, content, redisKept).Err()
	})
	if err != nil {
		return fmt.Errorf("keeping the record of keys: %w", err)
	}
	return nil
}

// Lease implements Store.
func (r *Redis) Lease(ctx context.Context, life time.Duration) (release func(), ok bool, err error) {
	taken, err := r.run(ctx, redisTakeLease, r.owner, life.Milliseconds())
	if err != nil || taken == 0 {
		return nil, false, err
	}
	return func() {
		// It ends by itself where this fails.
		_, _ = r.run(context.WithoutCancel(ctx), redisEndLease, r.owner)
	}, true, nil
}

func (r *Redis) run(ctx context.Context, script *redis.Script, args ...any) (int64, error) {
	reply, err := r.exchange.Run(ctx, script, []string{r.lease}, args...)
	if err != nil {
		return 0, fmt.Errorf("leasing the record of keys: %w", err)
	}
	return reply.Integer()
}

// Interface guards
var _ Store = (*Redis)(nil)
