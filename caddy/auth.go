package alipaycaddy

import (
	"cmp"
	"errors"
	"net/http"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

func init() {
	caddy.RegisterModule(new(Auth))
}

// Auth authenticates requests as Caddy's `authentication` handler does, with
// the same providers, but answers a rejected one in the error form of
// the client's API. The challenge is that of the provider, or `Bearer`.
type Auth struct {
	caddyauth.Authentication

	app       *App
	takesKeys bool // one of the providers does
}

// CaddyModule returns the Caddy module information.
func (*Auth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.alipayai_auth",
		New: func() caddy.Module { return new(Auth) },
	}
}

// Provision provisions the authenticators.
func (a *Auth) Provision(ctx caddy.Context) (err error) {
	if a.app, err = loadApp(ctx); err != nil {
		return err
	}
	if len(a.ProvidersRaw) == 0 {
		return errors.New(`there are no providers, so that all calls would be refused; write "providers": {"alipayai_keys": {…}}, or another authenticator of Caddy's`)
	}
	_, a.takesKeys = a.ProvidersRaw["alipayai_keys"]
	return a.Authentication.Provision(ctx)
}

// ServeHTTP lets authenticated requests pass.
func (a *Auth) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	defer a.app.calls.endOf(a.app.calls.serve(r))
	if isPreflight(r) && answerPage(a.app.cors, w, r) {
		return nil
	}
	if page := a.app.pageOf(r); page != nil { // of which a browser has a secret address, and no key
		page.servePage(w, r)
		return nil
	}
	after := passings.Get().(*passing)
	defer passings.Put(after)
	*after = passing{next: next}
	err := a.Authentication.ServeHTTP(w, r, after)
	if after.passed || err == nil {
		return err
	}
	message := "the credentials that were sent are not valid, or none were sent"
	if a.takesKeys {
		_, problem := sentKey(r.Header)
		message = cmp.Or(problem, "the API key that was sent is not valid")
	}
	answerPage(a.app.cors, w, r)
	if w.Header().Get("WWW-Authenticate") == "" { // else a provider has set its own challenge
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	door.LeaveBody(w, r)
	dialects.Of(r).WriteError(w, wire.Error{
		Status:    http.StatusUnauthorized,
		Code:      failure.CodeInvalidAPIKey,
		Message:   message,
		RequestID: alipayai.NewRequestID(),
	})
	return nil
}

// passing is the next handler, and whether a request has come to it.
type passing struct {
	next   caddyhttp.Handler
	passed bool
}

// passings are those of requests that have been served: nothing has one for longer.
var passings = sync.Pool{New: func() any { return new(passing) }}

// ServeHTTP implements [caddyhttp.Handler].
func (p *passing) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	p.passed = true
	return p.next.ServeHTTP(w, r)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Auth)(nil)
	_ caddyhttp.MiddlewareHandler = (*Auth)(nil)
)
