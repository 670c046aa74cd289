package door

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// Door serves the requests of some dialects.
type Door struct {
	// Gateway serves the calls.
	Gateway *alipayai.Gateway
	// Dialects are those of its clients.
	Dialects *Dialects
	// Conversations are what the site keeps of its clients' conversations; nil for nothing.
	Conversations *Conversations
}

// Read reads a request, for Serve.
func (d *Door) Read(r *http.Request) *Reading { return d.ReadInto(nil, r) }

// ReadInto is Read, which puts what it reads into room, where that was not read before and room is not nil.
func (d *Door) ReadInto(room *Reading, r *http.Request) *Reading {
	return d.Dialects.readInto(room, r, d.Gateway.MaxBody, d.Gateway.Now)
}

// Serve answers one request of an authenticated tenant (alipayai.AnonymousTenant
// without one), of which rd was read. It writes every error itself. When a stream breaks after its
// first content it sends the error event and panics http.ErrAbortHandler, as
// net/http's own reverse proxy does, so that the client cannot take the
// truncation for an end.
func (d *Door) Serve(w http.ResponseWriter, r *http.Request, tenant string, rd *Reading) {
	d.converse(r, tenant, rd)
	c := &alipayai.Call{
		Tenant: tenant, Format: openai.Format{}, Header: r.Header, Endpoint: rd.Endpoint, Request: rd.Request, Native: rd.Native,
		IdempotencyKey: rd.IdempotencyKey, Began: rd.Began, Received: rd.Received,
	}
	f := rd.Failure
	if f == nil && rd.route.Serve != nil {
		served, failed := rd.route.Serve(d.Gateway, w, r, tenant, rd)
		if served {
			return
		}
		f = failed
	}
	out := writing{dialect: rd.Dialect}
	if rd.route != nil {
		out.idField = rd.route.IDField
	}
	if f == nil && rd.route.Begin != nil {
		completed := *c // which is an allocation that other calls need not have
		rd.Claim = d.Gateway.ClaimOf(c)
		out.writer, f = rd.route.Begin(r, &completed, rd)
		*c = completed
	}
	if own, ok := rd.Own.(Writing); ok && f == nil {
		out.writer = own.Writer()
	}
	if e, ok := out.writer.(Estimator); ok && c.Request.Stream {
		asked := c.Request // so that a call that begins with no estimate stays off the heap
		e.EstimateBy(func() int64 {
			tokens, _ := d.Gateway.EstimateTokens(tenant, asked, "")
			return tokens
		})
	}
	if f != nil {
		if len(rd.allow) > 0 {
			w.Header().Set("Allow", strings.Join(rd.allow, ", "))
		}
		if !rd.whole {
			LeaveBody(w, r)
		}
		out.refuse(w, d.Gateway.Refuse(r.Context(), c, f))
		return
	}
	c.TakeModeration(r.Context())
	a, err := d.Gateway.Do(r.Context(), c)
	if e, ok := errors.AsType[*alipayai.Error](err); ok {
		d.fail(w, tenant, rd, &out, e)
		return
	}
	d.give(w, a, &out, &rd.values)
}

// fail ends a call that brought no answer.
func (d *Door) fail(w http.ResponseWriter, tenant string, rd *Reading, out *writing, e *alipayai.Error) {
	if rd.route.Lacking != nil && e.LacksEndpoint() {
		rd.route.Lacking(d.Gateway, w, tenant, rd)
	} else {
		out.refuse(w, e)
	}
	if e.ClosesSlowly() {
		_ = http.NewResponseController(w).Flush()
	}
	e.Close()
}

