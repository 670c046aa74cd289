package alert

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

func TestRaiseAndResolveOnce(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		sink := &fakeSink{name: "s"}
		state := NewState()
		a := newAlerter(state, sink)
		a.Resolve(StoreLost, "alipay", "never was")
		a.Raise(StoreLost, "alipay", "lost")
		began := time.Now()
		time.Sleep(time.Second)
		a.Raise(StoreLost, "alipay", "lost")
		a.Raise(StoreLost, "alipay", "lost")
		a.Raise(StoreLost, "claude", "lost")
		a.Raise(Throttled, "alipay", "slow")

		firing := state.Firing()
		if len(firing) != 3 || firing[0] != (Firing{StoreLost, "alipay", "lost", began, 2}) {
			t.Errorf("firing %+v", firing)
		}
		a.Resolve(StoreLost, "alipay", "back")
		a.Resolve(StoreLost, "alipay", "back")
		a.Raise(StoreLost, "alipay", "lost again")
		flush(t, a)
		want := []string{
			"trigger store_lost alipay", "trigger store_lost claude", "trigger throttled alipay",
			"resolve store_lost alipay", "trigger store_lost alipay",
		}
		if got := sink.received(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		resolved := sink.got[3]
		if resolved.Repeats != 2 || resolved.Since != began || resolved.Summary != "back" || resolved.Source != "gw1" {
			t.Errorf("resolved by %+v", resolved)
		}
		if again := sink.got[4]; again.Repeats != 0 || again.Since != again.Time || again.Key() != resolved.Key() {
			t.Errorf("raised again by %+v", again)
		}
	})
}

// What was sent by one configuration is not sent again by the next, and what
// one raised the other resolves.
func TestReload(t *testing.T) {
	before, after := &fakeSink{name: "s"}, &fakeSink{name: "s"}
	state := NewState()
	a := newAlerter(state, before)
	a.Raise(StoreLost, "alipay", "lost")
	flush(t, a)
	b := newAlerter(state, after)
	b.Raise(StoreLost, "alipay", "lost")
	b.Resolve(StoreLost, "alipay", "back")
	a.Resolve(StoreLost, "alipay", "back") // by a call of the configuration before
	flush(t, a, b)
	if got := before.received(); !slices.Equal(got, []string{"trigger store_lost alipay"}) {
		t.Errorf("the first sent %q", got)
	}
	if got := after.received(); !slices.Equal(got, []string{"resolve store_lost alipay"}) {
		t.Errorf("the second sent %q", got)
	}
	if n := len(state.sending); n != 0 {
		t.Errorf("%d ways are remembered", n)
	}
}

// A resolve does not overtake its raise, also where the raise is still on
// its way from a configuration that is gone.
func TestOrderOverReload(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var arrived []string
		expect := func(when string, want ...string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(arrived, want) {
				t.Errorf("%s arrived %q, want %q", when, arrived, want)
			}
		}
		arrive := func(delay time.Duration) func(context.Context, Notification) error {
			return func(_ context.Context, n Notification) error {
				time.Sleep(delay)
				mu.Lock()
				defer mu.Unlock()
				arrived = append(arrived, string(n.Action)+" "+n.Provider)
				return nil
			}
		}
		state := NewState()
		old := newAlerter(state, &fakeSink{name: "s", send: arrive(8 * time.Second)})
		young := newAlerter(state, &fakeSink{name: "s", send: arrive(0)}, &fakeSink{name: "other", send: arrive(0)})
		old.Raise(Throttled, "alipay", "")
		young.Resolve(Throttled, "alipay", "")
		synctest.Wait()
		// The other sink has no reason to wait.
		expect("at once", "resolve alipay")
		flush(t, old, young)
		expect("in the end", "resolve alipay", "trigger alipay", "resolve alipay")
	})
}

