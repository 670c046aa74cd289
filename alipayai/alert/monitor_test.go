package alert

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// watched is a monitor and its only sink.
func watched(state *State, systemErrors int) (*Monitor, *fakeSink) {
	sink := &fakeSink{name: "s"}
	return NewMonitor(newAlerter(state, sink), systemErrors), sink
}

// expect waits until nothing is left to do and compares what was sent.
func expect(t *testing.T, sink *fakeSink, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := sink.received(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSystemErrorRate(t *testing.T) {
	const raised, resolved = "trigger system_error_rate alipay", "resolve system_error_rate alipay"
	testwait.Bubble(t, func(t *testing.T) {
		m, sink := watched(NewState(), 0)
		for range DefaultSystemErrors {
			m.SystemError("alipay")
			m.SystemError("claude")
		}
		expect(t, sink)
		m.SystemError("alipay")
		expect(t, sink, raised)
		// The rate falls below after a minute, and stays there for another.
		time.Sleep(2*time.Minute - time.Second)
		expect(t, sink, raised)
		time.Sleep(time.Second)
		expect(t, sink, raised, resolved)
		time.Sleep(time.Hour)
		expect(t, sink, raised, resolved)
	})
	testwait.Bubble(t, func(t *testing.T) {
		m, sink := watched(NewState(), 2)
		// Two a minute are allowed for ever.
		for range 20 {
			m.SystemError("alipay")
			time.Sleep(30 * time.Second)
		}
		expect(t, sink)
		// Three a minute are one alert, however long they go on.
		for range 20 {
			m.SystemError("alipay")
			time.Sleep(20*time.Second - time.Millisecond)
		}
		expect(t, sink, raised)
		time.Sleep(2 * time.Minute)
		expect(t, sink, raised, resolved)
	})
}

func TestThrottled(t *testing.T) {
	const raised, resolved = "trigger throttled alipay", "resolve throttled alipay"
	testwait.Bubble(t, func(t *testing.T) {
		m, sink := watched(NewState(), 0)
		for range 5 {
			m.Throttled("alipay")
			time.Sleep(59 * time.Second)
		}
		expect(t, sink, raised)
		time.Sleep(time.Second)
		expect(t, sink, raised, resolved)
		if n := sink.got[1].Repeats; n != 4 {
			t.Errorf("reported again %d times", n)
		}
		m.Throttled("alipay")
		expect(t, sink, raised, resolved, raised)
		time.Sleep(time.Minute)
		expect(t, sink, raised, resolved, raised, resolved)
	})
}

// The monitor of a configuration that is gone leaves it to the next to find that all
// is well, if that one has seen something since; and not otherwise.
func TestTimersOverReload(t *testing.T) {
	const raised, resolved = "trigger throttled alipay", "resolve throttled alipay"
	testwait.Bubble(t, func(t *testing.T) {
		state := NewState()
		first, sink := watched(state, 0)
		first.Throttled("alipay")
		second, next := watched(state, 0)
		time.Sleep(30 * time.Second)
		second.Throttled("alipay")
		time.Sleep(30 * time.Second)
		expect(t, sink, raised)
		expect(t, next)
		time.Sleep(30 * time.Second)
		expect(t, sink, raised)
		expect(t, next, resolved)
	})
	testwait.Bubble(t, func(t *testing.T) {
		state := NewState()
		first, sink := watched(state, 0)
		first.Throttled("alipay")
		_, next := watched(state, 0)
		time.Sleep(time.Minute)
		expect(t, sink, raised, resolved)
		expect(t, next)
		if len(state.until)+len(first.until) != 0 {
			t.Errorf("kept %v and %v", state.until, first.until)
		}
	})
	testwait.Bubble(t, func(t *testing.T) { // errors before and after the reload are counted together
		state := NewState()
		first, _ := watched(state, 2)
		first.SystemError("alipay")
		first.SystemError("alipay")
		second, next := watched(state, 2)
		second.SystemError("alipay")
		expect(t, next, "trigger system_error_rate alipay")
		time.Sleep(2 * time.Minute)
		expect(t, next, "trigger system_error_rate alipay", "resolve system_error_rate alipay")
	})
}

// If some calls fail and some do not, operators are notified once, and of the end when it is one.
func TestAllProvidersFailing(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		m, sink := watched(NewState(), 0)
		for range 5 {
			m.Exhausted("site")
			m.Served("site")
			time.Sleep(50 * time.Second)
		}
		expect(t, sink, "trigger all_providers_failing site")
		m.Served("site")
		time.Sleep(10 * time.Second)
		m.Served("another")
		expect(t, sink, "trigger all_providers_failing site")
		m.Served("site")
		expect(t, sink, "trigger all_providers_failing site", "resolve all_providers_failing site")
		m.Exhausted("site")
		expect(t, sink, "trigger all_providers_failing site", "resolve all_providers_failing site", "trigger all_providers_failing site")
	})
}

func TestConditions(t *testing.T) {
	failed := errors.New("secret inside")
	for kind, tc := range map[Kind]struct{ bad, good func(m *Monitor) }{
		BreakerOpen:         {func(m *Monitor) { m.BreakerOpened("x") }, func(m *Monitor) { m.BreakersClosed("x") }},
		TokenRefreshFailing: {func(m *Monitor) { m.TokenRefresh("x", failed) }, func(m *Monitor) { m.TokenRefresh("x", nil) }},
		StoreLost:           {func(m *Monitor) { m.StoreLost("x", true, nil) }, func(m *Monitor) { m.StoreBack("x") }},
	} {
		t.Run(string(kind), func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				m, sink := watched(NewState(), 0)
				tc.good(m)
				expect(t, sink)
				tc.bad(m)
				tc.bad(m)
				raised, resolved := "trigger "+string(kind)+" x", "resolve "+string(kind)+" x"
				expect(t, sink, raised)
				tc.good(m)
				tc.good(m)
				expect(t, sink, raised, resolved)
				if got := sink.got[0].Summary; got == "" || got == failed.Error() {
					t.Errorf("summary %q", got)
				}
			})
		})
	}
}

func TestServedIsFree(t *testing.T) {
	m, _ := watched(NewState(), 0)
	if n := testing.AllocsPerRun(100, func() { m.Served("site"); m.StoreBack("alipay") }); n != 0 {
		t.Errorf("%v allocations for a success", n)
	}
}

func BenchmarkServed(b *testing.B) {
	m, _ := watched(NewState(), 0)
	for b.Loop() {
		m.Served("site")
	}
}
