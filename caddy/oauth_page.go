package alipaycaddy

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/consent"
)

// pageOf gives the handler that a browser's request is for, at its host; nil for none.
func (a *App) pageOf(r *http.Request) *OAuth {
	for _, h := range a.pages {
		route, ok := strings.CutPrefix(r.URL.Path, h.path)
		if !ok || route != consent.AuthorizePath && route != consent.CallbackPath {
			continue
		}
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if strings.EqualFold(strings.Trim(host, "[]"), h.host) {
			return h
		}
	}
	return nil
}

// servePage serves a step that a browser takes. What it says is fixed text: nothing of a request is in an answer but the
// address that its sealed part names.
func (h *OAuth) servePage(w http.ResponseWriter, r *http.Request) {
	query := hideQuery(r)
	header := w.Header()
	for name, value := range map[string]string{
		"Cache-Control":           "no-store",
		"Referrer-Policy":         "no-referrer",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
		"X-Frame-Options":         "DENY",
		"X-Content-Type-Options":  "nosniff",
	} {
		header.Set(name, value)
	}
	log := []zap.Field{zap.String("path", r.URL.Path)}
	status := http.StatusSeeOther
	defer func() { h.logger.Info("consent page", append(log, zap.Int("status", status))...) }()
	answer := func(code int, text string) {
		status = code
		header.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(text + "\n")) //nolint:gosec // plain text, which is not to be sniffed
	}
	failed := func(err error) {
		if errors.Is(err, consent.ErrLink) || errors.Is(err, consent.ErrReturn) {
			answer(http.StatusBadRequest, err.Error()+". Go back to where you came from and begin again.")
			return
		}
		h.logger.Error("a step of a user's consent cannot be taken", zap.Error(err))
		header.Set("Retry-After", "5")
		answer(http.StatusServiceUnavailable, "This cannot be done just now. Load the page again in a few seconds.")
	}
	if r.Method != http.MethodGet { // who looks at an address does not use it up
		header.Set("Allow", http.MethodGet)
		answer(http.StatusMethodNotAllowed, "Open this page with GET.")
		return
	}
	if strings.HasSuffix(r.URL.Path, consent.AuthorizePath) {
		vendor, cookie, err := h.consents.Begin(r.Context(), query)
		if err != nil {
			failed(err)
			return
		}
		http.SetCookie(w, cookie)
		header.Set("Location", vendor)
		w.WriteHeader(status)
		return
	}
	end, err := h.consents.Finish(r.Context(), query, r.Cookies())
	if err != nil {
		failed(err)
		return
	}
	log = append(log, zap.String("tenant", end.Tenant), zap.String("result", string(end.Result)))
	if end.Cause != nil {
		log = append(log, zap.Error(end.Cause))
	}
	http.SetCookie(w, end.Cookie)
	header.Set("Location", end.ReturnTo)
	w.WriteHeader(status)
}

// hideQuery takes the query of a request, with the secrets in it, from all that logs and traces may take of the request
// after this. Caddy's access log has a copy from before all handlers: it leaves the request out.
func hideQuery(r *http.Request) url.Values {
	query := r.URL.Query()
	path := r.URL.EscapedPath()
	r.URL.RawQuery, r.URL.ForceQuery, r.RequestURI = "", false, path
	caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
	if first, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && first.URL != nil {
		first.URL.RawQuery = ""
		if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			repl.Set("http.request.orig_uri", first.URL.EscapedPath())
			repl.Set("http.request.uri", path)
		}
	}
	renameSpan(r, path, query)
	return query
}

// renameSpan takes the query out of the name of the request's span, which the directive tracing has made of placeholders
// before all handlers.
func renameSpan(r *http.Request, path string, query url.Values) {
	span, ok := trace.SpanFromContext(r.Context()).(interface {
		Name() string
		SetName(name string)
	})
	if !ok { // it is not recorded
		return
	}
	for _, values := range query {
		for _, value := range values {
			if value != "" && (strings.Contains(span.Name(), value) || strings.Contains(span.Name(), url.QueryEscape(value))) {
				span.SetName(path)
				return
			}
		}
	}
}
