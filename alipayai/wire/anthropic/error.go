package anthropic

import (
	"maps"
	"net/http"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// WriteError writes e as a whole answer in the form of the Messages API: {"type":"error","error":{"type","message"}}, with
// the types of its reference (docs.anthropic.com, "Errors"). The code goes into a field of its own, which clients pass over.
func WriteError(w http.ResponseWriter, e wire.Error) {
	header, _ := e.HTTP()
	maps.Copy(w.Header(), header)
	if e.RequestID != "" {
		w.Header().Set("Request-Id", e.RequestID)
	}
	if e.Status == 0 {
		e.Status = http.StatusInternalServerError
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write(AppendError(nil, e))
}

// AppendError appends the body of an error. The text has no line break.
func AppendError(dst []byte, e wire.Error) []byte {
	dst = translate.Quote(append(dst, `{"type":"error","error":{"type":`...), errorType(e))
	dst = translate.Quote(append(dst, `,"message":`...), messageOf(e))
	dst = translate.Quote(append(dst, `,"code":`...), e.Code)
	if e.AuthorisationURL != "" {
		dst = translate.Quote(append(dst, `,"authorisation_url":`...), e.AuthorisationURL)
	}
	return append(translate.Quote(append(dst, `},"request_id":`...), e.RequestID), '}')
}

// AppendErrorEvent appends an error as an event of a stream.
func AppendErrorEvent(dst []byte, e wire.Error) []byte {
	return append(AppendError(append(dst, "event: error\ndata: "...), e), "\n\n"...)
}

// tooLong is by what Claude Code knows that a conversation is too long, which it shortens then.
const tooLong = "prompt is too long"

// messageOf is the message of an error, in the API's own words where clients go by them.
func messageOf(e wire.Error) string {
	if e.Code == wire.CodeContextLength && !strings.Contains(strings.ToLower(e.Message), tooLong) {
		return tooLong + ": " + e.Message
	}
	return e.Message
}

// statusOverloaded is the API's own status for an overload, which others send in the place of a code.
const statusOverloaded = 529

// errorType is the type of an error: a provider's own where that is one of the API's, else that of the status. OpenAI calls all that is
// wrong with a request invalid_request_error, whatever the status, which says more then. A type that blames the client, or its key, is
// not for what has failed behind the gateway, as where the gateway's own key is refused: SDKs give types to programs, which ask for
// another key then.
func errorType(e wire.Error) string {
	switch e.Code {
	case "rate_limit_error", "timeout_error", "api_error", "overloaded_error":
		return e.Code
	case "authentication_error", "billing_error", "permission_error", "not_found_error", "request_too_large":
		if e.Status != 0 && e.Status < http.StatusInternalServerError {
			return e.Code
		}
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusServiceUnavailable, statusOverloaded:
		return "overloaded_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	}
	if e.Status >= http.StatusInternalServerError || e.Status == 0 {
		return "api_error"
	}
	return "invalid_request_error"
}
