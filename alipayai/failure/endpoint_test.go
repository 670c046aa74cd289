package failure_test

import (
	"net/http"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// A provider lacks an endpoint where it knows neither its path nor its method, or answers something else; not where it lacks the
// model, nor where the gateway says so.
func TestWhatLacksAnEndpoint(t *testing.T) {
	of := func(status int, code string, upstream bool) *failure.Failure {
		return &failure.Failure{Error: wire.Error{Status: status, Code: code}, FromUpstream: upstream}
	}
	for name, test := range map[string]struct {
		f     *failure.Failure
		lacks bool
	}{
		"no such path":          {of(http.StatusNotFound, "", true), true},
		"no such method":        {of(http.StatusMethodNotAllowed, "", true), true},
		"a status of 501":       {of(http.StatusNotImplemented, "", true), true},
		"something else":        {of(http.StatusBadGateway, failure.CodeMalformed, false), true},
		"no such model":         {of(http.StatusNotFound, failure.CodeModelNotFound, true), false},
		"no such model, Claude": {of(http.StatusNotFound, "not_found_error", true), false},
		"the gateway's own":     {of(http.StatusNotFound, "", false), false},
		"a bad request":         {of(http.StatusBadRequest, "", true), false},
		"a failure":             {of(http.StatusInternalServerError, "", true), false},
	} {
		if got := test.f.LacksEndpoint(); got != test.lacks {
			t.Errorf("%s: %t", name, got)
		}
	}
}
