package alipaycaddy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/signer"
)

// checkLists checks the allow-lists of paths and methods.
func (t *SigningTransport) checkLists() error {
	if len(t.Paths) == 0 {
		return errors.New("paths are missing; list the paths that may be signed, such as /v3/*")
	}
	for _, p := range t.Paths {
		if !strings.HasPrefix(p, "/") || strings.Contains(strings.TrimSuffix(p, "*"), "*") {
			return fmt.Errorf("path %q must begin with a slash and may have one asterisk, at its end", p)
		}
	}
	profile := t.provider.Profile
	if !profile.Kind().SignsParameters {
		if len(t.Methods) > 0 {
			return fmt.Errorf("methods are for profile openapi-v2 only; with profile %s, paths say what may be called", profile.Name)
		}
		return nil
	}
	if len(t.Methods) == 0 {
		return errors.New("methods are missing; list the APIs that may be called, such as alipay.trade.query")
	}
	for _, m := range t.Methods {
		if m == "" || strings.Contains(strings.TrimSuffix(m, "*"), "*") {
			return fmt.Errorf("method %q must not be empty and may have one asterisk, at its end", m)
		}
	}
	return nil
}

// refuse says why a request may not be signed; nil when it may.
func (t *SigningTransport) refuse(req *http.Request) *wire.Error {
	if !t.AllowAnonymous && tenantOf(req) == alipayai.AnonymousTenant {
		return &wire.Error{Status: http.StatusUnauthorized, Code: failure.CodeInvalidAPIKey, Message: "requests are signed for authenticated users only"}
	}
	if !isSignedMethod(req.Method) {
		return forbid("the method is not one that is signed")
	}
	host := upstream.CanonicalHost(req.URL.Host, t.HTTP.TLSEnabled())
	if !t.provider.HasHost(func(u *url.URL) bool { return upstream.CanonicalHost(u.Host, u.Scheme == "https") == host }) {
		return forbid(fmt.Sprintf("provider %s signs for its own host only, not for %s", t.provider.Name, host))
	}
	if !isPlain(req.URL) {
		return forbid("the path is not in its plain form")
	}
	if !listed(t.Paths, req.URL.Path) {
		return forbid("the path is not among those that may be signed")
	}
	return refuseHidden(req)
}

// refuseHidden refuses a request whose Connection field names one that says
// whose or what the request is: reverse_proxy has removed that one, so that
// Provider.Send could not compare it. The placeholder has the client's own field.
func refuseHidden(req *http.Request) *wire.Error {
	repl, ok := req.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return nil
	}
	options, _ := repl.GetString("http.request.header.Connection")
	for option := range strings.SplitSeq(options, ",") {
		// An SDK's Authorization says for which app it has signed.
		if option = strings.TrimSpace(option); upstream.IsDecisive(option) || strings.EqualFold(option, "Authorization") {
			return forbid("the header Connection names a field that says whose or what the request is")
		}
	}
	return nil
}

// refuseAPI says why an API of openapi-v2 may not be called; nil when it may.
// Its name is one of the parameters, in the query or in a form; with files, the signer
// takes it in the query alone.
func (t *SigningTransport) refuseAPI(req *http.Request, form []byte) *wire.Error {
	if len(t.Methods) == 0 {
		return nil
	}
	if signer.IsFormWithFiles(req.Header) {
		form = nil
	}
	inQuery, err := url.ParseQuery(req.URL.RawQuery)
	inForm, formErr := url.ParseQuery(string(form))
	if err != nil || formErr != nil {
		return forbid("query and body are not parameters, percent-encoded")
	}
	names := slices.Concat(inQuery["method"], inForm["method"])
	if len(names) != 1 {
		return forbid("the parameter method must be there once")
	}
	if !listed(t.Methods, names[0]) {
		return forbid("the parameter method is not among those that may be signed")
	}
	return nil
}

// refusePlace refuses what chooses where the upstream works, or whom it sends texts on to, of a tenant whose data may be in some
// regions alone: those are declared of the provider's addresses, and not of what stands behind them. The body may be read otherwise
// than as strict JSON there: a name that it repeats counts as well.
func (t *SigningTransport) refusePlace(req *http.Request, body []byte) *wire.Error {
	regions := t.provider.Residency.Of(tenantOf(req))
	if regions == nil {
		return nil
	}
	var members map[string]any
	member := wire.PlaceOf(body)
	if member == "" && json.Unmarshal(body, &members) == nil {
		once, _ := json.Marshal(members) // which has been JSON
		member = wire.PlaceOf(once)
	}
	if member == "" {
		member = wire.PlaceIn(req.URL.Query())
	}
	if member == "" {
		member = wire.PlaceIn(formValues(req.Header, body))
	}
	if member == "" {
		return nil
	}
	return &wire.Error{
		Status: http.StatusBadRequest, Code: failure.CodeUnsupported, Param: member,
		Message: member + " chooses where provider " + t.provider.Name + " works or sends your data, which may be in these regions alone: " + regions.String() + ". Leave " + member + " out",
	}
}

func forbid(message string) *wire.Error {
	return &wire.Error{Status: http.StatusForbidden, Code: failure.CodeNotSigned, Message: message}
}

// isSignedMethod reports whether requests of this HTTP method are signed. To
// TRACE the answer would show the signature and the access token; others, and
// other spellings, mean something else to each server.
func isSignedMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return true
	}
	return false
}

// listed reports whether an allow-list, of names that are exact or end in an
// asterisk, has name.
func listed(list []string, name string) bool {
	return slices.ContainsFunc(list, func(allowed string) bool {
		if prefix, ok := strings.CutSuffix(allowed, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return name == allowed
	})
}

// isPlain reports whether every server reads the path as it is written here.
// Some take a backslash for a slash, cut segments at a semicolon, or decode
// twice: to them the path could be one that is not allowed.
func isPlain(u *url.URL) bool {
	odd := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == ';' || r == '%' }
	clean := path.Clean(u.Path)
	return u.RawPath == "" && (clean == u.Path || clean+"/" == u.Path) && !strings.ContainsFunc(u.Path, odd)
}
