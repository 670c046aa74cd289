package alert

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestMain fails the package when a test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSink keeps what it gets.
type fakeSink struct {
	name string
	send func(ctx context.Context, n Notification) error // nil takes all

	mu  sync.Mutex
	got []Notification
}

func (f *fakeSink) Name() string { return f.name }

func (f *fakeSink) Send(ctx context.Context, n Notification) error {
	if f.send != nil {
		if err := f.send(ctx, n); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, n)
	return nil
}

// received is what the sink got, in short.
func (f *fakeSink) received() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := []string{}
	for _, n := range f.got {
		got = append(got, fmt.Sprintf("%s %s %s", n.Action, n.Kind, n.Provider))
	}
	return got
}

// observed counts results by sink.
type observed struct {
	mu sync.Mutex
	n  map[string]int
}

func (o *observed) observe(sink string, kind Kind, result Result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n == nil {
		o.n = map[string]int{}
	}
	o.n[fmt.Sprintf("%s %s %s", sink, kind, result)]++
}

func (o *observed) count(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n[what]
}

func newAlerter(state *State, sinks ...Sink) *Alerter {
	return New(state, Options{Sinks: sinks, Source: "gw1", Logger: zap.NewNop()})
}

func testLogger() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	return zap.New(core), logs
}

func flush(t *testing.T, alerters ...*Alerter) {
	t.Helper()
	for _, a := range alerters {
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// notification is one as sinks get it.
func notification(action Action) Notification {
	n := Notification{
		Action: action, Kind: BreakerOpen, Provider: "alipay", Summary: "the breaker at alipay is open", Source: "gw1",
		Time: time.Date(2026, 11, 23, 7, 45, 0, 0, time.UTC), Since: time.Date(2026, 11, 23, 7, 45, 0, 0, time.UTC),
	}
	if action == Resolve {
		n.Summary, n.Time, n.Repeats = "the breakers at alipay are closed", n.Since.Add(90*time.Second), 3
	}
	return n
}
