package alipaycaddy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// try is one request on its way. It implements [upstream.Caller].
type try struct {
	*SigningTransport
	// made says that the request was signed, and handed to the connection.
	made bool
}

func (t *try) Permitted(p *upstream.Provider, waited time.Duration) {
	t.metrics.permitted(p.Name, waited)
}

func (t *try) Rejected(p *upstream.Provider, code string) {
	t.metrics.rejections.WithLabelValues(p.Name, code).Inc()
}

func (t *try) SigningFailed(p *upstream.Provider) {
	t.metrics.signingFailures.WithLabelValues(p.Name).Inc()
}

func (t *try) Leaving(*upstream.Provider, *http.Request) *failure.Failure {
	t.made = true
	return nil
}

// failed says what becomes of a try that brought no answer. Where reverse_proxy may
// try again, because nothing has left and there is time, that is the connection's
// own error, by which it decides. A rate cap that rejects a call when it is connected,
// or a time that is over, has none.
func (t *try) failed(req *http.Request, f *failure.Failure) (*http.Response, error) {
	if t.made {
		t.metrics.attempted(t.provider.Name, f.Code)
	} else if f.Cause != nil && f.Status == http.StatusServiceUnavailable { // the operator's business
		t.logger.Warn("request could not be signed", zap.String("provider", t.provider.Name), zap.String("code", f.Code), zap.Error(f.Cause))
	}
	connection := errors.Unwrap(f.Cause)
	switch {
	case f.ClientGone:
		return nil, req.Context().Err()
	case f.Sent:
		sendingOf(req.Context(), 0).left = true
	case t.made && !mayHaveLeft(req.Context()) && connection != nil:
		return nil, connection
	}
	f.Message = live.Text(f.Message) // an error of the scheme may quote the client
	return answerTo(req, &f.Error), nil
}

// answerTo makes the answer to a request that is refused. An error would count
// as a failure of the upstream, so that whoever is refused could take it out of
// service, and it would be tried again. Once a try of the call may have left, the
// client is told not to repeat it.
func answerTo(req *http.Request, refusal *wire.Error) *http.Response {
	if mayHaveLeft(req.Context()) {
		refusal.NoRetry, refusal.RetryAfter = true, 0
	}
	refusal.RequestID = alipayai.NewRequestID()
	header, body := refusal.HTTP()
	header.Set("Content-Length", strconv.Itoa(len(body)))
	return &http.Response{
		Status:     http.StatusText(refusal.Status),
		StatusCode: refusal.Status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}
}
