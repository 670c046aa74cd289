package alipaycaddy

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

func init() {
	caddy.RegisterModule(new(Errors))
}

// Errors answers, among a server's routes for errors, what another handler has refused in the form of the client's API:
// `request_body`, which refuses a request by its announced length before any handler behind it runs, `basic_auth` or
// `error`. Elsewhere it passes requests on. It has no options.
type Errors struct {
	app *App
}

// CaddyModule returns the Caddy module information.
func (*Errors) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.alipayai_errors",
		New: func() caddy.Module { return new(Errors) },
	}
}

func parseErrors(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	e := new(Errors)
	return e, e.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	alipayai_errors [<matcher>]
func (*Errors) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() || d.NextBlock(0) {
		return d.Err("write alipayai_errors [<matcher>], without options, in handle_errors")
	}
	return nil
}

// Provision finds the app.
func (e *Errors) Provision(ctx caddy.Context) (err error) {
	e.app, err = loadApp(ctx)
	return err
}

// ServeHTTP answers the error that a request has met.
func (e *Errors) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	err, ok := r.Context().Value(caddyhttp.ErrorCtxKey).(error)
	if !ok {
		return next.ServeHTTP(w, r)
	}
	if answerPage(e.app.cors, w, r) {
		return nil
	}
	door.LeaveBody(w, r)
	dialects.Of(r).WriteError(w, errorOf(err))
	return nil
}

// errorOf says what a client learns of an error of another handler: its status, and nothing of its words, which are for
// operators.
func errorOf(err error) wire.Error {
	status := http.StatusInternalServerError
	if he, ok := errors.AsType[caddyhttp.HandlerError](err); ok && he.StatusCode >= http.StatusBadRequest && he.StatusCode <= 599 {
		status = he.StatusCode
	}
	known := refusals[status]
	if known.message == "" {
		known.message = "the gateway answered " + http.StatusText(status)
	}
	return wire.Error{Status: status, Code: known.code, Message: known.message, RequestID: alipayai.NewRequestID()}
}

// refusals are the statuses of refusals that the gateway has words for itself.
var refusals = map[int]struct{ code, message string }{
	http.StatusUnauthorized:          {failure.CodeInvalidAPIKey, "the credentials that were sent are not valid"},
	http.StatusNotFound:              {failure.CodeUnknownURL, "nothing is served at this path"},
	http.StatusMethodNotAllowed:      {failure.CodeMethodNotAllowed, "this path has another method"},
	http.StatusRequestTimeout:        {failure.CodeRequestUnreadable, "the body did not come in time"},
	http.StatusRequestEntityTooLarge: {failure.CodeRequestTooLarge, "the body is larger than this gateway takes"},
	http.StatusUnsupportedMediaType:  {failure.CodeContentType, "the body's type is not taken"},
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Errors)(nil)
	_ caddyfile.Unmarshaler       = (*Errors)(nil)
	_ caddyhttp.MiddlewareHandler = (*Errors)(nil)
)
