package token

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/extremes"
)

// tokenSentAt is when the requests of these tests were sent.
var tokenSentAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestTokenAnswers(t *testing.T) {
	const half = 30 * time.Minute
	for name, test := range map[string]struct {
		body    string
		life    time.Duration
		refresh string
	}{
		"RFC 6749, number":         {`{"access_token":"at","token_type":"Bearer","expires_in":1800}`, half, ""},
		"RFC 6749, string":         {`{"access_token":"at","expires_in":"90"}`, 90 * time.Second, ""},
		"RFC 6749, missing":        {`{"access_token":"at","token_type":"Bearer"}`, half, ""},
		"a life of nothing":        {`{"access_token":"at","expires_in":0}`, half, ""},
		"a negative life":          {`{"access_token":"at","expires_in":-1}`, half, ""},
		"a life beyond all reason": {`{"access_token":"at","expires_in":99999999999999}`, half, ""},
		"a life in words":          {`{"access_token":"at","expires_in":"soon"}`, half, ""},
		"a life with a fraction":   {`{"access_token":"at","expires_in":1800.0}`, half, ""},
		"RFC 6749, null":           {`{"access_token":"at","expires_in":null}`, half, ""},
		"RFC 6749, refresh token":  {`{"refresh_token":"rt","access_token":"at","expires_in":60,"scope":"a b"}`, time.Minute, "rt"},
		"with members to ignore":   {`{"x":{"access_token":"no"},"l":[1,{"access_token":"no"}],"access_token":"at"}`, half, ""},
		"beside a success's code":  {`{"code":"0","access_token":"at"}`, half, ""},
		"before a success's code":  {`{"access_token":"at","code":200,"msg":"ok"}`, half, ""},
		"Open Platform": {`{"alipay_system_oauth_token_response":{"access_token":"at","expires_in":"300","refresh_token":"rt",` +
			`"re_expires_in":"2592000","user_id":"2088000000000001"},"sign":"x"}`, 5 * time.Minute, "rt"},
		"Open Platform with a code": {`{"alipay_system_oauth_token_response":{"code":"10000","msg":"Success","access_token":"at"},"sign":""}`, half, ""},
		"Open Platform, flat":       {`{"access_token":"at","expires_in":"300","refresh_token":"rt"}`, 5 * time.Minute, "rt"},
		"applyToken": {`{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"},"accessToken":"at",` +
			`"accessTokenExpiryTime":"2026-03-01T20:10:00+08:00","refreshToken":"rt","refreshTokenExpiryTime":"2026-04-01T20:00:00+08:00"}`, 10 * time.Minute, "rt"},
		"applyToken, result last":    {`{"accessToken":"at","accessTokenExpiryTime":"2026-03-01T12:10:00Z","result":{"resultCode":"SUCCESS"}}`, 10 * time.Minute, ""},
		"applyToken without a time":  {`{"result":{"resultCode":"SUCCESS"},"accessToken":"at"}`, half, ""},
		"white space around it all ": {" \r\n{ \"access_token\" : \"at\" }\n", half, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&Grant{}).read(http.StatusOK, []byte(test.body), tokenSentAt, 0)
			if err != nil {
				t.Fatal(err)
			}
			want := Token{Access: "at", Refresh: test.refresh, Issued: tokenSentAt, Expiry: tokenSentAt.Add(test.life)}
			if got.Access != want.Access || got.Refresh != want.Refresh || !got.Issued.Equal(want.Issued) || !got.Expiry.Equal(want.Expiry) {
				t.Errorf("access %q, refresh %q, life %v; want %v", got.Access, got.Refresh, got.Expiry.Sub(got.Issued), test)
			}
		})
	}
}

// A time is the endpoint's own: with a clock that runs ahead, a token would seem to live longer.
func TestTokenAnswerTimeIsByTheEndpointsClock(t *testing.T) {
	body := []byte(`{"accessToken":"at","accessTokenExpiryTime":"2026-03-01T14:10:00Z"}`)
	got, err := (&Grant{}).read(http.StatusOK, body, tokenSentAt, 2*time.Hour)
	if err != nil || !got.Expiry.Equal(tokenSentAt.Add(10*time.Minute)) {
		t.Errorf("lives until %v, want ten minutes from %v (%v)", got.Expiry, tokenSentAt, err)
	}
}