// give writes an answer, whole or as a stream, and ends the call.
func (d *Door) give(w http.ResponseWriter, a *alipayai.Answer, out *writing, values *alipayai.Values) {
	delivered := false
	defer func() {
		a.Close(delivered)
		if delivered { // net/http may still be reading what could not be written
			out.release()
			a.Recycle()
		}
	}()
	if e, ok := out.writer.(Ender); ok {
		defer e.End()
	}
	if a.Native() {
		out.watcher, _ = out.writer.(Watcher)
		out.writer = nil
	}
	if e := out.whole(a); e != nil {
		out.refuse(w, e)
		return
	}
	a.Describe(w.Header(), values)
	out.name(w.Header())
	if a.Streams() {
		delivered = d.stream(w, a, out)
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

// stream passes a stream on: whatever has arrived goes out with one write and one
// flush. It reports whether the client has all of it.
func (d *Door) stream(w http.ResponseWriter, a *alipayai.Answer, to *writing) bool {
	w.WriteHeader(a.Status)
	out := http.NewResponseController(w)
	var writeBy time.Time
	for {
		events, err := to.next(a)
		if e, ok := errors.AsType[*alipayai.Error](err); ok {
			if !e.ClientGone {
				_, _ = w.Write(to.broken(e.Failure.Error))
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
		if len(events) == 0 {
			continue
		}
		if _, err = w.Write(events); err == nil && (!a.Ended() || a.ClosesSlowly()) {
			err = out.Flush()
		}
		if err != nil {
			return false
		}
	}
}

// rooms are buffers for answers, and events, in their clients' forms.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// writing is an answer on its way out in its client's form.
type writing struct {
	dialect Dialect
	idField string // see Route.IDField
	// writer translates it; nil where it is in the client's form already.
	writer Writer
	// watcher reads what is in the client's form already; nil where nothing is to be kept of it.
	watcher Watcher
	// room is for what it writes; nil before.
	room *[]byte
}

// name gives the call's id to clients that know it by another field.
func (o *writing) name(h http.Header) {
	if id := h["X-Request-Id"]; o.idField != "" && len(id) > 0 {
		h[o.idField] = id
	}
}

// empty gives the buffer for what it writes, with nothing in it.
func (o *writing) empty() []byte {
	if o.room == nil {
		o.room = rooms.Get().(*[]byte)
	}
	return (*o.room)[:0]
}

// release gives the buffer back, once the client has what was in it.
func (o *writing) release() {
	if o.room != nil && cap(*o.room) <= maxTrusted {
		rooms.Put(o.room)
	}
}

// whole puts a whole answer into the client's form.
func (o *writing) whole(a *alipayai.Answer) *alipayai.Error {
	if a.Streams() || a.Status >= http.StatusBadRequest { // a demand for payment is in a form of its own
		return nil
	}
	if o.writer == nil {
		if o.watcher != nil {
			o.watcher.Watch(a.Body())
		}
		return nil
	}
	put := o.writer.Whole
	if a.HoldsStream() {
		put = o.writer.Events
	}
	body, f := put(o.empty(), a.Body())
	*o.room = body
	if f != nil {
		return a.Fail(f)
	}
	a.SetBody(body)
	return nil
}

// next gives the events of a stream that have arrived, in the client's form. There may be none.
func (o *writing) next(a *alipayai.Answer) ([]byte, error) {
	events, err := a.Next()
	if o.writer == nil || err != nil {
		if o.watcher != nil && err == nil {
			o.watcher.Watch(events)
		}
		return events, err
	}
	events, f := o.writer.Events(o.empty(), events)
	*o.room = events
	if f != nil {
		return nil, a.Fail(f)
	}
	return events, nil
}

// Untranslated makes the failure of an answer that cannot be put into the client's form.
func Untranslated(err error) *failure.Failure {
	f := failure.BadAnswer(failure.CodeMalformed, "the provider's answer is no chat completion")
	f.Cause = err
	return f
}

// broken gives the end of a stream that has broken.
func (o *writing) broken(e wire.Error) []byte {
	switch {
	case o.writer != nil:
		return o.writer.Broken(nil, e)
	case o.watcher != nil:
		return o.watcher.BrokenOff(nil, e)
	}
	return o.dialect.AppendErrorEvent(nil, e)
}

// refuse writes the error of a call as a whole answer. A client that has left
// reads nothing: its status is only in the access log.
func (o *writing) refuse(w http.ResponseWriter, e *alipayai.Error) {
	if e.ClientGone {
		w.WriteHeader(e.Status)
		return
	}
	e.Served.Describe(w.Header())
	o.name(w.Header())
	if e.Original != nil {
		header, _ := e.HTTP()
		maps.Copy(w.Header(), header)
		w.WriteHeader(e.Status)
		_, _ = w.Write(e.Original)
		return
	}
	o.dialect.WriteError(w, e.Failure.Error)
}
