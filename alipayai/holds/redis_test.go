package holds

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

const (
	// heardWithin is two polls, and what a busy machine may add.
	heardWithin = 5 * time.Second
	longest     = 15 * time.Minute
)

// quietLogger drops what the client says of servers that tests have broken.
type quietLogger struct{}

func (quietLogger) Printf(context.Context, string, ...any) {}

// TestMain fails the package when a test leaves a goroutine behind.
func TestMain(m *testing.M) {
	redis.SetLogger(quietLogger{})
	goleak.VerifyTestMain(m)
}

// newReplica is the holds of one replica, through a client of its own, whose Redis is never away because the machine is busy. It
// is not started.
func newReplica(t *testing.T, addr string) *Redis {
	t.Helper()
	r := replicaOf(t, redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true, DisableIdentity: true}))
	r.exchange.Timeout = heardWithin
	return r
}

// newHastyReplica is one that gives Redis as long as replicas do.
func newHastyReplica(t *testing.T, addr string) *Redis {
	t.Helper()
	client, err := limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	return replicaOf(t, client)
}

func replicaOf(t *testing.T, client redis.UniversalClient) *Redis {
	r := NewRedis(client, longest)
	t.Cleanup(func() {
		_ = r.Close()
		_ = client.Close()
	})
	return r
}

// start starts it.
func start(t *testing.T, addr string) *Redis {
	t.Helper()
	r := newReplica(t, addr)
	r.Start()
	return r
}

// account is the one that the tests' holds are of.
func account(r *Redis) *Account { return r.Account("api.example.com:443", "the-account") }

// eventually waits until a replica knows that a hold lasts for that long, to some seconds.
func eventually(t *testing.T, a *Account, model string, want time.Duration) {
	t.Helper()
	testwait.For(t, heardWithin, model+" to be held for "+want.String(), func() bool {
		left := a.Left(time.Now(), model)
		return left > want-heardWithin && left < want+heardWithin
	})
}

// TestReplicasShareHolds holds at one replica: the others hold the same and nothing more.
func TestReplicasShareHolds(t *testing.T) {
	for name, tt := range map[string]struct {
		model       string // that is held; "" for the account
		same, other bool   // model "a" and model "b" are
	}{
		"a model":     {"a", true, false},
		"the account": {"", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			first, second := start(t, server.Addr), start(t, server.Addr)
			account(first).Extend(time.Now(), time.Minute, tt.model)
			for i, r := range []*Redis{first, second} {
				eventually(t, account(r), tt.model, time.Minute)
				for model, want := range map[string]bool{"a": tt.same, "b": tt.other, "": tt.model == ""} {
					if held := account(r).Left(time.Now(), model) > 0; held != want {
						t.Errorf("replica %d: model %q is held: %t", i, model, held)
					}
				}
				for name, other := range map[string]*Account{
					"another account": r.Account("api.example.com:443", "another"),
					"another host":    r.Account("other.example.com:443", "the-account"),
				} {
					if left := other.Left(time.Now(), "a"); left != 0 {
						t.Errorf("replica %d: %s is held for %v", i, name, left)
					}
				}
			}
			// One that starts later knows it too, also when the first has ended.
			if err := first.Close(); err != nil {
				t.Error(err)
			}
			eventually(t, account(start(t, server.Addr)), tt.model, time.Minute)
		})
	}
}

// TestHoldsEnd looks at the end of a hold, after which nothing is left of it.
func TestHoldsEnd(t *testing.T) {
	server := redistest.Start(t)
	first, second := start(t, server.Addr), start(t, server.Addr)
	began := time.Now()
	account(first).Extend(began, 3*time.Second, "a")
	testwait.For(t, heardWithin, "the other to hold", func() bool { return account(second).Left(time.Now(), "a") > 0 })
	testwait.For(t, heardWithin, "the hold to end", func() bool { return account(second).Left(time.Now(), "a") == 0 })
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("the other held for %v", took)
	}
	testwait.For(t, heardWithin, "Redis to forget it", func() bool {
		keys, err := first.exchange.Client.Keys(t.Context(), "*").Result()
		return err == nil && len(keys) == 0
	})
	testwait.For(t, heardWithin, "the first to forget it", func() bool {
		first.mu.Lock()
		defer first.mu.Unlock()
		return len(first.own) == 0
	})
}

