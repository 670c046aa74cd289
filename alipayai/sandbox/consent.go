package sandbox

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// The pages where a person consents, one for each form of the exchange after it.
const (
	pathAuthorize       = "/oauth2/authorize"
	pathAuthorizeOpen   = "/oauth2/publicAppAuthorize.htm"
	pathAuthorizeGlobal = "/ams/authorize"
)

// codeLife is how long an authorization code is good.
const codeLife = 10 * time.Minute

// defaultUsers are the persons who may consent, unless [Config.Users] says others.
var defaultUsers = []string{"alice", "bob"}

// consentForm is how a form calls the parameters of its page, and of the way back.
type consentForm struct{ client, redirect, state, code string }

var consentForms = map[string]consentForm{
	pathAuthorize:       {"client_id", "redirect_uri", "state", "code"},
	pathAuthorizeOpen:   {"app_id", "redirect_uri", "state", "auth_code"},
	pathAuthorizeGlobal: {"authClientId", "authRedirectUrl", "authState", "authCode"},
}

// given is what a code is good for, once.
type given struct {
	app       *app
	user      string
	redirect  string // as /oauth2/token wants it again
	challenge string // of RFC 7636, by S256; empty for none
	path      string // of the page: a code is exchanged in its own form
	expires   time.Time
}

// consentPage lets a person choose who they are, or say no. The choice comes back as the parameter "as"; programs send it
// at once.
var consentPage = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Consent (sandbox)</title>
<p>An app asks to act for you. Who are you?</p>
<form>{{range $name, $values := .Query}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">{{end}}{{end}}
{{range .Users}}<button name="as" value="{{.}}">{{.}}</button> {{end}}<button name="as" value="">refuse</button></form></html>
`))

// consent is the page. It goes back with a code, or with access_denied.
func (c *call) consent() {
	path, _ := c.srv.path(c.r.URL.Path)
	form, query := consentForms[path], c.r.URL.Query()
	c.app = c.srv.apps[query.Get(form.client)]
	redirect, err := url.Parse(query.Get(form.redirect))
	switch {
	case c.app == nil:
		c.fail(http.StatusBadRequest, codeInvalidClient, form.client+" is not known")
		return
	case err != nil || redirect.Host == "" || redirect.Fragment != "":
		c.fail(http.StatusBadRequest, codeParam, form.redirect+" is no absolute URL")
		return
	case query.Get("code_challenge") != "" && query.Get("code_challenge_method") != "S256":
		c.fail(http.StatusBadRequest, codeParam, "want code_challenge_method S256")
		return
	case path == pathAuthorize && query.Get("response_type") != "code":
		c.fail(http.StatusBadRequest, codeParam, "want response_type code")
		return
	}
	c.code = codeOK
	if !query.Has("as") {
		c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		c.w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		_ = consentPage.Execute(c.w, map[string]any{"Query": query, "Users": c.srv.cfg.Users}) // the person may be gone
		return
	}
	back := redirect.Query()
	back.Set(form.state, query.Get(form.state))
	switch user := query.Get("as"); {
	case !slices.Contains(c.srv.cfg.Users, user):
		back.Set("error", "access_denied")
	default:
		back.Set(form.code, c.srv.tokens.issueCode(given{
			app: c.app, user: user, redirect: query.Get(form.redirect), challenge: query.Get("code_challenge"), path: path,
			expires: c.srv.cfg.Now().Add(codeLife),
		}))
	}
	redirect.RawQuery = back.Encode()
	c.w.Header().Set("Location", redirect.String())
	c.w.WriteHeader(http.StatusFound)
}

// issueCode makes a code.
func (t *tokens) issueCode(a given) string {
	value := rand.Text()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.codes.put(sha256.Sum256([]byte(value)), a)
	return value
}

// takeCode gives what a code is good for, the first time.
func (t *tokens) takeCode(value string) (a given, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := sha256.Sum256([]byte(value))
	if a, ok = t.codes.get(id); ok {
		t.codes.put(id, given{})
	}
	return a, ok && a.app != nil
}

// authorize gives the user of a code of that page, which is good no more after that. redirect and verifier count where
// the form has them.
func (c *call) authorize(path, code, redirect, verifier string) (user string, ok bool) {
	a, ok := c.srv.tokens.takeCode(code)
	if !ok || a.app != c.app || a.path != path || !c.srv.cfg.Now().Before(a.expires) {
		return "", false
	}
	sum := sha256.Sum256([]byte(verifier))
	if path == pathAuthorize && (redirect != a.redirect || a.challenge != "" && base64.RawURLEncoding.EncodeToString(sum[:]) != a.challenge) {
		return "", false
	}
	return a.user, true
}

// UserOf gives the person whose access token that is; empty for an app's own, and for none.
func (s *Server) UserOf(accessToken string) string {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	g, _ := s.tokens.access.get(sha256.Sum256([]byte(accessToken)))
	return g.user
}

// Revoke ends all tokens of a person, as one who takes a consent back at the vendor does. It gives their number.
func (s *Server) Revoke(user string) (n int) {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	for _, issued := range []*bounded[[sha256.Size]byte, grant]{s.tokens.access, s.tokens.refresh} {
		for id, g := range issued.values {
			if g.user == user && !g.expires.IsZero() {
				issued.put(id, grant{app: g.app, user: g.user})
				n++
			}
		}
	}
	return n
}

// serveUsers answers DELETE /_sandbox/users/<user>.
func (s *Server) serveUsers(w http.ResponseWriter, user string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"revoked":` + strconv.Itoa(s.Revoke(user)) + "}\n"))
}
