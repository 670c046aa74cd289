package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-alipayai/gateway/limiter"
)

// Permit is a slot reserved in a provider's rate window, for one request. It is used once, by the goroutine that sends the request.
type Permit struct {
	cap *Cap // nil: every request may depart at once

	mu   sync.Mutex // net/http may try a second connection while it writes to the first
	slot limiter.Slot
	// connected says that there was a connection to write the request to.
	connected atomic.Bool
	// reused is when a connection was there that had idled, in Unix
	// nanoseconds; 0 for a new one, and for one that carries several requests
	// at once.
	reused atomic.Int64
	// answering says that bytes of an answer have come: the request was read.
	answering atomic.Bool
}

// Permit waits for a permit, which must be possible before the deadline;
// zero is none. The errors are *limiter.Rejection and those of the window.
func (k *Cap) Permit(ctx context.Context, tenant string, share Share, bytes int64, deadline time.Time) (*Permit, error) {
	d := &Permit{cap: k}
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
		Bytes: bytes, MaxWait: maxWait, Limit: k.Limit, Pace: k.pace(),
		MaxCount: k.MaxCount, MaxBytes: k.MaxBytes,
	})
	return d, err
}

// stale reports whether the slot is too old to depart with, or void. It is
// then given back and taken anew. Half of the guard is for coming late; the
// other half is for the way. Like the queue, stale never asks for better than
// a millisecond.
func (d *Permit) stale(now time.Time) bool {
	select {
	case <-d.slot.Revoked():
		return true
	default:
		return now.Sub(d.slot.At) > max(d.cap.Limit.Guard/2, time.Millisecond)
	}
}

// Trace makes a context whose request, to a URL with that scheme, tells d when
// it has a connection, and when it is written.
func (d *Permit) Trace(ctx context.Context, scheme string) context.Context {
	trace := &httptrace.ClientTrace{
		GotConn: func(conn httptrace.GotConnInfo) {
			d.renew(ctx)
			var reused int64
			if conn.WasIdle && !multiplexed(conn.Conn) {
				reused = time.Now().UnixNano()
			}
			d.reused.Store(reused) // net/http may have had another one before
			d.connected.Store(true)
		},
		WroteRequest:         func(httptrace.WroteRequestInfo) { d.correct() },
		GotFirstResponseByte: func() { d.answering.Store(true) },
	}
	if scheme == "http" {
		// Such a connection does not tell its protocol (HTTP/2 with prior
		// knowledge, "h2c"), but the fields that are written do: a
		// pseudo-header (RFC 9113, section 8.3) is of HTTP/2 or later. Over
		// TLS the handshake has told, so each field's call is saved.
		trace.WroteHeaderField = func(name string, _ []string) {
			if strings.HasPrefix(name, ":") {
				d.reused.Store(0)
			}
		}
	}
	return httptrace.WithClientTrace(ctx, trace)
}

// renew runs when a connection is there and the next thing is to write. If
// making it took so long that the slot is stale, it waits for another one:
// requests that were held up by handshakes must not arrive on top of others.
// It goes past the queue, since its call has waited its turn already. When ctx
// ends first, what was booked stays booked.
func (d *Permit) renew(ctx context.Context) {
	if d.cap == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for ctx.Err() == nil && d.stale(time.Now()) {
		next, err := d.cap.Queue.Renew(ctx, d.slot, d.cap.Limit)
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

// correct runs when the request is written. Where a busy machine took its time
// for that, the departure counts from now on, so that those which are a window
// later keep their distance from what has happened.
func (d *Permit) correct() {
	if d.cap == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.slot.At) > max(d.cap.Limit.Guard/8, time.Millisecond) {
		d.cap.Queue.Correct(d.slot, d.cap.Limit)
	}
}

// FoundClosed reports whether a connection that has broken by now was closed by
// the upstream while it idled, most likely: it broke as soon as it was used, and no
// byte of an answer had come.
func (d *Permit) FoundClosed(now time.Time) bool {
	const soon = time.Second
	reused := d.reused.Load()
	return reused != 0 && !d.answering.Load() && now.Sub(time.Unix(0, reused)) < soon
}

// multiplexed reports whether a connection over TLS carries several requests at
// once, and so is not closed for having idled.
func multiplexed(conn net.Conn) bool {
	t, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok && t.ConnectionState().NegotiatedProtocol == "h2"
}

// Left reports whether bytes of the request may have reached the upstream.
func (d *Permit) Left() bool { return d.connected.Load() }

// Cancel gives the departure back, unless the request may have left.
func (d *Permit) Cancel() {
	if d.cap != nil && !d.Left() {
		d.cap.Queue.Return(d.slot)
	}
}
