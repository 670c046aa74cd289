package alipaycaddy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/alert"
	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// TestAlertsEndWithTheirProvider takes away what something is wrong with.
func TestAlertsEndWithTheirProvider(t *testing.T) {
	g := newFailoverRig(t)
	global, n := g.alerting(twoProviders)
	g.load(global, failoverSite())
	g.openBreaker()
	g.wantTold(n, "breaker_open", "trigger alipay")
	g.load(strings.Replace(global, "provider alipay", "provider other", 1), strings.Replace(failoverSite(), "alipayai_proxy alipay", "alipayai_proxy", 1))
	g.wantTold(n, "breaker_open", "trigger alipay", "resolve alipay")
}

// TestLatestWatches has configurations come, go and be rejected.
func TestLatestWatches(t *testing.T) {
	old, rejected, next := new(watch), &watch{app: new(App)}, &watch{known: new(alertState)}
	var w watchers
	for i, step := range []struct {
		do   func(*watch)
		with *watch
		want *watch
	}{
		{w.enter, old, old},
		{w.enter, rejected, rejected},
		{w.leave, rejected, old},
		{w.enter, next, next},
		{w.leave, old, next}, // when its last call has ended
	} {
		step.do(step.with)
		for _, one := range []*watch{old, rejected, next} {
			if got := w.isLatest(one); got != (one == step.want) {
				t.Errorf("step %d: %v", i, got)
			}
		}
	}
}

// TestWatchEndsWhatIsOver has all kinds of things wrong with a provider and a
// site that the configuration has, and with others that it has no more.
func TestWatchEndsWhatIsOver(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		known := &alertState{State: alert.NewState()}
		monitor := alert.NewMonitor(alert.New(known.State, alert.Options{Logger: zap.NewNop()}), 0)
		here := &upstream.Provider{Tokens: new(token.Source)}
		w := &watch{known: known, app: &App{
			upstreams: &upstreams{providers: map[string]*upstream.Provider{"here": here}},
			sharing:   &sharing{breakers: new(failover.Breakers)},
			reports:   &reports{monitor: monitor, sites: map[string]bool{"here": true}},
			accounts:  new(accounts), served: new(served),
		}}
		fail := func() { // as a call does, in the breaker of here
			admitted, err := w.app.breakers.Allow(t.Context(), failover.Key{Tenant: "acme", Provider: here.Account()}, failover.Rule{OpenFor: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			admitted.Done(failover.Failure)
		}
		for range 4 {
			fail()
		}
		for _, name := range []string{"here", "gone"} {
			monitor.BreakerOpened(name)
			monitor.TokenRefresh(name, errors.New("refused"))
			monitor.StoreLost(name, false, nil)
			monitor.Exhausted(name)
			monitor.Holds("of_a_provider", name, "something that no rule is for")
			monitor.AccountExhausted(name)
		}
		monitor.Holds(alert.KeysUnusable, "here", "a file of tenants' keys, which is no provider")
		monitor.Holds(alert.LedgerFailing, "here", "a file")
		w.app.watchedKeys = map[string]bool{"here": true}
		time.Sleep(2 * time.Minute) // for so long must all be well before Exhausted is over
		w.look()
		var left []string
		for _, f := range known.Firing() {
			left = append(left, string(f.Kind)+" "+f.Provider)
		}
		// The store of here is the memory of this process, which is not lost.
		if got, want := strings.Join(left, ", "), "account_exhausted here, all_providers_failing here, breaker_open here, keys_unusable here, of_a_provider here, token_refresh_failing here"; got != want {
			t.Errorf("still wrong are %s; want %s", got, want)
		}
	})
}

