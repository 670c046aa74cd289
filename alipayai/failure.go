package alipayai

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/anthropic"
	"github.com/caddy-alipayai/gateway/limiter"
)

// Codes of the gateway's own failures, beside the upstreams' codes.
const (
	codeTimeout          = "upstream_timeout"
	codeUnreachable      = "upstream_unreachable"
	codeMalformed        = "upstream_malformed_response"
	codeTruncated        = "upstream_truncated_response"
	codeTooLarge         = "upstream_response_too_large"
	codeBuffersFull      = "buffers_full"
	codeRedirect         = "upstream_redirect"
	codeBadSignature     = "invalid_response_signature"
	codeNoToken          = "token_unavailable"
	codeSigning          = "signing_failed"
	codeNoSlot           = "rate_limit_unavailable"
	codeProviderDown     = "provider_unavailable"
	codeModelNotFound    = "model_not_found"
	codeNotFound         = "unknown_url"
	codeMethodNotAllowed = "method_not_allowed"
	codeBodyTooLarge     = "request_too_large"
	codeBodyUnreadable   = "request_unreadable"
	codeContentType      = "unsupported_content_type"
	codeIdempotencyKey   = "invalid_idempotency_key"
	codeClientGone       = "client_gone"
	codeBreakerOpen      = "breaker_open"
	codeHeldOff          = "upstream_throttled"
	codeUnsupported      = "unsupported_parameter"
	codeExhausted        = "all_providers_failed"
	codeInFlight         = "idempotency_in_flight"
	codeHeld             = "idempotency_unresolved"
	codeMismatch         = "idempotency_key_reused"
	codeNoClaim          = "idempotency_unavailable"
)

// localCodes are the gateway's own codes and those of OpenAI's error form
// that it answers itself; as metric labels they are safe.
var localCodes = map[string]bool{
	codeTimeout: true, codeUnreachable: true, codeMalformed: true, codeTruncated: true, codeTooLarge: true, codeBuffersFull: true,
	codeRedirect: true, codeBadSignature: true, codeNoToken: true, codeSigning: true, codeNoSlot: true, codeProviderDown: true,
	codeModelNotFound: true, codeNotFound: true, codeMethodNotAllowed: true, codeBodyTooLarge: true,
	codeBodyUnreadable: true, codeContentType: true, codeIdempotencyKey: true, codeClientGone: true,
	codeBreakerOpen: true, codeHeldOff: true, codeUnsupported: true, codeExhausted: true,
	codeInFlight: true, codeHeld: true, codeMismatch: true, codeNoClaim: true,
	wire.CodeInvalidJSON: true, wire.CodeDuplicateKey: true, wire.CodeNestingTooDeep: true,
	wire.CodeMissingParameter: true, wire.CodeInvalidType: true, wire.CodeEmptyString: true,
	wire.CodeEmptyArray: true, wire.CodeUnknownParameter: true, anthropic.CodeInvalidValue: true,
	"": true, // a success
}

// limitCodes are the reasons for not letting a call through.
var limitCodes = map[string]bool{
	string(limiter.QueueFull): true, string(limiter.QueueDeadline): true,
	string(limiter.ClientGone): true, string(limiter.Draining): true,
	string(limiter.TenantRequests): true, string(limiter.TenantTokens): true, string(limiter.TenantConcurrency): true,
}

// IsRejection reports whether code is the gateway's own reason for not letting a
// call through.
func IsRejection(code string) bool { return limitCodes[code] || code == codeHeldOff }

// Causes of a cancelled attempt, beside the client's leaving.
var (
	errNoHead         error = noHead{}
	errNoContent            = errors.New("no content within the timeout")
	errNoEvent              = errors.New("no further event within the timeout")
	errNoMore               = errors.New("no more of the answer within the timeout")
	errDeadline             = errors.New("the call's deadline has passed")
	errAttemptIsEnded       = errors.New("the attempt has ended")
)

// noHead has the method by which [outgoing.Transport] knows that a connection
// was silent.
type noHead struct{}

func (noHead) Error() string { return "no answer within the timeout" }
func (noHead) Timeout() bool { return true }

// failure is why an attempt brought no answer.
type failure struct {
	wire.Error
	action Action
	// upstream says that Code is the upstream's, not the gateway's own.
	upstream bool
	// sent says that bytes of the request may have reached the upstream: what
	// they did there, and what it costs, is not known.
	sent bool
	// idled says that a connection broke that was kept since another request: the
	// upstream has closed it, most likely, before it read this one.
	idled bool
	// token is the access token that was sent.
	token string
	// clockLearned says that the upstream's clock has been corrected since the
	// request was signed.
	clockLearned bool
	// cause is why, for the operator's log; a client gets Message alone.
	cause error
	// elsewhere says that the provider cannot do what the request asks for, or
	// refuses the form that it was translated to, but another may do it.
	elsewhere bool
	// clientGone says that nobody waits for an answer any more.
	clientGone bool
}

