package openai

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// ReadOnce reads a request whose body somebody else still reads: it is put back byte for byte. Any endpoint will do; of those
// that the door does not serve, the body is read as a JSON object. endpoint is empty for these, and ok is false for a
// request that has no body. What is larger than maxBody bytes, or cannot be read, is a failure.
func ReadOnce(r *http.Request, maxBody int64) (request wire.Request, endpoint upstream.Endpoint, ok bool, f *failure.Failure) {
	if r.Body == nil || r.Body == http.NoBody {
		return request, "", false, nil
	}
	if r.ContentLength > maxBody {
		return request, "", false, bodyTooLarge()
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if _, limited := errors.AsType[*http.MaxBytesError](err); limited || int64(len(raw)) > maxBody {
		return request, "", false, bodyTooLarge()
	}
	if err == nil && len(raw) == 0 {
		return request, "", false, nil
	}
	read := *r
	read.Body = io.NopCloser(bytes.NewReader(raw))
	if err != nil {
		read.Body = io.NopCloser(io.MultiReader(bytes.NewReader(raw), failing{err}))
	}
	r.Body = &restored{Reader: bytes.NewReader(raw), Closer: r.Body}
	d := Door{Gateway: &alipayai.Gateway{MaxBody: maxBody}}
	c := new(alipayai.Call)
	f = d.read(c, &read, make(http.Header))
	if f != nil && c.Endpoint == "" && f.Code == failure.CodeUnknownURL {
		c.Request, f = d.readAny(&read)
	}
	return c.Request, c.Endpoint, f == nil, f
}

// readAny reads the body of an endpoint that the door does not serve.
func (d *Door) readAny(r *http.Request) (wire.Request, *failure.Failure) {
	if f := wantsJSON(r); f != nil {
		return wire.Request{}, f
	}
	body, f := d.readBody(r)
	if f != nil {
		return wire.Request{}, f
	}
	request, err := wire.ParseRequest(body, wire.Limits{})
	if err != nil {
		return wire.Request{}, failure.UnreadableRequest(err)
	}
	return request, nil
}

// restored is a body that was read, and is there to be read again.
type restored struct {
	io.Reader
	io.Closer
}

// failing is what is left of a body that could not be read to its end.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
