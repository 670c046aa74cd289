package pool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// fake is an upstream whose connections carry so many requests at once and are made in so long.
type fake struct {
	streams int
	takes   time.Duration // to connect
	closes  time.Duration // connections that are not used for so long; 0 for never

	mu      sync.Mutex
	failing error
	conns   []*fakeConn
	most    int // open at once, at both sides
	lost    int // requests on connections that were closed
	drains  int // connections that may be open beside the most, until their requests have ended
}

type fakeConn struct {
	of       *fake
	open     bool // at this side
	closed   atomic.Bool
	requests int
	last     time.Time
}

func (f *fake) dial(ctx context.Context) (Conn, error) {
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failing != nil {
		return nil, f.failing
	}
	c := &fakeConn{of: f, open: true, last: time.Now()}
	f.conns = append(f.conns, c)
	both := 0
	for _, c := range f.conns {
		if c.open && !c.closed.Load() {
			both++
		}
	}
	f.most = max(f.most, both)
	return c, nil
}

// openNow counts the connections that this side has not closed.
func (f *fake) openNow() (n int) {
	for _, c := range f.conns {
		if c.open {
			n++
		}
	}
	return n
}

func (f *fake) open() int {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.openNow()
}

func (f *fake) made() int {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

func (f *fake) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = err
}

func (c *fakeConn) Streams() (int, bool) { return max(c.of.streams, 1), true }

// Alive finds that the upstream has closed it.
func (c *fakeConn) Alive() bool {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	return !c.gone()
}

func (c *fakeConn) gone() bool {
	return c.closed.Load() || c.of.closes > 0 && c.requests == 0 && time.Since(c.last) >= c.of.closes
}

func (c *fakeConn) Close() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.open = false
}

var errRefused = errors.New("connection refused")
