package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/limiter"
)

// permit is a slot reserved in a provider's rate window, for one request. It is used once, by the goroutine that sends the request.
type permit struct {
	cap *Cap // nil: every request may leave at once

	mu   sync.Mutex // net/http may try a second connection while it writes to the first
	slot limiter.Slot
	// latest is the request's last moment to leave; zero for none of its own.
	latest time.Time
	// connected says that there was a connection to write the request to, and that it might be written.
	connected atomic.Bool
	// reused is when a connection was there that had idled, in
	// nanoseconds after began, which no setting of the clock changes; 0 for a new one, and for one that carries several requests
	// at once.
	reused atomic.Int64
	// answering says that bytes of an answer have come: the request was read.
	answering atomic.Bool
}

// clear makes a new permit of one that nothing uses any more.
func (d *permit) clear() {
	d.cap, d.slot, d.latest = nil, limiter.Slot{}, time.Time{}
	d.connected.Store(false)
	d.reused.Store(0)
	d.answering.Store(false)
}

// reserve waits for a permit.
func (x *Exchange) reserve(r *Request) *failure.Failure {
	p, began := x.provider, x.at
	err := x.permit.reserve(&x.ctx, p, r)
	if err == nil && !r.cleared() {
		// The slot is for others to use; this request waits in the queue once more when it may leave.
		x.permit.cancel()
		select {
		case <-r.Cleared:
			err = x.permit.reserve(&x.ctx, p, r)
		case <-x.ctx.Done():
			err = x.ctx.Err()
		}
	}
	if p.Cap != nil || r.Cleared != nil {
		x.at = x.now()
	}
	if err == nil {
		if p.Cap != nil {
			r.Caller.Permitted(p, x.at.Sub(r.Equals.since(began)))
		}
		return nil
	}
	if errors.Is(err, errMoved) {
		return failure.Unavailable(failure.CodeRateLimit, "an equal provider has a permit first") // which nothing hears of
	}
	f := p.Cap.Rejected(err, x.at)
	if x.ctx.Err() != nil { // the client left, or a deadline has passed
		f = failure.OfTransport(x.client, &x.ctx, err, false)
	}
	r.Caller.Rejected(p, f.Code)
	return f
}

func (r *Request) cleared() bool {
	if r.Cleared == nil {
		return true
	}
	select {
	case <-r.Cleared:
		return true
	default:
		return false
	}
}

// reserve waits for a slot in p's window, which must be possible before r's latest moment.
// The errors are *limiter.Rejection, those of the window, and errMoved.
func (d *permit) reserve(ctx context.Context, p *Provider, r *Request) (err error) {
	if d.cap, d.latest = p.Cap, r.Latest; d.cap == nil {
		return nil
	}
	if r.Equals == nil {
		d.slot, err = d.cap.Queue.Wait(ctx, d.cap.request(r))
		return err
	}
	d.slot, err = r.Equals.reserve(ctx, p, r)
	return err
}

// request is r as it waits in the cap's queue.
func (k *Cap) request(r *Request) limiter.Request {
	maxWait := max(k.MaxWait-limiter.Handover, 0)
	if !r.Latest.IsZero() {
		maxWait = min(maxWait, time.Until(r.Latest))
	}
	return limiter.Request{
		Tenant: r.Tenant, Weight: r.Share.Weight, Priority: r.Share.Priority,
		Bytes: int64(len(r.Body)), MaxWait: maxWait, Limit: k.Limit, Pace: k.pace(),
		MaxCount: k.MaxCount, MaxBytes: k.MaxBytes,
	}
}

// stale reports whether the slot is too old to send with, or void. It is
// then given back and taken anew. Half of the guard is for coming late; the
// other half is for the way. Like the queue, stale never asks for better than
// a millisecond.
func (d *permit) stale(now time.Time) bool {
	if d.cap == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.isStale(now)
}

func (d *permit) isStale(now time.Time) bool {
	return d.slot.Void(now) || now.Sub(d.slot.At) > max(d.cap.Limit.Guard/2, time.Millisecond)
}