// TestHoldsOnlyLastLonger extends a hold by less and by more, at the same replica and at another.
func TestHoldsOnlyLastLonger(t *testing.T) {
	server := redistest.Start(t)
	replicas := []*Redis{newReplica(t, server.Addr), newReplica(t, server.Addr)}
	lasts := func(want time.Duration) {
		t.Helper()
		for i, r := range replicas {
			r.poll()
			if left := account(r).Left(time.Now(), "a"); left > want+time.Second || left < want-heardWithin {
				t.Errorf("replica %d holds for %v, want %v", i, left, want)
			}
		}
	}
	for _, step := range []struct {
		at           int
		extend, want time.Duration
	}{{0, time.Minute, time.Minute}, {0, time.Second, time.Minute}, {1, 10 * time.Second, time.Minute}, {1, 2 * time.Minute, 2 * time.Minute}, {0, time.Minute, 2 * time.Minute}} {
		account(replicas[step.at]).Extend(time.Now(), step.extend, "a")
		replicas[step.at].poll()
		lasts(step.want)
	}
	late := newReplica(t, server.Addr) // and does not know yet
	account(late).Extend(time.Now(), time.Second, "a")
	late.poll()
	replicas = append(replicas, late)
	lasts(2 * time.Minute)
}

// TestStatesWhatRedisLacks looks at what an exchange states: the holds of this replica that Redis does not know, and no
// others, so that it writes only where there is something new.
func TestStatesWhatRedisLacks(t *testing.T) {
	server := redistest.Start(t)
	first, second := newReplica(t, server.Addr), newReplica(t, server.Addr)
	states := func(r *Redis, want int) {
		t.Helper()
		if got := len(r.pending(time.Now())) / 2; got != want {
			t.Errorf("states %d holds, want %d", got, want)
		}
		r.poll()
	}
	account(first).Extend(time.Now(), time.Minute, "a")
	states(first, 1)
	states(first, 0)
	states(second, 0) // it states none but its own
	states(second, 0)
	account(first).Extend(time.Now(), time.Second, "a")
	states(first, 0)
	server.Kill()
	server.Restart()
	testwait.For(t, heardWithin, "the loss to be seen", func() bool { first.poll(); return len(first.pending(time.Now())) == 2 })
	testwait.For(t, heardWithin, "the other to hold again", func() bool {
		first.poll()
		second.poll()
		return account(second).Left(time.Now(), "a") > 50*time.Second
	})
}

// TestFaults breaks Redis in all ways: what is known goes on to its end, what is answered meanwhile holds the others
// as soon as Redis is back, for what is left of it.
func TestFaults(t *testing.T) {
	for name, outage := range redistest.Outages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := outage(t)
			first, second := newHastyReplica(t, server.Addr), newHastyReplica(t, server.Addr)
			first.Start()
			second.Start()
			account(first).Extend(time.Now(), time.Minute, "before")
			eventually(t, account(second), "before", time.Minute)
			server.Break()
			account(first).Extend(time.Now(), time.Minute, "meanwhile")
			account(second).Extend(time.Now(), 2*time.Minute, "before")
			for range 3 { // after each has polled in vain
				first.poll()
				second.poll()
			}
			if left := account(second).Left(time.Now(), "before"); left < time.Minute-2*heardWithin {
				t.Errorf("what was known is held for %v", left)
			}
			if left := account(second).Left(time.Now(), "meanwhile"); left != 0 {
				t.Errorf("held for %v by what the other cannot know", left)
			}
			server.Heal()
			eventually(t, account(second), "meanwhile", time.Minute)
			eventually(t, account(first), "before", 2*time.Minute)
		})
	}
}

// stuck keeps each exchange with Redis until it is released.
type stuck struct{ begun, release chan struct{} }

func (stuck) DialHook(next redis.DialHook) redis.DialHook { return next }
func (stuck) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s stuck) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		s.begun <- struct{}{}
		<-s.release
		return next(ctx, cmd)
	}
}

// TestCallsDoNotWait makes calls while an exchange hangs.
func TestCallsDoNotWait(t *testing.T) {
	server := redistest.Start(t)
	r := newReplica(t, server.Addr)
	s := stuck{make(chan struct{}, 1), make(chan struct{})}
	r.exchange.Client.AddHook(s)
	r.Start()
	testwait.Receive(t, heardWithin, s.begun, "an exchange")
	for i := range 3 * maxHeld {
		account(r).Extend(time.Now(), time.Minute, strconv.Itoa(i))
		account(r).Left(time.Now(), "a")
	}
	go func() {
		for range s.begun { // of the exchanges after it
		}
	}()
	close(s.release)
	testwait.For(t, heardWithin, "the exchange to end", func() bool { return len(*r.known.Load()) == maxHeld })
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	close(s.begun)
}

