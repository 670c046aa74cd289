package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/door/openai"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	providers "github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/limiter"
)

// perSecond is how many requests the Alipay AI API admits in any second.
const perSecond = 50

// rig is everything that runs.
type rig struct {
	alipay, claude *upstream
	replicas       []*replica
	// redis is nil where there is none: the replicas then share memory.
	redis  *redisServer
	memory *shared
	seen   *ledger
}

// shared is what replicas have in common.
type shared struct {
	window   limiter.Window
	breakers *failover.Breakers
	cache    replay.Cache
	claims   replay.Claims
	token    token.Share // nil for a token of one's own
	close    func()
}

func newRig(ctx context.Context, s settings) (r *rig, err error) {
	r = &rig{seen: newLedger()}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.redis, err = startRedis(ctx); errors.Is(err, errNoRedis) {
		r.memory = inMemory()
	} else if err != nil {
		return r, err
	}
	// Short lives make tokens end in the middle of it.
	alipay := sandbox.Config{TokenLife: 10 * time.Second}
	if r.alipay, err = newUpstream(ctx, first, "/v1/chat/completions", alipay); err != nil {
		return r, err
	}
	claude := sandbox.Config{Format: sandbox.Anthropic, RequestsPerSecond: -1}
	if r.claude, err = newUpstream(ctx, second, "/v1/messages", claude); err != nil {
		return r, err
	}
	for i := range s.replicas {
		one, err := newReplica(ctx, s, r, i)
		if err != nil {
			return r, err
		}
		r.replicas = append(r.replicas, one)
	}
	return r, nil
}

func (r *rig) upstreams() []*upstream { return []*upstream{r.alipay, r.claude} }

// share gives a replica what it has in common with the others.
func (r *rig) share(s settings, limit limiter.Limit) (*shared, error) {
	if r.memory != nil {
		return r.memory, nil
	}
	client, err := limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{r.redis.addr}})
	if err != nil {
		return nil, err
	}
	return inRedis(client, s, limit)
}

const namespace = "chaos"

func inRedis(client redis.UniversalClient, s settings, limit limiter.Limit) (*shared, error) {
	seal, err := seal.New(sha256.Sum256([]byte(namespace)))
	if err != nil {
		return nil, err
	}
	window, err := limiter.NewRedisWindow(client, limiter.RedisWindowOptions{Key: namespace, Replicas: s.replicas, Limit: limit})
	if err != nil {
		return nil, err
	}
	kept := replay.RedisOptions{Client: client, Namespace: namespace, Seal: seal}
	breakers := failover.NewSharedBreakers(client, namespace)
	breakers.Start()
	return &shared{
		window: window, breakers: breakers, cache: replay.NewRedisCache(kept), claims: replay.NewRedisClaims(kept),
		token: token.NewRedis(client, namespace, seal, time.Now),
		close: func() {
			_ = window.Close()
			_ = breakers.Close()
			_ = client.Close()
		},
	}, nil
}

// inMemory is for replicas of one process.
func inMemory() *shared {
	const budget = 64 << 20
	return &shared{
		window: limiter.NewMemoryWindow(time.Now), breakers: new(failover.Breakers),
		cache:  replay.NewMemoryCache(time.Now).Within(budget),
		claims: replay.NewMemoryClaims(time.Now).Within(budget),
		close:  func() {},
	}
}

// remains is what is still there when all is over.
type remains struct {
	goroutines  int
	connections int
	inFlight    int
}

// close ends everything, and says what would not end by itself.
func (r *rig) close() remains {
	var left remains
	for _, one := range r.replicas {
		left.connections += settled(0, func() int { return int(one.site.open.Load()) })
		one.close()
	}
	for _, u := range r.upstreams() {
		if u == nil {
			continue
		}
		left.inFlight += settled(0, func() int { return int(u.sim.Stats().InFlight) })
		left.connections += settled(0, func() int { return int(u.site.open.Load()) })
		u.site.close()
		u.gather()
	}
	if r.redis != nil {
		r.redis.close()
	}
	return left
}

// tenantHeader says whose call it is; replicas believe it.
const tenantHeader = "X-Chaos-Tenant"

// replica is one gateway, with what it does not share.
type replica struct {
	gateway *alipayai.Gateway
	site    *site
	close   func()
}

func newReplica(ctx context.Context, s settings, r *rig, number int) (*replica, error) {
	limit := limiter.Limit{Requests: perSecond, Per: time.Second, Guard: s.guard}
	common, err := r.share(s, limit)
	if err != nil {
		return nil, err
	}
	transport := outgoing.NewTransport(&http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256})
	alipay, err := alipayProvider(r.alipay.site.url, number, transport)
	if err != nil {
		return nil, err
	}
	claude, err := claudeProvider(r.claude.site.url, number, transport)
	if err != nil {
		return nil, err
	}
	alipay.Cap = &providers.Cap{
		Limit: limit, Window: common.window, Queue: limiter.NewQueue(common.window, time.Now),
		MaxWait:  300 * time.Millisecond, // so that some find it too long
		MaxCount: providers.DefaultQueueCount, MaxBytes: providers.DefaultQueueBytes,
	}
	alipay.Tokens.Share = common.token

	g := &alipayai.Gateway{
		Providers: []*providers.Provider{alipay, claude},
		Deadline:  3 * time.Second,
		Breakers:  common.breakers,
		Breaker:   failover.Rule{OpenFor: time.Second, ProbeFor: time.Second},
		Answers:   &alipayai.AnswerCache{Cache: common.cache, TTL: time.Hour},
		Claims:    &alipayai.Claims{Store: common.claims, TTL: time.Hour},
		Observer:  &witness{ledger: r.seen, replica: number},
	}
	for _, p := range g.Providers {
		p.Timeout = 700 * time.Millisecond
		if err := p.Prepare(); err != nil {
			return nil, err
		}
	}
	if err := g.Prepare(); err != nil {
		return nil, err
	}
	entrance := door.Door{Gateway: g, Dialects: door.NewDialects(openai.Dialect{})}
	front, err := newSite(ctx, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		tenant := req.Header.Get(tenantHeader)
		req = req.WithContext(withKey(req.Context(), tenant, req.Header.Get("Idempotency-Key")))
		entrance.Serve(w, req, tenant, entrance.Read(req))
	}))
	if err != nil {
		return nil, err
	}
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		alipay.Tokens.Run(renewing)
	}()
	return &replica{gateway: g, site: front, close: func() {
		front.close()
		stop()
		<-ended
		common.close()
		transport.CloseIdleConnections()
	}}, nil
}
