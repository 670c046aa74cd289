package door

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Reading is what was read of an HTTP request: the call that it makes, or why it makes none.
type Reading struct {
	// Dialect is the client's, of whatever request.
	Dialect Dialect
	// Param is the part of the path that the route leaves open.
	Param string
	// Endpoint, Request, Native and IdempotencyKey are the call's.
	Endpoint       upstream.Endpoint
	Request        wire.Request
	Native         *alipayai.Native
	IdempotencyKey string
	// Own is what the dialect's Parse leaves for the route's Begin, or a [Writing].
	Own any
	// Continues says that the call goes on from what the site keeps, and is not whole before [Reading.Continue].
	Continues bool
	// Conversations are what the site keeps, for the route's Begin and Serve; nil where it keeps nothing.
	Conversations *Conversations
	// Claim is that of the call; see [alipayai.Gateway.ClaimOf].
	Claim string
	// Began is when the request began to be read, and Received when it had been.
	Began, Received time.Time
	// Failure says why it cannot be served; nil where it can.
	Failure *failure.Failure
	// route is what it was found by; nil for none, and allow then are the methods that its path takes.
	route *route
	allow []string
	// continued is whom it was completed for; zero before.
	continued Owner
	// size is the body's in bytes: as announced, or as far as it was read and inflated, whichever is more.
	size int64
	// whole says that the body was read to its end.
	whole bool
	// values are those of the answer's header.
	values alipayai.Values
	// room is for the body, where that is short: one allocation with the rest.
	room [shortBody]byte
}

// shortBody is the size of a body in bytes that Reading has room for.
const shortBody = 768

// Path is that of the route, as its dialect has it; empty for none.
func (rd *Reading) Path() string {
	if rd.route == nil {
		return ""
	}
	return rd.route.Path
}

// Sent gives the body as the client has sent it, inflated; nil for none.
func (rd *Reading) Sent() []byte {
	if rd.Native != nil {
		return rd.Native.Body
	}
	return rd.Request.Body
}

// Read reads a request as a call: its head, then its whole body, capped to limit bytes after decompression, and refused
// when it is not strict JSON. What [Peek] has read before is not read again.
func (d *Dialects) Read(r *http.Request, limit int64, now func() time.Time) *Reading {
	return d.readInto(nil, r, limit, now)
}

// readInto is Read, which puts what it reads into room, where that was not read before and room is not nil.
func (d *Dialects) readInto(room *Reading, r *http.Request, limit int64, now func() time.Time) *Reading {
	if b, ok := r.Body.(*body); ok {
		return b.read(room, d, r, limit, now)
	}
	rd := room
	if rd == nil {
		rd = new(Reading)
	}
	rd.Began = now()
	if rd.readHead(d, r) {
		text, err := readAll(r, r.Body, limit, rd.room[:])
		rd.parse(r, text, limit, err)
	}
	rd.Received = now()
	return rd
}

// Peek is Read for what only looks at a request: r.Body gives the same bytes again to whoever reads it next, compressed
// as they came and with the error that ended them, and a Read or Peek after it gives the same Reading. limit is to be
// the largest of those who read after it.
func (d *Dialects) Peek(r *http.Request, limit int64, now func() time.Time) *Reading {
	return d.PeekInto(nil, r, limit, now)
}

// PeekInto is Peek, which puts what it reads into room, where that was not read before and room is not nil.
func (d *Dialects) PeekInto(room *Reading, r *http.Request, limit int64, now func() time.Time) *Reading {
	return kept(r).read(room, d, r, limit, now)
}

// within is the reading of one who takes no more than limit bytes.
func (rd *Reading) within(limit int64) *Reading {
	if rd.size <= limit {
		return rd
	}
	refused := *rd
	refused.Request, refused.Native, refused.Failure = wire.Request{}, nil, bodyTooLarge(limit)
	return &refused
}

