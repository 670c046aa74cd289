package alipayai

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
)

// buffers are what answers are read into. Large ones are not
// kept: a few embeddings would hold their memory for ever.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxKept = 64 << 10

// recycle gives back an answer's buffer once nobody reads it any more. One that
// could not be written to the client is left to the garbage collector: net/http
// may still be reading it when a write to a reset HTTP/2 stream returns.
func recycle(b *bytes.Buffer) {
	if b.Cap() <= maxKept {
		b.Reset()
		buffers.Put(b)
	}
}

var errTooLarge = errors.New("answer is too large")

// readAll reads an answer's body up to limit bytes.
func readAll(resp *http.Response, limit int64) (*bytes.Buffer, error) {
	if resp.ContentLength > limit {
		return nil, errTooLarge
	}
	b := buffers.Get().(*bytes.Buffer)
	if resp.ContentLength > 0 {
		// What is announced may never come: no more than this on its word.
		b.Grow(int(min(resp.ContentLength, maxKept)) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err == nil && n > limit {
		err = errTooLarge
	}
	if err != nil {
		recycle(b)
		return nil, err
	}
	return b, nil
}
