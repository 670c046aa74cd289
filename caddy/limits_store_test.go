package alipaycaddy

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// inRedis puts the windows of a global option into the Redis that name stands
// for. Where that is empty, it may have lost what it had: the first call waits for
// more than a second, unless the limit is off.
func inRedis(global, name string) string {
	return strings.Replace(global, "alipayai {", "alipayai {\nencryption_key "+strings.Repeat("42", 32)+"\ninsecure_literals\nstore redis ${"+name+"}\n", 1)
}

// TestReloadChangesTheStore moves the windows from one store to the next while
// calls wait: none is dropped, and no window is overfull, though none of the
// stores knows the permits of another.
func TestReloadChangesTheStore(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.vars["first"], g.vars["second"] = redistest.Start(t).Addr, redistest.Start(t).Addr
	global := patientlyLimited()
	g.load(global, limitedSite)
	began := time.Now()
	wait := g.inBackground(200, toChat)
	g.allCome(200)
	for n, next := range []string{inRedis(global, "first"), inRedis(global, "second"), global} {
		g.eventually("more calls to arrive", func() bool { return g.chats() >= int64(51+50*n) })
		g.load(next, limitedSite)
	}
	g.wantServed(wait())
	g.wantPaced(began)
}

// TestReloadForgetsTheStoreBeneathWaiters takes provider and store away while
// calls wait for their window: what they wait for is kept until none waits. What
// the log says of Redis shows nothing here: on a busy machine it is away for some
// moments although it runs.
func TestReloadForgetsTheStoreBeneathWaiters(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.vars["first"] = redistest.Start(t).Addr
	// The guard is for all that shares this machine's cores.
	g.load(inRedis(limited("limit 6 500ms 300ms"), "first"), limitedSite)
	wait := g.inBackground(12, toChat)
	g.allCome(12)
	queue := kept()["queue"].(*pooledQueue).queue
	g.load("", "http://${gateway} {\nrespond new\n}")
	g.eventually("everything to be given back", func() bool {
		values := kept()
		waiting, _ := queue.Depth() // as many or more did before, since none comes any more
		for _, kind := range []string{"store", "window"} {
			if values[kind] == nil && waiting > 0 {
				t.Fatalf("%s was closed beneath %d calls that wait", kind, waiting)
			}
		}
		return len(values) == 0
	})
	g.wantServed(wait())
}

// kept gives the pooled values by their kinds; what has no reference is closed,
// and not among them.
func kept() map[string]any {
	values := make(map[string]any)
	pool.Range(func(key, value any) bool {
		values[key.(stateKey).kind] = value
		return true
	})
	return values
}

// TestRejectedReloadKeepsTheStore starts with another store and then fails: the
// calls that wait are served through the store of before.
func TestRejectedReloadKeepsTheStore(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.vars["first"] = redistest.Start(t).Addr
	global := patientlyLimited()
	g.load(global, limitedSite)
	began := time.Now()
	wait := g.inBackground(120, toChat)
	g.allCome(120)
	// The second site's address is taken by the simulated API.
	if err := g.reload(inRedis(global, "first"), limitedSite+"\nhttp://${api} {\nrespond taken\n}"); err == nil {
		t.Fatal("it was accepted")
	}
	g.wantServed(wait())
	g.wantPaced(began)
	if got := g.gauge("store_degraded"); got != "" {
		t.Errorf("store_degraded %s without a store", got)
	}
}

// TestWindowChangesWithItsUses switches the queue only where the window differs,
// and back when the latest use ends first.
func TestWindowChangesWithItsUses(t *testing.T) {
	memory := &pooledWindow{window: limiter.NewMemoryWindow(time.Now)}
	other := &pooledWindow{window: limiter.NewMemoryWindow(time.Now)}
	w := &pooledQueue{queue: limiter.NewQueue(memory.window, time.Now)}
	const span = time.Second
	for i, step := range []struct {
		do   func(*pooledWindow, time.Duration)
		with *pooledWindow
		want *pooledWindow
	}{
		{w.use, memory, memory},
		{w.use, memory, memory}, // a reload
		{w.leave, memory, memory},
		{w.use, other, other}, // a reload to another store, which is rejected
		{w.leave, other, memory},
		{w.use, other, other}, // one which is not
		{w.leave, memory, other},
		{w.leave, other, other}, // the end
	} {
		step.do(step.with, span)
		if w.queue.Window() != step.want.window {
			t.Errorf("step %d: another window than expected", i)
		}
	}
}

// TestDrainsWhenTheProcessExits rejects the calls that wait when the process ends and its servers no longer serve, and none
// when a configuration ends. The second call's turn is after ten seconds.
func TestDrainsWhenTheProcessExits(t *testing.T) {
	for name, tt := range map[string]struct {
		exits    bool
		servesOn time.Duration
		drained  bool
	}{
		"exit": {exits: true, drained: true},
		"exit after a delay, too early for the call": {exits: true, servesOn: 5 * time.Second, drained: true},
		"exit after a delay":                         {exits: true, servesOn: 30 * time.Second},
		"reload":                                     {servesOn: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				w := &pooledQueue{queue: limiter.NewQueue(limiter.NewMemoryWindow(time.Now), time.Now)}
				r := limiter.Request{
					Tenant: "acme", MaxWait: time.Minute, MaxCount: 10, MaxBytes: 10,
					Limit: limiter.Limit{Requests: 1, Per: 10 * time.Second},
				}
				ended := make(chan error, 2)
				for range 2 {
					go func() {
						_, err := w.queue.Wait(t.Context(), r)
						ended <- err
					}()
				}
				var exiting atomic.Bool
				ctx, stop := context.WithCancel(t.Context())
				go w.drain(ctx, exiting.Load, tt.servesOn)
				synctest.Wait()
				if err := <-ended; err != nil {
					t.Fatal(err)
				}
				exiting.Store(tt.exits)
				began := time.Now()
				if !tt.exits {
					stop()
				}
				err := <-ended
				rejection, drained := errors.AsType[*limiter.Rejection](err)
				if took := time.Since(began); drained != tt.drained || drained && (rejection.Reason != limiter.Draining || took < tt.servesOn || took > tt.servesOn+time.Second) {
					t.Errorf("after %v: %v", took, err)
				}
				stop()
			})
		})
	}
}
