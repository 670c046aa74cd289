package record

import (
	"context"
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

// Redis is a [Store] in Redis, version 5 or later.
type Redis struct {
	exchange redisstore.Exchange
	kind     string
	record   string // key
	lease    *redisstore.Lease
}

// NewRedis makes the store of the record of that kind that name names, of which only the hash is seen in Redis. The
// client stays the caller's; nothing is sent yet.
func NewRedis(client redis.UniversalClient, kind, name string) *Redis {
	keys := redisstore.KeysOf(name)
	// Owners are named, and records written whole: a repeat comes to the same end.
	exchange := redisstore.Exchange{Client: client, Timeout: redisTimeout, Repeat: redisstore.Idempotent}
	return &Redis{exchange: exchange, kind: kind, record: keys.Key(kind), lease: redisstore.NewLease(exchange, keys.Key("lease"))}
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
		return nil, fmt.Errorf("reading the record of %s: %w", r.kind, err)
	}
	return content, nil
}

// Save implements Store.
func (r *Redis) Save(ctx context.Context, content []byte) error {
	err := r.exchange.Do(ctx, func(ctx context.Context) error {
		return r.exchange.Client.Set(ctx, r.record, content, redisKept).Err()
	})
	if err != nil {
		return fmt.Errorf("keeping the record of %s: %w", r.kind, err)
	}
	return nil
}

// Lease implements Store.
func (r *Redis) Lease(ctx context.Context, life time.Duration) (release func(), ok bool, err error) {
	release, ok, err = r.lease.Take(ctx, life)
	if err != nil {
		err = fmt.Errorf("leasing the record of %s: %w", r.kind, err)
	}
	return release, ok, err
}

// Interface guards
var _ Store = (*Redis)(nil)
