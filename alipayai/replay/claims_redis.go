package replay

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// The scripts work at one key each, a hash: the random owner, the hash of the
// request, the state, and the sealed answer, empty unless the state is finished.
// The key lives as long as the state does, by Redis' own clock. A repeated run
// finds its own owner and comes to the same end.
var (
	// ARGV: owner, request, lease. Returns the outcome and the answer.
	redisMakeClaim = redis.NewScript(`
local kept = redis.call('HMGET', KEYS[1], 'owner', 'request', 'state', 'answer')
if kept[1] == ARGV[1] then return {'claimed', ''} end
if kept[1] then
  if kept[2] ~= ARGV[2] then return {'mismatch', ''} end
  return {kept[3], kept[4]}
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'request', ARGV[2], 'state', 'in flight', 'answer', '')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'claimed', ''}`)

	// ARGV: owner, request, state, answer, time to live. Returns 0 if the key is
	// not the owner's any more.
	redisSettleClaim = redis.NewScript(`
local kept = redis.call('HMGET', KEYS[1], 'owner', 'state')
if kept[1] and (kept[1] ~= ARGV[1] or kept[2] ~= 'in flight' and kept[2] ~= ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'request', ARGV[2], 'state', ARGV[3], 'answer', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1`)

	// ARGV: owner.
	redisReleaseClaim = redis.NewScript(`
local kept = redis.call('HMGET', KEYS[1], 'owner', 'state')
if kept[1] ~= ARGV[1] or kept[2] ~= 'in flight' then return 0 end
return redis.call('DEL', KEYS[1])`)
)

// RedisClaims are Claims in Redis that replicas share. Answers are there sealed.
// A Redis that forgets, by a restart or because its memory is full, frees keys
// before their time.
type RedisClaims struct{ options RedisOptions }

// NewRedisClaims makes them. Nothing is sent yet.
func NewRedisClaims(o RedisOptions) RedisClaims { return RedisClaims{o.withDefaults()} }

// Claim implements Claims.
func (c RedisClaims) Claim(ctx context.Context, _ string, key Key, request [32]byte, lease time.Duration) (Claim, *Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	o := c.options
	claim := &redisClaim{options: o, place: o.place("claim", key), owner: rand.Text(), request: request}
	reply, err := exchange(ctx, o.Client, o.ClaimTimeout, func(ctx context.Context) ([]string, error) {
		return redisMakeClaim.Run(ctx, o.Client, []string{claim.place}, claim.owner, request[:], millis(lease)).StringSlice()
	})
	if err != nil {
		return nil, nil, err
	}
	if len(reply) != 2 {
		return nil, nil, fmt.Errorf("%w: script of claims returned %d values instead of 2", ErrUnavailable, len(reply))
	}
	switch outcome := reply[0]; outcome {
	case "claimed":
		return claim, nil, nil
	case "mismatch":
		return nil, nil, ErrMismatch
	case string(inFlight):
		return nil, nil, ErrInFlight
	case string(held):
		return nil, nil, ErrHeld
	case string(finished):
		answer, err := o.open(claim.place, []byte(reply[1]))
		if err != nil {
			// It was answered: that it cannot be read makes it no freer.
			return nil, nil, fmt.Errorf("%w: %w", ErrHeld, err)
		}
		return nil, &answer, nil
	default:
		return nil, nil, fmt.Errorf("%w: script of claims returned the outcome %q", ErrUnavailable, outcome)
	}
}

// redisClaim is a Claim in Redis.
type redisClaim struct {
	options RedisOptions
	place   string
	owner   string
	request [32]byte
}

// Extend implements Claim.
func (c *redisClaim) Extend(ctx context.Context, lease time.Duration) error {
	return c.settle(ctx, inFlight, nil, lease)
}

// Finish implements Claim.
func (c *redisClaim) Finish(ctx context.Context, answer Answer, ttl time.Duration) error {
	sealed, tooLarge := c.options.seal(c.place, answer)
	if tooLarge != nil {
		return cmp.Or(c.Hold(ctx, ttl), tooLarge)
	}
	return c.settle(ctx, finished, sealed, ttl)
}

// Hold implements Claim.
func (c *redisClaim) Hold(ctx context.Context, ttl time.Duration) error {
	return c.settle(ctx, held, nil, ttl)
}

// Release implements Claim.
func (c *redisClaim) Release(ctx context.Context) error {
	_, err := c.run(ctx, redisReleaseClaim, c.owner)
	return err
}

func (c *redisClaim) settle(ctx context.Context, to state, sealed []byte, ttl time.Duration) error {
	done, err := c.run(ctx, redisSettleClaim, c.owner, c.request[:], string(to), sealed, millis(ttl))
	if err == nil && done == 0 {
		return ErrLost
	}
	return err
}

// run lets a script work at the claim's key.
func (c *redisClaim) run(ctx context.Context, script *redis.Script, args ...any) (int64, error) {
	return exchange(ctx, c.options.Client, c.options.Timeout, func(ctx context.Context) (int64, error) {
		return script.Run(ctx, c.options.Client, []string{c.place}, args...).Int64()
	})
}

// Interface guards
var (
	_ Claims = RedisClaims{}
	_ Claim  = (*redisClaim)(nil)
)
