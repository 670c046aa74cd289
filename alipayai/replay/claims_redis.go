package replay

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

// The scripts work at one claim, KEYS[1], a hash: the random owner, the hash of the
// request, the state, and the sealed answer, empty unless the state is finished. Of a
// call that has left, "after" is how much of the key's life is still to come when its
// lease ends. The key lives as long as the state does, by Redis' own clock. KEYS[2]
// has the names of the tenant's claims and KEYS[3] is the account of their answers. A
// repeated run finds its own owner and comes to the same end.
//
// ARGV of all begin with what stands before the claims' names, this one's name, and
// the tenant's room; then the owner.
const redisClaimPrelude = `
-- What a claim takes without its answer.
local claim_bytes = 768

-- What room there is for answers beside so many claims.
local function beside(claims) return ARGV[3] - claims * claim_bytes end

local function drop_answer(name)
  local key = ARGV[1] .. name
  if redis.call('HGET', key, 'state') == 'finished' then redis.call('HSET', key, 'state', 'served', 'answer', '') end
end
`

var (
	// ARGV[5:]: request, lease. Returns the outcome and the answer.
	redisMakeClaim = accounting(redisClaimPrelude + `
local kept = redis.call('HMGET', KEYS[1], 'owner', 'request', 'state', 'answer', 'after')
if kept[1] == ARGV[4] then return {'claimed', ''} end
if kept[1] then
  if kept[2] ~= ARGV[5] then return {'mismatch', ''} end
  if kept[3] == 'left' and redis.call('PTTL', KEYS[1]) <= tonumber(kept[5]) then return {'held', ''} end
  return {kept[3], kept[4]}
end
local ended = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)
if ended[1] then redis.call('ZREM', KEYS[2], unpack(ended)) end
local room = beside(redis.call('ZCARD', KEYS[2]) + 1)
if room < 0 then return {'full', ''} end
make_room(KEYS[3], room, drop_answer)
redis.call('HSET', KEYS[1], 'owner', ARGV[4], 'request', ARGV[5], 'state', 'in flight', 'answer', '')
redis.call('PEXPIRE', KEYS[1], ARGV[6])
note(KEYS[2], ARGV[2], ARGV[6])
return {'claimed', ''}`)

	// ARGV[5:]: request, state, answer, time to live, after, and whether the claim has
	// to be there. Returns 'done'; 'lost' if the key is not the owner's any more; or
	// 'served' if the answer has no room.
	redisSettleClaim = accounting(redisClaimPrelude + `
local to, answer, ttl = ARGV[6], ARGV[7], ARGV[8]
local kept = redis.call('HMGET', KEYS[1], 'owner', 'state')
if kept[1] then
  if kept[1] ~= ARGV[4] then return 'lost' end
  if kept[2] == 'served' and to == 'finished' then return 'served' end
  if kept[2] ~= 'in flight' and kept[2] ~= 'left' and kept[2] ~= to then return 'lost' end
elseif ARGV[10] == '1' then
  return 'lost'
end
note(KEYS[2], ARGV[2], ttl)
if to == 'finished' then
  remove(KEYS[3], ARGV[2], charge(redis.call('HSTRLEN', KEYS[1], 'answer')))
  local bytes, room = charge(#answer), beside(redis.call('ZCARD', KEYS[2]))
  if bytes > room or bytes > ARGV[3] / 8 then
    to, answer = 'served', ''
  else
    make_room(KEYS[3], room - bytes, drop_answer)
    note(KEYS[3], ARGV[2] .. ':' .. bytes, ttl)
    add(KEYS[3], bytes)
  end
end
redis.call('HSET', KEYS[1], 'owner', ARGV[4], 'request', ARGV[5], 'state', to, 'answer', answer, 'after', ARGV[9])
redis.call('PEXPIRE', KEYS[1], ttl)
if to ~= ARGV[6] then return to end
return 'done'`)

	redisReleaseClaim = redis.NewScript(`
local kept = redis.call('HMGET', KEYS[1], 'owner', 'state')
if kept[1] ~= ARGV[4] or kept[2] ~= 'in flight' and kept[2] ~= 'left' then return 'lost' end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
return 'done'`)
)

// RedisClaims are Claims in Redis that replicas share. Answers are there sealed.
// Where a tenant has no room, its oldest answers go first, and their keys stay
// served; no key is free before its time.
//
// A Redis that forgets, by a restart or because its memory is full, frees keys
// before their time.
type RedisClaims struct{ options RedisOptions }

// NewRedisClaims makes them. Nothing is sent yet.
func NewRedisClaims(o RedisOptions) RedisClaims { return RedisClaims{o.withDefaults()} }