// readHead finds the route, checks what comes before the body, and reports whether the body is to be read.
func (rd *Reading) readHead(d *Dialects, r *http.Request) bool {
	if rd.route, rd.Param, rd.allow = d.find(r); rd.route == nil {
		rd.Dialect = d.Of(r)
		if len(rd.allow) > 0 {
			rd.Failure = failure.InvalidRequest(http.StatusMethodNotAllowed, failure.CodeMethodNotAllowed, "use "+strings.Join(rd.allow, " or ")+" for this path")
		} else {
			rd.Failure = failure.InvalidRequest(http.StatusNotFound, failure.CodeUnknownURL, d.unknown(r.URL.Path))
		}
		return false
	}
	rd.Dialect, rd.Endpoint = rd.route.dialect, rd.route.Endpoint
	switch keys := r.Header["Idempotency-Key"]; {
	case len(keys) == 0:
	case len(keys) == 1 && keys[0] != "" && alipayai.IsVisible(keys[0]):
		rd.IdempotencyKey = keys[0]
	default:
		rd.Failure = failure.InvalidRequest(http.StatusBadRequest, failure.CodeInvalidIdempotencyKey,
			"Idempotency-Key must be sent once, as 1 to 255 characters of visible ASCII")
		return false
	}
	if !rd.route.readsBody() {
		return false
	}
	rd.Failure = wantsJSON(r)
	return rd.Failure == nil
}

// parse makes a call of a body, of which text was read until err.
func (rd *Reading) parse(r *http.Request, text []byte, limit int64, err error) {
	rd.size = max(int64(len(text)), r.ContentLength)
	rd.whole = err == nil && rd.size <= limit
	if rd.Failure = bodyFailure(r, rd.size, limit, err); rd.Failure != nil {
		return
	}
	text = bytes.TrimPrefix(text, byteOrderMark)
	if rd.Failure = rd.Dialect.Parse(rd, text); rd.Failure == nil || rd.Failure.Code != wire.CodeInvalidJSON {
		return
	}
	if whole := wire.WithoutHalves(text); whole != nil {
		rd.Failure = rd.Dialect.Parse(rd, whole)
	}
}

// wantsJSON refuses another type than JSON. What follows the type says nothing: JSON is in UTF-8, and a charset is written as
// "application/json; utf-8" too (https://github.com/540co/ads-bpa/issues/255), or the type twice.
func wantsJSON(r *http.Request) *failure.Failure {
	media := r.Header.Get("Content-Type")
	if end := strings.IndexAny(media, ";,"); end >= 0 {
		media = media[:end]
	}
	if !strings.EqualFold(strings.TrimSpace(media), "application/json") {
		return failure.InvalidRequest(http.StatusUnsupportedMediaType, failure.CodeContentType, "Content-Type must be application/json")
	}
	return nil
}

// byteOrderMark is what PowerShell and editors of Windows put before a text. Parsers may pass over it (RFC 8259, section 8.1), and
// vendors do not.
var byteOrderMark = []byte("\ufeff")

// maxTrusted is the largest body, in bytes, for which memory is taken at a
// client's word.
const maxTrusted = 64 << 10

// maxWindow is the largest window that zstd may have as an encoding of HTTP's, in bytes: see RFC 9659.
const maxWindow = 8 << 20

// errEncoding says that a body has an encoding other than gzip and zstd.
var errEncoding = errors.New("unknown content encoding")

