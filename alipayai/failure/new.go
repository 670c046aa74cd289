package failure

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TimeoutError is the cause of an attempt that the gateway has cancelled, since the
// upstream kept it waiting.
type TimeoutError string

// Error implements error.
func (t TimeoutError) Error() string { return string(t) }

// Timeout says whether the connection was silent: no head has come on it. It is
// the method by which [outgoing.Transport] knows.
func (t TimeoutError) Timeout() bool { return t == ErrNoHead }

// What an upstream did not send in time.
const (
	ErrNoHead    TimeoutError = "no answer within the timeout"
	ErrNoContent TimeoutError = "no content within the timeout"
	ErrNoEvent   TimeoutError = "no further event within the timeout"
	ErrNoMore    TimeoutError = "no more of the answer within the timeout"
	ErrDeadline  TimeoutError = "the call's deadline has passed"
	// ErrNotSent is of a request that had no connection in time: nothing was sent.
	ErrNotSent TimeoutError = "the request could not be sent in time"
)

// ClientClosedRequest is the status that the access log shows for a client that
// left, as nginx and Caddy use it. No client ever sees it.
const ClientClosedRequest = 499

// InvalidRequest makes the failure of a request that no provider is asked about.
func InvalidRequest(status int, code, message string) *Failure {
	f := &Failure{Class: Fail}
	f.Status, f.Code, f.Message = status, code, message
	return f
}

// UnreadableRequest makes the failure of a request that cannot be read, or put
// into a provider's form.
func UnreadableRequest(err error) *Failure {
	f := InvalidRequest(http.StatusBadRequest, wire.CodeInvalidJSON, "the request cannot be read")
	if e, ok := errors.AsType[*wire.RequestError](err); ok {
		f.Error = e.HTTP()
	}
	return f
}

// Unavailable makes the failure of a provider that was not asked.
func Unavailable(code, message string) *Failure {
	f := &Failure{Class: Retry}
	f.Status, f.Code, f.Message = http.StatusServiceUnavailable, code, message
	f.RetryAfter = time.Second
	return f
}

// AuthorisationRequired makes the failure of a call whose user has given no consent, or none that is still good.
// The user can give it at address; empty for nowhere.
func AuthorisationRequired(address string) *Failure {
	f := InvalidRequest(http.StatusForbidden, CodeAuthorisationRequired, "the user that the call names has given no consent, or it has ended")
	if address != "" {
		f.Message += "; it can be given at authorisation_url"
	}
	f.AuthorisationURL = address
	return f
}

// Misconfigured makes the failure of a provider that cannot serve until an
// operator has done something.
func Misconfigured(code, message string, cause error) *Failure {
	f := Unavailable(code, message)
	f.Cause, f.RetryAfter, f.NoRetry = cause, 0, true
	return f
}

// Limited makes the failure of a call that a limit rejects for retryAfter; for a second where it is unknown for how long, as
// until another call ends: clients that are not given a time guess one, each of their own.
func Limited(code, message string, retryAfter time.Duration) *Failure {
	f := &Failure{Class: Throttle}
	f.Status, f.Code, f.Message, f.RetryAfter = http.StatusTooManyRequests, code, message, cmp.Or(retryAfter, time.Second)
	return f
}

// BadAnswer makes the failure of an answer that cannot be used. What the
// upstream did for it is not known, so a client should not repeat it blindly.
func BadAnswer(code, message string) *Failure {
	f := &Failure{Class: Fail, Sent: true}
	f.Status, f.Code, f.Message, f.NoRetry = http.StatusBadGateway, code, message, true
	return f
}

