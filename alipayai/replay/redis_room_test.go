package replay

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// usedMemory is what Redis has allocated, in bytes.
func usedMemory(t *testing.T, client redis.UniversalClient) int {
	t.Helper()
	info, err := client.Info(t.Context(), "memory").Result()
	found := regexp.MustCompile(`used_memory:(\d+)`).FindStringSubmatch(info)
	if err != nil || found == nil {
		t.Fatal(info, err)
	}
	used, _ := strconv.Atoi(found[1])
	return used
}

// finishFor claims a tenant's key and finishes it.
func finishFor(t *testing.T, claims Claims, tenant string, key Key, answer Answer) error {
	t.Helper()
	claim, given, err := claims.Claim(t.Context(), tenant, key, requestOf(1), time.Minute)
	if claim == nil {
		t.Fatalf("claim of a free key: %s", outcome(given, err))
	}
	if err := claim.Leave(t.Context(), time.Minute, time.Hour); err != nil {
		t.Fatal(err)
	}
	return claim.Finish(t.Context(), answer, time.Hour)
}

// claimFor is what comes of a tenant's claim.
func claimFor(t *testing.T, claims Claims, tenant string, key Key) string {
	t.Helper()
	_, answer, err := claims.Claim(t.Context(), tenant, key, requestOf(1), time.Minute)
	return outcome(answer, err)
}

