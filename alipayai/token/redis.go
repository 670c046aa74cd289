package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

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

	redisTakeLease = redis.NewScript(`
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)

	redisEndLease = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`)
)

// Redis is a Share in Redis, version 5 or later. Tokens are there
// encrypted, and no longer than they live; times in them are the replicas' own,
// which may differ by a part of a token's life without any harm.
type Redis struct {
	client redis.UniversalClient
	seal   *seal.Seal
	owner  string // random: of the leases
	token  string // key, and the place that is sealed in
	lease  string // key
	now    func() time.Time
}

// NewRedis makes the share of what key names: replicas with the same key
// share a token. Only its hash is seen in Redis. The client stays the caller's;
// nothing is sent yet.
func NewRedis(client redis.UniversalClient, key string, seal *seal.Seal, now func() time.Time) *Redis {
	hash := sha256.Sum256([]byte(key))
	// The braces are what a Cluster places both keys by.
	prefix := "alipayai:{" + hex.EncodeToString(hash[:16]) + "}:"
	return &Redis{
		client: client, seal: seal, owner: rand.Text(),
		token: prefix + "token", lease: prefix + "lease", now: now,
	}
}

// Load implements Share.
func (r *Redis) Load(ctx context.Context) (Token, error) {
	var fields []any
	err := r.exchange(ctx, func(ctx context.Context) (err error) {
		fields, err = r.client.HMGet(ctx, r.token, "token", "dropped").Result()
		return err
	})
	if err != nil {
		return Token{}, err
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
	return r.run(ctx, redisStoreToken, r.token, nil, r.id(t.Access), Seal(r.seal, r.token, t), life.Milliseconds())
}

// Drop implements Share.
func (r *Redis) Drop(ctx context.Context, access string) error {
	return r.run(ctx, redisDropToken, r.token, nil, r.id(access))
}

// Lease implements Share.
func (r *Redis) Lease(ctx context.Context, life time.Duration) (release func(), ok bool, err error) {
	var taken int64
	if err := r.run(ctx, redisTakeLease, r.lease, &taken, r.owner, life.Milliseconds()); err != nil || taken == 0 {
		return nil, false, err
	}
	return func() {
		// It ends by itself where this fails.
		_ = r.run(context.WithoutCancel(ctx), redisEndLease, r.lease, nil, r.owner)
	}, true, nil
}

// id is the hash of an access token at this place.
func (r *Redis) id(access string) string {
	hash := sha256.Sum256([]byte(r.token + "\n" + access))
	return hex.EncodeToString(hash[:16])
}

// run lets a script work at a key; its number goes to result unless that is nil.
func (r *Redis) run(ctx context.Context, script *redis.Script, key string, result *int64, args ...any) error {
	return r.exchange(ctx, func(ctx context.Context) error {
		n, err := script.Run(ctx, r.client, []string{key}, args...).Int64()
		if result != nil {
			*result = n
		}
		return err
	})
}

// exchange does what may be done twice: after an error that is not a timeout,
// such as a connection that was closed while it idled, it is repeated once.
func (r *Redis) exchange(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, redisTokenTimeout)
	defer cancel()
	err := do(ctx)
	var timeout net.Error
	if err != nil && ctx.Err() == nil && (!errors.As(err, &timeout) || !timeout.Timeout()) {
		err = do(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	return nil
}

// Interface guards
var _ Share = (*Redis)(nil)
