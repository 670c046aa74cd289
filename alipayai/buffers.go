package alipayai

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// buffers are what answers are read into. Large ones are not
// kept: a few embeddings would hold their memory for ever.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxKept = 64 << 10

// recycle gives back an answer's buffer once nothing reads it any more. One that
// could not be written to the client is left to the garbage collector: net/http
// may still be reading it when a write to a reset HTTP/2 stream returns.
func recycle(b *bytes.Buffer) {
	if b.Cap() <= maxKept {
		b.Reset()
		buffers.Put(b)
	}
}

var errNoRoom = errors.New("no room to buffer the answer")

// noRoom makes the failure of an answer that cannot be held. What has been generated was
// paid for: a repeat would pay again, and find no room either.
func noRoom() *failure.Failure {
	f := failure.BadAnswer(failure.CodeBuffersFull, "the gateway holds as many answers as it may that clients have yet to read")
	f.Status = http.StatusServiceUnavailable
	return f
}

// Room is how many bytes of answers may be held, less what is reserved. The zero
// Room gets its size from the first Gateway that uses it.
type Room struct {
	once sync.Once
	left *semaphore.Weighted
}

func (r *Room) open(size int64) {
	r.once.Do(func() { r.left = semaphore.NewWeighted(size) })
}

// buffered is how many bytes of a Room a call has reserved.
type buffered struct {
	of    *semaphore.Weighted
	bytes int64
}

// reserve waits for n bytes, until ctx is done. They are reserved at once, for all
// that may come: were they taken as the answer grows, calls that have each a part
// could wait for one another.
func (b *buffered) reserve(ctx context.Context, of *semaphore.Weighted, n int64) error {
	b.release()
	if err := of.Acquire(ctx, n); err != nil {
		return err
	}
	b.of, b.bytes = of, n
	return nil
}

// shrink gives back all but n bytes.
func (b *buffered) shrink(n int64) {
	if n < b.bytes {
		b.of.Release(b.bytes - n)
		b.bytes = n
	}
}

func (b *buffered) release() { b.shrink(0) }

// readAll reads an answer's body up to MaxAnswer bytes. One of more than maxKept
// bytes takes its room from MaxBuffered first, and waits for it until the call's
// deadline; smaller ones, which are most, share nothing.
func (c *call) readAll(x *upstream.Exchange) (*bytes.Buffer, error) {
	limit, resp := c.g.MaxAnswer, x.Response
	if resp.ContentLength > limit {
		return nil, upstream.ErrAnswerTooLarge
	}
	b := buffers.Get().(*bytes.Buffer)
	if resp.ContentLength > 0 {
		// What is announced may never come: no more than this on its word.
		b.Grow(int(min(resp.ContentLength, maxKept)) + bytes.MinRead)
	}
	c.reading = io.LimitedReader{R: resp.Body, N: min(limit, maxKept) + 1}
	n, err := b.ReadFrom(&c.reading)
	switch {
	case err == nil && n > limit:
		err = upstream.ErrAnswerTooLarge
	case err == nil && n > maxKept:
		defer recycle(b)
		return c.readLarge(x, b.Bytes())
	}
	if err != nil {
		recycle(b)
		return nil, err
	}
	return b, nil
}

// readLarge reads the rest of an answer that begins with head.
func (c *call) readLarge(x *upstream.Exchange, head []byte) (*bytes.Buffer, error) {
	limit, resp := c.g.MaxAnswer, x.Response
	need := limit
	if resp.ContentLength > 0 {
		need = resp.ContentLength
	}
	x.Watch.Pause() // it is not the upstream that is waited for
	room, cancel := context.WithTimeout(x.Context(), c.deadline().Sub(c.g.Now()))
	defer cancel()
	if c.buffered.reserve(room, c.g.Room.left, need) != nil {
		if err := x.Context().Err(); err != nil {
			return nil, err
		}
		return nil, errNoRoom
	}
	// Its slice has the size of what has come, so that no more is held than reserved.
	body, err := io.ReadAll(io.LimitReader(io.MultiReader(bytes.NewReader(head), resp.Body), limit+1))
	if err == nil && int64(len(body)) > limit {
		err = upstream.ErrAnswerTooLarge
	}
	if err != nil {
		return nil, err
	}
	c.buffered.shrink(int64(len(body)))
	return bytes.NewBuffer(body), nil
}
