package token

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// maxTokenAnswer bounds what is read of a token endpoint's answer, in bytes.
const maxTokenAnswer = 64 << 10

// Errors of fetching a token. A caller that has to wait for a token gets one
// of them, wrapped with the endpoint's own code where it gave one.
var (
	// ErrRefused is a definite no: repeating the request cannot help.
	ErrRefused = errors.New("token endpoint refused the grant")
	// ErrUnavailable is a failure that may pass.
	ErrUnavailable = errors.New("token endpoint is unavailable")
)

// Grant is how access tokens are had from a token endpoint (RFC 6749,
// sections 4.4 and 6). With a refresh token the grant is refresh_token, and
// client_credentials without.
type Grant struct {
	// URL of the token endpoint.
	URL string
	// ClientID and Secret authenticate the client, by Auth; AuthBasic when empty.
	ClientID, Secret string
	Auth             Auth
	// Scope asked for; empty for none.
	Scope string
	// Fields are the endpoint's own names of a request's fields, by those of RFC 6749
	// ([FieldOmitted] for one that it does not have), GrantTypes its own words for
	// grant_type, and Params further fields that each request has.
	Fields, GrantTypes, Params map[string]string
	// Sign, where it is set, signs each request over its body: it sets header fields. Secret may be empty then, and the
	// signature alone proves who asks. Its errors hold no secret.
	Sign func(req *http.Request, body []byte, now time.Time) error
	// Answer reads its answers; nil reads them as usual.
	Answer *AnswerForm
	// Transport carries the requests. Redirects are not followed.
	Transport http.RoundTripper
	// Clock learns from the answers' Date; nil for none.
	Clock Clock
	// Credentials knows further secrets, which errors must not hold; nil for none.
	Credentials *credentials.Filter
	// Now is the local time.
	Now func() time.Time
	// OnRequest and OnAnswer, if set, see each request before it is sent, and its
	// answer with the whole body. They must not change them.
	OnRequest func(*http.Request)
	OnAnswer  func(answer *http.Response, body []byte)
}

// Auth is how a client proves itself to a token endpoint, and so what form the
// request has.
type Auth string

// The ways, of which the last has no standard.
const (
	// AuthBasic is HTTP Basic, with the rest in a form (RFC 6749, section 2.3.1,
	// client_secret_basic).
	AuthBasic Auth = "basic"
	// AuthForm puts client_id and client_secret into the form (client_secret_post).
	AuthForm Auth = "form"
	// AuthJSON sends all of it as one JSON object.
	AuthJSON Auth = "json"
	// AuthQuery puts all of it into the address, as Baidu's endpoint wants it. Proxies log addresses.
	AuthQuery Auth = "query"
)

// Check refuses what is none of them. Empty is AuthBasic.
func (a Auth) Check() error {
	switch a {
	case "", AuthBasic, AuthForm, AuthJSON, AuthQuery:
		return nil
	}
	return fmt.Errorf("token auth %q is unknown; use basic, form, json or query", string(a))
}

// Clock is the token endpoint's time.
type Clock interface {
	// Learn reads the Date of an answer to a request sent at sent and answered
	// at received, and reports whether that has changed the time.
	Learn(h http.Header, sent, received time.Time) bool
	// Skew gives how far the endpoint's clock is ahead of the local one.
	Skew() time.Duration
}

// String hides the secret.
func (g Grant) String() string { return "[grant of " + g.ClientID + " at " + g.URL + "]" }

// GoString hides the secret.
func (g Grant) GoString() string { return g.String() }

// Fetch makes one request, which is not repeated: an endpoint that rotates
// refresh tokens takes each once. refreshToken is empty for client_credentials. The
// errors are ErrRefused and ErrUnavailable, and hold no secret.
func (g *Grant) Fetch(ctx context.Context, refreshToken string) (Token, error) {
	return g.ask(ctx, redeeming(refreshToken))
}

// redeeming are the fields of a request with a refresh token, or with none.
func redeeming(refreshToken string) map[string]string {
	if refreshToken == "" {
		return map[string]string{"grant_type": "client_credentials"}
	}
	return map[string]string{"grant_type": "refresh_token", "refresh_token": refreshToken}
}

// ask makes a request with these fields.
func (g *Grant) ask(ctx context.Context, parameters map[string]string) (Token, error) {
	given := []string{parameters["refresh_token"], parameters["code"], parameters["code_verifier"]}
	req, err := g.request(ctx, parameters)
	if err != nil {
		return Token{}, fmt.Errorf("%w: the request cannot be made: its url cannot be used, or it cannot be signed", ErrRefused)
	}
	if g.OnRequest != nil {
		g.OnRequest(req)
	}
	sent := g.Now()
	resp, err := outgoing.Send(g.Transport, req)
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrUnavailable, failure.ReasonOf(err))
	}
	defer func() { _ = resp.Body.Close() }()
	received := g.Now()
	var skew time.Duration
	if g.Clock != nil {
		g.Clock.Learn(resp.Header, sent, received)
		skew = g.Clock.Skew()
	}
	outgoing.Inflate(resp)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer))
	if err != nil {
		return Token{}, fmt.Errorf("%w: reading the answer: %w", ErrUnavailable, failure.ReasonOf(err))
	}
	if g.OnAnswer != nil {
		g.OnAnswer(resp, body)
	}
	return g.read(resp.StatusCode, body, sent, skew, given...)
}