// readAll reads a whole body, decompressed if it came so, but no more than a byte beyond limit, into room if it fits.
// Neither that nor another buffer may be pooled: a transport may still read it after a round trip has returned.
func readAll(r *http.Request, from io.Reader, limit int64, room []byte) (text []byte, err error) {
	switch coding := codingOf(r); {
	case r.ContentLength > limit:
		return nil, &http.MaxBytesError{Limit: limit}
	case coding == "" && r.ContentLength > 0 && r.ContentLength <= maxTrusted:
		if r.ContentLength <= int64(len(room)) {
			text = room[:r.ContentLength:r.ContentLength]
		} else {
			text = make([]byte, r.ContentLength)
		}
		n, err := io.ReadFull(from, text)
		return text[:n], err
	case coding == "":
		// What is announced may never come: memory grows with what has.
		return io.ReadAll(io.LimitReader(from, limit+1))
	case coding == "gzip", coding == "x-gzip":
		// Deflated bytes are capped too: empty members inflate to nothing.
		inflated, err := gzip.NewReader(io.LimitReader(from, limit))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(io.LimitReader(inflated, limit+1))
	case coding == "zstd": // as Codex does: https://github.com/QuantumNous/new-api/issues/4913
		inflated, err := zstd.NewReader(io.LimitReader(from, limit), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		defer inflated.Close()
		return io.ReadAll(io.LimitReader(inflated, limit+1))
	}
	return nil, errEncoding
}

// codingOf gives the coding in which a body came, in small letters; empty for none. All lines of the field count, and "identity"
// is none (RFC 9110, section 8.4): what is compressed twice is in none of which readAll knows.
func codingOf(r *http.Request) string {
	var codings []string
	for _, line := range r.Header["Content-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			if coding = strings.ToLower(strings.TrimSpace(coding)); coding != "" && coding != "identity" {
				codings = append(codings, coding)
			}
		}
	}
	return strings.Join(codings, ",")
}

// bodyFailure says why a body of which size bytes were read until err cannot be taken; nil where it can.
func bodyFailure(r *http.Request, size, limit int64, err error) *failure.Failure {
	capped, isCapped := errors.AsType[*http.MaxBytesError](err) // by Caddy's request_body
	switch {
	case isCapped:
		return bodyTooLarge(capped.Limit)
	case size > limit:
		return bodyTooLarge(limit)
	case err == nil:
		return nil
	case errors.Is(err, errEncoding):
		return failure.InvalidRequest(http.StatusUnsupportedMediaType, failure.CodeContentType, "Content-Encoding must be gzip, zstd or absent")
	// The server's read_body. It ends the request's context too, as if the client
	// had left (net/http, connReader), but the client waits for an answer.
	case errors.Is(err, os.ErrDeadlineExceeded):
		return failure.InvalidRequest(http.StatusRequestTimeout, failure.CodeRequestUnreadable, "the body did not come in time")
	case r.Context().Err() != nil:
		return failure.OfTransport(r.Context(), r.Context(), err, false)
	}
	return failure.InvalidRequest(http.StatusBadRequest, failure.CodeRequestUnreadable, "the body ended early or could not be inflated")
}

func bodyTooLarge(limit int64) *failure.Failure {
	message := "the body is larger than this gateway takes: " + strconv.FormatInt(limit, 10) + " bytes"
	return failure.InvalidRequest(http.StatusRequestEntityTooLarge, failure.CodeRequestTooLarge, message)
}

// PeekAny is Peek for one who wants the texts of whatever is sent. Where no dialect serves such a request, as of another
// path, or one whose body it does not read, or refuses while another handler may take it, its body is read as one JSON object:
// Endpoint is empty then, and of Request only Body, Model and Texts are set. A request without a body has none of these, and no
// Failure.
func (d *Dialects) PeekAny(r *http.Request, limit int64, now func() time.Time) *Reading {
	rd := d.Peek(r, limit, now)
	empty := r.Body == nil || r.Body == http.NoBody
	if rd.route != nil && (empty || rd.route.readsBody() && (rd.Failure == nil || rd.Dialect == d.first)) {
		return rd
	}
	other := &Reading{Dialect: rd.Dialect, Began: rd.Began}
	if empty {
		other.Received = rd.Received
		return other
	}
	b := kept(r)
	r.Body = b
	text, err := b.readAll(r, limit, nil)
	other.size = max(int64(len(text)), r.ContentLength)
	if len(text) == 0 && err == nil && rd.route != nil {
		return rd
	}
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
