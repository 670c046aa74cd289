package failover

import (
	"math"
	"testing"
	"time"
)

func TestDelayIsDrawnFromAllUpToItsBound(t *testing.T) {
	tests := map[string]struct {
		backoff Backoff
		repeat  int
		longest time.Duration
	}{
		"first":                    {Backoff{}, 0, 100 * time.Millisecond},
		"second":                   {Backoff{}, 1, 200 * time.Millisecond},
		"fifth":                    {Backoff{}, 4, 1600 * time.Millisecond},
		"sixth, cut":               {Backoff{}, 5, 2 * time.Second},
		"beyond any shift":         {Backoff{}, 1000, 2 * time.Second},
		"number below zero":        {Backoff{}, -1, 100 * time.Millisecond},
		"its own figures":          {Backoff{Base: time.Second, Max: time.Minute}, 3, 8 * time.Second},
		"base beyond the longest":  {Backoff{Base: time.Hour}, 0, 2 * time.Second},
		"as far as durations go":   {Backoff{Max: math.MaxInt64 - 1}, 64, math.MaxInt64 - 1},
		"figures that make no use": {Backoff{Base: -1, Max: -1}, 0, 100 * time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var asked int64
			tt.backoff.Int64N = func(n int64) int64 { asked = n; return n - 1 }
			if got := tt.backoff.Delay(tt.repeat); got != tt.longest || asked != int64(tt.longest)+1 {
				t.Errorf("longest delay %s, drawn from %d; want %s", got, asked, tt.longest)
			}
			tt.backoff.Int64N = func(int64) int64 { return 0 }
			if got := tt.backoff.Delay(tt.repeat); got != 0 {
				t.Errorf("shortest delay %s, want 0", got)
			}
		})
	}
}

func TestDelayDrawsByItself(t *testing.T) {
	var sum time.Duration
	const draws = 2000
	for range draws {
		d := Backoff{}.Delay(2)
		if d < 0 || d > 400*time.Millisecond {
			t.Fatalf("delay %s is outside of [0, 400ms]", d)
		}
		sum += d
	}
	if mean := sum / draws; mean < 180*time.Millisecond || mean > 220*time.Millisecond {
		t.Errorf("mean delay %s, want about 200ms", mean)
	}
}
