package alipayai

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
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

// intake is what a call holds of an answer while it is read.
type intake struct {
	// exchange is the last one with an answer. Nothing needs it once the call is settled;
	// nil where that is not so.
	exchange *upstream.Exchange
	awaited  awaited
	limited  io.LimitedReader
	// room is what the answer takes of that for large ones until it is written.
	room buffered
	// spent is a pooled buffer that has no reader once the call is settled.
	spent *bytes.Buffer
}

// readAll reads an answer's body up to g's MaxAnswer bytes. One of more than maxKept
// bytes takes its room from MaxBuffered first, and waits for it until the call's
// deadline; smaller ones, which are most, share nothing.
func (in *intake) readAll(g *Gateway, x *upstream.Exchange, deadline time.Time) (*bytes.Buffer, error) {
	limit, resp := g.MaxAnswer, x.Response
	if resp.ContentLength > limit {
		return nil, upstream.ErrAnswerTooLarge
	}
	b := buffers.Get().(*bytes.Buffer)
	if resp.ContentLength > 0 {
		// What is announced may never come: no more than this on its word.
		b.Grow(int(min(resp.ContentLength, maxKept)) + bytes.MinRead)
	}
	in.limited = io.LimitedReader{R: resp.Body, N: min(limit, maxKept) + 1}
	n, err := b.ReadFrom(&in.limited)
	switch {
	case err == nil && n > limit:
		err = upstream.ErrAnswerTooLarge
	case err == nil && n > maxKept:
		defer recycle(b)
		return in.readLarge(g, x, deadline, b.Bytes())
	}
	if err != nil {
		recycle(b)
		return nil, err
	}
	return b, nil
}

// bare takes from a whole answer what JSON does not have and clients pass over: the byte order mark before it, and the end of a stream
// behind it.
func bare(answer *bytes.Buffer) []byte {
	if bytes.HasPrefix(answer.Bytes(), byteOrderMark) {
		answer.Next(len(byteOrderMark))
	}
	answer.Truncate(len(wire.WithoutDone(answer.Bytes())))
	return answer.Bytes()
}

// readLarge reads the rest of an answer that begins with head.
func (in *intake) readLarge(g *Gateway, x *upstream.Exchange, deadline time.Time, head []byte) (*bytes.Buffer, error) {
	limit, resp := g.MaxAnswer, x.Response
	need := limit
	if resp.ContentLength > 0 {
		need = resp.ContentLength
	}
	x.Watch.Pause() // it is not the upstream that is waited for
	room, cancel := context.WithTimeout(x.Context(), deadline.Sub(g.Now()))
	defer cancel()
	if in.room.reserve(room, g.Room.left, need) != nil {
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
	in.room.shrink(int64(len(body)))
	return bytes.NewBuffer(body), nil
}

// largeEvent is the size of events, in bytes, from which on they take their room from
// MaxBuffered.
const largeEvent = 1 << 20

// reserveEvent waits for room for an event as large as an answer may be, as it comes
// and as it goes out, until the deadline, or for a second where that is over.
func (in *intake) reserveEvent(g *Gateway, x *upstream.Exchange, deadline time.Time) error {
	need := min(2*g.MaxAnswer, g.MaxBuffered)
	if in.room.bytes >= need {
		return nil
	}
	x.Watch.Pause() // it is not the upstream that is waited for
	defer x.Watch.Resume()
	room, cancel := context.WithTimeout(x.Context(), max(deadline.Sub(g.Now()), time.Second))
	defer cancel()
	if in.room.reserve(room, g.Room.left, need) != nil {
		return errNoRoom
	}
	return nil
}

// end gives back the room, and the buffer that nothing reads any more.
func (in *intake) end() {
	in.room.release()
	if in.spent != nil {
		recycle(in.spent)
	}
}
