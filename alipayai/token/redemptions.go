package token

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ExitTime is the longest that a redemption takes to bring its answer to the store.
const ExitTime = fetchTimeout + keepTimeout

// errExit is why no refresh token is redeemed once the process ends.
var errExit = fmt.Errorf("%w: the process ends", ErrUnavailable)

// Redemptions are a process's refresh tokens that are being redeemed. One whose answer is lost, because the process ended
// meanwhile, is dead, and so is the grant: a person has to authorise again. The zero Redemptions is ready, and nil counts
// nothing. It is safe for concurrent use.
type Redemptions struct {
	mu     sync.Mutex
	n      int
	closed bool
	idle   chan struct{} // closed when n is 0; nil while none waits for that
}

// begin takes the right to redeem, which end gives back. It is false after Close.
func (r *Redemptions) begin() bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.n++
	return true
}

func (r *Redemptions) end() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n--; r.n == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

// Close lets none begin any more, and returns when those in flight have been kept, or ctx is done. It is for the end of the
// process.
func (r *Redemptions) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	if r.n == 0 {
		r.mu.Unlock()
		return nil
	}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	idle := r.idle
	r.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return errors.Join(errors.New("a refresh token is still being redeemed"), context.Cause(ctx))
	}
}
