package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

type tokenAnswer struct {
	AccessToken  string          `json:"access_token"`
	TokenType    string          `json:"token_type"`
	ExpiresIn    json.RawMessage `json:"expires_in"`
	RefreshToken string          `json:"refresh_token"`
	Error        string          `json:"error"`
}

func clientForm(extra ...string) url.Values {
	form := url.Values{"client_id": {DemoClientID}, "client_secret": {DemoOAuthSecret}, "grant_type": {"client_credentials"}}
	for i := 0; i < len(extra); i += 2 {
		form.Set(extra[i], extra[i+1])
	}
	return form
}

func refreshForm(token string) url.Values {
	return clientForm("grant_type", "refresh_token", "refresh_token", token)
}

func TestExpiresInForms(t *testing.T) {
	for form, want := range map[ExpiresForm]string{"": "90", ExpiresNumber: "90", ExpiresString: `"90"`, ExpiresOmitted: ""} {
		t.Run(string(form), func(t *testing.T) {
			g := newRig(t, Config{TokenLife: 90 * time.Second, ExpiresIn: form})
			var got tokenAnswer
			g.postForm(pathToken, clientForm(), 200, &got)
			if string(got.ExpiresIn) != want || got.TokenType != "Bearer" {
				t.Errorf("%+v, want expires_in %s", got, want)
			}
		})
	}
}

func TestTokenLife(t *testing.T) {
	clk := newClock()
	g := newRig(t, Config{Now: clk.now})
	clk.advance(30*time.Minute - time.Millisecond)
	g.chat("still good")
	clk.advance(time.Millisecond)
	var got apiError
	g.call("POST", pathChat, chatBody("dead", ""), 401, &got)
	if got.Code != codeExpiredToken {
		t.Errorf("code %s", got.Code)
	}
}

func TestClientAuthentication(t *testing.T) {
	g := newRig(t, Config{})
	basic := func(id, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(id, secret) }
	}
	grant := url.Values{"grant_type": {"client_credentials"}}
	tests := map[string]struct {
		form   url.Values
		change func(*http.Request)
		status int
		err    string
	}{
		"form":                 {clientForm(), nil, 200, ""},
		"basic":                {grant, basic(DemoClientID, DemoOAuthSecret), 200, ""},
		"basic, encoded":       {grant, basic(strings.Replace(DemoClientID, "_", "%5F", 1), DemoOAuthSecret), 200, ""},
		"both":                 {clientForm(), basic(DemoClientID, DemoOAuthSecret), 401, "invalid_client"},
		"neither":              {grant, nil, 401, "invalid_client"},
		"wrong secret":         {clientForm("client_secret", "x"), nil, 401, "invalid_client"},
		"wrong secret, basic":  {grant, basic(DemoClientID, "x"), 401, "invalid_client"},
		"bad escape in basic":  {grant, basic("%zz", "x"), 401, "invalid_client"},
		"unknown client":       {clientForm("client_id", "x"), nil, 401, "invalid_client"},
		"unknown grant":        {clientForm("grant_type", "password"), nil, 400, "unsupported_grant_type"},
		"no grant":             {clientForm("grant_type", ""), nil, 400, "unsupported_grant_type"},
		"unknown refresh":      {refreshForm("nothing"), nil, 400, "invalid_grant"},
		"parameter twice":      {url.Values{"grant_type": {"client_credentials", "client_credentials"}}, nil, 400, "invalid_request"},
		"not a form":           {clientForm(), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 400, "invalid_request"},
		"secrets in the query": {grant, func(r *http.Request) { r.URL.RawQuery = clientForm().Encode() }, 401, "invalid_client"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest("POST", g.web.URL+pathToken, strings.NewReader(tc.form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if tc.change != nil {
				tc.change(req)
			}
			resp, err := g.do(req)
			if err != nil {
				t.Fatal(err)
			}
			var got tokenAnswer
			g.read(resp, tc.status, &got)
			if got.Error != tc.err || (got.AccessToken == "") != (tc.err != "") {
				t.Errorf("got %+v", got)
			}
			if challenge := resp.Header.Get("WWW-Authenticate") != ""; challenge != (tc.status == 401) {
				t.Errorf("challenge: %v", challenge)
			}
			if resp.Header.Get("Cache-Control") != "no-store" {
				t.Error("a token answer may be stored")
			}
		})
	}
}