// clientClosedRequest is the status that the access log shows for a client
// that left, as nginx and Caddy use it. No client ever sees it.
const clientClosedRequest = 499

// transportFailure makes the failure of a round trip that ended in err: a timeout, a
// client that left, or a connection that broke.
func (c *call) transportFailure(ctx context.Context, err error, sent bool) *failure {
	f := &failure{sent: sent, action: ActionRetry, cause: reasonOf(err)}
	cause := context.Cause(ctx)
	switch {
	case c.r.Context().Err() != nil:
		f.clientGone = true
		f.Status, f.Code, f.Message = clientClosedRequest, codeClientGone, "the client closed the request"
	case errors.Is(cause, errNoHead), errors.Is(cause, errNoContent), errors.Is(cause, errNoEvent), errors.Is(cause, errNoMore),
		errors.Is(cause, errDeadline):
		f.Status, f.Code, f.Message = http.StatusGatewayTimeout, codeTimeout, "the provider did not answer in time: "+cause.Error()
		f.NoRetry = sent
	case isTimeout(err):
		f.Status, f.Code, f.Message = http.StatusGatewayTimeout, codeTimeout, "the provider could not be reached in time"
		f.NoRetry = sent
	case sent:
		f.Status, f.Code, f.Message = http.StatusBadGateway, codeTruncated, "the connection to the provider broke before its answer was complete"
		f.NoRetry = true
	default:
		f.Status, f.Code, f.Message = http.StatusBadGateway, codeUnreachable, "the provider could not be reached"
	}
	return f
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// upstreamFailure makes the failure that an answer of p reports. What mask finds in it
// is left out.
func (p *Provider) upstreamFailure(status int, f *wire.Failure, resp *http.Response, now time.Time, mask *credentials.Mask) *failure {
	code, action := p.classify(status, f)
	out := &failure{action: action, upstream: true, sent: true}
	out.Status = statusOf(status, action, code)
	out.Code, out.Message, out.Param = code, f.Message, f.Param
	mask.Texts(&out.Code, &out.Message, &out.Param)
	if out.Code != code || out.Param != f.Param {
		out.Code, out.Param = "", ""
	}
	out.RetryAfter = retryAfter(resp.Header, now)
	switch {
	case status == http.StatusUnauthorized || credentialFault(action, code):
		// How the gateway's credentials failed is the operator's business, and
		// some servers quote what they were sent.
		out.Message = "the provider refuses the gateway's credentials"
	case out.Message == "" || out.Message != f.Message:
		out.Message = "the provider reports a failure"
	}
	if p.Profile.Name == "ant_ling" && status == http.StatusServiceUnavailable && strings.Contains(f.Message, "Slow Down") {
		out.action, out.RetryAfter = ActionThrottle, slowDownHold
	}
	out.elsewhere = p.Format != nil && out.action == ActionFail && !credentialCodes[code]
	out.NoRetry = out.ambiguous(status)
	return out
}

// ambiguous reports whether a repeat could do, and cost, twice what has been
// done: what a system error or a gateway's failure has done is not known, nor
// what an answer did that calls itself a success. Credentials do not mend by
// asking again either. A 503 that names a time was refused.
func (f *failure) ambiguous(status int) bool {
	switch {
	case f.action == ActionThrottle, f.action == ActionBlocked:
		return false
	case status < http.StatusBadRequest:
		return true
	case f.action == ActionSystemError, f.Status == http.StatusBadGateway:
		return true
	case status == http.StatusServiceUnavailable && f.RetryAfter > 0:
		return false
	default:
		return status >= http.StatusInternalServerError || status == http.StatusRequestTimeout || status == http.StatusConflict
	}
}

// timedOut reports whether the upstream says that it gave up waiting for what lies
// behind it: that may have been done, and billed.
func (f *failure) timedOut() bool {
	return f.Status == http.StatusGatewayTimeout || f.Code == "timeout_error"
}

// doubtful reports whether the call may have been served although f is all that
// came of it. Whose credentials are refused is not served.
func (f *failure) doubtful() bool {
	switch {
	case !f.sent || f.clientGone:
		return f.sent
	case f.upstream && credentialFault(f.action, f.Code):
		return false
	default:
		return f.NoRetry
	}
}

// maxRetryAfter caps what an upstream can make a client wait, except where a
// longer hold is documented.
const maxRetryAfter = 60 * time.Second

// retryAfter reads Retry-After, in seconds or as a date (RFC 9110, section
// 10.2.3), and gives 0 where there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return maxRetryAfter // more seconds than fit
		}
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(date.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
