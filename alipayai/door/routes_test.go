package door

import (
	"net/http"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// A parameter of a path is one segment where something follows it, and is there; else it may have several.
func TestParametersOfPaths(t *testing.T) {
	for name, test := range map[string]struct {
		before, after, path string
		param               string
		fits                bool
	}{
		"at the end":           {"/models/", "", "/v1/models/m", "m", true},
		"several segments":     {"/models/", "", "/v1/models/of/one", "of/one", true},
		"none":                 {"/models/", "", "/v1/models/", "", false},
		"below a prefix":       {"/models/", "", "/team/v1/models/m", "m", true},
		"without the version":  {"/models/", "", "/models/m", "", false},
		"before something":     {"/responses/", "/cancel", "/v1/responses/r/cancel", "r", true},
		"several before it":    {"/responses/", "/cancel", "/v1/responses/r/s/cancel", "r/s", false},
		"none before it":       {"/responses/", "/cancel", "/v1/responses//cancel", "", false},
		"without what follows": {"/responses/", "/cancel", "/v1/responses/r", "", false},
	} {
		n := &route{before: test.before, after: test.after, param: true}
		if param, ok := n.fits(test.path); ok != test.fits || ok && param != test.param {
			t.Errorf("%s: %q, %t", name, param, ok)
		}
	}
}

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
		if got := lacksEndpoint(test.f); got != test.lacks {
			t.Errorf("%s: %t", name, got)
		}
	}
}
