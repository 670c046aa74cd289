package replay

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/limiter"
)

// quietLogger drops what the client says of servers that tests have broken.
type quietLogger struct{}

func (quietLogger) Printf(context.Context, string, ...any) {}

// TestMain fails the package when a test leaves a goroutine behind.
func TestMain(m *testing.M) {
	redis.SetLogger(quietLogger{})
	goleak.VerifyTestMain(m)
}

// aesSeal is a Sealer of AES-256-GCM.
type aesSeal struct{ cipher.AEAD }

func newSeal(t testing.TB, first byte) aesSeal {
	t.Helper()
	block, err := aes.NewCipher(append([]byte{first}, make([]byte, 31)...))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return aesSeal{aead}
}

func (s aesSeal) Seal(place string, plain []byte) []byte {
	return s.AEAD.Seal(nil, nil, plain, []byte(place))
}

func (s aesSeal) Open(place string, sealed []byte) ([]byte, error) {
	return s.AEAD.Open(nil, nil, sealed, []byte(place))
}

// clock is one that tests set.
type clock struct{ time time.Time }

func newClock() *clock { return &clock{time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)} }

func (c *clock) now() time.Time { return c.time }

// redisOptions are those of a replica, with a client as replicas have it.
func redisOptions(t testing.TB, o limiter.RedisOptions) RedisOptions {
	t.Helper()
	client, err := limiter.NewRedisClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return RedisOptions{Client: client, Namespace: "test", Seal: newSeal(t, 1)}
}

// patientOptions are for tests whose subject is not how long things take.
func patientOptions(t testing.TB, addr string) RedisOptions {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true,
		DialTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
	})
	t.Cleanup(func() { _ = client.Close() })
	return RedisOptions{
		Client: client, Namespace: "test", Seal: newSeal(t, 1),
		ClaimTimeout: 10 * time.Second, Timeout: 10 * time.Second,
	}
}

// stores are a Cache and Claims of one kind, and the time that passes in them.
type stores struct {
	Cache
	Claims
	pass func(time.Duration)
}

// eachKind runs a test in memory and in Redis.
func eachKind(t *testing.T, test func(t *testing.T, s stores)) {
	t.Run("memory", func(t *testing.T) {
		c := newClock()
		test(t, stores{
			NewMemoryCache(c.now).Within(1 << 30),
			NewMemoryClaims(c.now).Within(1 << 30),
			func(d time.Duration) { c.time = c.time.Add(d) },
		})
	})
	t.Run("redis", func(t *testing.T) {
		o := patientOptions(t, redistest.Start(t).Addr)
		test(t, stores{NewRedisCache(o), NewRedisClaims(o), func(d time.Duration) { passInRedis(t, o.Client, d) }})
	})
}

// passInRedis makes every key older, and what sorted sets say of when something ends, and fails for a key that lives
// for ever.
func passInRedis(t testing.TB, client redis.UniversalClient, d time.Duration) {
	t.Helper()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		left, err := client.PTTL(t.Context(), key).Result()
		switch {
		case left == -2: // has ended meanwhile
		case err != nil || left < 0:
			t.Fatalf("time to live of %s: %v, %v", key, left, err)
		case left <= d:
			err = client.Del(t.Context(), key).Err()
		default:
			err = errors.Join(client.PExpire(t.Context(), key, left-d).Err(), passInAccount(t, client, key, d))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// passInAccount makes the members of a sorted set older, but for its total.
func passInAccount(t testing.TB, client redis.UniversalClient, key string, d time.Duration) error {
	if client.Type(t.Context(), key).Val() != "zset" {
		return nil
	}
	members, err := client.ZRange(t.Context(), key, 0, -1).Result()
	for _, member := range members {
		if member != "total" {
			err = errors.Join(err, client.ZIncrBy(t.Context(), key, -float64(d.Milliseconds()), member).Err())
		}
	}
	return err
}

// patience is for what no time is promised of.
const patience = 20 * time.Second

// tenantOf gives each key a tenant of its own, where tenants are not what is tested.
func tenantOf(key Key) string { return string(key[:]) }

// placeOf is where Redis keeps what is of a kind under a key, for the key's own tenant.
func placeOf(o RedisOptions, kind string, key Key) string {
	return o.keys(tenantOf(key)).Key(kind+":") + key.name()
}

// keyOf is a key for tests, requestOf the hash of a request.
func keyOf(n int) Key          { return NewKey("tenant", strconv.Itoa(n)) }
func requestOf(n int) [32]byte { return [32]byte(keyOf(1000 + n)) }

// answerOf is an answer whose body is text.
func answerOf(text string) Answer {
	return Answer{
		Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: slices.Clip([]byte(text)),
		Provider: "alipay", Model: "model-1", StoredAt: newClock().now(),
	}
}

// longAnswer has a body of n bytes.
func longAnswer(n int) Answer { return answerOf(strings.Repeat("x", n)) }

// bodyOf is what a cache has under a key, "" for nothing.
func bodyOf(t testing.TB, c Cache, key Key) string {
	t.Helper()
	answer, ok, err := c.Get(t.Context(), tenantOf(key), key)
	if err != nil || ok != (answer.Body != nil) {
		t.Fatalf("answer of %d bytes, %t, %v", len(answer.Body), ok, err)
	}
	return string(answer.Body)
}

// outcome tells in a word or two what came of a claim.
func outcome(answer *Answer, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case answer != nil:
		return "answer " + string(answer.Body)
	}
	return "claimed"
}

// mustClaim claims a key that is free.
func mustClaim(t testing.TB, c Claims, key Key, request [32]byte, lease time.Duration) Claim {
	t.Helper()
	claim, answer, err := c.Claim(t.Context(), tenantOf(key), key, request, lease)
	if claim == nil {
		t.Fatalf("claim of a free key: %s", outcome(answer, err))
	}
	return claim
}

// wantClaim claims a key and wants this to come of it.
func wantClaim(t testing.TB, c Claims, key Key, request [32]byte, want string) {
	t.Helper()
	claim, answer, err := c.Claim(t.Context(), tenantOf(key), key, request, time.Minute)
	if got := outcome(answer, err); got != want || (claim != nil) != (got == "claimed") {
		t.Errorf("what comes of a claim is %q with %v, want %q", got, claim, want)
	}
}

func TestPassInRedisNoticesWhatLivesForEver(t *testing.T) {
	server := redistest.Start(t)
	o := patientOptions(t, server.Addr)
	if err := o.Client.Set(t.Context(), "key", "value", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	passInRedis(t, o.Client, 20*time.Minute)
	left, err := o.Client.PTTL(t.Context(), "key").Result()
	if err != nil || left > 40*time.Minute || left < 35*time.Minute {
		t.Errorf("%v are left of an hour after 20 minutes, %v", left, err)
	}
	passInRedis(t, o.Client, 40*time.Minute)
	if got, err := server.Do("DBSIZE"); got != ":0" {
		t.Errorf("keys after an hour: %q, %v", got, err)
	}
}

// random is a small number that follows from a seed, for the soak.
func random(seed uint64, below int) int {
	key := NewKey(string(binary.BigEndian.AppendUint64(nil, seed)))
	return int(binary.BigEndian.Uint32(key[:]) % uint32(below))
}
