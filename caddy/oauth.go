package alipaycaddy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/consent"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

func init() {
	caddy.RegisterModule(new(OAuth))
}

// OAuth is where tenants' users give a provider's vendor their consent, by the provider's `user_token`. Below its
// address it serves, to tenants as `{http.auth.user.id}` names them,
//
//	POST   /links         {"user","return_to","state"}: an address for that user, good once and for ten minutes
//	GET    /users/<user>  the user's consent
//	DELETE /users/<user>  withdraws it
//
// and to browsers `/authorize` and `/callback`, which need no key: `alipayai_auth` hands them over.
type OAuth struct {
	// The provider, whose `user_token` says how. Required.
	Provider string `json:"provider,omitempty"`

	// The public URL that the routes are below, as clients and browsers reach it. The vendor has to know it, with
	// `/callback` behind it. It may be a placeholder. Required.
	Address string `json:"address,omitempty" placeholder:"whole"`

	// The tenants' pages that users may be sent back to, each exactly as it is asked for; the first is that of
	// addresses which name none. Required.
	ReturnTo []string `json:"return_to,omitempty"`

	app      *App
	consents *consent.Consents
	// host and path are those of Address.
	host, path string
	logger     *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*OAuth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.alipayai_oauth",
		New: func() caddy.Module { return new(OAuth) },
	}
}

func parseOAuth(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	o := new(OAuth)
	return o, o.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	alipayai_oauth [<matcher>] <provider> {
//		address   <url>
//		return_to <urls...>
//	}
func (h *OAuth) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if err := args(d, &h.Provider); err != nil {
		return written(d, "alipayai_oauth [<matcher>] <provider> { ... }", err)
	}
	return block(d, "alipayai_oauth",
		option{form: "address <url>, as address https://ai.example.com/consent", read: text(&h.Address)},
		option{form: "return_to <urls...>", read: list(&h.ReturnTo)},
	)
}

// Provision checks the options, and gives the provider's users their page.
func (h *OAuth) Provision(ctx caddy.Context) (err error) {
	if h.app, err = loadApp(ctx); err != nil {
		return err
	}
	if err := checkValues(h); err != nil {
		return err
	}
	if _, err = h.app.provider(h.Provider); err != nil {
		return err
	}
	h.logger = live.Log(ctx.Logger()).With(zap.String("provider", h.Provider))
	h.consents = h.app.users[h.Provider]
	switch {
	case h.consents == nil:
		return fmt.Errorf("provider %s has no user_token, which says how its users give their consent", h.Provider)
	case h.consents.Page.Address != "":
		return fmt.Errorf("alipayai_oauth %s is given twice: its users could be sent to one page only", h.Provider)
	case len(h.ReturnTo) == 0:
		return errors.New("return_to is missing; write return_to <urls...>, with the pages that users may be sent back to")
	}
	if h.Address == "" {
		return errors.New("address is missing; write it like address https://ai.example.com/consent")
	}
	address, err := h.app.secrets.public("address", h.Address)
	if err != nil {
		return err
	}
	u, err := publicURL("address", strings.TrimSuffix(address, "/"))
	if err != nil {
		return err
	}
	if u.RawQuery != "" || u.EscapedPath() != u.Path {
		return errors.New("address takes no query and no escaped characters; write it like https://ai.example.com/consent")
	}
	for _, page := range h.ReturnTo {
		if _, err := publicURL("return_to", page); err != nil {
			return err
		}
		if len(page) > maxReturnTo {
			return fmt.Errorf("return_to has %d bytes, and may have %d: users' browsers keep it in a cookie", len(page), maxReturnTo)
		}
	}
	h.host, h.path = u.Hostname(), u.Path
	h.consents.Page.Address, h.consents.Page.ReturnTo = u.String(), h.ReturnTo
	h.app.pages = append(h.app.pages, h)
	return nil
}

// maxReturnTo is the longest page to return to, in bytes: with it the cookie of a user is one that browsers keep.
const maxReturnTo = 1024

// publicURL refuses what a browser could not be sent to safely.
func publicURL(option, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !upstream.IsLoopback(u.Hostname())) {
		return nil, fmt.Errorf("%s must be an absolute https URL without user and fragment; write it like https://ai.example.com/consent", option)
	}
	if err := upstream.CheckServer(u); err != nil {
		return nil, fmt.Errorf("%s %w", option, err)
	}
	return u, nil
}

