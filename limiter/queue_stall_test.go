package limiter

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A process that stands still for a while changes nothing in the rate of the window:
// the queue must not predict longer waits afterwards, or it would reject calls that
// could be served in time.
func TestStallDoesNotSpoilThePrediction(t *testing.T) {
	tests := map[string]struct {
		stall  time.Duration
		limit  Limit
		others int
	}{
		"shorter than a window":  {500 * time.Millisecond, alipay, 0},
		"of several windows":     {5 * time.Second, alipay, 0},
		"where others share":     {5 * time.Second, alipay, 2},
		"shorter than the guard": {8 * time.Millisecond, alipay, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.window.others = tt.others
				r := patient("a")
				r.Limit = tt.limit
				h.backlog(500, r, func() {})
				share := float64(tt.limit.Requests) / float64(1+tt.others) / tt.limit.Span().Seconds()
				random := rand.New(rand.NewPCG(1, 7))
				for range 100 {
					time.Sleep(time.Duration(random.Int64N(int64(3 * time.Second))))
					h.window.mu.Lock()
					h.window.stall = tt.stall
					h.window.mu.Unlock()
					time.Sleep(tt.limit.Span() + tt.stall)
					for range 10 {
						time.Sleep(time.Duration(random.Int64N(int64(tt.limit.Span() / 5))))
						synctest.Wait()
						count, _ := h.Depth()
						most := time.Duration((float64(count)/share*1.1 + tt.limit.Span().Seconds()) * float64(time.Second))
						if got := h.Predict(r); got > most {
							t.Fatalf("prediction behind %d is %v, want at most %v", count, got, most)
						}
					}
				}
				h.Drain()
			})
		})
	}
}

// The time in which the process was held up does not lower the measured rate.
func TestThroughputLeavesOutWhatWasHeldUp(t *testing.T) {
	const span = time.Second
	var got throughput
	at := time.Unix(0, 0)
	for i := range 200 {
		held := time.Duration(0)
		if i%40 == 39 {
			held = 7 * time.Second
		}
		at = at.Add(100*time.Millisecond + held)
		got.add(at, held, span)
		known := i > 20 || got.rate != 0 // the first window does not count
		if known && (got.rate < 9.9 || got.rate > 10.1) {
			t.Fatalf("%.1f a second after permit %d, want 10", got.rate, i)
		}
	}
}
