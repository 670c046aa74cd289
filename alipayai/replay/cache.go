package replay

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrTooLarge is an answer that is larger than one may be.
	ErrTooLarge = errors.New("answer is too large to be kept")
	// ErrUnavailable is a store that is away, or that has no room.
	ErrUnavailable = errors.New("store of answers is unavailable")
)

// Cache keeps the last good answer to each request. Keys of different tenants have
// to differ; the tenant decides whose room an answer takes. It is safe for
// concurrent use.
type Cache interface {
	// Get gives the answer that is kept under a key, if there is one whose time
	// to live has not ended. After an error, ErrUnavailable or ErrUnreadable or
	// that of a context which had ended before, it is to be treated as a miss.
	Get(ctx context.Context, tenant string, key Key) (answer Answer, ok bool, err error)
	// Put keeps an answer for ttl, whole milliseconds, in place of what was kept
	// under the key; without a ttl it keeps nothing. It goes on where ctx has
	// ended, for a limited time. Errors are ErrTooLarge, and then what was kept
	// before remains, or ErrUnavailable. Behind the answer also are kept, for as
	// long and in the same exchange; none of them where one before is too large.
	Put(ctx context.Context, tenant string, key Key, answer Answer, ttl time.Duration, also ...Entry) error
}

// Entry is an answer and the key that it is kept under.
type Entry struct {
	Key    Key
	Answer Answer
}
