package token

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
)

// FieldOmitted stands in the place of the name of a field that an endpoint does not have.
const FieldOmitted = "-"

// Form is how an endpoint exchanges what a person has authorised for tokens.
type Form string

// The forms.
const (
	// FormOAuth is RFC 6749, sections 4.1.3 and 6, with RFC 7636.
	FormOAuth Form = "oauth"
	// FormOpenPlatform is alipay.system.oauth.token of the Open Platform's gateway.do.
	FormOpenPlatform Form = "openplatform"
	// FormGlobal is applyToken of Antom and Alipay+.
	FormGlobal Form = "global"
)

// Check refuses what is none of them. Empty is FormOAuth.
func (f Form) Check() error {
	switch f {
	case "", FormOAuth, FormOpenPlatform, FormGlobal:
		return nil
	}
	return fmt.Errorf("form %q is unknown; use oauth, openplatform or global", string(f))
}

// Adapt gives g the names that the form has for its fields, where it has none of its own for them.
func (f Form) Adapt(g *Grant) {
	fields, params := make(map[string]string), make(map[string]string)
	switch f {
	case FormOpenPlatform:
		g.Auth = AuthForm
		fields = map[string]string{"client_id": "app_id", "redirect_uri": FieldOmitted, "code_verifier": FieldOmitted, "scope": FieldOmitted}
		params = map[string]string{"method": "alipay.system.oauth.token", "charset": "utf-8", "version": "1.0", "format": "JSON"}
	case FormGlobal:
		g.Auth = AuthJSON
		fields = map[string]string{
			"grant_type": "grantType", "code": "authCode", "refresh_token": "refreshToken",
			"client_id": FieldOmitted, "redirect_uri": FieldOmitted, "code_verifier": FieldOmitted, "scope": FieldOmitted,
		}
		g.GrantTypes = map[string]string{"authorization_code": "AUTHORIZATION_CODE", "refresh_token": "REFRESH_TOKEN"}
	}
	maps.Copy(fields, g.Fields)
	maps.Copy(params, g.Params)
	g.Fields, g.Params = fields, params
}

// Code is an authorisation code, which is good once.
type Code struct {
	Value string
	// RedirectURI is the address that it was sent to, and Verifier the secret of RFC 7636; empty for none.
	RedirectURI, Verifier string
}

// Exchange makes one request for the tokens of a code, which is not repeated. Its errors are those of Fetch.
func (g *Grant) Exchange(ctx context.Context, code Code) (Token, error) {
	return g.ask(ctx, map[string]string{
		"grant_type": "authorization_code", "code": code.Value, "redirect_uri": code.RedirectURI, "code_verifier": code.Verifier,
	})
}

// clientCodes are refusals of who asks, and not of what is asked with: a person can do nothing about them.
var clientCodes = map[string]bool{
	"invalid_client": true, "unauthorized_client": true, "invalid_request": true, "unsupported_grant_type": true, "invalid_scope": true,
	"INVALID_CLIENT": true, "INVALID_SIGNATURE": true, "INVALID_KEY_VERSION": true, "INVALID_REQUEST_TIME": true, "ACCESS_DENIED": true,
	"isv.invalid-app-id": true, "isv.invalid-signature": true, "isv.invalid-method": true, "isv.invalid-timestamp": true,
	"isv.missing-signature": true, "isv.insufficient-isv-permissions": true,
}

// GrantGone reports whether err says that what a person has authorised is no longer good.
func GrantGone(err error) bool {
	said, ok := errors.AsType[*endpointError](err)
	return ok && errors.Is(said.reason, ErrRefused) && !clientCodes[said.code] && !strings.HasPrefix(said.code, "isp.")
}
