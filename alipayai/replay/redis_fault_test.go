package replay

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

const (
	// The bounds that are promised, for a claim and after a fault.
	blockedAtMost   = 60 * time.Millisecond
	recoveredWithin = 2 * time.Second
)

func TestRedisAway(t *testing.T) {
	for name, start := range redistest.Outages() {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			o := redisOptions(t, limiter.RedisOptions{Addresses: []string{server.Addr}})
			claims, cache := NewRedisClaims(o), NewRedisCache(o)
			o.ClaimTimeout = 10 * time.Second
			unhurried := NewRedisClaims(o)
			finishing := mustClaim(t, unhurried, keyOf(1), requestOf(1), time.Minute)
			holding := mustClaim(t, unhurried, keyOf(2), requestOf(2), time.Minute)
			server.Break()
			for range 5 {
				claim, _, err := claims.Claim(t.Context(), tenantOf(keyOf(3)), keyOf(3), requestOf(3), time.Millisecond)
				if claim != nil || !errors.Is(err, ErrUnavailable) {
					t.Fatalf("a claim without Redis: %v", err)
				}
			}
			for what, err := range map[string]error{
				"get":     func() error { _, _, err := cache.Get(t.Context(), tenantOf(keyOf(1)), keyOf(1)); return err }(),
				"put":     cache.Put(t.Context(), tenantOf(keyOf(1)), keyOf(1), answerOf("it"), time.Minute),
				"leave":   finishing.Leave(t.Context(), time.Minute, time.Hour),
				"extend":  finishing.Extend(t.Context(), time.Minute, time.Hour),
				"served":  holding.Served(t.Context(), time.Minute),
				"finish":  finishing.Finish(t.Context(), answerOf("it"), time.Minute),
				"hold":    holding.Hold(t.Context(), time.Minute),
				"release": holding.Release(t.Context()),
			} {
				answered := what == "get" && server.Reads || (what == "release" || what == "put") && server.Deletes
				if answered != (err == nil) || !answered && !errors.Is(err, ErrUnavailable) {
					t.Errorf("%s without Redis: %v", what, err)
				}
			}
			server.Heal()
			testwait.For(t, patience, "a claim", func() bool {
				claim, _, _ := claims.Claim(t.Context(), tenantOf(keyOf(4)), keyOf(4), requestOf(4), time.Minute)
				return claim != nil
			})
			// What has ended meanwhile is told once more, and kept.
			testwait.For(t, patience, "the answer to be kept", func() bool {
				return finishing.Finish(t.Context(), answerOf("it"), time.Minute) == nil
			})
			wantClaim(t, unhurried, keyOf(1), requestOf(1), "answer it")
		})
	}
}

// How long a claim may block while Redis is away, and how soon claims are back, is
// promised: it is judged in the time of a bubble, since a machine may be busy.
func TestPromisesInFaults(t *testing.T) {
	for name, fault := range redistest.Faults() {
		t.Run(name, func(t *testing.T) {
			network := redistest.NewNetwork(t)
			network.OneWay = 200 * time.Microsecond
			testwait.Bubble(t, func(t *testing.T) {
				o := redisOptions(t, limiter.RedisOptions{Addresses: []string{redistest.Anywhere}})
				network.Connect(o.Client)
				claims := NewRedisClaims(o)
				mustClaim(t, claims, keyOf(1), requestOf(1), time.Minute)
				network.Break(fault)
				for range 5 {
					began := time.Now()
					claim, _, err := claims.Claim(t.Context(), tenantOf(keyOf(3)), keyOf(3), requestOf(3), time.Millisecond)
					if took := time.Since(began); claim != nil || !errors.Is(err, ErrUnavailable) || took > blockedAtMost {
						t.Errorf("a claim without Redis: %v after %v, want at most %v", err, took, blockedAtMost)
					}
				}
				network.Heal()
				healed := time.Now()
				testwait.For(t, recoveredWithin, "a claim", func() bool {
					claim, _, _ := claims.Claim(t.Context(), tenantOf(keyOf(4)), keyOf(4), requestOf(4), time.Minute)
					return claim != nil
				})
				t.Logf("claims are back after %v", time.Since(healed))
				testwait.Pass(time.Minute) // what was lost is released in the background
			})
		})
	}
}

