package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

// redisPutAnswers keeps answers, KEYS[2] and so on, in the room of their tenant's,
// KEYS[1]. ARGV: their time to live, the room, what stands before the names of all,
// and of each the answer and its name. Returns 0 where one is too large; those before
// it are kept then.
var redisPutAnswers = accounting(`
local room = tonumber(ARGV[2])
for i = 2, #KEYS do
  local answer, name = ARGV[2 * i], ARGV[2 * i + 1]
  local bytes = charge(#answer)
  if bytes > room / 8 then return 0 end
  remove(KEYS[1], name, charge(redis.call('STRLEN', KEYS[i])))
  make_room(KEYS[1], room - bytes, function(name) redis.call('DEL', ARGV[3] .. name) end)
  redis.call('SET', KEYS[i], answer, 'PX', ARGV[1])
  note(KEYS[1], name .. ':' .. bytes, ARGV[1])
  add(KEYS[1], bytes)
end
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
func (c RedisCache) Put(ctx context.Context, tenant string, key Key, answer Answer, ttl time.Duration, also ...Entry) error {
	o, prefix := c.options, c.prefix(tenant)
	keys, args := []string{o.keys(tenant).Key("answers")}, []any{millis(ttl), o.TenantBytes, prefix}
	for _, e := range slices.Insert(slices.Clone(also), 0, Entry{key, answer}) {
		place := prefix + e.Key.name()
		sealed, err := o.seal(place, e.Answer)
		if err != nil {
			return err
		}
		keys, args = append(keys, place), append(args, sealed, e.Key.name())
	}
	if ttl < time.Millisecond {
		return nil
	}
	reply, err := o.exchange().Run(ctx, redisPutAnswers, keys, args...)
	if err != nil {
		return unavailable(err)
	}
	kept, err := reply.Integer()
	switch {
	case err == nil && kept == 0:
		return ErrTooLarge
	case err == nil && kept != 1:
		err = fmt.Errorf("%w: script of answers returned %d", redisstore.ErrReply, kept)
	}
	return unavailable(err)
}

// prefix stands before the names of a tenant's answers.
func (c RedisCache) prefix(tenant string) string { return c.options.keys(tenant).Key("answer:") }

// Interface guards
var _ Cache = RedisCache{}
