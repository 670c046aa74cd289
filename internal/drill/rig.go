package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/internal/redisserver"
	"github.com/caddy-alipayai/gateway/limiter"
)

const (
	apps, replicas, perSecond = 3, 3, 50
	fallback                  = "fallback"
	answer                    = `{"choices":[{"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}`
)

// app is an upstream that counts.
type app struct {
	*httptest.Server
	mu        sync.Mutex
	arrived   []time.Time
	throttles bool // the next call
}

// rig is what the calls come to: replicas of the gateway before apps, and the Redis that they share.
type rig struct {
	apps     []*app // the last is the fallback
	replicas []*alipayai.Gateway
	seen     []*observed // by the replicas
	// killRedis kills it once, and end ends the rest too.
	killRedis, end func()
}

// newRig starts all of it, to be ended by the caller.
func newRig(ctx context.Context, s settings) (_ *rig, err error) {
	var ends []func()
	r := &rig{apps: make([]*app, apps+1), end: func() {
		for _, end := range slices.Backward(ends) {
			end()
		}
	}}
	defer func() {
		if err != nil {
			r.end()
		}
	}()
	redis, kill, err := redisserver.Start(ctx)
	if err != nil {
		return nil, err
	}
	r.killRedis = sync.OnceFunc(kill)
	ends = append(ends, r.killRedis)
	known := make(arrivals)
	for i := range r.apps {
		a := newApp()
		ends = append(ends, a.Close)
		r.apps[i], known[a.Listener.Addr().String()] = a, a
	}
	transport := outgoing.NewTransport(&http.Transport{DialContext: known.DialContext, DisableCompression: true, MaxIdleConnsPerHost: 256})
	ends = append(ends, transport.CloseIdleConnections)
	for range replicas {
		g, o, end, err := newReplica(s, redis, r.apps, transport)
		if err != nil {
			return nil, err
		}
		ends = append(ends, end)
		r.replicas, r.seen = append(r.replicas, g), append(r.seen, o)
	}
	return r, nil
}

// arrivals has each app note when a request's bytes are in its socket. Its own goroutine may get to them much later where
// the machine is busy, and all that waited there would seem to have come at once.
type arrivals map[string]*app // by address

// DialContext connects to an app.
func (a arrivals) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return toApp{conn, a[address]}, nil
}

// toApp is a connection to an app. A request is one write.
type toApp struct {
	net.Conn
	app *app
}

func (c toApp) Write(b []byte) (int, error) {
	c.app.mu.Lock()
	c.app.arrived = append(c.app.arrived, time.Now())
	c.app.mu.Unlock()
	return c.Conn.Write(b)
}

// SyscallConn implements [syscall.Conn], by which package outgoing sees that an idle connection is still open.
func (c toApp) SyscallConn() (syscall.RawConn, error) { return c.Conn.(syscall.Conn).SyscallConn() }

func newApp() *app {
	a := new(app)
	a.Server = httptest.NewServer(a)
	return a
}

// throttle has the app throttle the next call.
func (a *app) throttle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.throttles = true
}

