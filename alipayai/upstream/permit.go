package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-alipayai/gateway/limiter"
)

// permit is a slot reserved in a provider's rate window, for one request. It is used once, by the goroutine that sends the request.
type permit struct {
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

// reserve waits for a slot in k, which must be possible before r's latest moment. The
// errors are *limiter.Rejection and those of the window.
func (d *permit) reserve(ctx context.Context, k *Cap, r *Request) error {
	d.cap = k
	if k == nil {
		return nil
	}
	maxWait := k.MaxWait
	if !r.Latest.IsZero() {
		maxWait = min(maxWait, time.Until(r.Latest))
	}
	var err error
	d.slot, err = k.Queue.Wait(ctx, limiter.Request{
		Tenant: r.Tenant, Weight: r.Share.Weight, Priority: r.Share.Priority,
		Bytes: int64(len(r.Body)), MaxWait: maxWait, Limit: k.Limit, Pace: k.pace(),
		MaxCount: k.MaxCount, MaxBytes: k.MaxBytes,
	})
	return err
}

// stale reports whether the slot is too old to depart with, or void. It is
// then given back and taken anew. Half of the guard is for coming late; the
// other half is for the way. Like the queue, stale never asks for better than
// a millisecond.
func (d *permit) stale(now time.Time) bool {
	select {
	case <-d.slot.Revoked():
		return true
	default:
		return now.Sub(d.slot.At) > max(d.cap.Limit.Guard/2, time.Millisecond)
	}
}

// traced makes the context of x's request, which tells the permit when there is a
// connection, and when the request is written.
func (x *Exchange) traced() context.Context {
	d := &x.permit
	trace := &httptrace.ClientTrace{
		GotConn: func(conn httptrace.GotConnInfo) {
			d.renew(x.ctx)
			var reused int64
			if conn.WasIdle && !multiplexed(conn.Conn) {
				reused = time.Now().UnixNano()
			}
			d.reused.Store(reused) // net/http may have had another one before
			d.connected.Store(true)
			if x.connecting {
				x.Watch.Pause() // it was for the time until here
			}
		},
		WroteRequest:         func(httptrace.WroteRequestInfo) { d.correct() },
		GotFirstResponseByte: func() { d.answering.Store(true) },
	}
	if x.provider.BaseURL.Scheme == "http" {
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
	// Who has asked for informational answers hands them on, after this.
	if outer := httptrace.ContextClientTrace(x.client); outer != nil && outer.Got1xxResponse != nil {
		trace.Got1xxResponse = func(_ int, header textproto.MIMEHeader) error {
			x.mask().Header(http.Header(header))
			return nil
		}
	}
	return httptrace.WithClientTrace(x.ctx, trace)
}

// renew runs when a connection is there and the next thing is to write. If
// making it took so long that the slot is stale, it waits for another one:
// requests that were held up by handshakes must not arrive on top of others.
// It goes past the queue, since its call has waited its turn already. When ctx
// ends first, what was booked stays booked.
func (d *permit) renew(ctx context.Context) {
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
func (d *permit) correct() {
	if d.cap == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.slot.At) > max(d.cap.Limit.Guard/8, time.Millisecond) {
		d.cap.Queue.Correct(d.slot, d.cap.Limit)
	}
}

// foundClosed reports whether a connection that has broken by now was closed by
// the upstream while it idled, most likely: it broke as soon as it was used, and no
// byte of an answer had come.
func (d *permit) foundClosed(now time.Time) bool {
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

// left reports whether bytes of the request may have reached the upstream.
func (d *permit) left() bool { return d.connected.Load() }

// cancel gives the departure back, unless the request may have left.
func (d *permit) cancel() {
	if d.cap != nil && !d.left() {
		d.cap.Queue.Return(d.slot)
	}
}
