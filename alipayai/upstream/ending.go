package upstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
)

// ErrEnded is the cause of an attempt that nothing waits for any more.
var ErrEnded = errors.New("the attempt has ended")

// ending is the context of an exchange. It ends with the client's, by the watchdog, or
// with the exchange. It is in one piece with the exchange, and makes a channel only for
// those who wait for one: a [context.WithCancelCause] and what waits for it are eight
// allocations for each request.
type ending struct {
	client context.Context
	sender outgoing.Sender
	// stop takes it off the client's, and detached says that it did so in time.
	stop     func() bool
	detached bool

	mu    sync.Mutex
	cause error // nil before it has ended
	// awaited says that somebody has asked to wait for its end.
	awaited bool
	done    chan struct{}
	close   func() // of the connection that the request is on
	after   map[*func()]struct{}
}

// begin has the context end with the client's. wake is what runs then, which ends it.
func (e *ending) begin(client context.Context, s outgoing.Sender, wake func()) {
	e.client, e.sender = client, s
	e.stop = context.AfterFunc(client, wake)
}

// detach takes it off the client's context.
func (e *ending) detach() { e.detached = e.stop() || e.detached }

// atRest reports whether nothing waits for it that has ended, and wake has not run.
func (e *ending) atRest() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.detached && e.cause != nil && !e.awaited && e.close == nil
}

// clear makes a new one of it, which is at rest.
func (e *ending) clear() {
	e.mu.Lock() // after whoever had it
	defer e.mu.Unlock()
	e.client, e.sender, e.stop, e.detached, e.cause = nil, nil, nil, false, nil
}

// end ends the context, once.
func (e *ending) end(cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cause != nil {
		return
	}
	e.cause = cause
	if e.done != nil {
		close(e.done)
	}
	if e.close != nil {
		go e.close() // which over TLS says goodbye first, and may have to wait for that
	}
	for f := range e.after {
		go (*f)()
	}
	e.close, e.after = nil, nil
}

// Deadline implements [context.Context].
func (e *ending) Deadline() (time.Time, bool) { return e.client.Deadline() }

// Done implements [context.Context].
func (e *ending) Done() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.awaited = true
	if e.done == nil {
		e.done = make(chan struct{})
		if e.cause != nil {
			close(e.done)
		}
	}
	return e.done
}

// Err implements [context.Context]. It is [context.Canceled] to errors.Is, and wraps the
// cause, so that [context.Cause] gives that.
func (e *ending) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cause == nil || e.cause == e.client.Err() { //nolint:errorlint // it is this very one
		return e.cause
	}
	return endedError{e.cause}
}

// Value implements [context.Context].
func (e *ending) Value(key any) any {
	if _, ok := key.(outgoing.SenderKey); ok {
		return e.sender
	}
	return e.client.Value(key)
}

// AfterFunc is how package context waits for contexts that are not its own, without a
// goroutine for each.
func (e *ending) AfterFunc(f func()) (stop func() bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.awaited = true
	if e.cause != nil {
		go f()
		return func() bool { return false }
	}
	if e.after == nil {
		e.after = make(map[*func()]struct{})
	}
	e.after[&f] = struct{}{}
	return func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		_, waits := e.after[&f]
		delete(e.after, &f)
		return waits
	}
}

// closeAtEnd is [outgoing.Sender.CloseAtEnd].
func (e *ending) closeAtEnd(close func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cause != nil {
		go close()
		return
	}
	e.close = close
}

// keepOpen is [outgoing.Sender.KeepOpen].
func (e *ending) keepOpen() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := e.close != nil
	e.close = nil
	return kept
}

// endedError is the end of a context by a cause of its own.
type endedError struct{ error }

// Is implements what errors.Is asks for.
func (endedError) Is(target error) bool { return target == context.Canceled }

// Unwrap gives the cause.
func (e endedError) Unwrap() error { return e.error }
