package upstream

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/token"
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
				testwait.Pass(test.late)
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
				e.Release()                                // which gives nothing back twice
				testwait.Pass(time.Until(began.Add(next))) // when nothing but this permit can be in the way
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

// A request moves to an equal provider only where it could be sent there as soon as it has the permit, and waits for no longer than
// at one.
func TestEqualsThatCanServe(t *testing.T) {
	const first, second = 0, time.Second
	for name, test := range map[string]struct {
		other  func(other, p *Provider, e *Equals)
		moved  bool
		failed bool
		at     time.Duration
	}{
		"a free one":           {other: func(*Provider, *Provider, *Equals) {}, moved: true, at: first},
		"one of the same cap":  {other: func(other, p *Provider, _ *Equals) { other.Cap = p.Cap }, at: second},
		"one without a cap":    {other: func(other, _ *Provider, _ *Equals) { other.Cap = nil }, at: second},
		"one that is held":     {other: func(other, _ *Provider, _ *Equals) { other.Hold.Extend(time.Now(), time.Minute) }, at: second},
		"one that can be used": {other: func(other, _ *Provider, _ *Equals) { other.Unavailable = func(time.Time) error { return nil } }, moved: true, at: first},
		"one that cannot":      {other: func(other, _ *Provider, _ *Equals) { other.Unavailable = func(time.Time) error { return errMoved } }, at: second},
		"one without a token":  {other: func(other, _ *Provider, _ *Equals) { other.Tokens = &token.Source{Cell: new(token.Cell)} }, at: second},
		"the wait has begun before": {other: func(other, p *Provider, e *Equals) {
			other.Cap = nil
			e.began = time.Now().Add(second - p.Cap.MaxWait)
		}, failed: true},
		"a permit of another is kept": {other: func(other, _ *Provider, e *Equals) {
			var d permit
			_ = d.reserve(context.Background(), other, new(Request))
			e.Next, e.slot, e.ready, e.began = other, d.slot, true, time.Now()
		}, moved: true, at: maxPace}, // since it is given back and taken anew
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				profile := known(t, "deepseek")
				p := &Provider{Profile: profile, Hold: new(Hold), Cap: oneAt(second, 0)}
				other := &Provider{Profile: profile, Hold: new(Hold), Cap: oneAt(time.Hour, 0)}
				if err := new(permit).reserve(t.Context(), p, new(Request)); err != nil {
					t.Fatal(err)
				}
				e := &Equals{Others: []*Provider{other}}
				test.other(other, p, e)
				began := time.Now()
				slot, err := e.reserve(t.Context(), p, new(Request))
				if moved := errors.Is(err, errMoved); moved != test.moved || (err != nil) != (test.moved || test.failed) {
					t.Fatalf("%v, want moved %v, failed %v", err, test.moved, test.failed)
				}
				if took := time.Since(began); took != test.at {
					t.Errorf("after %v, want %v", took, test.at)
				}
				switch {
				case test.failed:
				case !test.moved && (slot.At.IsZero() || e.Next != nil):
					t.Errorf("slot %v and next %v, want one here", slot.At, e.Next)
				case test.moved && (e.Next != other || !e.ready):
					t.Errorf("next is %v, want the other one", e.Next)
				}
			})
		})
	}
}