// TestStoreStaysLostAcrossAReload replaces the configuration while Redis is away, which then comes and goes: what
// is lost is reported once, with the cause, and as over only when Redis has answered for a while.
func TestStoreStaysLostAcrossAReload(t *testing.T) {
	network := redistest.NewNetwork(t)
	before := pace.back
	pace.back = backAfter
	t.Cleanup(func() { pace.back = before })
	testwait.Bubble(t, func(t *testing.T) {
		client := must(limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{redistest.Anywhere}}))
		network.Connect(client)
		breakers := failover.NewSharedBreakers(client, "breakers")
		t.Cleanup(func() {
			_, _ = breakers.Close(), client.Close()
			time.Sleep(time.Minute) // what runs ends
		})
		breakers.Start()
		limit := limiter.Limit{Requests: 50, Per: time.Second}
		window := &lazyWindow{make: func() (*limiter.RedisWindow, error) {
			return limiter.NewRedisWindow(client, limiter.RedisWindowOptions{Key: "capped", Replicas: 2, Limit: limit})
		}}
		t.Cleanup(func() { _ = window.Close() })
		window.Start()
		known := &alertState{State: alert.NewState()}
		monitor := alert.NewMonitor(alert.New(known.State, alert.Options{Logger: zap.NewNop()}), 0)
		load := func() *watch {
			return &watch{known: known, app: &App{
				upstreams: &upstreams{providers: map[string]*upstream.Provider{"uncapped": {}, "capped": {Cap: &upstream.Cap{Limit: limit, Window: window}}}},
				sharing:   &sharing{breakers: breakers}, reports: &reports{monitor: monitor}, accounts: new(accounts), served: new(served),
			}}
		}
		w := load()
		look := func(want int, when string) {
			t.Helper()
			time.Sleep(watchEvery)
			w.look()
			if got := len(known.Firing()); got != want {
				t.Errorf("%s: %d alerts, want %d", when, got, want)
			}
		}
		look(0, "at the beginning")
		network.Break(redistest.Fault{Refuses: true})
		look(0, "one answer is lost")
		look(2, "lost")
		w = load()
		look(2, "after a reload")
		look(2, "later")
		began := known.Firing()[0].Since
		for range 3 {
			network.Heal()
			for range 4 {
				w = load()
				look(2, "back for a moment, in which it is reloaded")
			}
			network.Break(redistest.Fault{Refuses: true})
			look(2, "lost again")
			look(2, "lost again for longer")
		}
		for _, f := range known.Firing() {
			if !f.Since.Equal(began) || !strings.Contains(f.Summary, "(connection refused)") {
				t.Errorf("an outage that began at %v is one of %v: %s", began, f.Since, f.Summary)
			}
		}
		network.Heal()
		testwait.Pass(backAfter - 2*watchEvery)
		look(2, "back for less than it takes")
		look(0, "back")
		for range 4 { // that it is away whenever somebody looks says nothing of the time between
			time.Sleep(watchEvery / 2)
			network.Break(redistest.Fault{Refuses: true})
			time.Sleep(watchEvery / 2)
			w.look()
			if got := len(known.Firing()); got != 0 {
				t.Errorf("away for moments: %d alerts, want none", got)
			}
			network.Heal()
		}
		time.Sleep(watchEvery)
	})
}

// TestAlertOfAStoreWithoutCaps takes Redis away from providers that have no cap to share there.
func TestAlertOfAStoreWithoutCaps(t *testing.T) {
	g := newFailoverRig(t)
	server := redistest.Start(t)
	g.vars["redis"] = server.Addr
	global, n := g.alerting(inRedis(twoProviders, "redis"))
	g.load(global, failoverSite())
	g.chat("shared", g.acme)
	server.Kill()
	g.wantStore(n, "trigger")
	server.Restart()
	g.wantStore(n, "trigger", "resolve")
}

// TestAlertsAreSentBeforeTheEnd ends with a sink that takes its time, and with one that never answers.
func TestAlertsAreSentBeforeTheEnd(t *testing.T) {
	for name, pause := range map[string]time.Duration{"slow": 100 * time.Millisecond, "hangs": time.Minute} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				sent := 0
				sink := sinkFunc(func(ctx context.Context) error {
					select {
					case <-time.After(pause):
						sent++
						return nil
					case <-ctx.Done():
						return &alert.SendError{Reason: "no answer", Final: true}
					}
				})
				a := &App{setting: &setting{logger: zap.NewNop()}, reports: new(reports)}
				a.evidence = evidence.NewRecorder(evidence.Options{Logger: a.logger})
				a.alerter = alert.New(alert.NewState(), alert.Options{Sinks: []alert.Sink{sink}, Logger: a.logger, Observe: func(string, alert.Kind, alert.Result) {}})
				a.alerter.Raise(alert.StoreLost, "alipay", "x")
				began := time.Now()
				a.flush()
				if took := time.Since(began); took != min(pause, exitTime) || sent != 1 && pause < exitTime {
					t.Errorf("%d sent within %v", sent, took)
				}
				if err := a.alerter.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// sinkFunc is a sink.
type sinkFunc func(ctx context.Context) error

func (sinkFunc) Name() string                                           { return "s" }
func (f sinkFunc) Send(ctx context.Context, _ alert.Notification) error { return f(ctx) }
