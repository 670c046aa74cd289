package alipaycaddy

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// TestTimeoutsOfRedis holds that each use of Redis has the time that its package
// documents, with the client that all of them share: it is over then, and succeeds
// with an answer that takes less, though not much less.
func TestTimeoutsOfRedis(t *testing.T) {
	const brief, long = 50 * time.Millisecond, 250 * time.Millisecond
	limit := limiter.Limit{Requests: 50, Per: time.Second}
	sealing := must(seal.New([32]byte{1}))
	type use func(t *testing.T, s *redisStore) (do func(ctx context.Context) error)
	claimed := func(then func(context.Context, replay.Claim) error) use {
		return func(t *testing.T, s *redisStore) func(context.Context) error {
			claim, _, err := s.claims(sealing).Claim(t.Context(), "acme", replay.Key{1}, [32]byte{}, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			return func(ctx context.Context) error { return then(ctx, claim) }
		}
	}
	cached := func(do func(context.Context, replay.Cache) error) use {
		return func(_ *testing.T, s *redisStore) func(context.Context) error {
			answers, _ := s.answers(sealing, 0)
			return func(ctx context.Context) error { return do(ctx, answers) }
		}
	}
	shared := func(do func(context.Context, token.Share) error) use {
		return func(_ *testing.T, s *redisStore) func(context.Context) error {
			share := s.tokens(sealing, "acme")
			return func(ctx context.Context) error { return do(ctx, share) }
		}
	}
	for name, test := range map[string]struct {
		timeout time.Duration
		// parts is how many answers, or attempts, have an equal part of that; 1 if it is 0.
		parts int
		use   use
	}{
		"what has no deadline": {timeout: brief, use: func(_ *testing.T, s *redisStore) func(context.Context) error {
			return func(ctx context.Context) error { return s.client.Ping(context.WithoutCancel(ctx)).Err() }
		}},
		"permit": {timeout: brief, use: func(t *testing.T, s *redisStore) func(context.Context) error {
			w, err := limiter.NewRedisWindow(s.client, limiter.RedisWindowOptions{Key: "acme", Replicas: 1, Limit: limit})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Reserve(t.Context(), limit); err != nil {
				t.Fatal(err)
			}
			_ = w.Close() // no exchange in the background comes in between
			w, _ = limiter.NewRedisWindow(s.client, limiter.RedisWindowOptions{Key: "acme", Replicas: 1, Limit: limit})
			t.Cleanup(func() { _ = w.Close() })
			return func(ctx context.Context) error {
				_, _ = w.Reserve(ctx, limit)
				if w.State() != limiter.Shared {
					return context.DeadlineExceeded
				}
				return nil
			}
		}},
		"budget": {timeout: brief, use: func(_ *testing.T, s *redisStore) func(context.Context) error {
			b := s.budgets()
			return func(ctx context.Context) error {
				_, _, err := b.Take(ctx, budget.Key{Tenant: "acme"}, 1, 10, time.Now().Add(time.Hour))
				return err
			}
		}},
		"breakers": {timeout: brief, use: func(_ *testing.T, s *redisStore) func(context.Context) error {
			return func(context.Context) error {
				b := s.breakers()
				b.Start()
				synctest.Wait() // it polls
				return b.Close()
			}
		}},
		"holds": {timeout: brief, use: func(_ *testing.T, s *redisStore) func(context.Context) error {
			return func(context.Context) error {
				h := s.holds(time.Hour)
				h.Start()
				synctest.Wait() // it polls
				return h.Close()
			}
		}},
		"ledger's lines": {timeout: time.Second, parts: 2, use: func(_ *testing.T, s *redisStore) func(context.Context) error {
			return func(context.Context) error {
				l := s.ledger(sealing, time.UTC)
				l.Start()
				l.Record(ledger.Line{Time: time.Now(), Tenant: "acme"})
				return l.Close()
			}
		}},
		"ledger's totals": {timeout: 10 * time.Second, parts: 2, use: func(_ *testing.T, s *redisStore) func(context.Context) error {
			l := s.ledger(sealing, time.UTC)
			return func(ctx context.Context) error { _, err := l.Totals(ctx, ledger.Query{}); return err }
		}},
		"eviction": {timeout: evictionTimeout, use: func(_ *testing.T, s *redisStore) func(context.Context) error {
			return func(ctx context.Context) error { return s.warnOfEviction(ctx, zap.NewNop()) }
		}},
		"claim": {timeout: brief, use: func(_ *testing.T, s *redisStore) func(context.Context) error {
			claims, next := s.claims(sealing), byte(0)
			return func(ctx context.Context) error {
				next++
				_, _, err := claims.Claim(ctx, "acme", replay.Key{next}, [32]byte{}, time.Hour)
				return err
			}
		}},
		"leave":   {timeout: long, parts: 2, use: claimed(func(ctx context.Context, c replay.Claim) error { return c.Leave(ctx, time.Minute, time.Hour) })},
		"extend":  {timeout: long, parts: 2, use: claimed(func(ctx context.Context, c replay.Claim) error { return c.Extend(ctx, time.Minute, time.Hour) })},
		"finish":  {timeout: long, parts: 2, use: claimed(func(ctx context.Context, c replay.Claim) error { return c.Finish(ctx, replay.Answer{}, time.Hour) })},
		"served":  {timeout: long, parts: 2, use: claimed(func(ctx context.Context, c replay.Claim) error { return c.Served(ctx, time.Hour) })},
		"hold":    {timeout: long, parts: 2, use: claimed(func(ctx context.Context, c replay.Claim) error { return c.Hold(ctx, time.Hour) })},
		"release": {timeout: long, parts: 2, use: claimed(func(ctx context.Context, c replay.Claim) error { return c.Release(ctx) })},
		"answer, read": {timeout: long, parts: 2, use: cached(func(ctx context.Context, c replay.Cache) error {
			_, _, err := c.Get(ctx, "acme", replay.Key{1})
			return err
		})},
		"answer, kept": {timeout: long, parts: 2, use: cached(func(ctx context.Context, c replay.Cache) error {
			return c.Put(ctx, "acme", replay.Key{1}, replay.Answer{}, time.Hour)
		})},
		"token, read": {timeout: long, use: shared(func(ctx context.Context, s token.Share) error { _, err := s.Load(ctx); return err })},
		"token, kept": {timeout: long, use: shared(func(ctx context.Context, s token.Share) error {
			return s.Store(ctx, token.Token{Access: "a", Expiry: time.Now().Add(time.Hour)})
		})},
		"token, dropped": {timeout: long, use: shared(func(ctx context.Context, s token.Share) error { return s.Drop(ctx, "a") })},
		"token, leased": {timeout: long, use: shared(func(ctx context.Context, s token.Share) error {
			_, _, err := s.Lease(ctx, time.Minute)
			return err
		})},
	} {
		t.Run(name, func(t *testing.T) {
			network := redistest.NewNetwork(t)
			slow := test.timeout / time.Duration(max(test.parts, 1)) * 9 / 10
			testwait.Bubble(t, func(t *testing.T) {
				client, err := limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{redistest.Anywhere}})
				if err != nil {
					t.Fatal(err)
				}
				network.Connect(client)
				t.Cleanup(func() {
					_ = client.Close()
					time.Sleep(time.Minute) // what runs ends
				})
				s := &redisStore{client: client, replicas: 1}
				do := test.use(t, s)
				if err := do(t.Context()); err != nil { // it is connected, and the script is there
					t.Fatal(err)
				}
				network.Break(redistest.Fault{Slow: slow})
				if err := do(t.Context()); err != nil {
					t.Errorf("with an answer after %v: %v", slow, err)
				}
				network.Break(redistest.Fault{Swallows: true})
				began := time.Now()
				_ = do(t.Context())
				if took := time.Since(began); took != test.timeout {
					t.Errorf("without an answer it ends after %v, want %v", took, test.timeout)
				}
				network.Heal()
			})
		})
	}
}
