package token

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
	"github.com/caddy-alipayai/gateway/internal/seal"
)

const (
	// redisTokenTimeout bounds one exchange with Redis, connecting included.
	redisTokenTimeout = 250 * time.Millisecond
	// refreshKept is how long a refresh token stays in Redis after its access
	// token has expired. How long it lives is not known.
	refreshKept = 30 * 24 * time.Hour
)

// The scripts work at one key each. The token is a hash of the sealed token, the
// hash of its access token by which it is dropped, and whether it was.
var (
	redisStoreToken = redis.NewScript(`
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'token', ARGV[2])
return redis.call('PEXPIRE', KEYS[1], ARGV[3])`)

	redisDropToken = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
return redis.call('HSET', KEYS[1], 'dropped', '1')`)
)

// Redis is a Share in Redis, version 5 or later. Tokens are there
// encrypted, and no longer than they live; times in them are the replicas' own,
// which may differ by a part of a token's life without any harm.
type Redis struct {
	exchange redisstore.Exchange
	seal     *seal.Seal
	token    string // key, and the associated data of what is sealed
	lease    *redisstore.Lease
	now      func() time.Time
}

// NewRedis makes the share of what key names: replicas with the same key
// share a token. Only its hash is seen in Redis. The client stays the caller's;
// nothing is sent yet.
func NewRedis(client redis.UniversalClient, key string, seal *seal.Seal, now func() time.Time) *Redis {
	keys := redisstore.KeysOf(key)
	// Owners are named, and tokens written whole: a repeat comes to the same end.
	exchange := redisstore.Exchange{Client: client, Timeout: redisTokenTimeout, Repeat: redisstore.Idempotent}
	return &Redis{
		exchange: exchange, seal: seal,
		token: keys.Key("token"), lease: redisstore.NewLease(exchange, keys.Key("lease")), now: now,
	}
}

// Load implements Share.
func (r *Redis) Load(ctx context.Context) (Token, error) {
	var fields []any
	err := ctx.Err()
	if err == nil {
		err = r.exchange.Do(ctx, func(ctx context.Context) (err error) {
			fields, err = r.exchange.Client.HMGet(ctx, r.token, "token", "dropped").Result()
			if err == nil && len(fields) != 2 {
				err = fmt.Errorf("%w: %d values instead of 2", redisstore.ErrReply, len(fields))
			}
			return err
		})
	}
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrStore, err)
	}
	sealed, ok := fields[0].(string)
	if !ok {
		return Token{}, nil
	}
	t, err := Open(r.seal, r.token, []byte(sealed))
	if err == nil && fields[1] != nil {
		t.Access = ""
	}
	return t, err
}

// Store implements Share.
func (r *Redis) Store(ctx context.Context, t Token) error {
	life := t.Expiry.Sub(r.now())
	if t.Refresh != "" {
		life += refreshKept
	}
	if life < time.Millisecond {
		return nil
	}
	_, err := r.run(ctx, redisStoreToken, r.token, r.id(t.Access), Seal(r.seal, r.token, t), life.Milliseconds())
	return err
}

// Drop implements Share.
func (r *Redis) Drop(ctx context.Context, access string) error {
	_, err := r.run(ctx, redisDropToken, r.token, r.id(access))
	return err
}

// Lease implements Share.
func (r *Redis) Lease(ctx context.Context, life time.Duration) (release func(), ok bool, err error) {
	release, ok, err = r.lease.Take(ctx, life)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrStore, err)
	}
	return release, ok, err
}

// id is the hash of an access token at this place.
func (r *Redis) id(access string) string {
	return redisstore.Digest([]byte(r.token + "\n" + access))
}

// run lets a script work at a key and gives its number.
func (r *Redis) run(ctx context.Context, script *redis.Script, key string, args ...any) (n int64, err error) {
	if err = ctx.Err(); err == nil {
		var reply redisstore.Reply
		if reply, err = r.exchange.Run(ctx, script, []string{key}, args...); err == nil {
			n, err = reply.Integer()
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrStore, err)
	}
	return n, nil
}

// Interface guards
var _ Share = (*Redis)(nil)
