package replay

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrInFlight is a key whose call is under way.
	ErrInFlight = errors.New("a call with this key is under way")
	// ErrHeld is a key whose call may have executed, and nothing more is known
	// of it: it must not be repeated until the key is free again.
	ErrHeld = errors.New("the outcome of the call with this key is unknown")
	// ErrNotKept is a key whose call was served, and whose answer is not kept.
	ErrNotKept = errors.New("the call with this key was served, and its answer is not kept")
	// ErrMismatch is a key that belongs to another request.
	ErrMismatch = errors.New("this key belongs to another request")
	// ErrLost is a claim that was ended before, or whose lease has ended and whose
	// key is another's by now.
	ErrLost = errors.New("the claim is not this call's any more")
)

// Claims let no two calls with the same key run, at once or one after the other,
// unless the first is known to have failed or never to have left. They are safe
// for concurrent use.
//
// The life of a key:
//
//	            Claim           Leave            Finish
//	free ─────────────▶ in flight ─────▶ left ─────────▶ finished
//	  ▲                   │  │             │ └─ Served ──▶ served
//	  └── lease ends, ────┘  │             └─── Hold, or ▶ held
//	      or Release ◀───────┴─────────────     the lease ends
//
// Until the call leaves, the end of its lease frees the key: an owner that died or
// froze has sent nothing, and cannot send any more, since Leave fails by then. From
// Leave on only the owner's Release frees it before its time to live has ended.
type Claims interface {
	// Claim asks for a key, on behalf of a tenant's call whose request has that
	// hash. Keys of different tenants have to differ; the tenant decides whose room
	// the key takes. One of three is given: the claim, which is in flight until it
	// is ended, or at the latest for as long as its lease; the answer of the call
	// that had it before; or an error:
	//
	//	ErrMismatch     the key is in use with another request (first of all)
	//	ErrInFlight     its call is under way
	//	ErrHeld         its call may have executed, and its outcome is unknown
	//	ErrNotKept      its call was served, and its answer is not kept
	//	ErrUnavailable  the claim cannot be made: the call must not run
	//
	// or that of ctx, if it had ended before: then nothing was claimed. It does
	// not end with ctx after that. After ErrUnavailable the claim may have been
	// made all the same: it is released if the store can be told so in time, and
	// else its lease ends by itself.
	Claim(ctx context.Context, tenant string, key Key, request [32]byte, lease time.Duration) (Claim, *Answer, error)
}

// Claim is a key that its owner, one goroutine at a time, ends by one of Finish,
// Served, Hold and Release. All methods go on where ctx has ended, for a limited
// time. Times are whole milliseconds, at least one.
//
// Where the key's time has ended before, the key is taken again if no other call has
// it, except by Leave and Release; if somebody has, nothing is changed and the error
// is ErrLost. After ErrUnavailable it is not known whether something was changed;
// the same may be tried again.
type Claim interface {
	// Leave says that the call is about to send its request. It must have succeeded
	// before the first byte is written: the error is ErrLost where the key is not
	// this claim's any more, even if no other call has it. The key is in flight for
	// as long as lease, from now on, and after that held until ttl has passed.
	Leave(ctx context.Context, lease, ttl time.Duration) error
	// Extend renews the times that Leave has set.
	Extend(ctx context.Context, lease, ttl time.Duration) error
	// Finish keeps the answer for ttl, for those who claim the key again. One that
	// there is no room for is told by ErrTooLarge, and the key is as after Served;
	// so it is, for what is left of ttl, where the answer has to make room later.
	Finish(ctx context.Context, answer Answer, ttl time.Duration) error
	// Served keeps the key from being claimed for ttl: the call was served, and its
	// answer is not kept.
	Served(ctx context.Context, ttl time.Duration) error
	// Hold keeps the key from being claimed for ttl: how the call has ended is
	// not known.
	Hold(ctx context.Context, ttl time.Duration) error
	// Release frees the key: the call was never sent, or has definitely failed. It
	// does nothing where the key is not this claim's.
	Release(ctx context.Context) error
}

// state is what a claimed key is in.
type state string

const (
	inFlight state = "in flight"
	left     state = "left" // and held once the lease has ended
	held     state = "held"
	served   state = "served"
	finished state = "finished"
)

// open reports whether the key's call is under way.
func (s state) open() bool { return s == inFlight || s == left }

// err is what a claim of a key in the state is told; nil where there is an answer.
func (s state) err() error {
	switch s {
	case inFlight, left:
		return ErrInFlight
	case held:
		return ErrHeld
	case served:
		return ErrNotKept
	}
	return nil
}
