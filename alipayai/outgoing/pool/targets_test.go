package pool

import (
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// How long calls take by the connections that there may be, in time that no machine makes longer: the upstream takes 400 ms, a
// dial two round trips, and calls come evenly for ten seconds after five that are not counted. Where ten connections do not
// carry the rate, p99 with `pool 10 30` is at most 0.6 of what it is with ten; where thirty carry it, p99 is at most one
// round trip above the upstream's own time, since no call waits.
func TestPoolTargets(t *testing.T) {
	const service = 400 * time.Millisecond
	for name, test := range map[string]struct {
		streams, rate  int
		trip           time.Duration
		ten, hasEnough bool // that ten connections carry the rate, and that thirty do
	}{
		"HTTP/1.1,  80 ms,  20 a second": {1, 20, 80 * time.Millisecond, true, true},
		"HTTP/1.1,  80 ms,  60 a second": {1, 60, 80 * time.Millisecond, false, true},
		"HTTP/1.1,  80 ms, 100 a second": {1, 100, 80 * time.Millisecond, false, false},
		"HTTP/1.1, 200 ms,  20 a second": {1, 20, 200 * time.Millisecond, false, true},
		"HTTP/1.1, 200 ms,  60 a second": {1, 60, 200 * time.Millisecond, false, false},
		"HTTP/1.1, 200 ms, 100 a second": {1, 100, 200 * time.Millisecond, false, false},
		"HTTP/2,   200 ms,  20 a second": {100, 20, 200 * time.Millisecond, true, true},
		"HTTP/2,   200 ms,  60 a second": {100, 60, 200 * time.Millisecond, true, true},
		"HTTP/2,   200 ms, 100 a second": {100, 100, 200 * time.Millisecond, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			measure := func(least, most int) (p50, p99 time.Duration) {
				testwait.Bubble(t, func(t *testing.T) {
					f := &fake{streams: test.streams, takes: 2 * test.trip}
					p, s := new(Pool), &Settings{Min: least, Max: most, Idle: MaxIdle, Dial: f.dial}
					p.Open(s)
					defer p.Leave(s)
					time.Sleep(time.Second)
					f.calls(t, p, s, test.rate, service+test.trip, 5*time.Second)
					waits := f.calls(t, p, s, test.rate, service+test.trip, 10*time.Second)
					p50, p99 = waits[len(waits)/2], waits[len(waits)*99/100]
				})
				return service + test.trip + p50, service + test.trip + p99
			}
			ten50, ten := measure(10, 10)
			thirty50, thirty := measure(30, 30)
			pool50, pool := measure(10, 30)
			t.Logf("p50, p99: 10: %v, %v; 30: %v, %v (p99 %.2f of that with 10); pool 10 30: %v, %v (%.2f)",
				ten50, ten, thirty50, thirty, thirty.Seconds()/ten.Seconds(), pool50, pool, pool.Seconds()/ten.Seconds())
			if ratio := pool.Seconds() / ten.Seconds(); !test.ten && ratio > 0.6 {
				t.Errorf("p99 is %.2f of that with ten connections", ratio)
			}
			if above := pool - service; test.hasEnough && above > test.trip {
				t.Errorf("p99 is %v above the upstream's own time", above)
			}
		})
	}
}