// What is sent stands in the log already, for who follows an alert.
func TestLoggedBeforeSent(t *testing.T) {
	var a *Alerter
	var logged []string
	logger, _ := testLogger()
	a = New(NewState(), Options{Sinks: []Sink{&fakeSink{name: "s"}}, Source: "gw1", Logger: logger.WithOptions(zap.Hooks(func(e zapcore.Entry) error {
		l := a.lanes[0]
		l.mu.Lock()
		defer l.mu.Unlock()
		logged = append(logged, fmt.Sprintf("%s, sending %v", e.Message, l.idle != nil))
		return nil
	}))})
	a.Raise(StoreLost, "alipay", "lost")
	flush(t, a)
	a.Resolve(StoreLost, "alipay", "back")
	flush(t, a)
	if want := []string{"alert, sending false", "alert resolved, sending false"}; !slices.Equal(logged, want) {
		t.Errorf("got %q, want %q", logged, want)
	}
}

func TestRepeats(t *testing.T) {
	tests := map[string]struct {
		errors []error // of the first attempts; then it works
		result Result
		sent   int
		least  time.Duration
		most   time.Duration
	}{
		"at once":                {nil, Sent, 1, 0, 0},
		"after an error":         {[]error{errors.New("x")}, Sent, 2, 0, time.Second},
		"after three errors":     {[]error{&SendError{}, &SendError{}, &SendError{}}, Sent, 4, 0, 7 * time.Second},
		"after a minute's error": {slices.Repeat([]error{&SendError{After: 10 * time.Second}}, 6), Sent, 7, time.Minute, 3 * time.Minute},
		"final":                  {[]error{&SendError{Final: true}}, Failed, 1, 0, 0},
		"wrapped final":          {[]error{fmt.Errorf("w: %w", &SendError{Final: true})}, Failed, 1, 0, 0},
		"as the service asks":    {[]error{&SendError{After: 30 * time.Second}}, Sent, 2, 30 * time.Second, 30 * time.Second},
		"not as long as it may":  {[]error{&SendError{After: time.Hour}}, Sent, 2, time.Minute, time.Minute},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				sent := 0
				sink := &fakeSink{name: "s", send: func(context.Context, Notification) error {
					if sent++; sent <= len(tc.errors) {
						return tc.errors[sent-1]
					}
					return nil
				}}
				var seen observed
				a := New(NewState(), Options{Sinks: []Sink{sink}, Logger: zap.NewNop(), Observe: seen.observe})
				start := time.Now()
				a.Raise(Throttled, "alipay", "")
				flush(t, a)
				took := time.Since(start)
				if sent != tc.sent || took < tc.least || took > tc.most {
					t.Errorf("sent %d times in %v", sent, took)
				}
				if seen.count("s throttled "+string(tc.result)) != 1 || len(seen.n) != 1 {
					t.Errorf("observed %v", seen.n)
				}
			})
		})
	}
}

// A sink that cannot be reached is tried for some minutes, with pauses that grow.
func TestSinkThatIsAway(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		sent := 0
		sink := &fakeSink{name: "s", send: func(context.Context, Notification) error { sent++; return &SendError{} }}
		var seen observed
		a := New(NewState(), Options{Sinks: []Sink{sink}, Logger: zap.NewNop(), Observe: seen.observe})
		start := time.Now()
		a.Raise(Throttled, "alipay", "")
		flush(t, a)
		if took := time.Since(start); took < sendFor || took > sendFor+maxBackoff || sent < 10 || sent > 100 {
			t.Errorf("sent %d times in %v", sent, took)
		}
		if seen.count("s throttled failed") != 1 || len(seen.n) != 1 {
			t.Errorf("observed %v", seen.n)
		}
	})
}