// ServeHTTP answers, or throttles once for a while.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	a.mu.Lock()
	throttles := a.throttles
	a.throttles = false
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if throttles {
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"error":{"code":"rate_limit_exceeded","message":"slow down"}}`)
		return
	}
	_, _ = io.WriteString(w, answer)
}

// most is the largest number of arrivals in a second.
func (a *app) most() (most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := 0
	for i, at := range a.arrived {
		for at.Sub(a.arrived[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// report is what was seen.
type report struct {
	calls, refused, byApps, byFallback, most int
	p99, maxWait                             time.Duration
	lines                                    []string // of each app
}

func (r report) holds() bool {
	return r.refused == 0 && r.most <= perSecond && r.p99 <= r.maxWait && r.byApps > 0 && r.byFallback > 0
}

// String is a table.
func (r report) String() string {
	verdict := map[bool]string{true: "all holds", false: "FAILED"}[r.holds()]
	return fmt.Sprintf("%d calls: %d refused (want 0), %d served by the apps, %d by the fallback\n%smost arrivals at an app in a second: %d (want at most %d)\np99 of the waits of what the apps served: %v (want at most %v)\n%s\n",
		r.calls, r.refused, r.byApps, r.byFallback, strings.Join(r.lines, ""), r.most, perSecond, r.p99, r.maxWait, verdict)
}

// observed keeps the waits of one replica's calls.
type observed struct {
	unobserved
	mu    sync.Mutex
	waits []time.Duration
}

// Permitted notes the wait of a call at an app.
func (o *observed) Permitted(_ string, waited time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waits = append(o.waits, waited)
}

// newProvider is one that wants no credentials.
func newProvider(name, base string, transport http.RoundTripper) (*upstream.Provider, error) {
	p := &upstream.Provider{Name: name, Clock: new(upstream.Clock), Transport: transport}
	var err error
	if p.Profile, err = upstream.LookupProfile("ollama"); err != nil {
		return nil, err
	}
	p.BaseURL, err = url.Parse(base)
	return p, err
}

// newReplica is a gateway before the apps and the fallback.
func newReplica(s settings, redis string, all []*app, transport http.RoundTripper) (*alipayai.Gateway, *observed, func(), error) {
	client, err := limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{redis}})
	if err != nil {
		return nil, nil, nil, err
	}
	closes := []func(){func() { _ = client.Close() }}
	closeAll := func() {
		for _, close := range slices.Backward(closes) {
			close()
		}
	}
	o := new(observed)
	g := &alipayai.Gateway{Observer: o, AllowCrossRegion: true}
	limit := limiter.Limit{Requests: perSecond, Per: time.Second, Guard: s.guard}
	for i, a := range all {
		name := fmt.Sprintf("app%d", i)
		if i == apps {
			name = fallback
		}
		p, err := newProvider(name, a.URL, transport)
		if err == nil && i < apps {
			var window *limiter.RedisWindow
			window, err = limiter.NewRedisWindow(client, limiter.RedisWindowOptions{Key: "drill:" + name, Replicas: replicas, Limit: limit})
			if err == nil {
				closes = append(closes, func() { _ = window.Close() })
				p.ClientID = name
				p.Cap = &upstream.Cap{
					Limit: limit, Window: window, Queue: limiter.NewQueue(window, time.Now), MaxWait: s.maxWait,
					MaxCount: upstream.DefaultQueueCount, MaxBytes: upstream.DefaultQueueBytes,
				}
			}
		}
		if err == nil {
			err = p.Prepare()
		}
		if err != nil {
			closeAll()
			return nil, nil, nil, err
		}
		g.Providers = append(g.Providers, p)
	}
	g.Balance = &alipayai.Balance{Equals: [][]*upstream.Provider{g.Providers[:apps:apps]}}
	if err := g.Prepare(); err != nil {
		closeAll()
		return nil, nil, nil, err
	}
	return g, o, closeAll, nil
}

// ask makes a call of a conversation, and says whether the fallback served it.
func ask(ctx context.Context, g *alipayai.Gateway, conversation int) (byFallback bool, err error) {
	body := fmt.Sprintf(`{"model":"m","user":"%d","messages":[{"role":"user","content":"hello"}]}`, conversation)
	request, err := wire.ParseChatRequest([]byte(body), wire.Limits{})
	if err != nil {
		return false, err
	}
	dialect, err := openai.LookupDialect(openai.NoDialect)
	if err != nil {
		return false, err
	}
	a, err := g.Do(ctx, &alipayai.Call{Endpoint: upstream.EndpointChat, Tenant: "shop", Request: request, Format: openai.Format{Dialect: dialect}})
	if err != nil {
		return false, err
	}
	defer a.Close(true)
	described := make(http.Header)
	a.Describe(described, new(alipayai.Values))
	return described.Get("X-Alipayai-Provider") == fallback, nil
}

// unobserved is what the drill does not look at.
type unobserved struct{}

func (unobserved) Attempted(alipayai.Attempt)                    {}
func (unobserved) FellOver(string, string)                       {}
func (unobserved) BreakerChanged(string, string, failover.State) {}
func (unobserved) Rejected(string, string)                       {}
func (unobserved) Charged(alipayai.Cost)                         {}
func (unobserved) SigningFailed(string)                          {}
func (unobserved) Settled(context.Context, alipayai.Outcome)     {}