func TestRefreshRotation(t *testing.T) {
	t.Run("on", func(t *testing.T) {
		g := newRig(t, Config{RotateRefreshTokens: true})
		var first, second tokenAnswer
		g.postForm(pathToken, refreshForm(DemoRefreshToken), 200, &first)
		g.postForm(pathToken, refreshForm(DemoRefreshToken), 400, &second)
		if first.RefreshToken == "" || first.RefreshToken == DemoRefreshToken || second.Error != "invalid_grant" {
			t.Fatalf("first %+v, then %+v", first, second)
		}
		g.postForm(pathToken, refreshForm(first.RefreshToken), 200, &second)
		g.token = second.AccessToken
		g.chat("the new token works")
	})
	t.Run("off", func(t *testing.T) {
		g := newRig(t, Config{})
		for range 2 {
			var got tokenAnswer
			g.postForm(pathToken, refreshForm(DemoRefreshToken), 200, &got)
			if got.RefreshToken != "" {
				t.Errorf("a new refresh token without rotation: %+v", got)
			}
		}
	})
	t.Run("another app's", func(t *testing.T) {
		g := newRig(t, Config{Apps: []App{
			{ClientID: DemoClientID, Keys: DemoKeys(), OAuthSecret: DemoOAuthSecret},
			{ClientID: "other", Keys: DemoKeys(), OAuthSecret: "s", RefreshToken: DemoRefreshToken},
		}})
		var got tokenAnswer
		g.postForm(pathToken, refreshForm(DemoRefreshToken), 400, &got)
		if got.Error != "invalid_grant" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("dies of age", func(t *testing.T) {
		clk := newClock()
		g := newRig(t, Config{Now: clk.now})
		clk.advance(refreshLife)
		var got tokenAnswer
		g.postForm(pathToken, refreshForm(DemoRefreshToken), 400, &got)
	})
	t.Run("one winner", func(t *testing.T) {
		g := newRig(t, Config{RotateRefreshTokens: true})
		var wg sync.WaitGroup
		statuses := make(chan int, 16)
		for range cap(statuses) {
			wg.Go(func() {
				resp, err := g.http.PostForm(g.web.URL+pathToken, refreshForm(DemoRefreshToken))
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				statuses <- resp.StatusCode
			})
		}
		wg.Wait()
		close(statuses)
		count := map[int]int{}
		for s := range statuses {
			count[s]++
		}
		if count[200] != 1 || count[400] != 15 {
			t.Errorf("statuses %v", count)
		}
	})
}

func TestGatewayToken(t *testing.T) {
	type answer struct {
		OK struct {
			AccessToken  string `json:"access_token"`
			ExpiresIn    string `json:"expires_in"`
			RefreshToken string `json:"refresh_token"`
			ReExpiresIn  string `json:"re_expires_in"`
			UserID       string `json:"user_id"`
		} `json:"alipay_system_oauth_token_response"`
		Err gatewayError `json:"error_response"`
	}
	g := newRig(t, Config{RotateRefreshTokens: true})
	form := func(pairs ...string) url.Values {
		f := url.Values{"app_id": {DemoClientID}, "method": {"alipay.system.oauth.token"}, "sign": {"x"}}
		for i := 0; i < len(pairs); i += 2 {
			f.Set(pairs[i], pairs[i+1])
		}
		return f
	}
	code := form("grant_type", "authorization_code", "code", DemoAuthCode)
	var first, second answer
	g.postForm(pathGateway, code, 200, &first)
	if first.OK.ExpiresIn != "1800" || first.OK.ReExpiresIn != "2592000" || first.OK.UserID == "" || first.OK.RefreshToken == "" {
		t.Fatalf("got %+v", first)
	}
	g.token = first.OK.AccessToken
	g.chat("a person's token works")
	refresh := form("grant_type", "refresh_token", "refresh_token", first.OK.RefreshToken)
	g.postForm(pathGateway, refresh, 200, &second)
	if second.OK.AccessToken == "" || second.OK.RefreshToken == first.OK.RefreshToken {
		t.Errorf("got %+v", second)
	}
	resp, err := g.http.PostForm(g.web.URL+pathGateway+"?"+code.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var inQuery answer
	g.read(resp, 200, &inQuery)
	if inQuery.OK.AccessToken == "" {
		t.Errorf("parameters in the query: %+v", inQuery)
	}
	for sub, bad := range map[string]url.Values{
		"isv.refresh-token-invalid": refresh, // it has died
		"isv.code-invalid":          form("grant_type", "authorization_code", "code", "x"),
		"isv.invalid-app-id":        form("app_id", "x"),
		"isv.invalid-method":        form("method", "alipay.trade.pay"),
	} {
		var got answer
		g.postForm(pathGateway, bad, 200, &got)
		if got.Err.SubCode != sub || got.OK.AccessToken != "" {
			t.Errorf("%s: got %+v", sub, got)
		}
	}
}

func TestApplyToken(t *testing.T) {
	type answer struct {
		Result                 globalResult
		AccessToken            string
		AccessTokenExpiryTime  time.Time
		RefreshToken           string
		RefreshTokenExpiryTime time.Time
	}
	clk := newClock()
	g := newRig(t, Config{Now: clk.now, RotateRefreshTokens: true})
	apply := func(path, client, body string) (got answer) {
		t.Helper()
		req := g.signed("POST", path, []byte(body))
		req.Header.Set("Client-Id", client)
		resp, err := g.do(req)
		if err != nil {
			t.Fatal(err)
		}
		g.read(resp, 200, &got)
		return got
	}
	first := apply(pathApply, DemoClientID, `{"grantType":"AUTHORIZATION_CODE","authCode":"`+DemoAuthCode+`"}`)
	if first.Result.Status != "S" || !first.AccessTokenExpiryTime.Equal(clk.now().Add(30*time.Minute)) ||
		!first.RefreshTokenExpiryTime.After(first.AccessTokenExpiryTime) {
		t.Fatalf("got %+v", first)
	}
	refresh := `{"grantType":"REFRESH_TOKEN","refreshToken":"` + first.RefreshToken + `"}`
	second := apply(pathApplySandbox, DemoClientID, refresh)
	g.token = second.AccessToken
	g.chat("the refreshed token works")
	for name, got := range map[string]answer{
		"dead refresh token": apply(pathApply, DemoClientID, refresh),
		"no JSON":            apply(pathApply, DemoClientID, `{`),
		"no grant":           apply(pathApply, DemoClientID, `{}`),
		"unknown client":     apply(pathApply, "x", refresh),
	} {
		if got.Result.Status != "F" || got.AccessToken != "" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	fetches := g.srv.Stats().TokenFetches
	if fetches["authorization_code"] != 1 || fetches["refresh_token"] != 3 || fetches["client_credentials"] != 1 || fetches[unknown] != 2 {
		t.Errorf("fetches %v", fetches)
	}
}
