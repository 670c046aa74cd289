package alipayai

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// call is one request on its way through the gateway. It belongs to one
// goroutine.
type call struct {
	g *Gateway
	w http.ResponseWriter
	r *http.Request

	start time.Time
	// received is when the request was read: a slow upload is the client's
	// own, and does not count against the deadline.
	received time.Time
	request  wire.Request
	// idempotencyKey is the client's; empty where there is none.
	idempotencyKey string
	// idempotencyID goes upstream, and stays the same over the call's attempts.
	idempotencyID string
	// rungs are the providers that brought no answer.
	rungs []rung
	// alternatives says that there are providers after the one that is asked.
	alternatives bool
	// unsupported names what of the request was not carried over to the
	// provider that answers, and that the client is told of.
	unsupported string
	// claim is the call's hold of its Idempotency-Key; nil without one.
	claim *claim
	// recording keeps the answer, to give it again; nil where nobody will.
	recording *recording
	// spent is a pooled buffer that nobody reads once the call is settled.
	spent *bytes.Buffer
	// buffered is the room that the answer takes until it is written.
	buffered buffered
	// filter knows the credentials of the provider that is asked; sent are the
	// requests that went out, which carry more of them.
	filter *credentials.Filter
	sent   []*http.Request
	// hiding is what mask has made of them; nil when it has to be made anew.
	hiding *credentials.Mask
	// sentBody is the body of the last attempt.
	sentBody []byte
	// doubtful says that an attempt may have been served although it brought no
	// answer.
	doubtful bool
	// answered is how many bytes of the answer were sent to the client.
	answered int64
	outcome  Outcome
}

// deadline is when the call must have its answer.
func (c *call) deadline() time.Time { return c.received.Add(c.g.Deadline) }

// endpoints by the path's end, so that a site may serve them below a prefix.
var endpoints = []struct {
	suffix, method string
	endpoint       Endpoint
}{
	{"/chat/completions", http.MethodPost, EndpointChat},
	{"/embeddings", http.MethodPost, EndpointEmbeddings},
	{"/models", http.MethodGet, EndpointModels},
}

// read finds the endpoint and reads the body: once, capped, and refused when
// it is not strict JSON.
func (c *call) read() *failure {
	for _, e := range endpoints {
		if !strings.HasSuffix(c.r.URL.Path, e.suffix) {
			continue
		}
		if c.r.Method != e.method {
			c.w.Header().Set("Allow", e.method)
			return invalid(http.StatusMethodNotAllowed, codeMethodNotAllowed, "use "+e.method+" for this path")
		}
		c.outcome.Endpoint = e.endpoint
	}
	if c.outcome.Endpoint == "" {
		return invalid(http.StatusNotFound, codeNotFound,
			"this gateway serves POST /v1/chat/completions, POST /v1/embeddings and GET /v1/models")
	}
	switch keys := c.r.Header["Idempotency-Key"]; {
	case len(keys) == 0:
	case len(keys) == 1 && keys[0] != "" && isVisible(keys[0]):
		c.idempotencyKey = keys[0]
	default:
		return invalid(http.StatusBadRequest, codeIdempotencyKey,
			"Idempotency-Key must be sent once, as 1 to 255 characters of visible ASCII")
	}
	c.idempotencyID = idempotencyID(c.outcome.Tenant, c.outcome.Endpoint, c.idempotencyKey, c.outcome.RequestID)
	if c.outcome.Endpoint == EndpointModels {
		return nil
	}
	if contentType := c.r.Header.Get("Content-Type"); contentType != "application/json" {
		if media, _, err := mime.ParseMediaType(contentType); err != nil || media != "application/json" {
			return invalid(http.StatusUnsupportedMediaType, codeContentType, "Content-Type must be application/json")
		}
	}
	body, f := c.readBody()
	if f != nil {
		return f
	}
	parse := wire.ParseChatRequest
	if c.outcome.Endpoint == EndpointEmbeddings {
		parse = wire.ParseEmbeddingsRequest
	}
	request, err := parse(body, wire.Limits{})
	if err != nil {
		return requestFailure(err)
	}
	c.request = request
	c.outcome.Model, c.outcome.Stream = request.Model, request.Stream
	return nil
}

// readBody gives the whole body, decompressed if it came gzipped. The
// buffer is not pooled: a transport may still read it after a round trip has
// returned.
func (c *call) readBody() ([]byte, *failure) {
	if c.r.ContentLength > c.g.MaxBody {
		return nil, bodyTooLarge()
	}
	var body []byte
	var err error
	switch encoding := c.r.Header.Get("Content-Encoding"); {
	case encoding == "" && c.r.ContentLength > 0 && c.r.ContentLength <= maxKept:
		body = make([]byte, c.r.ContentLength)
		_, err = io.ReadFull(c.r.Body, body)
	case encoding == "" || strings.EqualFold(encoding, "identity"):
		// What is announced may never come: memory grows with what has.
		body, err = io.ReadAll(io.LimitReader(c.r.Body, c.g.MaxBody+1))
	case strings.EqualFold(encoding, "gzip"):
		var inflated *gzip.Reader
		// Deflated bytes are capped too: empty members inflate to nothing.
		if inflated, err = gzip.NewReader(io.LimitReader(c.r.Body, c.g.MaxBody)); err == nil {
			body, err = io.ReadAll(io.LimitReader(inflated, c.g.MaxBody+1))
		}
	default:
		return nil, invalid(http.StatusUnsupportedMediaType, codeContentType, "Content-Encoding must be gzip or absent")
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || int64(len(body)) > c.g.MaxBody {
		return nil, bodyTooLarge()
	}
	if err != nil {
		if c.r.Context().Err() != nil {
			return nil, c.transportFailure(c.r.Context(), err, false)
		}
		return nil, invalid(http.StatusBadRequest, codeBodyUnreadable, "the body ended early or could not be inflated")
	}
	return body, nil
}

func bodyTooLarge() *failure {
	return invalid(http.StatusRequestEntityTooLarge, codeBodyTooLarge, "the body is larger than this gateway takes")
}

// invalid makes the failure of a request that no provider is asked about.
func invalid(status int, code, message string) *failure {
	f := &failure{action: ActionFail}
	f.Status, f.Code, f.Message = status, code, message
	return f
}
