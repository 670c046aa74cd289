package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A token's answer has the names that were agreed on, its end is what the unit says, and a failure is told by its own code.
func TestTokenShape(t *testing.T) {
	clock := newClock()
	now := clock.now()
	for name, c := range map[string]struct {
		shape TokenShape
		want  string // T is the token
	}{
		"nothing":      {TokenShape{}, `{"access_token":T,"expires_in":1800}`},
		"deeper":       {TokenShape{AccessToken: []string{"data", "token"}, Expires: []string{"data", "ttl"}, Unit: "ms"}, `{"data":{"token":T,"ttl":1800000}}`},
		"a date":       {TokenShape{Expires: []string{"until"}, Unit: "date"}, `{"access_token":T,"until":"` + now.Add(30*time.Minute).UTC().Format(time.RFC3339) + `"}`},
		"seconds":      {TokenShape{Expires: []string{"exp"}, Unit: "unix"}, `{"access_token":T,"exp":` + string(mustJSON(now.Add(30*time.Minute).Unix())) + `}`},
		"milliseconds": {TokenShape{Expires: []string{"exp"}, Unit: "unix_ms"}, `{"access_token":T,"exp":` + string(mustJSON(now.Add(30*time.Minute).UnixMilli())) + `}`},
		"a success":    {TokenShape{Success: []string{"head", "code"}, SuccessValue: "0"}, `{"access_token":T,"expires_in":1800,"head":{"code":0}}`},
	} {
		t.Run(name, func(t *testing.T) {
			app := App{ClientID: "a", Keys: DemoKeys(), OAuthSecret: "s", TokenAnswer: &c.shape}
			srv, err := New(Config{Apps: []App{app}, Now: clock.now})
			if err != nil {
				t.Fatal(err)
			}
			ask := func(secret string) (status int, body []byte) {
				rec := newRecorder(t, srv, func(req *http.Request) {
					req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}, []byte(url.Values{"grant_type": {grantClient}, "client_id": {"a"}, "client_secret": {secret}}.Encode()))
				return rec.Code, rec.Body.Bytes()
			}
			status, body := ask("s")
			if status != http.StatusOK || !sameJSON(string(body), c.want) {
				t.Errorf("%d %s, want %s", status, body, c.want)
			}
			status, body = ask("wrong")
			if want := `"invalid_client"`; status != http.StatusUnauthorized || !strings.Contains(string(body), want) || len(c.shape.Success) > 0 && !strings.Contains(string(body), `"head":{"code":"invalid_client"}`) {
				t.Errorf("refused: %d %s", status, body)
			}
		})
	}
	if _, err := New(Config{Format: Anthropic, Apps: []App{{ClientID: "a", APIKey: "key-of-the-test", TokenAnswer: &TokenShape{}}}}); err == nil || !strings.Contains(err.Error(), "TokenAnswer: not used by format anthropic") {
		t.Errorf("another format: %v", err)
	}
}

// sameJSON compares objects, of which T in want stands for any text.
func sameJSON(got, want string) bool {
	var a, b any
	if json.Unmarshal([]byte(got), &a) != nil || json.Unmarshal([]byte(strings.Replace(want, ":T", `:"T"`, 1)), &b) != nil {
		return false
	}
	return string(mustJSON(forgotten(a))) == string(mustJSON(forgotten(b)))
}

// forgotten replaces a token by T.
func forgotten(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = forgotten(inner)
		}
	case string:
		if len(v) == 26 { // of rand.Text
			return "T"
		}
	}
	return v
}
