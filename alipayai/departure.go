package alipayai

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/caddy-alipayai/gateway/limiter"
)

// Departure is the leave to send one request to a provider, within its rate
// cap. It is used once, by the goroutine that sends the request.
type Departure struct {
	cap  *Cap // nil: every request may depart at once
	slot limiter.Slot
	// connected says that there was a connection to write the request to.
	connected atomic.Bool
}

// depart waits for a departure, which must be possible before the deadline;
// zero is none. The errors are *limiter.Rejection and those of the window.
func (k *Cap) depart(ctx context.Context, tenant string, share Share, bytes int64, deadline time.Time) (*Departure, error) {
	d := &Departure{cap: k}
	if k == nil {
		return d, nil
	}
	maxWait := k.MaxWait
	if !deadline.IsZero() {
		maxWait = min(maxWait, time.Until(deadline))
	}
	var err error
	d.slot, err = k.Queue.Wait(ctx, limiter.Request{
		Tenant: tenant, Weight: share.Weight, Priority: share.Priority,
		Bytes: bytes, MaxWait: maxWait, Limit: k.Limit,
		MaxCount: k.MaxCount, MaxBytes: k.MaxBytes,
	})
	return d, err
}

// stale reports whether the slot is too old to depart with, or void. It is
// then given back and taken anew: the guard covers no more than itself. Like
// the queue it never asks for better than a millisecond.
func (d *Departure) stale(now time.Time) bool {
	if d.cap == nil {
		return false
	}
	select {
	case <-d.slot.Revoked():
		return true
	default:
		return now.Sub(d.slot.At) > max(d.cap.Limit.Guard, time.Millisecond)
	}
}

// trace makes a context whose request tells d when it has a connection.
func (d *Departure) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			d.renew(ctx)
			d.connected.Store(true)
		},
	})
}

// renew runs when a connection is there and the next thing is to write. If
// making it took so long that the slot is stale, it waits for another one:
// requests that were held up by handshakes must not arrive on top of others.
// It goes past the queue, since its call has waited its turn already. When ctx
// ends first, what was booked stays booked.
func (d *Departure) renew(ctx context.Context) {
	for ctx.Err() == nil && d.stale(time.Now()) {
		d.cap.Window.Return(d.slot)
		next, err := d.cap.Window.Reserve(ctx, d.cap.Limit)
		if err != nil {
			return // ctx has ended
		}
		d.slot = next
		select {
		case <-ctx.Done():
		case <-next.Revoked():
		case <-time.After(time.Until(next.At)):
		}
	}
}

// Left reports whether bytes of the request may have reached the upstream.
func (d *Departure) Left() bool { return d.connected.Load() }

// Cancel gives the departure back, unless the request may have left.
func (d *Departure) Cancel() {
	if d.cap != nil && !d.Left() {
		d.cap.Window.Return(d.slot)
	}
}

// Answered takes note of the answer's head: a 429 closes the window.
func (d *Departure) Answered(resp *http.Response) {
	if resp.StatusCode == http.StatusTooManyRequests {
		d.cap.throttled(retryAfter(resp.Header, time.Now()))
	}
}
