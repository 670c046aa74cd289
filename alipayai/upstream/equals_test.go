package upstream

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A permit that a request has moved for is good as any other is: one that has come to be too old gives way to the next, within
// the longest wait, and whatever comes of it no slot stays taken that is not used.
func TestPermitOfAnEqual(t *testing.T) {
	const guard = 20 * time.Millisecond
	const next = time.Second + guard - maxPace // is the next slot where another request has taken one a pace before
	for name, test := range map[string]struct {
		late    time.Duration // the permit, when it is taken
		fewer   bool          // requests are permitted by then, so that there is none at once
		maxWait time.Duration
		latest  time.Duration // since the permit; 0 for none
		closes  bool          // the window while it waits
		leaves  bool          // the client while it waits
		closed  bool          // the window before
		at      time.Duration // when it may leave, since the permit; negative for not
	}{
		"in time":                {at: 0},
		"half of the guard":      {late: guard / 2, at: guard / 2},
		"too old":                {late: guard, at: guard},
		"too old, none at once":  {late: guard, fewer: true, at: next},
		"longer than any wait":   {late: guard, fewer: true, maxWait: next - 1, at: -1},
		"as long as any wait":    {late: guard, fewer: true, maxWait: next, at: next},
		"after its last moment":  {late: guard, fewer: true, latest: next - 1, at: -1},
		"at its last moment":     {late: guard, fewer: true, latest: next, at: next},
		"a last moment far away": {late: guard, fewer: true, maxWait: next - 1, latest: time.Hour, at: -1},
		"closed before":          {closed: true, at: -1},
		"closed while it waits":  {late: guard, fewer: true, closes: true, at: -1},
		"the client leaves then": {late: guard, fewer: true, leaves: true, at: -1},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				k := oneAt(time.Second, guard)
				k.Limit.Requests = 2
				if test.maxWait > 0 {
					k.MaxWait = test.maxWait
				}
				p := &Provider{Cap: k}
				var other, d permit
				for _, d := range []*permit{&other, &d} {
					if err := d.reserve(t.Context(), p, new(Request)); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now()
				if test.fewer {
					k.Limit.Requests = 1
				} else {
					k.Queue.Return(other.slot)
				}
				e := &Equals{Next: p, slot: d.slot, ready: true, began: began}
				if test.closed {
					k.Throttled(time.Second)
				}
				time.Sleep(test.late)
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				if test.closes {
					time.AfterFunc(time.Second/2, func() { k.Throttled(time.Second) })
				}
				if test.leaves {
					time.AfterFunc(time.Second/2, leave)
				}
				r := new(Request)
				if test.latest > 0 {
					r.Latest = began.Add(test.latest)
				}
				slot, ok := e.take(ctx, k, r)
				if took := time.Since(began); ok != (test.at >= 0) || ok && took != test.at {
					t.Errorf("taken: %v, after %v; want %v", ok, took, test.at)
				}
				k.Limit.Requests = 1
				e.Release()
				time.Sleep(time.Until(began.Add(next))) // when nothing but this permit can be in the way
				free, want := k.Window.Next(k.Limit, time.Now()), time.Now()
				switch {
				case ok:
					want = slot.At.Add(k.Limit.Span())
				case test.closes || test.closed:
					return
				}
				if !free.Equal(want) {
					t.Errorf("the next slot is %v away, want %v", time.Until(free), time.Until(want))
				}
			})
		})
	}
}