// OfTransport makes the failure of a round trip that ended in err: a timeout, a
// client that left, or a connection that broke. client is the client's context
// and attempt that of the round trip, whose cause may be a [TimeoutError].
func OfTransport(client, attempt context.Context, err error, sent bool) *Failure {
	f := &Failure{Sent: sent, Class: Retry, Cause: ReasonOf(err)}
	timeout, timedOut := errors.AsType[TimeoutError](context.Cause(attempt))
	switch {
	case client.Err() != nil:
		f.ClientGone = true
		f.Status, f.Code, f.Message = ClientClosedRequest, CodeClientGone, "the client closed the request"
	case timedOut && timeout == ErrNotSent && !sent:
		f.Status, f.Code, f.Message = http.StatusGatewayTimeout, CodeTimeout, string(timeout)
		f.Cause, f.RetryAfter = timeout, time.Second
	case timedOut:
		f.Status, f.Code, f.Message = http.StatusGatewayTimeout, CodeTimeout, "the provider did not answer in time: "+string(timeout)
		f.NoRetry = sent
	case isTimeout(err):
		f.Status, f.Code, f.Message = http.StatusGatewayTimeout, CodeTimeout, "the provider could not be reached in time"
		f.NoRetry = sent
	case sent:
		f.Status, f.Code, f.Message = http.StatusBadGateway, CodeTruncated, "the connection to the provider broke before its answer was complete"
		f.NoRetry = true
	default:
		f.Status, f.Code, f.Message = http.StatusBadGateway, CodeUnreachable, "the provider could not be reached"
	}
	return f
}

// OfUpstream makes the failure that an answer with this status reports. rules
// come before what the gateway takes codes for by itself; translated says that
// the request was put into another form than the client's.
func OfUpstream(status int, h http.Header, reported *wire.Failure, rules []Rule, translated bool, now time.Time) *Failure {
	now = vendorsTime(status, h, now)
	wait := cmp.Or(RetryAfter(h, now), min(reported.RetryAfter, maxRetryAfter))
	v := judge(status, reported, rules, wait)
	f := &Failure{Class: v.class, FromUpstream: true, Sent: true, timedOut: v.timedOut}
	f.Status = v.shown(status)
	f.Code, f.Message, f.Param = v.code, withoutOwner(reported.Message), reported.Param
	f.RetryAfter = wait
	if f.RetryAfter == 0 && (status == http.StatusTooManyRequests || v.class == Throttle) {
		f.RetryAfter = cmp.Or(resetAfter(h, now), until(reported.ResetAt, now), saidWait(reported.Message))
		if f.RetryAfter == 0 && limitedByDay(reported.Message) {
			f.RetryAfter = maxRetryAfter
		}
	}
	if reported.Daily && v.class == Throttle { // whatever it says to wait is of a limit that ends sooner
		f.RetryAfter = maxRetryAfter
	}
	f.RetryAfter = cmp.Or(v.hold, f.RetryAfter)
	f.UpstreamID = reported.RequestID
	switch {
	case v.hidden():
		// How the gateway's credentials failed is the operator's business, and
		// some servers quote what they were sent; so is whose account is empty.
		f.Message, f.Param = "the provider refuses the gateway's credentials", ""
		if v.class == AccountExhausted || v.status == http.StatusPaymentRequired {
			f.Message = "the provider refuses the gateway's account"
		}
		if !isCode(f.Code) {
			f.Code = ""
		}
	case f.Message == "":
		f.Message = "the provider reports a failure"
	}
	switch {
	case v.class != Fail || v.hidden():
	case isTooLong(v.code, reported):
		f.Code = wire.CodeContextLength
	default:
		f.Model = modelRefused(status, v.code, reported)
	}
	if v.large {
		f.Status, f.RetryAfter = http.StatusRequestEntityTooLarge, 0 // or the client's SDK would wait and repeat it
	}
	f.UnsupportedHere = v.class == Fail && !credentialCodes[v.code] &&
		(translated || v.large || f.Model == ModelRetired || refusesNothing(status, v.code, reported))
	f.Final = strings.EqualFold(strings.TrimSpace(h.Get("X-Should-Retry")), "false")
	f.Final = f.Final || v.class == Retry && strings.HasPrefix(begun(reported.Message), unreadable)
	f.Unserved = hasNoChannel(status, v.code, reported) || v.isUnserved(status)
	f.refused = v.refused && status < http.StatusBadRequest
	f.NoRetry = f.mayRepeatItself(status) && !neverServed(status, v.code, reported, h) || f.Final && status >= http.StatusInternalServerError
	return f
}

// isCode reports whether an upstream's code is one word, and not a text that says
// more than a code does.
func isCode(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-:", r))
	}) < 0
}

// maxRetryAfter caps what an upstream can make a client wait, except where a
// longer hold is documented.
const maxRetryAfter = 60 * time.Second
