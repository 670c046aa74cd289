package alipaycaddy

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/rs/cors"
)

// corsMaxAge is how many seconds a browser may remember a preflight's answer.
const corsMaxAge = 600

// newCORS answers browsers' pages of those origins: each `*`, or scheme, host and port as a browser sends them, where a
// host may begin with a `*`. Any header field may be sent and read; cookies are not part of it, for keys come in a header.
func newCORS(origins []string) (*cors.Cors, error) {
	for _, origin := range origins {
		if err := checkOrigin(origin); err != nil {
			return nil, err
		}
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"*", "Retry-After", "X-Request-Id", "X-Should-Retry"}, // by name for browsers that take no "*" there
		MaxAge:         corsMaxAge,
	}), nil
}

// checkOrigin refuses what no browser sends as its Origin: the page's would then never be equal to it.
func checkOrigin(origin string) error {
	if origin == "*" {
		return nil
	}
	u, err := url.Parse(strings.Replace(origin, "://*.", "://any.", 1))
	if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(u.Host, "*") || origin != strings.ToLower(origin) ||
		u.Scheme+"://"+u.Host != strings.Replace(origin, "://*.", "://any.", 1) {
		return fmt.Errorf("cors: %q is no origin; write scheme, host and port in lower case, as https://app.example.com or https://*.example.com, or *", origin)
	}
	return nil
}

// provisionCORS lets pages of the origins use the handler. Those before it do not know which proxy a request would come
// to, so they answer preflights of pages that any proxy names, and let them read a refusal; what else a page may read, the
// proxy itself decides.
func (h *Proxy) provisionCORS() (err error) {
	if len(h.CORS) == 0 {
		return nil
	}
	if h.cors, err = newCORS(h.CORS); err != nil {
		return err
	}
	h.app.corsOrigins = append(h.app.corsOrigins, h.CORS...)
	h.app.cors, err = newCORS(h.app.corsOrigins)
	return err
}

// answerPage sets the header fields that let a page read the answer, and reports whether the request was a preflight,
// which is answered then. c may be nil.
func answerPage(c *cors.Cors, w http.ResponseWriter, r *http.Request) (answered bool) {
	if c == nil {
		return false
	}
	c.HandlerFunc(w, r) // writes the answer to a preflight alone
	return isPreflight(r)
}

// isPreflight reports whether a browser asks whether it may send a page's request: without a key, by the Fetch standard.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

func (h *Proxy) unmarshalCORS(d *caddyfile.Dispenser) error {
	if err := list(&h.CORS)(d); err != nil {
		return err
	}
	for _, origin := range h.CORS {
		if err := checkOrigin(origin); err != nil {
			return d.Err(err.Error())
		}
	}
	return nil
}