// sender is an exchange as package outgoing sees it, which tells the permit when there is
// a connection, and when the request is written.
type sender Exchange

// Connected implements [outgoing.Sender]. Its error is the cause that the exchange's context has ended with. A request that
// its transport may write all the same counts as one that has left.
func (x *sender) Connected(conn net.Conn, idled bool) error {
	d, now := &x.permit, time.Now()
	if d.stale(now) {
		(*Exchange)(x).renew()
		now = time.Now()
	}
	if x.ctx.Err() != nil {
		if x.unrefusable {
			d.connected.Store(true)
		}
		return context.Cause(&x.ctx)
	}
	var reused int64
	if idled && !multiplexed(conn) {
		reused = cmp.Or(int64(now.Sub(began)), 1)
	}
	d.reused.Store(reused) // net/http may have had another one before
	d.connected.Store(true)
	if x.connecting {
		x.Watch.Pause() // it was for the time until here
	}
	return nil
}

// renew waits for another slot, by the exchange's goroutine. It is the rate cap that this waits for, and not the upstream: the
// time for the answer begins after it. Only a request that has to be connected by a certain time has no more of it.
func (x *Exchange) renew() {
	if !x.connecting {
		x.Watch.Pause()
	}
	if err := x.permit.renew(&x.ctx); err != nil {
		x.ctx.end(err)
	}
	x.leave()
}

// Multiplexed implements [outgoing.Sender].
func (x *sender) Multiplexed() { x.permit.reused.Store(0) }

// Written implements [outgoing.Sender].
func (x *sender) Written() { x.permit.correct() }

// Answering implements [outgoing.Sender].
func (x *sender) Answering() { x.permit.answering.Store(true) }

// Informational implements [outgoing.Sender]: who has asked for informational answers
// hands them on, after this.
func (x *sender) Informational(h http.Header) { (*Exchange)(x).mask().Header(h) }

// CloseAtEnd implements [outgoing.Sender].
func (x *sender) CloseAtEnd(close func()) { x.ctx.closeAtEnd(close) }

// KeepOpen implements [outgoing.Sender].
func (x *sender) KeepOpen() bool { return x.ctx.keepOpen() }

// renew runs when a connection is there and the next thing is to write, but
// making it took so long that the slot is stale. It waits for another one:
// requests that were held up by handshakes must not arrive on top of others.
// It goes past the queue, since its call has waited its turn already, and may wait
// as long as that again, or a window where a call may not wait: whatever else
// has come meanwhile, such as a throttle, is worth no longer a wait than it would be
// to a new call. The errors are ctx's and those of the queue, and then there is no slot.
func (d *permit) renew(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	latest := time.Now().Add(max(d.cap.MaxWait, d.cap.Limit.Span()))
	if !d.latest.IsZero() && d.latest.Before(latest) {
		latest = d.latest
	}
	for d.isStale(time.Now()) || d.cap.Queue.Moved(d.slot) {
		var err error
		if d.slot, err = d.cap.Queue.Renew(ctx, d.slot, d.cap.Limit, latest); err != nil {
			return err
		}
		timer := time.NewTimer(time.Until(d.slot.At))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-d.slot.Revoked():
			timer.Stop()
		case <-timer.C:
		}
	}
	return nil
}

// correct runs when the request is written. Where a busy machine took its time
// for that, the permit counts from now on, so that those which are a window
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
	return reused != 0 && !d.answering.Load() && now.Sub(began)-time.Duration(reused) < soon
}

// multiplexed reports whether a connection over TLS carries several requests at
// once, and so is not closed for having idled.
func multiplexed(conn net.Conn) bool {
	t, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok && t.ConnectionState().NegotiatedProtocol == "h2"
}

// left reports whether bytes of the request may have reached the upstream.
func (d *permit) left() bool { return d.connected.Load() }

// cancel gives the permit back, unless the request may have left.
func (d *permit) cancel() {
	if d.cap != nil && !d.left() {
		d.cap.Queue.Return(d.slot)
	}
}
