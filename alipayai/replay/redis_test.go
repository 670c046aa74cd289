package replay

import (
	"encoding/hex"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// startRedis gives the address of a server of the test's own.
func startRedis(t *testing.T) string { return redistest.Start(t).Addr }

// dump is all that is to be seen in Redis, by key.
func dump(t *testing.T, client redis.UniversalClient) map[string]string {
	t.Helper()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]string)
	for _, key := range keys {
		if seen[key], err = client.Get(t.Context(), key).Result(); err == nil {
			continue
		}
		if members, err := client.ZRange(t.Context(), key, 0, -1).Result(); err == nil {
			seen[key] = strings.Join(members, "\n")
			continue
		}
		fields, err := client.HGetAll(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range fields {
			seen[key] += name + "=" + value + "\n"
		}
	}
	return seen
}

func TestRedisSeesNothingOfAnAnswer(t *testing.T) {
	o := patientOptions(t, startRedis(t))
	o.Namespace = "secret-namespace"
	key := NewKey("secret-tenant", "secret-body")
	answer := answerOf("secret-body")
	answer.Provider, answer.Model = "secret-provider", "secret-model"
	answer.Header.Set("X-Secret", "secret-field")
	if err := NewRedisCache(o).Put(t.Context(), "secret-tenant", key, answer, time.Hour); err != nil {
		t.Fatal(err)
	}
	claim, _, err := NewRedisClaims(o).Claim(t.Context(), "secret-tenant", key, requestOf(1), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := claim.Finish(t.Context(), answer, time.Hour); err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^alipayai:\{[\w-]{43}\}:((answer|claim):[\w-]{43}|answers|claims|claimed answers)$`)
	seen := dump(t, o.Client)
	for place, value := range seen {
		if !name.MatchString(place) || strings.Contains(strings.ToLower(place+value), "secret") {
			t.Errorf("%s: %q", place, value)
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d keys, want those of two answers and three accounts", len(seen))
	}
}

func TestRecordsBelongToTheirPlace(t *testing.T) {
	o := patientOptions(t, startRedis(t))
	other, resealed := o, o
	other.Namespace = "another"
	resealed.Seal = newSeal(t, 2)
	put := func(o RedisOptions, key Key, body string) {
		t.Helper()
		if err := NewRedisCache(o).Put(t.Context(), tenantOf(key), key, answerOf(body), time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := mustClaim(t, NewRedisClaims(o), key, requestOf(1), time.Hour).Finish(t.Context(), answerOf(body), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	put(o, keyOf(1), "one")
	put(o, keyOf(2), "two")
	if got := bodyOf(t, NewRedisCache(other), keyOf(1)); got != "" {
		t.Errorf("in another namespace there is %q", got)
	}
	wantClaim(t, NewRedisClaims(other), keyOf(1), requestOf(1), "claimed")

	unreadable := func(what string, o RedisOptions) {
		t.Helper()
		if got, ok, err := NewRedisCache(o).Get(t.Context(), tenantOf(keyOf(2)), keyOf(2)); ok || !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: cached is %q, %t, %v", what, got.Body, ok, err)
		}
		claim, got, err := NewRedisClaims(o).Claim(t.Context(), tenantOf(keyOf(2)), keyOf(2), requestOf(1), time.Hour)
		if claim != nil || got != nil || !errors.Is(err, ErrNotKept) || !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: what comes of a claim is %q", what, outcome(got, err))
		}
	}
	unreadable("sealed by another", resealed)
	for _, kind := range []string{"answer", "claim"} {
		if err := o.Client.Do(t.Context(), "COPY", placeOf(o, kind, keyOf(1)), placeOf(o, kind, keyOf(2)), "REPLACE").Err(); err != nil {
			t.Fatal(err)
		}
	}
	unreadable("moved from another key", o)
	for damage, value := range map[string]string{"empty": "", "short": "abc", "unsealed": string((&Answer{Status: 200}).encode())} {
		if err := o.Client.Set(t.Context(), placeOf(o, "answer", keyOf(2)), value, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		if err := o.Client.HSet(t.Context(), placeOf(o, "claim", keyOf(2)), "answer", value).Err(); err != nil {
			t.Fatal(err)
		}
		unreadable(damage, o)
	}
}

func TestRedisKeepsNoAnswerBeyondItsCap(t *testing.T) {
	o := patientOptions(t, startRedis(t))
	answer := answerOf("")
	o.MaxBytes = len(answer.encode()) + 100
	cache := NewRedisCache(o)
	if err := cache.Put(t.Context(), tenantOf(keyOf(1)), keyOf(1), longAnswer(100), time.Hour); err != nil {
		t.Errorf("at the cap: %v", err)
	}
	if err := cache.Put(t.Context(), tenantOf(keyOf(1)), keyOf(1), longAnswer(101), time.Hour); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a byte more: %v", err)
	}
	if got := bodyOf(t, cache, keyOf(1)); len(got) != 100 {
		t.Errorf("what was kept before is now %d bytes", len(got))
	}
}

func TestScriptsAndConnectionsThatAreGone(t *testing.T) {
	server := redistest.Start(t)
	for name, command := range map[string][]string{
		"scripts flushed":    {"SCRIPT", "FLUSH"},
		"connections closed": {"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			o := patientOptions(t, server.Addr)
			o.Namespace = name
			claims := NewRedisClaims(o)
			fault := func() {
				t.Helper()
				if answer, err := server.Do(command...); err != nil || strings.HasPrefix(answer, "-") {
					t.Fatalf("%q, %v", answer, err)
				}
			}
			mustClaim(t, claims, keyOf(9), requestOf(9), time.Minute)
			for n, end := range []func(Claim) error{
				func(c Claim) error { return c.Finish(t.Context(), answerOf("it"), time.Minute) },
				func(c Claim) error { return c.Hold(t.Context(), time.Minute) },
				func(c Claim) error { return c.Extend(t.Context(), time.Minute, time.Minute) },
				func(c Claim) error { return c.Release(t.Context()) },
			} {
				fault()
				claim := mustClaim(t, claims, keyOf(n), requestOf(n), time.Minute)
				fault()
				if err := end(claim); err != nil {
					t.Error(err)
				}
			}
			for n, want := range []string{"answer it", ErrHeld.Error(), ErrInFlight.Error(), "claimed"} {
				wantClaim(t, claims, keyOf(n), requestOf(n), want)
			}
		})
	}
}

func TestRedisCluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	o := redisOptions(t, limiter.RedisOptions{Addresses: cluster.Addrs(), Cluster: true})
	o.ClaimTimeout, o.Timeout = 10*time.Second, 10*time.Second
	claims, cache := NewRedisClaims(o), NewRedisCache(o)
	masters := make(map[int]bool)
	for n := range 30 {
		masters[cluster.Owner(placeOf(o, "claim", keyOf(n)))] = true
		if cluster.Owner(placeOf(o, "claim", keyOf(n))) != cluster.Owner(placeOf(o, "answer", keyOf(n))) {
			t.Error("claim and answer of a key are at different masters")
		}
		// The client's own timeout is short for the first connection to a node. A
		// claim whose reply it has missed ends soon.
		var claim Claim
		testwait.For(t, patience, "a claim", func() (ok bool) {
			claim, _, _ = claims.Claim(t.Context(), tenantOf(keyOf(n)), keyOf(n), requestOf(n), time.Millisecond)
			return claim != nil
		})
		if err := claim.Finish(t.Context(), answerOf("it"), time.Minute); err != nil {
			t.Error(err)
		}
		wantClaim(t, claims, keyOf(n), requestOf(n), "answer it")
		if err := cache.Put(t.Context(), tenantOf(keyOf(n)), keyOf(n), answerOf("it"), time.Minute); err != nil {
			t.Error(err)
		}
		if got := bodyOf(t, cache, keyOf(n)); got != "it" {
			t.Errorf("cached is %q", got)
		}
	}
	if len(masters) != 3 {
		t.Errorf("the keys are at %d masters, want 3", len(masters))
	}
}

// Replicas of the version before find the same claims and answers, and read them.
func TestKeysAndAnswersAreThoseOfRunningReplicas(t *testing.T) {
	const tag, name = "alipayai:{oJ8E5TNDEYMh7GgAePZg8KXzy-76HVxeE1mCBa__eOM}:", "PJ1ZEEW8iHb50Dmbv7BcakEglukG9zJ4-YQGzV3Kht8"
	o := RedisOptions{Namespace: "answers"}
	claim := newRedisClaim(o, "acme", NewKey("a", "b"), requestOf(1))
	got := append(claim.keys, claim.args[0].(string), claim.args[1].(string), NewRedisCache(o).prefix("acme")+NewKey("a", "b").name(), o.keys("acme").Key("answers"))
	want := []string{tag + "claim:" + name, tag + "claims", tag + "claimed answers", tag + "claim:", name, tag + "answer:" + name, tag + "answers"}
	if !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
	answer := Answer{
		Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte("{}"),
		Provider: "alipay", Model: "m", StoredAt: time.UnixMilli(1777863721000),
	}
	const bytes = "01c801d080fc8ebe6706616c69706179016d010c436f6e74656e742d5479706501106170706c69636174696f6e2f6a736f6e7b7d"
	if got := hex.EncodeToString(answer.encode()); got != bytes {
		t.Errorf("answer %s, want %s", got, bytes)
	}
}
