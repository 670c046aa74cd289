package sandbox

import (
	"cmp"
	"crypto/subtle"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// DemoAuthCode is the authorization code that the forms of a person's
// authorisation take, from any known app and any number of times.
const DemoAuthCode = "sandbox-auth-code"

// The grants, as the statistics name them.
const (
	grantClient  = "client_credentials"
	grantRefresh = "refresh_token"
	grantCode    = "authorization_code"
)

// injectToken is [call.inject] for the token endpoints. fail writes an error in
// the endpoint's own form.
func (c *call) injectToken(fail func(status int, code, reason string)) bool {
	if !c.inject(false) {
		return false
	}
	f := c.plan.outcome
	if f.Kind != TokenError {
		return true
	}
	if f.Garbage {
		c.reply(cmp.Or(f.Status, http.StatusOK), codeBroken, []byte("<html>token server</html>"))
		return false
	}
	if f.Status == 0 && f.Code == "invalid_client" {
		f.Status = http.StatusUnauthorized
	}
	f.Status = cmp.Or(f.Status, http.StatusServiceUnavailable)
	if f.Code == "" {
		f.Code = "server_error"
		if f.Status == http.StatusUnauthorized {
			f.Code = "invalid_client"
		}
	}
	fail(f.Status, f.Code, "the token endpoint fails as it was told to")
	return false
}

// oauthToken is the token endpoint of RFC 6749 with the grants
// client_credentials, refresh_token and authorization_code.
func (c *call) oauthToken() {
	fail := func(status int, code, reason string) {
		if status == http.StatusUnauthorized {
			c.w.Header().Set("WWW-Authenticate", `Basic realm="sandbox"`)
		}
		body, _ := json.Marshal(map[string]string{"error": code, "error_description": reason}) // strings always marshal
		if shape := c.tokenShape(); shape != nil {
			body = mustJSON(shape.refusal(code, reason))
		}
		c.reply(status, code, body)
	}
	c.w.Header().Set("Cache-Control", "no-store")
	form, ok, reason := c.tokenForm()
	c.grant = form.Get("grant_type")
	if !c.injectToken(fail) {
		return
	}
	if !ok {
		fail(http.StatusBadRequest, "invalid_request", reason)
		return
	}
	if reason := c.authenticate(form); reason != "" {
		fail(http.StatusUnauthorized, "invalid_client", reason)
		return
	}
	now, rotate := c.srv.cfg.Now(), c.srv.cfg.RotateRefreshTokens
	answer := map[string]any{"token_type": "Bearer"}
	var user string
	switch c.grant {
	case grantClient:
	case grantRefresh:
		if user, ok = c.srv.tokens.redeem(form.Get("refresh_token"), c.app, now, rotate); !ok {
			fail(http.StatusBadRequest, "invalid_grant", "the refresh token is not known, not this app's, or dead")
			return
		}
		if rotate {
			answer["refresh_token"] = c.srv.tokens.issueRefresh(c.app, user, now.Add(refreshLife))
		}
	case grantCode:
		if user, ok = c.authorize(pathAuthorize, form.Get("code"), form.Get("redirect_uri"), form.Get("code_verifier")); !ok {
			fail(http.StatusBadRequest, "invalid_grant", "the code is not known, not this app's, used or too old, or comes with another redirect_uri or code_verifier")
			return
		}
		answer["refresh_token"] = c.srv.tokens.issueRefresh(c.app, user, now.Add(refreshLife))
	default:
		fail(http.StatusBadRequest, "unsupported_grant_type", "want client_credentials, refresh_token or authorization_code")
		return
	}
	life := c.srv.cfg.TokenLife
	answer["access_token"] = c.srv.tokens.issueAccess(c.app, user, now.Add(life))
	switch seconds := int64(life / time.Second); c.srv.cfg.ExpiresIn {
	case ExpiresNumber:
		answer["expires_in"] = seconds
	case ExpiresString:
		answer["expires_in"] = strconv.FormatInt(seconds, 10)
	}
	if shape := c.tokenShape(); shape != nil {
		c.succeed(shape.success(answer, now, life))
		return
	}
	c.succeed(c.srv.tokenNames(answer))
}

// form reads the body's parameters. RFC 6749 allows none to come twice.
func (c *call) form() (url.Values, bool) {
	kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	form, err := url.ParseQuery(string(c.body))
	if kind != "application/x-www-form-urlencoded" || err != nil {
		return url.Values{}, false
	}
	for _, values := range form {
		if len(values) != 1 {
			return url.Values{}, false
		}
	}
	return form, true
}

// authenticate finds the client by HTTP Basic or by the form, but not by both,
// and returns the reason of a refusal.
func (c *call) authenticate(form url.Values) string {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if user, password, basic := c.r.BasicAuth(); basic && !c.srv.clientInBody() {
		if secret != "" {
			return "want HTTP Basic or client_secret, not both"
		}
		// RFC 6749 section 2.3.1 encodes both parts as form values.
		var errID, errSecret error
		id, errID = url.QueryUnescape(user)
		secret, errSecret = url.QueryUnescape(password)
		if errID != nil || errSecret != nil {
			return "want client id and secret form-encoded within HTTP Basic"
		}
	}
	a, known := c.srv.apps[id]
	if known && a.tokenSigned {
		c.app = a
		verify := c.verifySignature
		if a.contract != nil {
			verify = c.verifyContract
		}
		if _, reason := verify(); reason != "" {
			c.app = nil
			return reason
		}
		if secret == "" {
			return ""
		}
	}
	if !known || subtle.ConstantTimeCompare([]byte(a.secret), []byte(secret)) != 1 {
		return "client id or secret is wrong"
	}
	c.app = a
	return ""
}

// userToken issues the pair of a person's authorisation at the page path, for a code or a
// refresh token. It reports false when that is not good.
func (c *call) userToken(path, grant, code, refresh string) (access, newRefresh string, ok bool) {
	now, rotate := c.srv.cfg.Now(), c.srv.cfg.RotateRefreshTokens
	var user string
	newRefresh = refresh
	switch grant {
	case grantCode:
		if code != DemoAuthCode {
			if user, ok = c.authorize(path, code, "", ""); !ok {
				return "", "", false
			}
		}
		newRefresh = c.srv.tokens.issueRefresh(c.app, user, now.Add(refreshLife))
	case grantRefresh:
		if user, ok = c.srv.tokens.redeem(refresh, c.app, now, rotate); !ok {
			return "", "", false
		}
		if rotate {
			newRefresh = c.srv.tokens.issueRefresh(c.app, user, now.Add(refreshLife))
		}
	default:
		return "", "", false
	}
	return c.srv.tokens.issueAccess(c.app, user, now.Add(c.srv.cfg.TokenLife)), newRefresh, true
}

// gatewayToken is alipay.system.oauth.token in the form of the Open Platform's
// gateway.do: top-level parameters, seconds as strings, errors in a 200. The RSA
// signature of the request is not verified and the answer's sign is empty.
func (c *call) gatewayToken() {
	fail := func(_ int, code, reason string) {
		answer := gatewayError{"40002", "Invalid Arguments", code, reason}
		switch code {
		case "isv.invalid-app-id":
			answer.Code = "40003"
		case "server_error", codeSystem:
			answer = gatewayError{"20000", "Service Currently Unavailable", "isp.unknow-error", reason}
		}
		body, err := json.Marshal(map[string]any{"error_response": answer, "sign": ""})
		if err != nil {
			panic(err)
		}
		c.reply(http.StatusOK, code, body)
	}
	form, ok := c.form()
	for name, values := range c.r.URL.Query() { // common parameters may come in the query
		if !form.Has(name) {
			form[name] = values[:1]
		}
	}
	c.grant = form.Get("grant_type")
	c.app = c.srv.apps[form.Get("app_id")]
	if !c.injectToken(fail) {
		return
	}
	switch {
	case !ok && len(c.body) > 0:
		fail(0, "isv.invalid-parameter", "want application/x-www-form-urlencoded with each parameter once")
		return
	case c.app == nil:
		fail(0, "isv.invalid-app-id", "app_id is not known")
		return
	case form.Get("method") != "alipay.system.oauth.token":
		fail(0, "isv.invalid-method", "want method alipay.system.oauth.token")
		return
	}
	access, refresh, ok := c.userToken(pathAuthorizeOpen, c.grant, form.Get("code"), form.Get("refresh_token"))
	if !ok {
		sub := "isv.code-invalid"
		if c.grant == grantRefresh {
			sub = "isv.refresh-token-invalid"
		}
		fail(0, sub, "the grant is not good")
		return
	}
	c.succeed(map[string]any{
		"alipay_system_oauth_token_response": map[string]string{
			"access_token":  access,
			"expires_in":    strconv.FormatInt(int64(c.srv.cfg.TokenLife/time.Second), 10),
			"refresh_token": refresh,
			"re_expires_in": strconv.FormatInt(int64(refreshLife/time.Second), 10),
			"user_id":       "2088000000000001",
		},
		"sign": "",
	})
}

// applyToken is applyToken of the global interfaces (Antom, Alipay+): JSON both
// ways, with times in ISO 8601. The RSA signature of the request is not verified
// and the answer carries none.
func (c *call) applyToken() {
	fail := func(_ int, code, reason string) {
		status := "F"
		if code == "server_error" || code == codeSystem {
			code, status = "UNKNOWN_EXCEPTION", "U"
		}
		body, err := json.Marshal(map[string]any{"result": globalResult{code, status, reason}})
		if err != nil {
			panic(err)
		}
		c.reply(http.StatusOK, code, body)
	}
	var req struct{ GrantType, AuthCode, RefreshToken string }
	err := json.Unmarshal(c.body, &req)
	switch req.GrantType {
	case "AUTHORIZATION_CODE":
		c.grant = grantCode
	case "REFRESH_TOKEN":
		c.grant = grantRefresh
	}
	if !c.injectToken(fail) {
		return
	}
	switch {
	case err != nil || c.grant == "":
		fail(0, codeParam, "want JSON with grantType AUTHORIZATION_CODE or REFRESH_TOKEN")
		return
	case c.app == nil:
		fail(0, codeInvalidClient, "want one Client-Id header with the id of a known app")
		return
	}
	access, refresh, ok := c.userToken(pathAuthorizeGlobal, c.grant, req.AuthCode, req.RefreshToken)
	if !ok {
		fail(0, codeParam, "the authCode or refreshToken is not good")
		return
	}
	c.succeed(map[string]any{
		"result":                 globalResult{"SUCCESS", "S", "success"},
		"accessToken":            access,
		"accessTokenExpiryTime":  c.wall.Add(c.srv.cfg.TokenLife).Format(time.RFC3339),
		"refreshToken":           refresh,
		"refreshTokenExpiryTime": c.wall.Add(refreshLife).Format(time.RFC3339),
	})
}
