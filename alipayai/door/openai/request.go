package openai

import (
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// endpoints by the path's end, so that a site may serve them below a prefix.
var endpoints = []struct {
	suffix, method string
	endpoint       upstream.Endpoint
}{
	{"/chat/completions", http.MethodPost, upstream.EndpointChat},
	{"/embeddings", http.MethodPost, upstream.EndpointEmbeddings},
	{"/models", http.MethodGet, upstream.EndpointModels},
}

// read finds the endpoint and reads the request into c: once, capped, and refused
// when it is not strict JSON. header takes what an error's answer needs.
func (d *Door) read(c *alipayai.Call, r *http.Request, header http.Header) *failure.Failure {
	for _, e := range endpoints {
		// A client whose base URL lacks /v1 learns that, rather than work with one
		// gateway and not with the next.
		if before, ok := strings.CutSuffix(r.URL.Path, e.suffix); !ok || !strings.Contains(before+"/", "/v1/") {
			continue
		}
		if r.Method != e.method {
			header.Set("Allow", e.method)
			return failure.InvalidRequest(http.StatusMethodNotAllowed, failure.CodeMethodNotAllowed, "use "+e.method+" for this path")
		}
		c.Endpoint = e.endpoint
	}
	if c.Endpoint == "" {
		return failure.InvalidRequest(http.StatusNotFound, failure.CodeUnknownURL,
			"this gateway serves POST /v1/chat/completions, POST /v1/embeddings and GET /v1/models; the client's base URL ends in /v1")
	}
	switch keys := r.Header["Idempotency-Key"]; {
	case len(keys) == 0:
	case len(keys) == 1 && keys[0] != "" && alipayai.IsVisible(keys[0]):
		c.IdempotencyKey = keys[0]
	default:
		return failure.InvalidRequest(http.StatusBadRequest, failure.CodeInvalidIdempotencyKey,
			"Idempotency-Key must be sent once, as 1 to 255 characters of visible ASCII")
	}
	if c.Endpoint == upstream.EndpointModels {
		return nil
	}
	if f := wantsJSON(r); f != nil {
		return f
	}
	body, f := d.readBody(r)
	if f != nil {
		return f
	}
	parse := wire.ParseChatRequest
	if c.Endpoint == upstream.EndpointEmbeddings {
		parse = wire.ParseEmbeddingsRequest
	}
	request, err := parse(body, wire.Limits{})
	if err != nil {
		return failure.UnreadableRequest(err)
	}
	c.Request = request
	return nil
}

func wantsJSON(r *http.Request) *failure.Failure {
	if contentType := r.Header.Get("Content-Type"); contentType != "application/json" {
		if media, _, err := mime.ParseMediaType(contentType); err != nil || media != "application/json" {
			return failure.InvalidRequest(http.StatusUnsupportedMediaType, failure.CodeContentType, "Content-Type must be application/json")
		}
	}
	return nil
}

// maxTrusted is the largest body, in bytes, for which memory is taken at a
// client's word.
const maxTrusted = 64 << 10

// readBody gives the whole body, decompressed if it came gzipped. The buffer is
// not pooled: a transport may still read it after a round trip has returned.
func (d *Door) readBody(r *http.Request) ([]byte, *failure.Failure) {
	limit := d.Gateway.MaxBody
	if r.ContentLength > limit {
		return nil, bodyTooLarge()
	}
	var body []byte
	var err error
	switch encoding := r.Header.Get("Content-Encoding"); {
	case encoding == "" && r.ContentLength > 0 && r.ContentLength <= maxTrusted:
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	case encoding == "" || strings.EqualFold(encoding, "identity"):
		// What is announced may never come: memory grows with what has.
		body, err = io.ReadAll(io.LimitReader(r.Body, limit+1))
	case strings.EqualFold(encoding, "gzip"):
		var inflated *gzip.Reader
		// Deflated bytes are capped too: empty members inflate to nothing.
		if inflated, err = gzip.NewReader(io.LimitReader(r.Body, limit)); err == nil {
			body, err = io.ReadAll(io.LimitReader(inflated, limit+1))
		}
	default:
		return nil, failure.InvalidRequest(http.StatusUnsupportedMediaType, failure.CodeContentType, "Content-Encoding must be gzip or absent")
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || int64(len(body)) > limit {
		return nil, bodyTooLarge()
	}
	if err != nil {
		// The server's read_body. It ends the request's context too, as if the client
		// had left (net/http, connReader), but the client waits for an answer.
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, failure.InvalidRequest(http.StatusRequestTimeout, failure.CodeRequestUnreadable, "the body did not come in time")
		}
		if r.Context().Err() != nil {
			return nil, failure.OfTransport(r.Context(), r.Context(), err, false)
		}
		return nil, failure.InvalidRequest(http.StatusBadRequest, failure.CodeRequestUnreadable, "the body ended early or could not be inflated")
	}
	return body, nil
}

func bodyTooLarge() *failure.Failure {
	return failure.InvalidRequest(http.StatusRequestEntityTooLarge, failure.CodeRequestTooLarge, "the body is larger than this gateway takes")
}