// ServeHTTP serves what is below the address, and leaves the rest to the next handler.
func (h *OAuth) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if page := h.app.pageOf(r); page != nil {
		page.servePage(w, r)
		return nil
	}
	route, ok := strings.CutPrefix(r.URL.EscapedPath(), h.path)
	if !ok || route != "" && route[0] != '/' {
		return next.ServeHTTP(w, r)
	}
	w.Header().Set("Cache-Control", "no-store")
	tenant := tenantOf(r)
	user, ofUser := strings.CutPrefix(route, "/users/")
	switch {
	case route == "/links" && tenant != alipayai.AnonymousTenant:
		h.serve(w, r, h.link, http.MethodPost)
	case ofUser && tenant != alipayai.AnonymousTenant:
		name, err := url.PathUnescape(user)
		if err == nil {
			err = upstream.CheckUser(name)
		}
		if err != nil {
			refuse(w, r, failure.InvalidRequest(http.StatusBadRequest, wire.CodeInvalidValue, "the path must end in a user's name, escaped, of 1 to 255 bytes"))
			return nil
		}
		h.serve(w, r, func(w http.ResponseWriter, r *http.Request) *failure.Failure { return h.ofUser(w, r, name) }, http.MethodGet, http.MethodDelete)
	case route == "/links" || ofUser:
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, r, failure.InvalidRequest(http.StatusUnauthorized, failure.CodeInvalidAPIKey, "a tenant's key is needed here"))
	case h.path == "": // the page has a site's root, and other handlers the rest of it
		w.Header().Del("Cache-Control")
		return next.ServeHTTP(w, r)
	default:
		refuse(w, r, failure.InvalidRequest(http.StatusNotFound, failure.CodeUnknownURL, "there are /links and /users/<user> here, and for browsers /authorize and /callback"))
	}
	return nil
}

// serve serves a tenant's request with one of the methods.
func (h *OAuth) serve(w http.ResponseWriter, r *http.Request, do func(http.ResponseWriter, *http.Request) *failure.Failure, methods ...string) {
	f := failure.InvalidRequest(http.StatusMethodNotAllowed, failure.CodeMethodNotAllowed, "use "+strings.Join(methods, " or ")+" for this path")
	for _, method := range methods {
		if r.Method == method {
			f = do(w, r)
		}
	}
	if f != nil {
		if f.Code == failure.CodeMethodNotAllowed {
			w.Header().Set("Allow", strings.Join(methods, ", "))
		}
		refuse(w, r, f)
	}
}

func refuse(w http.ResponseWriter, r *http.Request, f *failure.Failure) {
	door.LeaveBody(w, r)
	f.RequestID = alipayai.NewRequestID()
	header, body := f.HTTP()
	maps.Copy(w.Header(), header)
	w.WriteHeader(f.Status)
	_, _ = w.Write(body)
}

// maxLinkBody is the largest request for an address, in bytes, and maxState the longest state of a tenant.
const maxLinkBody, maxState = 16 << 10, 255

// link answers with an address for one user.
func (h *OAuth) link(w http.ResponseWriter, r *http.Request) *failure.Failure {
	var asked struct {
		User     string `json:"user"`
		ReturnTo string `json:"return_to"`
		State    string `json:"state"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxLinkBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&asked); err != nil || d.Decode(new(any)) != io.EOF {
		return failure.InvalidRequest(http.StatusBadRequest, wire.CodeInvalidJSON, "the body must be one JSON object with user, and if wanted return_to and state")
	}
	invalid := func(param, message string) *failure.Failure {
		f := failure.InvalidRequest(http.StatusBadRequest, wire.CodeInvalidValue, message)
		f.Param = param
		return f
	}
	if err := upstream.CheckUser(asked.User); err != nil {
		return invalid("user", err.Error())
	}
	if len(asked.State) > maxState || !alipayai.IsVisible(asked.State) {
		return invalid("state", "state must be at most 255 bytes of visible ASCII")
	}
	address, ends, err := h.consents.LinkTo(tenantOf(r), asked.User, asked.ReturnTo, asked.State)
	if err != nil {
		return invalid("return_to", err.Error())
	}
	_ = writeJSON(w, map[string]any{"url": address, "expires_at": ends.UTC().Format(time.RFC3339)})
	return nil
}

// ofUser gives or withdraws a user's consent.
func (h *OAuth) ofUser(w http.ResponseWriter, r *http.Request, user string) *failure.Failure {
	unavailable := func(err error) *failure.Failure {
		h.logger.Error("the consent of a user cannot be read or withdrawn", zap.Error(err))
		return failure.Unavailable(failure.CodeConsentUnavailable, "users' consents cannot be read just now")
	}
	if r.Method == http.MethodDelete {
		if err := h.consents.Withdraw(r.Context(), tenantOf(r), user); err != nil {
			return unavailable(err)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	given, err := h.consents.Get(r.Context(), tenantOf(r), user)
	switch {
	case errors.Is(err, consent.ErrNone):
		return failure.InvalidRequest(http.StatusNotFound, failure.CodeConsentNotFound, "the user has given no consent, or it has ended")
	case err != nil:
		return unavailable(err)
	}
	answer := map[string]any{"user": user, "granted_at": given.Granted.UTC().Format(time.RFC3339)}
	if !given.Expires.IsZero() {
		answer["expires_at"] = given.Expires.UTC().Format(time.RFC3339)
	}
	if given.Scope != "" {
		answer["scope"] = given.Scope
	}
	_ = writeJSON(w, answer)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*OAuth)(nil)
	_ caddyfile.Unmarshaler       = (*OAuth)(nil)
	_ caddyhttp.MiddlewareHandler = (*OAuth)(nil)
)
