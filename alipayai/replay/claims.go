package replay

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrInFlight is a key whose call is under way.
	ErrInFlight = errors.New("a call with this key is under way")
	// ErrHeld is a key whose call has ended, and what it brought is not known or
	// not kept: it must not be repeated until the key is free again.
	ErrHeld = errors.New("the call with this key has ended without an answer that is kept")
	// ErrMismatch is a key that belongs to another request.
	ErrMismatch = errors.New("this key belongs to another request")
	// ErrLost is a claim that was ended before, or whose lease has ended and whose
	// key is another's by now.
	ErrLost = errors.New("the claim is not this call's any more")
)

// Claims let no two calls with the same key run, at once or one after the other,
// unless the first is known to have failed. They are safe for concurrent use.
type Claims interface {
	// Claim asks for a key, on behalf of a tenant's call whose request has that
	// hash. Keys of different tenants have to differ; who the tenant is decides
	// only whose room the key takes. One of three is given: the claim, which is in flight until it is ended, or at
	// the latest for as long as its lease; the answer of the call that had it
	// before; or an error:
	//
	//	ErrMismatch     the key is in use with another request (first of all)
	//	ErrInFlight     its call is under way
	//	ErrHeld         its call has ended, ambiguously or without a kept answer
	//	ErrUnavailable  the claim cannot be made: the call must not run
	//
	// or that of ctx, if it had ended before: then nothing was claimed. It does
	// not end with ctx after that. After ErrUnavailable the claim may have been
	// made all the same; its lease ends by itself.
	Claim(ctx context.Context, tenant string, key Key, request [32]byte, lease time.Duration) (Claim, *Answer, error)
}

// Claim is a key that its owner, one goroutine at a time, ends by one of Finish,
// Hold and Release. All of them, and Extend, go on where ctx has ended, for a
// limited time. Times are whole milliseconds, at least one.
//
// Where the lease has ended before, the key is taken again if nobody else has
// it; if somebody has, nothing is changed and the error is ErrLost. After
// ErrUnavailable it is not known whether something was changed; the same may be
// tried again, or else the key is free when the lease ends.
type Claim interface {
	// Extend lets the claim be in flight for as long as lease, from now on.
	Extend(ctx context.Context, lease time.Duration) error
	// Finish keeps the answer for ttl, for those who claim the key again. One that
	// is too large to be kept is told by ErrTooLarge, and the key is held; so it
	// is, for what is left of ttl, where memory has no room for the answer later.
	Finish(ctx context.Context, answer Answer, ttl time.Duration) error
	// Hold keeps the key from being claimed for ttl: how the call has ended is
	// not known, or its answer is not kept.
	Hold(ctx context.Context, ttl time.Duration) error
	// Release frees the key: the call has definitely failed. It does nothing
	// where the key is not this claim's.
	Release(ctx context.Context) error
}

// state is what a claimed key is in.
type state string

const (
	inFlight state = "in flight"
	held     state = "held"
	finished state = "finished"
)