// request makes the request for a token.
func (g *Grant) request(ctx context.Context, parameters map[string]string) (*http.Request, error) {
	body, kind, err := g.encode(g.complete(parameters))
	if err != nil {
		return nil, err
	}
	address := g.URL
	if g.Auth == AuthQuery {
		separator := "?"
		if strings.Contains(address, "?") {
			separator = "&"
		}
		address, body = address+separator+body, ""
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(len(body))
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "caddy-alipayai")
	if !g.inBody() && g.Secret != "" {
		// RFC 6749, section 2.3.1: both are form-encoded before they are joined.
		req.SetBasicAuth(url.QueryEscape(g.ClientID), url.QueryEscape(g.Secret))
	}
	if g.Sign != nil {
		if err := g.Sign(req, []byte(body), g.Now()); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// complete adds to the parameters of a grant who asks for it and what for, each under the endpoint's own name, and those that
// are configured besides.
func (g *Grant) complete(parameters map[string]string) map[string]string {
	kindOfGrant := parameters["grant_type"]
	parameters["grant_type"] = cmp.Or(g.GrantTypes[kindOfGrant], kindOfGrant)
	if g.Scope != "" {
		parameters["scope"] = g.Scope
	}
	if g.inBody() || g.Secret == "" {
		parameters["client_id"] = g.ClientID // RFC 6749, section 4.1.3, of clients without a secret
	}
	if g.inBody() && g.Secret != "" {
		parameters["client_secret"] = g.Secret
	}
	own := maps.Clone(g.Params)
	if own == nil {
		own = make(map[string]string, len(parameters))
	}
	for name, value := range parameters {
		if name = cmp.Or(g.Fields[name], name); name != FieldOmitted && value != "" {
			own[name] = value
		}
	}
	return own
}

// encode writes parameters as JSON or as a form, which an address takes too. kind is the content's type.
func (g *Grant) encode(parameters map[string]string) (body, kind string, err error) {
	if g.Auth == AuthJSON {
		object, err := json.Marshal(parameters)
		return string(object), "application/json", err
	}
	form := make(url.Values, len(parameters))
	for name, value := range parameters {
		form.Set(name, value)
	}
	return form.Encode(), "application/x-www-form-urlencoded", nil
}

// inBody reports whether the client's id and secret stand in the body, or beside the other parameters in the address.
func (g *Grant) inBody() bool { return g.Auth == AuthForm || g.Auth == AuthJSON || g.Auth == AuthQuery }

// read turns an answer into a token whose life is counted from sent. skew
// is how far the endpoint's clock, by which it names times, is ahead. The errors
// hold nothing of the grant's credentials, among them what was given for the token.
func (g *Grant) read(status int, body []byte, sent time.Time, skew time.Duration, given ...string) (Token, error) {
	answer, err := parseTokenAnswer(body, g.Answer)
	failed := status < 200 || status > 299
	switch {
	case err != nil && !failed:
		return Token{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case failed || answer.code != "":
		reason := ErrUnavailable
		// Definite: the client or its grant is not accepted (RFC 6749,
		// section 5.2). Everything else may pass.
		if !answer.unknown && (status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden ||
			!failed && failure.ClassOf(http.StatusOK, wire.Failure{Code: answer.code}.BareCode()) == failure.Fail) {
			reason = ErrRefused
		}
		code := g.Credentials.With(func() []string {
			id, secret := url.QueryEscape(g.ClientID), url.QueryEscape(g.Secret)
			return append([]string{g.Secret, secret, credentials.Basic(id, secret), answer.accessToken, answer.refreshToken}, given...)
		}).Text(answer.code)
		return Token{}, &endpointError{reason, status, printable(code, 64)}
	}
	for name, value := range map[string]string{"access_token": answer.accessToken, "refresh_token": answer.refreshToken} {
		// It becomes a header value: nothing may end the line early.
		if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return Token{}, fmt.Errorf("%w: %s holds white space or a control character", ErrUnavailable, name)
		}
	}
	life := answer.life
	if !answer.expiry.IsZero() {
		life = answer.expiry.Add(-skew).Sub(sent)
	}
	if life > maxTokenLife {
		life = defaultTokenLife
	}
	if life <= 0 && answer.refreshToken != "" {
		life = 1 // the answer has what gets another one
	}
	if life <= 0 {
		return Token{}, fmt.Errorf("%w: the token it gave has expired already", ErrUnavailable)
	}
	t := Token{Access: answer.accessToken, Refresh: answer.refreshToken, Issued: sent, Expiry: sent.Add(life)}
	switch {
	case answer.refreshLife > 0:
		t.RefreshExpiry = sent.Add(answer.refreshLife)
	case !answer.refreshExpiry.IsZero():
		t.RefreshExpiry = answer.refreshExpiry.Add(-skew)
	}
	if t.RefreshExpiry.Sub(sent) > maxTokenLife { // such as the end of the year 9999, by which "never" is meant
		t.RefreshExpiry = time.Time{}
	}
	return t, nil
}

// endpointError is what a token endpoint said instead of a token, without
// credentials.
type endpointError struct {
	reason error // ErrRefused or ErrUnavailable
	status int
	code   string
}

func (e *endpointError) Error() string {
	return fmt.Sprintf("%v: status %d, code %q", e.reason, e.status, e.code)
}

func (e *endpointError) Unwrap() error { return e.reason }

// printable cuts s to at most n bytes of visible ASCII, for an error message.
func printable(s string, n int) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() == n {
			break
		}
		if r > ' ' && r < 0x7f {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Reason is what a client may know of an error of Source.Token: whether the
// grant was refused. What the endpoint said of the gateway's own credentials is
// for the operator, in the log.
func Reason(err error) string {
	if errors.Is(err, ErrRefused) {
		return ErrRefused.Error()
	}
	return ErrUnavailable.Error()
}
