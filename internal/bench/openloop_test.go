package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// sleepInBubble is sleepUntil by the bubble's clock.
func sleepInBubble(until time.Time) { time.Sleep(time.Until(until)) }

func ms(values ...int) []time.Duration {
	durations := make([]time.Duration, len(values))
	for i, v := range values {
		durations[i] = time.Duration(v) * time.Millisecond
	}
	return durations
}

// The calls behind a stall have waited as well: their latency begins when they
// were due.
func TestFollow(t *testing.T) {
	tests := map[string]struct {
		workers   int
		takes     []time.Duration // each call, in the order of sending
		latencies []time.Duration
		lateness  []time.Duration
		elapsed   time.Duration
	}{
		"as fast as they are due": {
			workers: 1, takes: ms(5, 5, 5, 5),
			latencies: ms(5, 5, 5, 5), lateness: ms(0, 0, 0, 0), elapsed: 35 * time.Millisecond,
		},
		"one stall, one worker": {
			workers: 1, takes: ms(34, 2, 2, 2),
			latencies: ms(10, 18, 26, 34), lateness: ms(0, 8, 16, 24), elapsed: 40 * time.Millisecond,
		},
		"one stall, another worker": {
			workers: 2, takes: ms(34, 2, 2, 2),
			latencies: ms(2, 2, 2, 34), lateness: ms(0, 0, 0, 0), elapsed: 34 * time.Millisecond,
		},
		"slower than they are due": {
			workers: 1, takes: ms(15, 15, 15, 15),
			latencies: ms(15, 20, 25, 30), lateness: ms(0, 5, 10, 15), elapsed: 60 * time.Millisecond,
		},
		"more workers than calls": {
			workers: 9, takes: ms(15, 15, 15, 15),
			latencies: ms(15, 15, 15, 15), lateness: ms(0, 0, 0, 0), elapsed: 45 * time.Millisecond,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				takes := make(chan time.Duration, len(tt.takes))
				for _, d := range tt.takes {
					takes <- d
				}
				s := schedule{began: time.Now(), interval: 10 * time.Millisecond, calls: len(tt.takes)}
				got, err := follow(t.Context(), s, tt.workers, sleepInBubble, func(int) error {
					time.Sleep(<-takes)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got.latencies, tt.latencies) || !slices.Equal(got.lateness, tt.lateness) || got.elapsed != tt.elapsed {
					t.Errorf("got %v, late by %v, in %v", got.latencies, got.lateness, got.elapsed)
				}
			})
		})
	}
}

func TestFollowEnds(t *testing.T) {
	broken := errors.New("broken")
	tests := map[string]struct {
		call func(cancel func()) error
		want error
	}{
		"at a call that fails": {func(func()) error { return broken }, broken},
		"when it is cancelled": {func(cancel func()) error { cancel(); return nil }, context.Canceled},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s := schedule{began: time.Now(), interval: time.Second, calls: 100}
				_, err := follow(ctx, s, 3, sleepInBubble, func(int) error { return tt.call(cancel) })
				if !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if waited := time.Since(s.began); waited > 5*time.Second {
					t.Errorf("it went on for %v", waited)
				}
			})
		})
	}
}

func TestOpenLoopKeepsTheRate(t *testing.T) {
	addr := serve1(t)
	w := jsonCalls(4).at(1000)
	cs, err := dial(t.Context(), addr, w)
	if err != nil {
		t.Fatal(err)
	}
	defer cs.close()
	got, err := cs.openLoop(t.Context(), w, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.latencies) != 50 || len(got.lateness) != 50 {
		t.Errorf("%d calls, %d sent; want 50", len(got.latencies), len(got.lateness))
	}
	if got.elapsed < 49*time.Millisecond {
		t.Errorf("the last call was due after 49 ms, and all took %v", got.elapsed)
	}
	if got.lateness[0] < 0 {
		t.Errorf("a call was sent %v before it was due", -got.lateness[0])
	}
}

func TestOpenLoopRefuses(t *testing.T) {
	w := jsonCalls(2).at(1000)
	cs, err := dial(t.Context(), serve1(t), w)
	if err != nil {
		t.Fatal(err)
	}
	defer cs.close()
	w.check = func([]byte) error { return errors.New("not the answer") }
	if _, err := cs.openLoop(t.Context(), w, 20*time.Millisecond); err == nil || !strings.Contains(err.Error(), "not the answer") {
		t.Errorf("error %v", err)
	}
}
