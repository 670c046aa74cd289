package token

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// tokenPlace is what the tests' tokens belong to.
const tokenPlace = "https://auth.example.com/token of client-1"

// newRedis gives a client as a replica has one.
func newRedis(t *testing.T, options limiter.RedisOptions) redis.UniversalClient {
	t.Helper()
	client, err := limiter.NewRedisClient(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newSeal(t *testing.T, first byte) *seal.Seal {
	t.Helper()
	seal, err := seal.New([32]byte{first})
	if err != nil {
		t.Fatal(err)
	}
	return seal
}

// newHastyShare is one replica's share of a token, through a client of its own. It gives Redis as long as replicas do.
func newHastyShare(t *testing.T, addr string) *Redis {
	t.Helper()
	return NewRedis(newRedis(t, limiter.RedisOptions{Addresses: []string{addr}}), tokenPlace, newSeal(t, 1), time.Now)
}

// newShare is one whose Redis is never away because the machine is busy.
func newShare(t *testing.T, addr string) *Redis {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true,
		DialTimeout: testTimeout, ReadTimeout: testTimeout, WriteTimeout: testTimeout,
	})
	t.Cleanup(func() { _ = client.Close() })
	share := NewRedis(client, tokenPlace, newSeal(t, 1), time.Now)
	share.exchange.Timeout = testTimeout
	return share
}

// wantShared checks what is shared at present.
func wantShared(t *testing.T, r *Redis, access, refresh string) {
	t.Helper()
	got, err := r.Load(t.Context())
	if err != nil || got.Access != access || got.Refresh != refresh {
		t.Errorf("shared are %q and %q, want %q and %q (%v)", got.Access, got.Refresh, access, refresh, err)
	}
}

// pair is a token with a refresh token.
func pair(access, refresh string, life time.Duration) Token {
	t := freshToken(access, life)
	t.Refresh = refresh
	return t
}

