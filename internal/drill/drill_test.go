package main

import (
	"testing"
	"time"
)

// A short drill on a machine that others use as well: nothing is refused, and the cap holds. How long calls wait
// depends on the machine, and is for the command to judge.
func TestDrill(t *testing.T) {
	r, err := run(t.Context(), settings{duration: 5 * time.Second, rate: 240, maxWait: 2 * time.Second, guard: 250 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.refused > 0 || r.most > perSecond || r.byApps == 0 || r.byFallback == 0 {
		t.Errorf("\n%s", r)
	}
	t.Log("\n", r)
}

func TestHolds(t *testing.T) {
	good := report{calls: 10, byApps: 5, byFallback: 5, most: perSecond, p99: time.Second, maxWait: time.Second}
	for name, edit := range map[string]func(r *report){
		"":                 func(*report) {},
		"one is refused":   func(r *report) { r.refused = 1 },
		"one too many":     func(r *report) { r.most++ },
		"too long":         func(r *report) { r.p99++ },
		"apps asleep":      func(r *report) { r.byApps = 0 },
		"fallback asleep":  func(r *report) { r.byFallback = 0 },
		"nothing happened": func(r *report) { *r = report{} },
	} {
		r := good
		edit(&r)
		if r.holds() != (name == "") {
			t.Errorf("%s: %v", name, r.holds())
		}
	}
}

func TestMost(t *testing.T) {
	began := time.Now()
	a := new(app)
	for _, at := range []time.Duration{0, 1, time.Second - 1, time.Second, time.Second + 1, 3 * time.Second} {
		a.arrived = append(a.arrived, began.Add(at))
	}
	if most := a.most(); most != 3 {
		t.Errorf("%d arrivals in a second, want 3", most)
	}
}
