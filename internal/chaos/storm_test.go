package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// Every fault that may be drawn is one that its simulator has, and each of them is drawn.
func TestDraws(t *testing.T) {
	r := quiet(t)
	claude, err := sandbox.New(sandbox.Config{Format: sandbox.Anthropic})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		sim  *sandbox.Server
		want []sandbox.Kind
	}{
		first:  {r.alipay.sim, slices.Concat(faults, alipayFaults, []sandbox.Kind{sandbox.Throttle})},
		second: {claude, faults},
	} {
		t.Run(name, func(t *testing.T) {
			drawn := make(map[sandbox.Kind]bool)
			draws, calm := short.draws(drawAlipay), 0
			for range 2000 {
				list := draw(draws, name == first)
				if len(list) == 0 {
					calm++
				}
				for _, f := range list {
					drawn[f.Kind] = true
				}
				if err := test.sim.SetFaults(list...); err != nil {
					t.Fatal(err)
				}
			}
			if got := slices.Sorted(maps.Keys(drawn)); !slices.Equal(got, slices.Sorted(slices.Values(test.want))) {
				t.Errorf("drawn are %v, want %v", got, test.want)
			}
			if calm < 500 || calm > 900 {
				t.Errorf("calm %d times of 2000, want a third", calm)
			}
		})
	}
}

func TestSeedDrawsTheSame(t *testing.T) {
	other := short
	other.seed++
	a, b, c, d := short.draws(drawAlipay), short.draws(drawAlipay), short.draws(drawClaude), other.draws(drawAlipay)
	n := a.Uint64()
	if n != b.Uint64() {
		t.Error("one seed draws two things")
	}
	if n == c.Uint64() || n == d.Uint64() {
		t.Error("two streams, or two seeds, draw the same")
	}
}

// What is broken off, as in the middle of a pause, is mended at the end.
func TestStormEnds(t *testing.T) {
	r := quiet(t)
	r.redis = newRedis(t)
	w := newStorm(short, r)
	close(w.stop)
	for range 4 { // each way twice
		if err := w.breakRedis(short.draws(drawRedis)); err != nil {
			t.Fatal(err)
		}
	}
	w.stop = make(chan struct{})
	w.begin()
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	if w.paused != 2 || w.restarted != 2 {
		t.Errorf("stopped %d times and killed %d times, want 2 and 2", w.paused, w.restarted)
	}
	for _, u := range r.upstreams() {
		if left := u.sim.Faults(); len(left) > 0 {
			t.Errorf("%v are left at %s", left, u.name)
		}
	}
}
