package upstream

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// What comes after the gateway may change a header's values where they are: neither the request that they came from nor
// another call may see that.
func TestForwardedValuesAreNotShared(t *testing.T) {
	from := http.Header{"Traceparent": {"00-1", "00-2"}}
	one, other := make(http.Header), make(http.Header)
	Forward(one, from, []string{"Traceparent"}, make([]string, 2))
	Forward(other, from, []string{"Traceparent"}, nil)
	one["Traceparent"][0] = "changed"
	for name, h := range map[string]http.Header{"the source": from, "another call": other} {
		if got := strings.Join(h["Traceparent"], " "); got != "00-1 00-2" {
			t.Errorf("%s has %q", name, got)
		}
	}
}

// A slot is good for half of the guard after its time, and for a millisecond at least.
func TestStaleSlots(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for name, test := range map[string]struct {
		guard, late time.Duration
		stale       bool
	}{
		"in time":                        {20 * time.Millisecond, 0, false},
		"before its time":                {20 * time.Millisecond, -time.Second, false},
		"half of the guard":              {20 * time.Millisecond, 10 * time.Millisecond, false},
		"later":                          {20 * time.Millisecond, 10*time.Millisecond + 1, true},
		"the whole guard":                {20 * time.Millisecond, 20 * time.Millisecond, true},
		"a millisecond, without a guard": {0, time.Millisecond, false},
		"later, without a guard":         {0, time.Millisecond + 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := &permit{cap: &Cap{Limit: limiter.Limit{Guard: test.guard}}, slot: limiter.Slot{At: now.Add(-test.late)}}
			if got := d.stale(now); got != test.stale {
				t.Errorf("stale %v, want %v", got, test.stale)
			}
		})
	}
}

// Permits are spread over an eighth of the window, but by 5 ms at the most, and not by less than a timer can keep.
func TestPace(t *testing.T) {
	for name, test := range map[string]struct {
		limit limiter.Limit
		want  time.Duration
	}{
		"50 a second":             {limiter.Limit{Requests: 50, Per: time.Second}, 2500 * time.Microsecond},
		"50 a second and a guard": {limiter.Limit{Requests: 50, Per: time.Second, Guard: 200 * time.Millisecond}, 3 * time.Millisecond},
		"one an hour":             {limiter.Limit{Requests: 1, Per: time.Hour}, 5 * time.Millisecond},
		"125 a second":            {limiter.Limit{Requests: 125, Per: time.Second}, time.Millisecond},
		"126 a second":            {limiter.Limit{Requests: 126, Per: time.Second}, 0},
		"none":                    {limiter.Limit{Per: time.Second}, 5 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&Cap{Limit: test.limit}).pace(); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// A cap's longest wait is that of its calls from when they come until they have their permit, which its queue may hand over
// a little late.
func TestWaitsEndWithinTheLongest(t *testing.T) {
	for name, free := range map[string]struct {
		after time.Duration // the next permit is free
		taken bool
	}{
		"well before":     {time.Second, true},
		"just in time":    {2*time.Second - limiter.Handover, true},
		"at the very end": {2 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				limit := limiter.Limit{Requests: 1, Per: free.after}
				k := &Cap{Queue: limiter.NewQueue(limiter.NewMemoryWindow(time.Now), time.Now), Limit: limit, MaxWait: 2 * time.Second, MaxCount: 10, MaxBytes: 10}
				p := &Provider{Cap: k}
				for _, taken := range []bool{true, free.taken} {
					began := time.Now()
					err := new(permit).reserve(t.Context(), p, &Request{})
					if (err == nil) != taken {
						t.Errorf("after %v: %v", time.Since(began), err)
					}
					if waited := time.Since(began); waited > k.MaxWait {
						t.Errorf("waited %v", waited)
					}
				}
			})
		})
	}
}
