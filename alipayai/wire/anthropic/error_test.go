package anthropic

import (
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestErrorTypes has the types by which clients of the Messages API decide whether they ask again.
func TestErrorTypes(t *testing.T) {
	for name, tt := range map[string]struct {
		e    wire.Error
		want string
	}{
		"a provider's own":          {wire.Error{Status: 503, Code: "rate_limit_error"}, "rate_limit_error"},
		"an overload by a number":   {wire.Error{Status: 529, Code: "529"}, "overloaded_error"},
		"an overload by its status": {wire.Error{Status: 503, Code: "server_error"}, "overloaded_error"},
		"a broken server":           {wire.Error{Status: 502, Code: "502"}, "api_error"},
		"no status":                 {wire.Error{}, "api_error"},
		"a timeout":                 {wire.Error{Status: 504}, "timeout_error"},
		"an operator's key":         {wire.Error{Status: 502, Code: "authentication_error"}, "api_error"},
		"an operator's rights":      {wire.Error{Status: 502, Code: "permission_error"}, "api_error"},
		"an operator's account":     {wire.Error{Status: 502, Code: "billing_error"}, "api_error"},
		"an operator's, in a 400":   {wire.Error{Status: 502, Code: "invalid_request_error"}, "api_error"},
		"blame without a status":    {wire.Error{Code: "invalid_request_error"}, "api_error"},
		"a provider's own blame":    {wire.Error{Status: 404, Code: "not_found_error"}, "not_found_error"},
		"OpenAI's, too large":       {wire.Error{Status: 413, Code: "invalid_request_error"}, "request_too_large"},
		"OpenAI's, of no model":     {wire.Error{Status: 404, Code: "invalid_request_error"}, "not_found_error"},
		"OpenAI's":                  {wire.Error{Status: 400, Code: "invalid_request_error"}, "invalid_request_error"},
		"a refusal":                 {wire.Error{Status: 422, Code: "1000"}, "invalid_request_error"},
	} {
		if got := errorType(tt.e); got != tt.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