// However much a tenant brings, its answers and claims take no more than its room, and others have theirs.
func TestOneTenantCannotFillRedis(t *testing.T) {
	const room, size = 4 << 20, 400_000
	o := patientOptions(t, startRedis(t))
	o.TenantBytes = room
	claims, cache := NewRedisClaims(o), NewRedisCache(o)
	answer := longAnswer(size)
	if err := finishFor(t, claims, "modest", keyOf(1000), answerOf("it")); err != nil {
		t.Fatal(err)
	}
	before := usedMemory(t, o.Client)
	for n := range 40 {
		if err := finishFor(t, claims, "greedy", keyOf(n), answer); err != nil {
			t.Fatal(err)
		}
		if err := cache.Put(t.Context(), "greedy", keyOf(n), answer, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	// Redis' own buffers and tables are not the tenant's.
	if used := usedMemory(t, o.Client) - before; used > 2*room+(1<<20) || used < room {
		t.Errorf("%d bytes are used for a room of twice %d", used, room)
	}
	kept := 0
	for n := range 40 {
		switch got := claimFor(t, claims, "greedy", keyOf(n)); {
		case got == "answer "+string(answer.Body):
			kept++
		case got != ErrNotKept.Error() || kept > 0:
			t.Fatalf("key %d: %.60s: the oldest have to go first, and no key is free", n, got)
		}
	}
	if kept < room/size*3/4 {
		t.Errorf("%d answers are kept in a room for %d", kept, room/size)
	}
	for tenant, key := range map[string]Key{"modest": keyOf(1000)} {
		if got := claimFor(t, claims, tenant, key); got != "answer it" {
			t.Errorf("another tenant's is %q", got)
		}
	}
	cached := 0
	for n := range 40 {
		if _, ok, _ := cache.Get(t.Context(), "greedy", keyOf(n)); ok {
			cached++
		} else if cached > 0 {
			t.Errorf("cached answer %d is gone before an older one", n)
		}
	}
	if cached != kept {
		t.Errorf("%d answers are cached, and %d kept for keys", cached, kept)
	}
}

// An answer of more than an eighth of the room is not kept, and lets no others go.
func TestRedisKeepsNoAnswerOfMoreThanAnEighth(t *testing.T) {
	o := patientOptions(t, startRedis(t))
	o.TenantBytes = 80_000
	claims, cache := NewRedisClaims(o), NewRedisCache(o)
	if err := errors.Join(finishFor(t, claims, "acme", keyOf(1), answerOf("it")), cache.Put(t.Context(), "acme", keyOf(1), answerOf("it"), time.Hour)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := finishFor(t, claims, "acme", NewKey(strconv.Itoa(rand.Int())), longAnswer(10_000)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("finished: %v", err)
		}
		if err := cache.Put(t.Context(), "acme", keyOf(1), longAnswer(10_000), time.Hour); !errors.Is(err, ErrTooLarge) {
			t.Errorf("put: %v", err)
		}
	}
	if got := claimFor(t, claims, "acme", keyOf(1)); got != "answer it" {
		t.Errorf("kept is %q", got)
	}
	if got, _, _ := cache.Get(t.Context(), "acme", keyOf(1)); string(got.Body) != "it" {
		t.Errorf("cached is %q", got.Body)
	}
}

// A tenant whose keys alone take its room can claim no more; others can, and so can it when some have ended.
func TestKeysOfOneTenantAreBoundedInRedis(t *testing.T) {
	o := patientOptions(t, startRedis(t))
	const most = 20
	o.TenantBytes = most*768 + 700
	claims := NewRedisClaims(o)
	for n := range most {
		claim, answer, err := claims.Claim(t.Context(), "greedy", keyOf(n), requestOf(1), time.Duration(1+n)*time.Minute)
		if err != nil {
			t.Fatalf("key %d: %s", n, outcome(answer, err))
		}
		if n == most-1 {
			if err := claim.Hold(t.Context(), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		if _, _, err := claims.Claim(t.Context(), "greedy", keyOf(most), requestOf(1), time.Minute); !errors.Is(err, ErrUnavailable) {
			t.Errorf("one more: %v", err)
		}
	}
	if got := claimFor(t, claims, "greedy", keyOf(most-1)); got != ErrHeld.Error() {
		t.Errorf("a key that is held: %q", got)
	}
	if got := claimFor(t, claims, "modest", keyOf(most)); got != "claimed" {
		t.Errorf("of another tenant: %q", got)
	}
	passInRedis(t, o.Client, 2*time.Minute) // two leases
	for n, want := range []string{"claimed", "claimed", errTenantFull.Error()} {
		if got := claimFor(t, claims, "greedy", keyOf(100+n)); got != want {
			t.Errorf("after two leases have ended, %d more: %q", n, got)
		}
	}
}

// What is counted is what is there, whatever was done, ended, lost its room or was evicted.
func TestAccountsInRedisDoNotDrift(t *testing.T) {
	for seed := range uint64(4) {
		o := patientOptions(t, startRedis(t))
		o.TenantBytes = 60_000
		claims, cache := NewRedisClaims(o), NewRedisCache(o)
		random := rand.New(rand.NewPCG(seed, 9))
		for step := range 300 {
			key, ttl := keyOf(random.IntN(60)), time.Duration(1+random.IntN(20))*time.Minute
			answer := longAnswer(random.IntN(6000))
			switch random.IntN(8) {
			case 0, 1, 2:
				if claim, _, _ := claims.Claim(t.Context(), "acme", key, requestOf(1), ttl); claim != nil {
					switch random.IntN(4) {
					case 0:
						_ = claim.Release(t.Context())
					case 1:
						_ = claim.Leave(t.Context(), ttl, ttl)
					default:
						_ = claim.Finish(t.Context(), answer, ttl)
						_ = claim.Finish(t.Context(), answer, 2*ttl)
					}
				}
			case 3, 4, 5:
				var also []Entry
				for range random.IntN(3) {
					also = append(also, Entry{keyOf(random.IntN(60)), longAnswer(random.IntN(6000))})
				}
				_ = cache.Put(t.Context(), "acme", key, answer, ttl, also...)
			case 6:
				passInRedis(t, o.Client, ttl/4)
			case 7: // evicted
				if places, _ := o.Client.Keys(t.Context(), "*:answer:*").Result(); len(places) > 0 && random.IntN(4) == 0 {
					o.Client.Del(t.Context(), places[0])
				}
			}
			for _, account := range []string{"answers", "claimed answers"} {
				checkAccount(t, o, account, step)
			}
		}
		passInRedis(t, o.Client, 41*time.Minute)
		if keys, err := o.Client.Keys(t.Context(), "*").Result(); err != nil || len(keys) > 0 {
			t.Errorf("when all has ended there are %q, %v", keys, err)
		}
	}
}

// checkAccount adds up a tenant's account.
func checkAccount(t *testing.T, o RedisOptions, account string, step int) {
	t.Helper()
	members, err := o.Client.ZRangeWithScores(t.Context(), o.keys("acme").Key(account), 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	total, sum := 0, 0
	for _, member := range members {
		name, bytes, ok := strings.Cut(member.Member.(string), ":")
		if !ok && name == "total" {
			total = int(member.Score)
			continue
		}
		n, err := strconv.Atoi(bytes)
		if err != nil || n < 512 {
			t.Fatalf("step %d: member %v", step, member)
		}
		sum += n
	}
	if total != sum || total > int(o.TenantBytes) {
		t.Fatalf("step %d: %s has a total of %d, and its members have %d; the room is %d", step, account, total, sum, o.TenantBytes)
	}
}

// Answers make room on a Cluster as well.
func TestAnswersMakeRoomOnACluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	o := redisOptions(t, limiter.RedisOptions{Addresses: cluster.Addrs(), Cluster: true})
	o.ClaimTimeout, o.Timeout, o.TenantBytes = 10*time.Second, 10*time.Second, 60_000
	claims, cache := NewRedisClaims(o), NewRedisCache(o)
	for tenant := range 3 {
		name := strconv.Itoa(tenant)
		testwait.For(t, patience, "the cluster", func() bool {
			return cache.Put(t.Context(), name, keyOf(0), longAnswer(1), time.Hour) == nil
		})
		for n := range 20 {
			if err := errors.Join(finishFor(t, claims, name, keyOf(n), longAnswer(4000)), cache.Put(t.Context(), name, keyOf(n), longAnswer(4000), time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if got := claimFor(t, claims, name, keyOf(0)); got != ErrNotKept.Error() {
			t.Errorf("the oldest is %.40q", got)
		}
		if _, ok, err := cache.Get(t.Context(), name, keyOf(0)); ok || err != nil {
			t.Errorf("the oldest is cached: %v", err)
		}
		if got := claimFor(t, claims, name, keyOf(19)); !strings.HasPrefix(got, "answer x") {
			t.Errorf("the newest is %.40q", got)
		}
	}
}
