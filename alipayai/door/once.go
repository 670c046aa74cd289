package door

import (
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// PeekAny is Peek for one who wants the texts of whatever is sent. Where no dialect serves such a request, as of another
// path, or one whose body it refuses while another handler may take it, its body is read as one JSON object: Endpoint is empty then, and of Request only Body, Model and Texts are set.
// A request without a body has none of these, and no Failure.
func (d *Dialects) PeekAny(r *http.Request, limit int64, now func() time.Time) *Reading {
	rd := d.Peek(r, limit, now)
	if rd.route != nil && (rd.Failure == nil || rd.Dialect == d.first || r.Body == nil) {
		return rd
	}
	other := &Reading{Dialect: rd.Dialect, Began: rd.Began}
	if r.Body == nil || r.Body == http.NoBody {
		other.Received = rd.Received
		return other
	}
	b := kept(r)
	r.Body = b
	text, err := b.readAll(r, limit, nil)
	other.size = max(int64(len(text)), r.ContentLength)
	if other.Failure = bodyFailure(r, other.size, limit, err); other.Failure == nil && len(text) > 0 {
		if other.Failure = wantsJSON(r); other.Failure == nil {
			if other.Request, err = wire.ParseRequest(text, wire.Limits{}); err != nil {
				other.Failure = failure.UnreadableRequest(err)
			}
		}
	}
	other.Received = now()
	return other
}