func TestRedisTokensKeepATokenForItsLife(t *testing.T) {
	server := redistest.Start(t)
	a, b := newShare(t, server.Addr), newShare(t, server.Addr)
	wantShared(t, a, "", "")
	stored := freshToken("one", time.Hour)
	if err := a.Store(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	got, err := b.Load(t.Context())
	if err != nil || got.Access != "one" || !got.Issued.Equal(stored.Issued) || !got.Expiry.Equal(stored.Expiry) {
		t.Errorf("loaded %q %v, want what was stored: %v (%v)", got.Access, got, stored, err)
	}
	if err := a.Store(t.Context(), freshToken("short", time.Second)); err != nil {
		t.Fatal(err)
	}
	wantShared(t, b, "short", "")
	testwait.For(t, testTimeout, "its end", func() bool { got, err := b.Load(t.Context()); return err == nil && got == (Token{}) })
	if err := a.Store(t.Context(), freshToken("over", -time.Second)); err != nil {
		t.Fatal(err)
	}
	wantShared(t, b, "", "")
}

func TestRedisTokensDropThatTokenOnly(t *testing.T) {
	server := redistest.Start(t)
	a, b := newShare(t, server.Addr), newShare(t, server.Addr)
	drop := func(access string) {
		t.Helper()
		if err := b.Drop(t.Context(), access); err != nil {
			t.Fatal(err)
		}
	}
	drop("nothing is there")
	wantShared(t, a, "", "")
	if err := a.Store(t.Context(), pair("one", "refresh-1", time.Hour)); err != nil {
		t.Fatal(err)
	}
	drop("another")
	wantShared(t, a, "one", "refresh-1")
	drop("one")
	wantShared(t, a, "", "refresh-1") // that is not refused
	if err := a.Store(t.Context(), pair("two", "refresh-2", time.Hour)); err != nil {
		t.Fatal(err)
	}
	drop("one") // late
	wantShared(t, a, "two", "refresh-2")
}

func TestRedisTokensLease(t *testing.T) {
	server := redistest.Start(t)
	a, b := newShare(t, server.Addr), newShare(t, server.Addr)
	take := func(r *Redis, life time.Duration, want bool) func() {
		t.Helper()
		release, ok, err := r.Lease(t.Context(), life)
		if err != nil || ok != want {
			t.Fatalf("lease: %v, %v, want %v", ok, err, want)
		}
		return release
	}
	releaseA := take(a, 200*time.Millisecond, true)
	take(b, time.Minute, false)
	take(a, 200*time.Millisecond, true) // it goes on
	var releaseB func()
	testwait.For(t, testTimeout, "the deadline of a", func() bool {
		release, ok, err := b.Lease(t.Context(), time.Minute)
		releaseB = release
		return err == nil && ok
	})
	releaseA() // late: it is b's by now
	take(a, time.Minute, false)
	releaseB()
	take(a, time.Minute, true)
}

// Whoever reads all of Redis learns no token, client or address.
func TestRedisTokensAreNothingToRead(t *testing.T) {
	server := redistest.Start(t)
	share := newShare(t, server.Addr)
	if _, _, err := share.Lease(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := share.Store(t.Context(), pair("the-access-token", "the-refresh-token", time.Hour)); err != nil {
		t.Fatal(err)
	}
	keys, everything := dumpRedis(t, share.exchange.Client)
	if len(keys) != 2 {
		t.Errorf("keys %q, want the token and its lease", keys)
	}
	for _, never := range []string{"the-access-token", "the-refresh-token", "auth.example.com", "client-1", "issued"} {
		if strings.Contains(everything, never) {
			t.Errorf("Redis holds %q", never)
		}
	}
	slot := func(key string) string {
		_, rest, _ := strings.Cut(key, "{")
		tag, _, _ := strings.Cut(rest, "}")
		return tag
	}
	if tag := slot(keys[0]); len(tag) != 32 || slot(keys[1]) != tag {
		t.Errorf("keys %q, want one hash tag", keys)
	}
	for _, key := range keys {
		life := time.Minute
		if strings.HasSuffix(key, "token") {
			life = time.Hour + refreshKept
		}
		if left := share.exchange.Client.PTTL(t.Context(), key).Val(); left < life-30*time.Second || left > life {
			t.Errorf("%s lives on for %v, want %v", key, left, life)
		}
	}
}

// dumpRedis gives all keys, and these with all values as one text.
func dumpRedis(t *testing.T, client redis.UniversalClient) (keys []string, everything string) {
	t.Helper()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	var all strings.Builder
	for _, key := range keys {
		all.WriteString(key + "\n")
		if client.Type(t.Context(), key).Val() == "string" {
			all.WriteString(client.Get(t.Context(), key).Val() + "\n")
			continue
		}
		values, err := client.HGetAll(t.Context(), key).Result()
		if err != nil || len(values) == 0 {
			t.Fatalf("%s holds %d fields: %v", key, len(values), err)
		}
		for field, value := range values {
			all.WriteString(field + "=" + value + "\n")
		}
	}
	return keys, all.String()
}

// A record that was moved or changed, or that another key sealed, is none.
func TestRedisTokensRefuseWhatIsNotTheirs(t *testing.T) {
	server := redistest.Start(t)
	mine := newShare(t, server.Addr)
	for name, other := range map[string]*Redis{
		"another key":    NewRedis(mine.exchange.Client, tokenPlace, newSeal(t, 2), time.Now),
		"another client": NewRedis(mine.exchange.Client, "client-2", mine.seal, time.Now),
	} {
		t.Run(name, func(t *testing.T) {
			if err := other.Store(t.Context(), freshToken("theirs", time.Hour)); err != nil {
				t.Fatal(err)
			}
			if other.token != mine.token {
				if err := mine.exchange.Client.Rename(t.Context(), other.token, mine.token).Err(); err != nil {
					t.Fatal(err)
				}
			}
			got, err := mine.Load(t.Context())
			if !errors.Is(err, seal.ErrSealed) || got != (Token{}) {
				t.Errorf("loaded %v, %v", got, err)
			}
		})
	}
	if err := mine.Store(t.Context(), freshToken("mine", time.Hour)); err != nil {
		t.Fatal(err)
	}
	sealed := mine.exchange.Client.HGet(t.Context(), mine.token, "token").Val()
	for i := range len(sealed) {
		changed := []byte(sealed)
		changed[i] ^= 1
		if _, err := Open(mine.seal, mine.token, changed); !errors.Is(err, seal.ErrSealed) {
			t.Fatalf("byte %d may be changed: %v", i, err)
		}
	}
}

// Whatever Redis does, an exchange with it ends in time, and its error says nothing of the token; how long is judged where time
// is that of a bubble.
func TestRedisTokensWithoutRedis(t *testing.T) {
	for name, fault := range redistest.Faults() {
		t.Run(name, func(t *testing.T) {
			network := redistest.NewNetwork(t)
			testwait.Bubble(t, func(t *testing.T) {
				share := newHastyShare(t, redistest.Anywhere)
				network.Connect(share.exchange.Client)
				if err := share.Store(t.Context(), freshToken("the-access-token", time.Hour)); err != nil {
					t.Fatal(err)
				}
				network.Break(fault)
				for name, do := range exchangesOf(share) {
					began := time.Now()
					err := do(t.Context())
					if !errors.Is(err, ErrStore) || strings.Contains(err.Error(), "the-access-token") {
						t.Errorf("%s: %v", name, err)
					}
					if took := time.Since(began); took > redisTokenTimeout {
						t.Errorf("%s failed after %v", name, took)
					}
				}
				network.Heal()
				testwait.Pass(time.Minute) // what runs ends
			})
		})
	}
}

// A server that has stopped, or that was killed and has lost its scripts, serves again when it is back.
func TestRedisTokensWhenRedisIsBack(t *testing.T) {
	server := redistest.Start(t)
	share := newHastyShare(t, server.Addr)
	testwait.For(t, testTimeout, "a token to be stored", func() bool {
		return share.Store(t.Context(), freshToken("the-access-token", time.Hour)) == nil
	})
	for _, outage := range []struct {
		name          string
		breaks, heals func()
	}{
		{"stopped", server.Pause, server.Resume},
		{"killed", server.Kill, server.Restart},
	} {
		outage.breaks()
		for name, do := range exchangesOf(share) {
			if err := do(t.Context()); !errors.Is(err, ErrStore) || strings.Contains(err.Error(), "the-access-token") {
				t.Errorf("%s, %s: %v", outage.name, name, err)
			}
		}
		outage.heals()
		for name, do := range exchangesOf(share) {
			testwait.For(t, testTimeout, name+" after Redis was "+outage.name, func() bool { return do(t.Context()) == nil })
		}
	}
}

// exchangesOf are all that a share has with Redis.
func exchangesOf(share *Redis) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"load":  func(ctx context.Context) error { _, err := share.Load(ctx); return err },
		"store": func(ctx context.Context) error { return share.Store(ctx, freshToken("the-access-token", time.Hour)) },
		"drop":  func(ctx context.Context) error { return share.Drop(ctx, "the-access-token") },
		"lease": func(ctx context.Context) error { _, _, err := share.Lease(ctx, time.Minute); return err },
	}
}

func TestRedisTokensInACluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	client := newRedis(t, limiter.RedisOptions{Addresses: cluster.Addrs(), Cluster: true})
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		share := NewRedis(client, key, newSeal(t, 1), time.Now)
		share.exchange.Timeout = testTimeout // how long a busy machine takes is not what this is about
		release, ok, err := share.Lease(t.Context(), time.Minute)
		if err != nil || !ok {
			t.Fatalf("lease: %v, %v", ok, err)
		}
		if err := share.Store(t.Context(), pair("one", "refresh-1", time.Hour)); err != nil {
			t.Fatal(err)
		}
		wantShared(t, share, "one", "refresh-1")
		if err := share.Drop(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		wantShared(t, share, "", "refresh-1")
		release()
	}
}

// Replicas of the version before share the same token.
func TestKeysAreThoseOfRunningReplicas(t *testing.T) {
	const tag = "alipayai:{19a8c870cc4ff45d287c38a2446f6af3}:"
	r := NewRedis(nil, tokenPlace, nil, time.Now)
	got := []string{r.token, r.lease.Key(), r.id("access")}
	if want := []string{tag + "token", tag + "lease", "64911738e897e0f315ff29ceb0f7089c"}; !slices.Equal(got, want) {
		t.Errorf("keys and id %q, want %q", got, want)
	}
}
