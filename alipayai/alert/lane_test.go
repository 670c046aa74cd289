package alert

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// unreachable takes as long as it may to say nothing.
func unreachable(ctx context.Context, _ Notification) error {
	<-ctx.Done()
	return ctx.Err()
}

// With many alerts on their way to an address that does not answer, a configuration with the right one sends what is new at
// once, and the others as soon as those of the old one are given up: soon after the time that each has.
func TestReloadWithTheRightAddress(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		providers := []string{"a", "b", "c", "d", "e", "f"}
		state := NewState()
		old := newAlerter(state, &fakeSink{name: "s", send: unreachable})
		began := time.Now()
		for _, p := range providers {
			old.Raise(BreakerOpen, p, "open")
		}
		testwait.Pass(time.Minute)
		sink := &fakeSink{name: "s"}
		next := newAlerter(state, sink)
		next.Resolve(BreakerOpen, "f", "closed")
		next.Raise(StoreLost, "z", "lost")
		synctest.Wait()
		if got := sink.received(); !slices.Equal(got, []string{"trigger store_lost z"}) {
			t.Errorf("at once arrived %q", got)
		}
		last := sendFor + maxBackoff + time.Duration(len(providers))*sendTimeout
		for time.Since(began) < last+2*time.Second {
			for _, p := range providers[:5] {
				next.Raise(BreakerOpen, p, "open") // as each call does
			}
			testwait.Pass(time.Second)
		}
		got := sink.received()
		slices.Sort(got)
		want := []string{
			"resolve breaker_open f", "trigger breaker_open a", "trigger breaker_open b", "trigger breaker_open c",
			"trigger breaker_open d", "trigger breaker_open e", "trigger store_lost z",
		}
		if !slices.Equal(got, want) {
			t.Errorf("after %v arrived %q", last, got)
		}
		flush(t, old, next)
		if n := len(state.sending); n != 0 {
			t.Errorf("%d ways are remembered", n)
		}
	})
}

// A trigger that has not reached a sink is sent to that one when it is raised again: by the configuration that gave up no
// sooner than it would have gone on trying, by another one at once.
func TestFailedTriggerIsSentAgain(t *testing.T) {
	for name, again := range map[string]func(a *Alerter){
		"raise":  func(a *Alerter) { a.Raise(StoreLost, "p", "lost") },
		"update": func(a *Alerter) { a.Update(StoreLost, "p", "lost") },
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				state := NewState()
				var tried []time.Duration
				began := time.Now()
				wrong := &fakeSink{name: "s", send: func(context.Context, Notification) error {
					tried = append(tried, time.Since(began))
					return &SendError{Reason: "no such channel", Final: true}
				}}
				works := &fakeSink{name: "other"}
				a := newAlerter(state, wrong, works)
				for range 7 * 60 {
					again(a)
					testwait.Pass(time.Second)
				}
				if !slices.Equal(tried, []time.Duration{0, sendFor}) {
					t.Errorf("tried after %v", tried)
				}
				right := &fakeSink{name: "s"}
				b := newAlerter(state, right, works)
				for range 10 {
					again(b)
				}
				flush(t, a, b)
				for sink, got := range map[string][]string{"the right one": right.received(), "the other": works.received()} {
					if !slices.Equal(got, []string{"trigger store_lost p"}) {
						t.Errorf("%s got %q", sink, got)
					}
				}
				if n := right.got[0]; n.Source != "gw1" || n.Summary != "lost" || !n.Since.Equal(began) || n.Repeats == 0 {
					t.Errorf("it got %+v", n)
				}
				b.Resolve(StoreLost, "p", "back")
				b.Raise(StoreLost, "p", "lost")
				flush(t, b)
				if got := right.received(); !slices.Equal(got, []string{"trigger store_lost p", "resolve store_lost p", "trigger store_lost p"}) {
					t.Errorf("afterwards it got %q", got)
				}
			})
		})
	}
}