// A sink that hangs delays neither calls nor the other sink; its queue is
// bounded, and what is lost is counted and logged.
func TestSlowSink(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		hangs := &fakeSink{name: "slow", send: func(ctx context.Context, _ Notification) error {
			<-ctx.Done()
			return &SendError{Reason: "no answer in time", Final: true}
		}}
		works := &fakeSink{name: "fast"}
		log, logs := testLogger()
		var seen observed
		a := New(NewState(), Options{Sinks: []Sink{hangs, works}, Logger: log, Observe: seen.observe})
		start := time.Now()
		a.Raise(Throttled, "p0", "")
		synctest.Wait() // one at the sink, the queue empty
		for i := range maxQueued + 5 {
			a.Raise(Throttled, fmt.Sprintf("p%d", i+1), "")
			synctest.Wait()
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("calls waited for %v", took)
		}
		if n := len(works.received()); n != maxQueued+6 {
			t.Errorf("the fast sink got %d", n)
		}
		if n := seen.count("slow throttled dropped"); n != 5 {
			t.Errorf("%d dropped", n)
		}
		flush(t, a)
		if took := time.Since(start); took != (maxQueued+1)*sendTimeout {
			t.Errorf("the slow sink took %v", took)
		}
		if n := seen.count("slow throttled failed"); n != maxQueued+1 {
			t.Errorf("%d failed", n)
		}
		logged := logs.FilterMessage("alerts were dropped").All()
		if len(logged) != 1 || logged[0].ContextMap()["count"] != int64(5) {
			t.Errorf("drops logged as %v", logged)
		}
	})
}

func TestFlushGivesUp(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		a := newAlerter(NewState(), &fakeSink{name: "s", send: func(ctx context.Context, _ Notification) error {
			<-ctx.Done()
			return &SendError{Final: true}
		}})
		a.Raise(Throttled, "alipay", "")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flush: %v", err)
		}
		flush(t, a)
	})
}

// Sinks of the same name are kept apart, and nothing runs before it is needed.
func TestNamesAndIdleness(t *testing.T) {
	before := runtime.NumGoroutine()
	var seen observed
	log, logs := testLogger()
	a := New(NewState(), Options{
		Sinks: []Sink{&fakeSink{name: "slack"}, &fakeSink{name: "slack"}}, Logger: log, Observe: seen.observe,
	})
	if after := runtime.NumGoroutine(); after > before { // those of other tests may end
		t.Errorf("%d goroutines more", after-before)
	}
	a.Raise(StoreLost, "alipay", "lost")
	a.Resolve(StoreLost, "alipay", "back")
	flush(t, a)
	if seen.count("slack store_lost sent") != 2 || seen.count("slack_2 store_lost sent") != 2 {
		t.Errorf("observed %v", seen.n)
	}
	if logs.FilterMessage("alert").Len() != 1 || logs.FilterMessage("alert resolved").Len() != 1 {
		t.Errorf("logged %v", logs.All())
	}
}

// For concurrent calls too, each sink gets raise and resolve in turn.
func TestInTurn(t *testing.T) {
	sink := &fakeSink{name: "s"}
	state := NewState()
	alerters := []*Alerter{newAlerter(state, sink), newAlerter(state, sink)}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 40 {
				if a := alerters[(i+j)%2]; (i+j/2)%2 == 0 {
					a.Raise(StoreLost, "alipay", "")
				} else {
					a.Resolve(StoreLost, "alipay", "")
				}
			}
		})
	}
	wg.Wait()
	flush(t, alerters...)
	want := Trigger
	for i, n := range sink.got {
		if n.Action != want {
			t.Fatalf("notification %d is %s", i, n.Action)
		}
		want = map[Action]Action{Trigger: Resolve, Resolve: Trigger}[n.Action]
	}
	if len(sink.got) == 0 {
		t.Error("nothing was sent")
	}
}

func BenchmarkResolveWhenAllIsWell(b *testing.B) {
	a := newAlerter(NewState())
	b.ReportAllocs()
	for b.Loop() {
		a.Resolve(AllProvidersFailing, "site", "well")
	}
}
