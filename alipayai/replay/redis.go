package replay

import (
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
)

// Sealer encrypts what leaves the process, with associated data (AEAD).
type Sealer interface {
	// Seal encrypts plain, with the key that it is kept under as associated data.
	Seal(place string, plain []byte) []byte
	// Open decrypts what Seal gave with the same associated data, and fails for
	// any other: a record cannot be moved.
	Open(place string, sealed []byte) ([]byte, error)
}

const (
	defaultMaxBytes     = 1 << 20
	defaultTenantBytes  = 128 << 20
	defaultTimeout      = 250 * time.Millisecond
	defaultClaimTimeout = 50 * time.Millisecond
)

// RedisOptions say how Redis, version 5 or later, keeps answers and claims.
type RedisOptions struct {
	// Client must not repeat anything by itself, and must keep to the deadline of
	// a context. It stays the caller's.
	Client redis.UniversalClient
	// Namespace separates gateways that share a Redis and not their answers.
	// Only a hash of it is seen there.
	Namespace string
	// Seal encrypts the answers. Replicas have the same.
	Seal Sealer
	// MaxBytes is the most that one answer may take, encoded; 1 MiB if it is 0.
	MaxBytes int
	// TenantBytes is the most that the claims of one tenant may take, keys and
	// answers together, and likewise its cached answers; 128 MiB if it is 0. One
	// answer may take an eighth of that.
	TenantBytes int64
	// ClaimTimeout bounds the making of a claim, which a call waits for;
	// 50 ms if it is 0.
	ClaimTimeout time.Duration
	// Timeout bounds everything else; 250 ms if it is 0. What has had no answer for
	// half of it is repeated.
	Timeout time.Duration
	// Background begins what no call waits for; it ends within Timeout, and the Client must
	// not be closed before. A goroutine that is not waited for if it is nil.
	Background func(do func())
}

func (o RedisOptions) withDefaults() RedisOptions {
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.TenantBytes == 0 {
		o.TenantBytes = defaultTenantBytes
	}
	if o.ClaimTimeout == 0 {
		o.ClaimTimeout = defaultClaimTimeout
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Background == nil {
		o.Background = func(do func()) { go do() }
	}
	return o
}

// keys are what Redis keeps of one tenant: all is in one slot of a Cluster, so that
// a script can count what it takes. Of namespace, tenant and key only hashes are seen.
func (o RedisOptions) keys(tenant string) redisstore.Keys {
	return redisstore.KeysOfSum(NewKey(o.Namespace, tenant))
}

// seal encodes and encrypts an answer, with its key as associated data.
func (o RedisOptions) seal(place string, a Answer) ([]byte, error) {
	plain := a.encode()
	if len(plain) > o.MaxBytes {
		return nil, ErrTooLarge
	}
	return o.Seal.Seal(place, plain), nil
}

// open gives the answer that seal has sealed with the same key.
func (o RedisOptions) open(place string, sealed []byte) (Answer, error) {
	plain, err := o.Seal.Open(place, sealed)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return decodeAnswer(plain)
}

// exchange is one within Timeout. Claims name their owner, and answers their key: a
// repeat comes to the same end.
func (o RedisOptions) exchange() redisstore.Exchange {
	return redisstore.Exchange{Client: o.Client, Timeout: o.Timeout, Repeat: redisstore.Patient}
}

// claimExchange is one within ClaimTimeout, which is too short to ask twice in.
func (o RedisOptions) claimExchange() redisstore.Exchange {
	return redisstore.Exchange{Client: o.Client, Timeout: o.ClaimTimeout, Repeat: redisstore.Idempotent}
}

// unavailable says that Redis is away, unless it was closed for good.
func unavailable(err error) error {
	if err == nil || errors.Is(err, redis.ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// millis is d in whole milliseconds, at least one: Redis has no shorter life.
func millis(d time.Duration) int64 { return max(d.Milliseconds(), 1) }

// wholeMillis is d as Redis would have it.
func wholeMillis(d time.Duration) time.Duration { return time.Duration(millis(d)) * time.Millisecond }