// A claim that is made although its reply was lost has no owner: it is released, so that the call may be
// repeated; where that is lost as well, its lease ends by itself.
func TestClaimWhoseReplyIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		timeout time.Duration // of the release
		freed   bool
	}{
		"it is released":              {10 * time.Second, true},
		"its release is lost as well": {time.Nanosecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			o := patientOptions(t, server.Addr)
			patient := NewRedisClaims(o)
			o.ClaimTimeout, o.Timeout = defaultClaimTimeout, c.timeout
			if err := mustClaim(t, patient, keyOf(1), requestOf(1), time.Hour).Release(t.Context()); err != nil {
				t.Fatal(err) // there is a connection, and the scripts are known
			}
			server.Pause()
			if claim, _, err := NewRedisClaims(o).Claim(t.Context(), tenantOf(keyOf(1)), keyOf(1), requestOf(1), time.Hour); claim != nil || !errors.Is(err, ErrUnavailable) {
				t.Fatalf("a claim without a reply: %v", err)
			}
			server.Resume()
			if c.freed {
				testwait.For(t, patience, "the release", func() bool {
					claim, _, _ := patient.Claim(t.Context(), tenantOf(keyOf(1)), keyOf(1), requestOf(1), time.Hour)
					return claim != nil
				})
				return
			}
			testwait.For(t, patience, "the claim is made", func() bool { size, err := server.Do("DBSIZE"); return err == nil && size == ":2" })
			wantClaim(t, patient, keyOf(1), requestOf(1), ErrInFlight.Error())
			passInRedis(t, o.Client, time.Hour)
			wantClaim(t, patient, keyOf(1), requestOf(1), "claimed")
		})
	}
}

// What waits for a Redis that does not answer ends when its own time is over: the client alone would wait for long.
func TestTimeouts(t *testing.T) {
	const quick = 5 * time.Millisecond
	claimIn := func(t *testing.T, o RedisOptions) error {
		_, _, err := NewRedisClaims(o).Claim(t.Context(), tenantOf(keyOf(2)), keyOf(2), requestOf(2), time.Minute)
		return err
	}
	getIn := func(t *testing.T, o RedisOptions) error {
		_, _, err := NewRedisCache(o).Get(t.Context(), tenantOf(keyOf(1)), keyOf(1))
		return err
	}
	for name, c := range map[string]struct {
		do            func(t *testing.T, o RedisOptions, claim Claim) error
		claim, others time.Duration // the timeouts that are set
		want          time.Duration
	}{
		"claim":       {func(t *testing.T, o RedisOptions, _ Claim) error { return claimIn(t, o) }, 0, 0, defaultClaimTimeout},
		"quick claim": {func(t *testing.T, o RedisOptions, _ Claim) error { return claimIn(t, o) }, quick, 0, quick},
		"get":         {func(t *testing.T, o RedisOptions, _ Claim) error { return getIn(t, o) }, 0, 0, defaultTimeout},
		"quick get":   {func(t *testing.T, o RedisOptions, _ Claim) error { return getIn(t, o) }, 0, quick, quick},
		"finish": {func(t *testing.T, _ RedisOptions, claim Claim) error {
			return claim.Finish(t.Context(), answerOf("it"), time.Minute)
		}, 0, 0, defaultTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			network := redistest.NewNetwork(t)
			testwait.Bubble(t, func(t *testing.T) {
				o := redisOptions(t, limiter.RedisOptions{Addresses: []string{redistest.Anywhere}})
				network.Connect(o.Client)
				o.ClaimTimeout, o.Timeout = c.claim, c.others
				claim := mustClaim(t, NewRedisClaims(o), keyOf(1), requestOf(1), time.Minute)
				network.Break(redistest.Fault{Swallows: true})
				began := time.Now()
				if err := c.do(t, o, claim); !errors.Is(err, ErrUnavailable) {
					t.Error(err)
				}
				if took := time.Since(began); took != c.want {
					t.Errorf("it took %v, want %v", took, c.want)
				}
				network.Heal()
				time.Sleep(time.Minute) // what was lost is released in the background
			})
		})
	}
}

