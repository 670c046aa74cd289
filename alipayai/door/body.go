package door

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// body is a request's body that Peek has read, and that is still to be read: it gives the bytes again as they came,
// compressed where they were, then what had not been read, and the error that ended it.
type body struct {
	source io.ReadCloser // the client's
	raw    []byte        // what was read of it
	err    error         // what ended it, if anything has
	at     int           // how much of raw has been given
	// recording says that what is read of source is added to raw.
	recording bool

	// reading is what was made of it, for a request with that head.
	reading *Reading
	head    head
}

// head is all of a request's head that decides what is made of its body.
type head struct {
	method, path, contentType, coding, key string
	keys                                   int
}

func headOf(r *http.Request) head {
	keys := r.Header["Idempotency-Key"]
	h := head{method: r.Method, path: r.URL.Path, contentType: r.Header.Get("Content-Type"), coding: codingOf(r), keys: len(keys)}
	if len(keys) > 0 {
		h.key = keys[0]
	}
	return h
}

// kept gives the body of r as one that can be read again.
func kept(r *http.Request) *body {
	b, ok := r.Body.(*body)
	if !ok {
		b = &body{source: r.Body}
	}
	return b
}

// read gives what is made of the body for r, in room if it is not nil.
func (b *body) read(room *Reading, d *Dialects, r *http.Request, limit int64, now func() time.Time) *Reading {
	h := headOf(r)
	if b.reading != nil && b.head == h {
		return b.reading.within(limit)
	}
	rd := room
	if rd == nil {
		rd = new(Reading)
	}
	rd.Began = now()
	if rd.readHead(d, r) {
		r.Body = b
		text, err := b.readAll(r, limit, rd.room[:])
		rd.parse(r, text, limit, err)
	}
	rd.Received = now()
	if b.reading != nil { // it had been received by then
		rd.Began, rd.Received = b.reading.Began, b.reading.Received
	}
	b.reading, b.head = rd, h
	return rd
}

// readAll is readAll of the body from its beginning, after which it is at its beginning again.
func (b *body) readAll(r *http.Request, limit int64, room []byte) ([]byte, error) {
	defer func() { b.at, b.recording = 0, false }()
	b.at = 0
	if codingOf(r) != "" {
		b.recording = true
		return readAll(r, b, limit, nil)
	}
	text, err := readAll(r, b, limit, room)
	if len(text) > len(b.raw) {
		b.raw = text // not a copy: it is only read from now on
	}
	return text, err
}

// Read gives the body again.
func (b *body) Read(p []byte) (int, error) {
	if b.at < len(b.raw) {
		n := copy(p, b.raw[b.at:])
		b.at += n
		return n, nil
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.source.Read(p)
	b.err = err
	if b.recording {
		b.raw = append(b.raw, p[:n]...)
		b.at = len(b.raw)
	}
	return n, err
}

// Close closes the client's body.
func (b *body) Close() error { return b.source.Close() }

// LeaveBody is for an answer to r that may come before its body was read, and is called before w's header is written. A client of
// HTTP/1.1 that waits to be asked for the body (RFC 9110, section 10.1.1) has the answer at once, and its connection ends. net/http
// does so where the body is its own; around that, Caddy puts what bounds its reads (modules/caddyhttp/server.go of v2.11.9,
// ReadIdleTimeout), and then net/http holds the answer back while it reads what is not sent. A body that was read to its end,
// for whatever the answer then refuses, leaves the connection to the next request.
func LeaveBody(w http.ResponseWriter, r *http.Request) {
	if b, ok := r.Body.(*body); ok && errors.Is(b.err, io.EOF) {
		return
	}
	if r.ProtoMajor == 1 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		w.Header().Set("Connection", "close")
	}
}
