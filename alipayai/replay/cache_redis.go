package replay

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisCache is a Cache in Redis that replicas share. Answers are there sealed.
type RedisCache struct{ options RedisOptions }

// NewRedisCache makes it. Nothing is sent yet.
func NewRedisCache(o RedisOptions) RedisCache { return RedisCache{o.withDefaults()} }

// Get implements Cache.
func (c RedisCache) Get(ctx context.Context, key Key) (Answer, bool, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, false, err
	}
	place := c.options.place("answer", key)
	sealed, err := exchange(ctx, c.options.Client, c.options.Timeout, func(ctx context.Context) ([]byte, error) {
		sealed, err := c.options.Client.Get(ctx, place).Bytes()
		if errors.Is(err, redis.Nil) {
			return nil, nil
		}
		return sealed, err
	})
	if err != nil || sealed == nil {
		return Answer{}, false, err
	}
	answer, err := c.options.open(place, sealed)
	return answer, err == nil, err
}

// Put implements Cache.
func (c RedisCache) Put(ctx context.Context, key Key, answer Answer, ttl time.Duration) error {
	place := c.options.place("answer", key)
	sealed, err := c.options.seal(place, answer)
	if err != nil || ttl < time.Millisecond {
		return err
	}
	_, err = exchange(ctx, c.options.Client, c.options.Timeout, func(ctx context.Context) (string, error) {
		return c.options.Client.Set(ctx, place, sealed, ttl.Truncate(time.Millisecond)).Result()
	})
	return err
}

// Interface guards
var _ Cache = RedisCache{}
