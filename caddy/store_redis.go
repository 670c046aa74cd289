package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/consent"
	"github.com/caddy-alipayai/gateway/alipayai/holds"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/failover/canary"
	"github.com/caddy-alipayai/gateway/internal/record"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/limiter"
)

// redisStore is the store in Redis.
type redisStore struct {
	client      redis.UniversalClient
	replicas    int
	tenantBytes int64
	inspected   atomic.Bool
	// background is what calls have begun and do not wait for.
	background sync.WaitGroup
}

// window implements store.
func (s *redisStore) window(account string, limit limiter.Limit, provider string) limiter.Window {
	l, tell := new(lazyWindow), tellState(provider)
	l.make = func() (*limiter.RedisWindow, error) {
		return limiter.NewRedisWindow(s.client, limiter.RedisWindowOptions{
			Key: account, Replicas: s.replicas, Limit: limit, OnState: func(state limiter.State, err error) {
				l.why.Store(&err)
				tell(state, err)
			},
		})
	}
	return l
}

// breakers implements store.
func (s *redisStore) breakers() breakers {
	return failover.NewSharedBreakers(s.client, "breakers")
}

// holds implements store.
func (s *redisStore) holds(longest time.Duration) sharedHolds {
	return redisHolds{holds.NewRedis(s.client, longest)}
}

// redisHolds are what replicas hold, in Redis.
type redisHolds struct{ *holds.Redis }

// account implements sharedHolds.
func (h redisHolds) account(host, account string) upstream.SharedHold {
	return h.Account(host, account)
}

// claims implements store.
func (s *redisStore) claims(sealing *seal.Seal) replay.Claims {
	return replay.NewRedisClaims(s.replayOptions(sealing))
}

// answers implements store. The server bounds them by tenant, not by maxBytes.
func (s *redisStore) answers(sealing *seal.Seal, _ int64) (cache replay.Cache, remote bool) {
	return replay.NewRedisCache(s.replayOptions(sealing)), true
}

// maxResponseBytes is the size of the largest response that is kept with what it goes on from, as in memory.
const maxResponseBytes = responseBytes / 8

// responses implements store.
func (s *redisStore) responses(sealing *seal.Seal) replay.Cache {
	options := s.replayOptions(sealing)
	options.Namespace, options.MaxBytes = "responses", maxResponseBytes
	return replay.NewRedisCache(options)
}

func (s *redisStore) replayOptions(sealing *seal.Seal) replay.RedisOptions {
	return replay.RedisOptions{Client: s.client, Namespace: "answers", Seal: sealing, TenantBytes: s.tenantBytes, Background: s.background.Go}
}

// ledger implements store.
func (s *redisStore) ledger(sealing *seal.Seal, zone *time.Location) sharedLedger {
	shared := ledger.NewShared(s.client, sealing, zone)
	shared.Lost = tellNotShared
	return shared
}

// budgets implements store.
func (s *redisStore) budgets() sharedBudgets { return budget.NewRedis(s.client, s.replicas) }

// states implements store.
func (s *redisStore) states(string) canary.Store { return canary.NewRedis(s.client) }

// tokens implements store.
func (s *redisStore) tokens(sealing *seal.Seal, name string) token.Share {
	return token.NewRedis(s.client, name, sealing, time.Now)
}

// record implements store.
func (s *redisStore) record(_ certmagic.Storage, kind, name string) record.Store {
	return record.NewRedis(s.client, kind, name)
}

// consents implements store.
func (s *redisStore) consents(certmagic.Storage) consent.Store { return consent.NewRedis(s.client) }

// firstConnections are how many calls find a connection when they begin at once.
const firstConnections = 8

// connect implements connecting. Why Redis is not reached is said by those who use it.
func (s *redisStore) connect(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for range firstConnections {
		all.Go(func() {
			for range 3 { // the first may find out no more than that a cluster's nodes are not known
				if err := s.each(ctx, func(ctx context.Context, server *redis.Client) error { return server.Time(ctx).Err() }); err == nil || ctx.Err() != nil {
					return
				}
			}
		})
	}
}

// each asks the server, or each master of a cluster.
func (s *redisStore) each(ctx context.Context, ask func(context.Context, *redis.Client) error) error {
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		return c.ForEachMaster(ctx, ask)
	case *redis.Client:
		return ask(ctx, c)
	}
	return nil
}

// evictionTimeout bounds the question what Redis does when its memory is full, and
// evictionPause is between two of them where it is away or slow.
const evictionTimeout, evictionPause = 5 * time.Second, 500 * time.Millisecond

// inspect implements store: it asks the servers, once, when they can be reached.
func (s *redisStore) inspect(ctx context.Context, logger *zap.Logger) {
	for !s.inspected.Load() {
		err := s.warnOfEviction(ctx, logger)
		// A refusal is an answer as well; that a server still loads its data is none.
		_, refused := errors.AsType[redis.Error](err)
		if err == nil || refused && !redis.HasErrorPrefix(err, "LOADING") {
			s.inspected.Store(true)
			return
		}
		select {
		case <-time.After(evictionPause):
		case <-ctx.Done():
			return
		}
	}
}

// Close ends the connections, when what calls have begun has ended.
func (s *redisStore) Close() error {
	s.background.Wait()
	return s.client.Close()
}

// redisLog takes what go-redis says of its own accord, into Caddy's log.
type redisLog struct{}