// Claim implements Claims.
func (c RedisClaims) Claim(ctx context.Context, tenant string, key Key, request [32]byte, lease time.Duration) (Claim, *Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	o := c.options
	claim := newRedisClaim(o, tenant, key, request)
	outcome, sealed, err := claim.make(ctx, lease)
	if err != nil {
		if redisstore.MayHaveExecuted(err) {
			// It may have been made, or be made when Redis gets to it, and would
			// refuse the call's repeats for all its lease.
			o.Background(func() { _ = claim.Release(ctx) })
		}
		return nil, nil, unavailable(err)
	}
	switch outcome {
	case "claimed":
		return claim, nil, nil
	case "mismatch":
		return nil, nil, ErrMismatch
	case "full":
		return nil, nil, errTenantFull
	case string(finished):
		answer, err := o.open(claim.keys[0], []byte(sealed))
		if err != nil {
			// It was answered: that it cannot be read makes it no freer.
			return nil, nil, fmt.Errorf("%w: %w", ErrNotKept, err)
		}
		return nil, &answer, nil
	default:
		if err := state(outcome).err(); err != nil {
			return nil, nil, err
		}
		return nil, nil, fmt.Errorf("%w: script of claims returned the outcome %q", ErrUnavailable, outcome)
	}
}

// errTenantFull is a tenant whose keys, without their answers, take all its room.
var errTenantFull = fmt.Errorf("%w: this tenant's claims take all the room that it has in Redis", ErrUnavailable)

// redisClaim is a Claim in Redis.
type redisClaim struct {
	options RedisOptions
	keys    []string
	args    []any // that all scripts begin with
	request [32]byte
}

func newRedisClaim(o RedisOptions, tenant string, key Key, request [32]byte) *redisClaim {
	keys, name := o.keys(tenant), key.name()
	prefix := keys.Key("claim:")
	return &redisClaim{
		options: o,
		keys:    []string{prefix + name, keys.Key("claims"), keys.Key("claimed answers")},
		args:    []any{prefix, name, o.TenantBytes, rand.Text()},
		request: request,
	}
}

// make runs the script that makes the claim.
func (c *redisClaim) make(ctx context.Context, lease time.Duration) (outcome, sealed string, err error) {
	reply, err := c.run(ctx, c.options.claimExchange(), redisMakeClaim, c.request[:], millis(lease))
	if err != nil {
		return "", "", err
	}
	values, err := reply.List(2)
	if err != nil {
		return "", "", err
	}
	outcome, err = values.Text(0)
	sealed, err1 := values.Text(1)
	return outcome, sealed, errors.Join(err, err1)
}

// Leave implements Claim.
func (c *redisClaim) Leave(ctx context.Context, lease, ttl time.Duration) error {
	return c.leave(ctx, lease, ttl, true)
}

// Extend implements Claim.
func (c *redisClaim) Extend(ctx context.Context, lease, ttl time.Duration) error {
	return c.leave(ctx, lease, ttl, false)
}

func (c *redisClaim) leave(ctx context.Context, lease, ttl time.Duration, mustExist bool) error {
	life := max(millis(lease), millis(ttl))
	return c.settle(ctx, left, nil, life, life-millis(lease), mustExist)
}

// Finish implements Claim.
func (c *redisClaim) Finish(ctx context.Context, answer Answer, ttl time.Duration) error {
	sealed, tooLarge := c.options.seal(c.keys[0], answer)
	if tooLarge != nil {
		return cmp.Or(c.Served(ctx, ttl), tooLarge)
	}
	return c.end(ctx, finished, sealed, ttl)
}

// Served implements Claim.
func (c *redisClaim) Served(ctx context.Context, ttl time.Duration) error {
	return c.end(ctx, served, nil, ttl)
}

// Hold implements Claim.
func (c *redisClaim) Hold(ctx context.Context, ttl time.Duration) error {
	return c.end(ctx, held, nil, ttl)
}

func (c *redisClaim) end(ctx context.Context, to state, sealed []byte, ttl time.Duration) error {
	return c.settle(ctx, to, sealed, millis(ttl), 0, false)
}

// Release implements Claim.
func (c *redisClaim) Release(ctx context.Context) error {
	_, err := outcomeOf(c.run(ctx, c.options.exchange(), redisReleaseClaim))
	return unavailable(err)
}

func (c *redisClaim) settle(ctx context.Context, to state, sealed []byte, ttl, after int64, mustExist bool) error {
	outcome, err := outcomeOf(c.run(ctx, c.options.exchange(), redisSettleClaim, c.request[:], string(to), sealed, ttl, after, mustExist))
	switch {
	case err != nil:
		return unavailable(err)
	case outcome == "lost":
		return ErrLost
	case outcome == string(served):
		return ErrTooLarge
	}
	return nil
}

// outcomeOf gives what a script that ends a claim returned. What no such script returns
// is an error: nothing is known of the claim then.
func outcomeOf(reply redisstore.Reply, err error) (string, error) {
	if err != nil {
		return "", err
	}
	outcome, err := reply.Text()
	if err == nil && outcome != "done" && outcome != "lost" && outcome != string(served) {
		err = fmt.Errorf("%w: script of claims returned the outcome %q", redisstore.ErrReply, outcome)
	}
	return outcome, err
}

// run lets a script work at the claim.
func (c *redisClaim) run(ctx context.Context, x redisstore.Exchange, script *redis.Script, args ...any) (redisstore.Reply, error) {
	return x.Run(ctx, script, c.keys, append(slices.Clip(c.args), args...)...)
}

// Interface guards
var (
	_ Claims = RedisClaims{}
	_ Claim  = (*redisClaim)(nil)
)
