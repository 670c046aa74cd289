package anthropic

import (
	"maps"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// WriteError writes e as a whole answer in the form of the Messages API: {"type":"error","error":{"type","message"}}, with
// the types of its reference (docs.anthropic.com, "Errors"). The code goes into a field of its own, which clients pass over.
func WriteError(w http.ResponseWriter, e wire.Error) {
	header, _ := e.HTTP()
	maps.Copy(w.Header(), header)
	if e.RequestID != "" {
		w.Header().Set("Request-Id", e.RequestID)
	}
	w.WriteHeader(e.Status)
	body := append([]byte(`{"type":"error","error":{"type":`), quoted(errorType(e.Status))...)
	body = append(append(body, `,"message":`...), quoted(e.Message)...)
	body = append(append(body, `,"code":`...), quoted(e.Code)...)
	body = append(append(body, `},"request_id":`...), quoted(e.RequestID)...)
	_, _ = w.Write(append(body, '}'))
}

func quoted(s string) []byte {
	b, _ := jsontext.AppendQuote(nil, s)
	return b
}

func errorType(status int) string {
	switch status {
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
	}
	if status >= http.StatusInternalServerError {
		return "api_error"
	}
	return "invalid_request_error"
}