// Printf implements go-redis's logger.
func (redisLog) Printf(_ context.Context, format string, v ...any) {
	live.Log(caddy.Log()).Named("alipayai.redis").Debug(fmt.Sprintf(format, v...))
}

func init() { redis.SetLogger(redisLog{}) }

// warnOfEviction says in the log that Redis may drop idempotency keys before their
// time: then a call can be served twice. It asks by INFO, which more servers permit
// than CONFIG; one that does not permit it, or that does not say, is not warned of.
func (s *redisStore) warnOfEviction(ctx context.Context, logger *zap.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, evictionTimeout)
	defer cancel()
	ask := func(ctx context.Context, server *redis.Client) error {
		info, err := server.Info(ctx, "memory").Result()
		if err != nil {
			return err
		}
		policy := evictionPolicy(info)
		logger.Debug("Redis says what it does when its memory is full", zap.String("maxmemory_policy", policy))
		if policy != "" && policy != "noeviction" {
			logger.Warn("Redis may evict idempotency keys when its memory is full, and their calls could be served twice; set maxmemory-policy noeviction",
				zap.String("maxmemory_policy", policy))
		}
		return nil
	}
	err := s.each(ctx, ask)
	if err != nil {
		logger.Debug("Redis does not say what it does when its memory is full", zap.Error(err))
	}
	return err
}

// evictionPolicy reads what Redis does when its memory is full; it is empty where
// there is no such time.
func evictionPolicy(info string) (policy string) {
	bounded := false
	for line := range strings.Lines(info) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name {
		case "maxmemory":
			bounded = value != "0"
		case "maxmemory_policy":
			policy = value
		}
	}
	if !bounded {
		return ""
	}
	return policy
}

// tellState tells of the store's state through the process's log: the window
// outlives the configuration that made it.
func tellState(provider string) func(limiter.State, error) {
	return func(state limiter.State, err error) {
		logger := live.Log(caddy.Log()).Named("alipayai").With(zap.String("provider", provider))
		if state == limiter.Degraded {
			logger.Error("redis is away: each replica keeps to its part of the rate limit", zap.Error(err))
			return
		}
		logger.Info("redis decides the rate limit of all replicas", zap.Error(err)) // which says if it has lost its permits
	}
}

// lazyWindow makes its window when it is first needed: a configuration that is
// only validated must not connect to anything.
type lazyWindow struct {
	make func() (*limiter.RedisWindow, error)
	why  atomic.Pointer[error] // of the last change of state

	mu     sync.Mutex
	window *limiter.RedisWindow
	err    error
}

func (l *lazyWindow) get() (*limiter.RedisWindow, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.window == nil && l.err == nil {
		l.window, l.err = l.make()
	}
	return l.window, l.err
}

// Close ends the window, if there is one.
func (l *lazyWindow) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.window == nil {
		return nil
	}
	return l.window.Close()
}

// Reserve implements limiter.Window.
func (l *lazyWindow) Reserve(ctx context.Context, limit limiter.Limit) (limiter.Slot, error) {
	w, err := l.get()
	if err != nil {
		return limiter.Slot{}, err
	}
	return w.Reserve(ctx, limit)
}

// Return implements limiter.Window.
func (l *lazyWindow) Return(s limiter.Slot) {
	if w, err := l.get(); err == nil {
		w.Return(s)
	}
}

// Next implements limiter.Window.
func (l *lazyWindow) Next(limit limiter.Limit, now time.Time) time.Time {
	w, err := l.get()
	if err != nil {
		return now
	}
	return w.Next(limit, now)
}

// NextAfter implements limiter.Window.
func (l *lazyWindow) NextAfter(limit limiter.Limit, from time.Time, pace time.Duration, ahead int) time.Time {
	w, err := l.get()
	if err != nil {
		return from
	}
	return w.NextAfter(limit, from, pace, ahead)
}

// Sharers implements limiter.Window.
func (l *lazyWindow) Sharers() int {
	w, err := l.get()
	if err != nil {
		return 1
	}
	return w.Sharers()
}

// Throttle implements limiter.Window.
func (l *lazyWindow) Throttle(d time.Duration) {
	if w, err := l.get(); err == nil {
		w.Throttle(d)
	}
}

// Rate implements limiter.Window.
func (l *lazyWindow) Rate(limit limiter.Limit, now time.Time) float64 {
	w, err := l.get()
	if err != nil {
		return 0
	}
	return w.Rate(limit, now)
}

// State says who gives permits.
func (l *lazyWindow) State() limiter.State {
	w, err := l.get()
	if err != nil {
		return limiter.Degraded
	}
	return w.State()
}

// Away is for how long it has been degraded.
func (l *lazyWindow) Away() time.Duration {
	w, err := l.get()
	if err != nil {
		return math.MaxInt64
	}
	return w.Away()
}

// Lost says why it is degraded.
func (l *lazyWindow) Lost() error {
	why := l.why.Load()
	if why == nil || l.State() != limiter.Degraded {
		return nil
	}
	return *why
}

// Start makes the window, which connects it; it may be called at any time.
func (l *lazyWindow) Start() { _, _ = l.get() }

// Interface guards
var (
	_ store        = (*redisStore)(nil)
	_ io.Closer    = (*redisStore)(nil)
	_ connecting   = (*redisStore)(nil)
	_ sharedWindow = (*lazyWindow)(nil)
)
