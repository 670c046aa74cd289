package openai

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// Door serves POST /v1/chat/completions, POST /v1/embeddings and GET /v1/models.
type Door struct {
	// Gateway serves the calls.
	Gateway *alipayai.Gateway
}

// Read reads a request, for Serve.
func (d *Door) Read(r *http.Request) *Reading { return d.ReadInto(new(Reading), r) }

// ReadInto is Read, which puts what it reads into room, where that was not read before.
func (d *Door) ReadInto(room *Reading, r *http.Request) *Reading {
	return readInto(room, r, d.Gateway.MaxBody, d.Gateway.Now)
}

// Serve answers one request of an authenticated tenant (alipayai.AnonymousTenant
// without one), of which rd was read. It writes every error itself. When a stream breaks after its
// first content it sends the error event and panics http.ErrAbortHandler, as
// net/http's own reverse proxy does, so that the client cannot take the
// truncation for an end.
func (d *Door) Serve(w http.ResponseWriter, r *http.Request, tenant string, rd *Reading) {
	c := &alipayai.Call{
		Tenant: tenant, Format: openai.Format{}, Header: r.Header, Endpoint: rd.Endpoint, Request: rd.Request,
		IdempotencyKey: rd.IdempotencyKey, Began: rd.Began, Received: rd.Received,
	}
	if rd.Failure != nil {
		if rd.allow != "" {
			w.Header().Set("Allow", rd.allow)
		}
		writeError(w, d.Gateway.Refuse(r.Context(), c, rd.Failure))
		return
	}
	c.TakeModeration(r.Context())
	a, err := d.Gateway.Do(r.Context(), c)
	if err != nil {
		if e, ok := errors.AsType[*alipayai.Error](err); ok {
			writeError(w, e)
		}
		return
	}
	delivered := false
	defer func() { a.Close(delivered) }()
	a.Describe(w.Header())
	if a.Streams() {
		delivered = d.stream(w, a)
		return
	}
	body := a.Body()
	w.WriteHeader(a.Status)
	if d.write(w, body) != nil {
		return
	}
	delivered = true
	if a.ClosesSlowly() {
		_ = http.NewResponseController(w).Flush()
	}
}

// writtenAtOnce is how many bytes of a large answer a client has to read within
// alipayai.ClientTimeout: at 17 KiB a second it is slower than any that works.
const writtenAtOnce = 1 << 20

// write gives a whole answer's body to the client. One that does not read must not
// hold a large one for ever.
func (d *Door) write(w http.ResponseWriter, body []byte) error {
	if len(body) <= maxTrusted {
		_, err := w.Write(body)
		return err
	}
	client := http.NewResponseController(w)
	for part := range slices.Chunk(body, writtenAtOnce) {
		_ = client.SetWriteDeadline(d.Gateway.Now().Add(alipayai.ClientTimeout)) // where the server knows deadlines
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	if err := client.Flush(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	_ = client.SetWriteDeadline(time.Time{}) // the connection goes on
	return nil
}

// together is how long a stream's events are left to gather after two of its flushes that
// came within this time. A provider that sends a burst, an event a packet, is read a few
// events at a time otherwise, for as many writes; no reader sees a millisecond, and events
// that come one by one, as a model makes them, do not wait.
const together = time.Millisecond

// stream passes a stream on: whatever has arrived goes out with one write and one
// flush. It reports whether the client has all of it.
func (d *Door) stream(w http.ResponseWriter, a *alipayai.Answer) bool {
	w.WriteHeader(a.Status)
	out := http.NewResponseController(w)
	var writeBy, flushed time.Time
	for {
		events, err := a.Next()
		burst := time.Since(flushed) < together
		if e, ok := errors.AsType[*alipayai.Error](err); ok {
			if !e.ClientGone {
				_, _ = w.Write(e.AppendEvent(nil))
				_ = out.Flush()
			}
			panic(http.ErrAbortHandler) // the answer is closed by then
		}
		if err != nil {
			_ = out.SetWriteDeadline(time.Time{}) // the connection goes on
			a.DescribeEnd(w.Header())
			return true
		}
		// A client that reads no more must not hold a stream, nor its claim, for ever.
		if now := d.Gateway.Now(); writeBy.Sub(now) < alipayai.ClientTimeout-time.Second {
			writeBy = now.Add(alipayai.ClientTimeout)
			_ = out.SetWriteDeadline(writeBy) // where the server knows deadlines
		}
		// With its last events an answer's end mostly has come as well: the server sends
		// both in one packet, which saves one of the eight that a busy stream is sent in.
		if _, err = w.Write(events); err == nil && (!a.Ended() || a.ClosesSlowly()) {
			err = out.Flush()
		}
		if err != nil {
			return false
		}
		if flushed = time.Now(); burst && !a.Finishing() {
			time.Sleep(together)
		}
	}
}

// writeError writes the error of a call as a whole answer. A client that has left
// reads nothing: its status is only in the access log.
func writeError(w http.ResponseWriter, e *alipayai.Error) {
	if e.ClientGone {
		w.WriteHeader(e.Status)
		return
	}
	e.Served.Describe(w.Header())
	e.WriteHTTP(w)
}
