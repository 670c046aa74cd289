package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sealer encrypts what leaves the process, with authentication.
type Sealer interface {
	// Seal encrypts plain for a place.
	Seal(place string, plain []byte) []byte
	// Open decrypts what Seal gave for the same place, and fails for any other:
	// a record cannot be moved.
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
	// Timeout bounds everything else; 250 ms if it is 0. The timeouts of the
	// client hold as well.
	Timeout time.Duration
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
	return o
}

// place names what Redis keeps of one tenant, of a kind. The braces are what a
// Cluster places it by: all of a tenant is in one slot, so that a script can count
// what it takes. Of namespace, tenant and key only hashes are seen.
func (o RedisOptions) place(tenant, kind string) string {
	return "alipayai:{" + NewKey(o.Namespace, tenant).name() + "}:" + kind
}

// seal encodes and encrypts an answer for a place.
func (o RedisOptions) seal(place string, a Answer) ([]byte, error) {
	plain := a.encode()
	if len(plain) > o.MaxBytes {
		return nil, ErrTooLarge
	}
	return o.Seal.Seal(place, plain), nil
}

// open gives the answer that seal has sealed for the same place.
func (o RedisOptions) open(place string, sealed []byte) (Answer, error) {
	plain, err := o.Seal.Open(place, sealed)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return decodeAnswer(plain)
}

// exchange does what may be done twice: after an error, such as a connection that
// was closed while it idled, it is repeated once in what is left of the time. It
// does not end with ctx, but within timeout: a caller that leaves in the middle
// would cost a connection, and would not know what it has left behind.
func exchange[T any](ctx context.Context, client redis.UniversalClient, timeout time.Duration, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	result, err := do(ctx)
	if err != nil && ctx.Err() == nil {
		result, err = do(ctx)
	}
	switch {
	case errors.Is(err, redis.ErrClosed):
		return result, err // for good, and not just away
	case err != nil:
		if cluster, ok := client.(*redis.ClusterClient); ok {
			cluster.ReloadState(ctx) // another node may be master now; it does not wait
		}
		return result, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return result, nil
}

// millis is d in whole milliseconds, at least one: Redis has no shorter life.
func millis(d time.Duration) int64 { return max(d.Milliseconds(), 1) }

// wholeMillis is d as Redis would have it.
func wholeMillis(d time.Duration) time.Duration { return time.Duration(millis(d)) * time.Millisecond }