func TestTokenAnswersThatFail(t *testing.T) {
	const ok = http.StatusOK
	for name, test := range map[string]struct {
		status int
		body   string
		want   error
		says   string // what the error must say
	}{
		"RFC 6749 error":            {400, `{"error":"invalid_grant","error_description":"secret-payload"}`, ErrRefused, "invalid_grant"},
		"RFC 6749 client":           {401, `{"error":"invalid_client"}`, ErrRefused, "invalid_client"},
		"forbidden":                 {403, `{"error":"unauthorized_client"}`, ErrRefused, "unauthorized_client"},
		"forbidden without a code":  {403, `<html>`, ErrRefused, "status 403"},
		"throttled":                 {429, `{"error":"slow_down"}`, ErrUnavailable, "slow_down"},
		"server error":              {500, `{"error":"server_error"}`, ErrUnavailable, "status 500"},
		"not JSON, 502":             {502, `<html>bad gateway</html>`, ErrUnavailable, "status 502"},
		"redirect":                  {302, ``, ErrUnavailable, "status 302"},
		"a token under a 500":       {500, `{"access_token":"at"}`, ErrUnavailable, "status 500"},
		"error as an object":        {ok, `{"error":{"code":"SYSTEM_ERROR","message":"secret-payload"}}`, ErrUnavailable, "SYSTEM_ERROR"},
		"error beside a token":      {ok, `{"access_token":"at","error":"invalid_grant"}`, ErrRefused, "invalid_grant"},
		"a v3 code in a 200":        {ok, `{"code":"SYSTEM_ERROR","message":"secret-payload"}`, ErrUnavailable, "SYSTEM_ERROR"},
		"Open Platform, refused":    {ok, `{"error_response":{"code":"40002","msg":"Invalid Arguments","sub_code":"isv.refresh-token-invalid","sub_msg":"secret-payload"},"sign":""}`, ErrRefused, "isv.refresh-token-invalid"},
		"Open Platform, sub first":  {ok, `{"error_response":{"sub_code":"isv.code-invalid","code":"40002"}}`, ErrRefused, "isv.code-invalid"},
		"Open Platform, no sub":     {ok, `{"error_response":{"code":"40003","msg":"x"}}`, ErrRefused, "40003"},
		"Open Platform, passing":    {ok, `{"error_response":{"code":"20000","sub_code":"isp.unknow-error"}}`, ErrUnavailable, "isp.unknow-error"},
		"Open Platform, system":     {ok, `{"error_response":{"code":"40004","sub_code":"aop.ACQ.SYSTEM_ERROR"}}`, ErrUnavailable, "SYSTEM_ERROR"},
		"Open Platform, throttled":  {ok, `{"error_response":{"code":"40005","sub_code":"isv.app-call-limited"}}`, ErrUnavailable, "app-call-limited"},
		"applyToken, refused":       {ok, `{"result":{"resultCode":"PARAM_ILLEGAL","resultStatus":"F","resultMessage":"secret-payload"}}`, ErrRefused, "PARAM_ILLEGAL"},
		"applyToken, unknown":       {ok, `{"result":{"resultCode":"UNKNOWN_EXCEPTION","resultStatus":"U"}}`, ErrUnavailable, "UNKNOWN_EXCEPTION"},
		"applyToken, unknown code":  {ok, `{"result":{"resultCode":"PROCESSING","resultStatus":"U"}}`, ErrUnavailable, "PROCESSING"},
		"applyToken, unknown, 400":  {400, `{"result":{"resultCode":"PROCESSING","resultStatus":"U"}}`, ErrUnavailable, "PROCESSING"},
		"applyToken, throttled":     {ok, `{"result":{"resultCode":"REQUEST_TRAFFIC_EXCEED_LIMIT","resultStatus":"U"}}`, ErrUnavailable, "REQUEST_TRAFFIC_EXCEED_LIMIT"},
		"applyToken, expired":       {ok, `{"accessToken":"at","accessTokenExpiryTime":"2026-03-01T11:59:59Z","result":{"resultCode":"SUCCESS"}}`, ErrUnavailable, "expired already"},
		"applyToken, no time":       {ok, `{"accessToken":"at","accessTokenExpiryTime":"tomorrow"}`, ErrUnavailable, "accessTokenExpiryTime"},
		"no token":                  {ok, `{"token_type":"Bearer"}`, ErrUnavailable, "without an access token"},
		"an empty token":            {ok, `{"access_token":""}`, ErrUnavailable, "without an access token"},
		"a token that is no string": {ok, `{"access_token":["at"]}`, ErrUnavailable, "without an access token"},
		"empty":                     {ok, ``, ErrUnavailable, "without an access token"},
		"null":                      {ok, `null`, ErrUnavailable, "without an access token"},
		"a list":                    {ok, `[{"access_token":"at"}]`, ErrUnavailable, "without an access token"},
		"HTML":                      {ok, `<html>secret-payload</html>`, ErrUnavailable, "without an access token"},
		"cut":                       {ok, `{"access_token":"at","expires_in":18`, ErrUnavailable, "without an access token"},
		"two documents":             {ok, `{"access_token":"at"}{"access_token":"bt"}`, ErrUnavailable, "without an access token"},
		"a repeated key":            {ok, `{"access_token":"at","access_token":"bt"}`, ErrUnavailable, "without an access token"},
		"invalid UTF-8":             {ok, "{\"access_token\":\"a\xff\"}", ErrUnavailable, "without an access token"},
		"a line break in it":        {ok, `{"access_token":"at\r\nX-Admin: 1"}`, ErrUnavailable, "control character"},
		"NUL in it":                 {ok, `{"access_token":"at\u0000"}`, ErrUnavailable, "control character"},
		"DEL in it":                 {ok, `{"access_token":"at\u007f"}`, ErrUnavailable, "control character"},
		"a space in it":             {ok, `{"access_token":"a t"}`, ErrUnavailable, "white space"},
		"a tab in the refresh one":  {ok, `{"access_token":"at","refresh_token":"secret-payload\t"}`, ErrUnavailable, "refresh_token"},
		"a code with line breaks":   {400, `{"error":"invalid\r\n\u0000_grant"}`, ErrRefused, `"invalid_grant"`},
		"a code without end":        {400, `{"error":"` + strings.Repeat("x", 5000) + `"}`, ErrRefused, `"` + strings.Repeat("x", 64) + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&Grant{}).read(test.status, []byte(test.body), tokenSentAt, 0)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v (%v), want %v that says %q", err, got, test.want, test.says)
			}
			if errors.Is(test.want, ErrUnavailable) && errors.Is(err, ErrRefused) {
				t.Errorf("%v is both", err)
			}
			if got != (Token{}) {
				t.Errorf("a token comes with the error: %v", got)
			}
			for _, never := range []string{"secret-payload", `"at"`, "X-Admin"} {
				if strings.Contains(err.Error(), never) {
					t.Errorf("the error contains the answer: %v", err)
				}
			}
		})
	}
}

func FuzzParseTokenAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"at","expires_in":1800,"refresh_token":"rt"}`,
		`{"access_token":"at","expires_in":"1800"}`,
		`{"alipay_system_oauth_token_response":{"access_token":"at","expires_in":"300"},"sign":""}`,
		`{"error_response":{"code":"40002","sub_code":"isv.code-invalid"}}`,
		`{"result":{"resultCode":"SUCCESS"},"accessToken":"at","accessTokenExpiryTime":"2026-03-01T20:10:00+08:00"}`,
		`{"error":{"code":"SYSTEM_ERROR"}}`,
		`{"access_token":"a\u0000"}`,
		`[`,
	} {
		f.Add(http.StatusOK, []byte(seed))
		f.Add(http.StatusBadRequest, []byte(seed))
	}
	for _, number := range extremes.Numbers {
		f.Add(http.StatusOK, []byte(`{"access_token":"at","expires_in":`+number+`}`))
		f.Add(http.StatusOK, []byte(`{"accessToken":"at","accessTokenExpiryTime":`+number+`}`))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		got, err := (&Grant{}).read(status, body, tokenSentAt, 0)
		if err != nil {
			if got != (Token{}) {
				t.Errorf("a token comes with %v", err)
			}
			if !errors.Is(err, ErrRefused) && !errors.Is(err, ErrUnavailable) {
				t.Errorf("neither refused nor unavailable: %v", err)
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("the error is not plain text: %q", err)
			}
			return
		}
		if status < 200 || status > 299 {
			t.Errorf("a token out of status %d", status)
		}
		req := http.Header{"Authorization": {"Bearer " + got.Access}}
		var line strings.Builder
		if err := req.Write(&line); err != nil || strings.Count(line.String(), "\n") != 1 || got.Access == "" {
			t.Errorf("the token %q does not fit in a header", got.Access)
		}
		if life := got.Expiry.Sub(got.Issued); life <= 0 || life > maxTokenLife {
			t.Errorf("the token lives from %v to %v", got.Issued, got.Expiry)
		}
	})
}