func TestReplyLostWithItsConnection(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(context.Context, Claim) error
		want string
	}{
		"claim":   {func(context.Context, Claim) error { return nil }, ErrInFlight.Error()},
		"leave":   {func(ctx context.Context, c Claim) error { return c.Leave(ctx, time.Minute, time.Hour) }, ErrInFlight.Error()},
		"extend":  {func(ctx context.Context, c Claim) error { return c.Extend(ctx, time.Minute, time.Hour) }, ErrInFlight.Error()},
		"served":  {func(ctx context.Context, c Claim) error { return c.Served(ctx, time.Minute) }, ErrNotKept.Error()},
		"finish":  {func(ctx context.Context, c Claim) error { return c.Finish(ctx, answerOf("it"), time.Minute) }, "answer it"},
		"hold":    {func(ctx context.Context, c Claim) error { return c.Hold(ctx, time.Minute) }, ErrHeld.Error()},
		"release": {func(ctx context.Context, c Claim) error { return c.Release(ctx) }, "claimed"},
	} {
		t.Run(name, func(t *testing.T) {
			o := patientOptions(t, startRedis(t))
			link := new(lossy)
			o.Client.AddHook(link)
			claims := NewRedisClaims(o)
			mustClaim(t, claims, keyOf(2), requestOf(2), time.Minute) // connects
			link.lose.Store(true)
			claim := mustClaim(t, claims, keyOf(1), requestOf(1), time.Minute)
			link.lose.Store(true)
			if err := c.end(t.Context(), claim); err != nil {
				t.Error(err)
			}
			wantClaim(t, claims, keyOf(1), requestOf(1), c.want)
			if link.lose.Load() {
				t.Error("no reply was lost")
			}
		})
	}
}

// A master that is lost takes no claim with it: its replica has them, and until then nothing can be claimed.
func TestClaimsThroughAClusterFailover(t *testing.T) {
	cluster := redistest.StartCluster(t)
	o := redisOptions(t, limiter.RedisOptions{Addresses: cluster.Addrs(), Cluster: true})
	claims := NewRedisClaims(o)
	var keys []Key // of the same master
	for n := 0; len(keys) < 4; n++ {
		if cluster.Owner(placeOf(o, "claim", keyOf(n))) == 0 {
			keys = append(keys, keyOf(n))
		}
	}
	open := make([]Claim, 3)
	for i := range open {
		testwait.For(t, patience, "a claim", func() (ok bool) {
			open[i], _, _ = claims.Claim(t.Context(), tenantOf(keys[i]), keys[i], requestOf(i), time.Minute)
			return open[i] != nil
		})
	}
	if err := errors.Join(open[1].Finish(t.Context(), answerOf("it"), time.Minute), open[2].Hold(t.Context(), time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got, err := cluster.Masters[0].Do("WAIT", "1", "5000"); got != ":1" {
		t.Fatalf("%s replicas have it, %v", got, err)
	}
	cluster.Masters[0].Kill()
	if claim, _, err := claims.Claim(t.Context(), tenantOf(keys[3]), keys[3], requestOf(3), time.Minute); claim != nil || !errors.Is(err, ErrUnavailable) {
		t.Errorf("without its master a key is claimed: %v, %v", claim, err)
	}
	testwait.For(t, patience, "the replica to become master, and the claims to come back", func() bool {
		_, answer, _ := claims.Claim(t.Context(), tenantOf(keys[1]), keys[1], requestOf(1), time.Minute)
		return answer != nil && string(answer.Body) == "it"
	})
	wantClaim(t, claims, keys[2], requestOf(2), ErrHeld.Error())
	wantClaim(t, claims, keys[0], requestOf(0), ErrInFlight.Error())
	if err := open[0].Finish(t.Context(), answerOf("late"), time.Minute); err != nil {
		t.Error(err)
	}
	wantClaim(t, claims, keys[0], requestOf(0), "answer late")
}

// A claim that failed is released where it may have been made, and only there.
func TestClaimIsReleasedWhereItMayHaveBeenMade(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int32 // commands, each with its repeat
	}{
		"its reply is lost":     {io.EOF, 4},
		"there is no server":    {&net.OpError{Op: "dial", Err: io.EOF}, 2},
		"the client was closed": {redis.ErrClosed, 1},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				client := redis.NewClient(&redis.Options{
					Addr: "127.0.0.1:1", MaxRetries: -1, ContextTimeoutEnabled: true,
					MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
				})
				defer client.Close()
				link := &failing{err: c.err}
				client.AddHook(link)
				claims := NewRedisClaims(RedisOptions{Client: client, Namespace: "test", Seal: newSeal(t, 1)})
				claim, _, err := claims.Claim(t.Context(), "acme", keyOf(1), requestOf(1), time.Minute)
				if claim != nil || !errors.Is(err, c.err) {
					t.Errorf("claim %v, %v", claim, err)
				}
				synctest.Wait()
				if got := link.commands.Load(); got != c.want {
					t.Errorf("%d commands, want %d", got, c.want)
				}
			})
		})
	}
}
