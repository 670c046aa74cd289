package alipaycaddy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/limiter"
	"github.com/caddy-alipayai/gateway/signer"
)

// unsigned says why a request could not be signed. This try has sent nothing; late
// says that the deadline has passed.
func (t *SigningTransport) unsigned(req *http.Request, err error, late bool) (*http.Response, error) {
	if req.Context().Err() != nil {
		return nil, req.Context().Err()
	}
	e := &wire.Error{Status: http.StatusServiceUnavailable, RetryAfter: time.Second}
	var rejection *limiter.Rejection
	var throttled *upstream.ThrottledError
	switch {
	case errors.Is(err, upstream.ErrProviderUnavailable):
		e.Code, e.Message = failure.CodeProviderUnavailable, err.Error()
	case errors.Is(err, upstream.ErrNotSigned), errors.Is(err, signer.ErrMalformed), errors.Is(err, signer.ErrWrongIdentity):
		// Such as openapi-v2 parameters that only the gateway may set.
		e.Status, e.Code, e.RetryAfter, e.Message = http.StatusForbidden, failure.CodeNotSigned, 0, live.Text(err.Error())
	case errors.Is(err, token.ErrRefused), errors.Is(err, token.ErrUnavailable):
		e.Code, e.Message = failure.CodeTokenUnavailable, "provider "+t.provider.Name+" has no access token: "+token.Reason(err)
	case late:
		return answerTo(req, notSent()), nil
	case errors.As(err, &rejection):
		t.metrics.rejections.WithLabelValues(t.provider.Name, string(rejection.Reason)).Inc()
		e.Status, e.Code, e.RetryAfter = http.StatusTooManyRequests, string(rejection.Reason), rejection.RetryAfter
		e.Message = rejection.Error()
	case errors.As(err, &throttled):
		t.metrics.rejections.WithLabelValues(t.provider.Name, failure.CodeThrottled).Inc()
		e.Status, e.Code, e.RetryAfter = http.StatusTooManyRequests, failure.CodeThrottled, throttled.RetryAfter
		e.Message = "provider " + t.provider.Name + " is throttling"
	default:
		e.Code, e.Message = failure.CodeSigningFailed, "provider "+t.provider.Name+" cannot sign the request"
		t.metrics.signingFailures.WithLabelValues(t.provider.Name).Inc()
	}
	if e.Status == http.StatusServiceUnavailable { // the operator's business
		t.logger.Warn("request could not be signed", zap.String("provider", t.provider.Name), zap.String("code", e.Code), zap.Error(err))
	}
	return answerTo(req, e), nil
}

// notSent is the failure of a call that could not leave before its deadline.
func notSent() *wire.Error {
	return &wire.Error{Status: http.StatusGatewayTimeout, Code: failure.CodeTimeout, Message: errNotSent.Error(), RetryAfter: time.Second}
}

// broken says what became of a request that got no answer. left says that it may
// have reached the upstream, late that it could not be sent before the deadline.
func (t *SigningTransport) broken(req *http.Request, err error, left, late bool) (*http.Response, error) {
	if req.Context().Err() != nil {
		t.metrics.attempted(t.provider.Name, failure.CodeClientGone)
		return nil, err
	}
	e := &wire.Error{Status: http.StatusBadGateway, Code: failure.CodeUnreachable, Message: "the provider could not be reached"}
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case left && ok && timeout.Timeout():
		e.Status, e.Code, e.Message = http.StatusGatewayTimeout, failure.CodeTimeout, "the provider did not answer in time"
	case left:
		e.Code, e.Message = failure.CodeTruncated, "the connection to the provider broke before its answer"
	case late:
		e = notSent()
	}
	t.metrics.attempted(t.provider.Name, e.Code)
	if left {
		sendingOf(req.Context(), 0).left = true
	} else if !late && !mayHaveLeft(req.Context()) {
		return nil, err
	}
	e.NoRetry = left
	return answerTo(req, e), nil
}

// unusable says why an answer cannot be handed on. The request has arrived, so
// nobody should repeat it blindly.
func (t *SigningTransport) unusable(req *http.Request, err error) (*http.Response, error) {
	if gone := req.Context().Err(); gone != nil {
		t.metrics.attempted(t.provider.Name, failure.CodeClientGone)
		return nil, gone
	}
	e := &wire.Error{Status: http.StatusBadGateway, NoRetry: true}
	switch {
	case errors.Is(err, upstream.ErrAnswerTruncated):
		// Not err, which names the network's addresses.
		e.Code, e.Message = failure.CodeTruncated, upstream.ErrAnswerTruncated.Error()
	case errors.Is(err, upstream.ErrAnswerTooLarge):
		e.Code, e.Message = failure.CodeResponseTooLarge, "the provider's answer is larger than this gateway takes"
	default:
		e.Code, e.Message = failure.CodeBadSignature, upstream.ErrBadAnswer.Error()
	}
	t.metrics.attempted(t.provider.Name, e.Code)
	return answerTo(req, e), nil
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
