package replay

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisPutAnswer keeps an answer, KEYS[1], in the room of its tenant's, KEYS[2].
// ARGV: the answer, its time to live, the room, its name, and what stands before the
// names of all. Returns 0 if it is too large.
var redisPutAnswer = accounting(`
local bytes, room = charge(#ARGV[1]), tonumber(ARGV[3])
if bytes > room / 8 then return 0 end
remove(KEYS[2], ARGV[4], charge(redis.call('STRLEN', KEYS[1])))
make_room(KEYS[2], room - bytes, function(name) redis.call('DEL', ARGV[5] .. name) end)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
note(KEYS[2], ARGV[4] .. ':' .. bytes, ARGV[2])
add(KEYS[2], bytes)
return 1`)

// RedisCache is a Cache in Redis that replicas share. Answers are there sealed. A
// tenant's oldest make room for its new ones.
type RedisCache struct{ options RedisOptions }

// NewRedisCache makes it. Nothing is sent yet.
func NewRedisCache(o RedisOptions) RedisCache { return RedisCache{o.withDefaults()} }

// Get implements Cache.
func (c RedisCache) Get(ctx context.Context, tenant string, key Key) (Answer, bool, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, false, err
	}
	place := c.prefix(tenant) + key.name()
	var sealed []byte
	err := c.options.exchange().Do(ctx, func(ctx context.Context) (err error) {
		sealed, err = c.options.Client.Get(ctx, place).Bytes()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return Answer{}, false, nil
	}
	if err != nil {
		return Answer{}, false, unavailable(err)
	}
	answer, err := c.options.open(place, sealed)
	return answer, err == nil, err
}

// Put implements Cache.
func (c RedisCache) Put(ctx context.Context, tenant string, key Key, answer Answer, ttl time.Duration) error {
	o, prefix := c.options, c.prefix(tenant)
	place := prefix + key.name()
	sealed, err := o.seal(place, answer)
	if err != nil || ttl < time.Millisecond {
		return err
	}
	reply, err := o.exchange().Run(ctx, redisPutAnswer, []string{place, o.keys(tenant).Key("answers")},
		sealed, millis(ttl), o.TenantBytes, key.name(), prefix)
	if err != nil {
		return unavailable(err)
	}
	kept, err := reply.Integer()
	if err == nil && kept == 0 {
		return ErrTooLarge
	}
	return unavailable(err)
}

// prefix stands before the names of a tenant's answers.
func (c RedisCache) prefix(tenant string) string { return c.options.keys(tenant).Key("answer:") }

// Interface guards
var _ Cache = RedisCache{}