// TestHoldsAreBounded fills Redis: the longest stay, and each replica states no more than its part.
func TestHoldsAreBounded(t *testing.T) {
	server := redistest.Start(t)
	first, second := newReplica(t, server.Addr), newReplica(t, server.Addr)
	for i := range maxHeld + 10 {
		account(first).Extend(time.Now(), time.Minute, strconv.Itoa(i))
	}
	if len(first.own) != maxHeld {
		t.Errorf("one replica states %d holds", len(first.own))
	}
	account(second).Extend(time.Now(), time.Second, "short")
	account(second).Extend(time.Now(), 2*time.Minute, "long")
	for _, r := range []*Redis{first, second, first} {
		r.poll()
	}
	if n, err := first.exchange.Client.ZCard(t.Context(), first.key).Result(); n != maxHeld || err != nil {
		t.Errorf("Redis holds %d, %v", n, err)
	}
	if left := account(first).Left(time.Now(), "long"); left == 0 {
		t.Error("the longest hold was dropped")
	}
	if left := account(first).Left(time.Now(), "short"); left != 0 {
		t.Errorf("the shortest hold lasts for %v", left)
	}
}

// TestReadsForeignValues reads what no replica of this version has written.
func TestReadsForeignValues(t *testing.T) {
	name := account(newReplica(t, "127.0.0.1:1")).name("a")
	now := float64(time.Now().UnixMicro())
	for test, tt := range map[string]struct {
		write func(context.Context, redis.UniversalClient, string) error
		least time.Duration
		most  time.Duration
	}{
		"endless":           {add(math.Inf(1), name), longest - time.Minute, longest},
		"a clock far ahead": {add(now*2, name), longest - time.Minute, longest},
		"over":              {add(1, name), 0, 0},
		"before all time":   {add(math.Inf(-1), name), 0, 0},
		"with a fraction":   {add(now+60e6+0.5, name), 30 * time.Second, time.Minute},
		"another name":      {add(math.Inf(1), strings.Repeat("x", 1000)), 0, 0},
		"no name":           {add(math.Inf(1), ""), 0, 0},
		"another type": {func(ctx context.Context, c redis.UniversalClient, key string) error {
			return c.Set(ctx, key, "text", 0).Err()
		}, 0, 0},
	} {
		t.Run(test, func(t *testing.T) {
			server := redistest.Start(t)
			r := newReplica(t, server.Addr)
			if err := tt.write(t.Context(), r.exchange.Client, r.key); err != nil {
				t.Fatal(err)
			}
			r.poll()
			if left := account(r).Left(time.Now(), "a"); left < tt.least || left > tt.most {
				t.Errorf("held for %v, want %v to %v", left, tt.least, tt.most)
			}
			// The key of whatever is there ends, once a replica has written to it.
			account(r).Extend(time.Now(), time.Second, "b")
			r.poll()
			if life := r.exchange.Client.PTTL(t.Context(), r.key).Val(); test != "another type" && (life <= 0 || life > longest) {
				t.Errorf("the key lives on for %v", life)
			}
		})
	}
}

func add(end float64, name string) func(context.Context, redis.UniversalClient, string) error {
	return func(ctx context.Context, c redis.UniversalClient, key string) error {
		return c.ZAdd(ctx, key, redis.Z{Score: end, Member: name}).Err()
	}
}

// TestKeysAreThoseOfRunningReplicas holds the key and the names, by which replicas of other versions know the holds, and
// that they show no host, account or model.
func TestKeysAreThoseOfRunningReplicas(t *testing.T) {
	server := redistest.Start(t)
	r := newReplica(t, server.Addr)
	account(r).Extend(time.Now(), time.Minute, "")
	account(r).Extend(time.Now(), time.Minute, "the-model")
	r.poll()
	keys := r.exchange.Client.Keys(t.Context(), "*").Val()
	if want := []string{"alipayai:{3b97260d76d3d7dfa0c66ca08ec5ac15}:holds"}; !slices.Equal(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	names := r.exchange.Client.ZRange(t.Context(), r.key, 0, -1).Val()
	slices.Sort(names)
	if want := []string{"6ec209c773dca07f5ff6c248782bb6c9", "be43cfb2727edb4c430df819397e7581"}; !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
	if life := r.exchange.Client.PTTL(t.Context(), r.key).Val(); life <= 0 || life > time.Minute {
		t.Errorf("the key lives on for %v", life)
	}
	if known := slices.Sorted(maps.Keys(*r.known.Load())); !slices.Equal(known, names) {
		t.Errorf("read %q, want %q", known, names)
	}
}
