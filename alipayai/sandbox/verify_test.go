package sandbox

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The vectors were made with Python's hmac and hashlib.
func TestVectors(t *testing.T) {
	tests := map[string]struct {
		key                      string
		version                  int
		method, target, id, time string
		body, header             string
	}{
		"chat ascii": {
			"example-hmac-key-1", 1, "POST", "/v1/chat/completions", "2026APP01", "1767322800000",
			`{"model":"alipay-fin-1","messages":[{"role":"user","content":"hello"}]}`,
			"algorithm=HMAC-SHA256,keyVersion=1,signature=AB4KJfV9Kv4FHSqDLWKa%2BWAoy1NSqDIapbUKxOvmh7o%3D",
		},
		"chat utf8 with query": {
			"example-hmac-key-2", 2, "POST", "/v1/chat/completions?region=sg&q=%E4%BD%A0", "2026APP01", "1767322800001",
			`{"model":"alipay-fin-1","messages":[{"role":"user","content":"分析我的消费 & a=b %25"}]}`,
			"algorithm=HMAC-SHA256,keyVersion=2,signature=HjDTvcSrwZjtXXdfhHkHhSrhvgS1%2FFXI%2ByEWtlRA%2F8c%3D",
		},
		"empty body": {
			"example-hmac-key-1", 1, "GET", "/v1/models", "SANDBOX_2026APP01", "1767322800002", "",
			"algorithm=HMAC-SHA256,keyVersion=1,signature=u%2BjIehwMorxFrP4dcBJiNUi%2FsBEs4w%2FDFxK0RSeaBF4%3D",
		},
		"short key, lines in the body": {
			"k", 12, "POST", "/v1/chat/completions", "A-1", "1767322800003", "{\n \"a\": \"line\\n\",\r\n \"b\": 1\n}\n",
			"algorithm=HMAC-SHA256,keyVersion=12,signature=W68UVCCSA6GtzG8oXF10peKGi9Sg%2B1kHjm7XZOLpcD8%3D",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			sig, err := parseSignature(tc.header)
			if err != nil || sig.keyVersion != tc.version {
				t.Fatalf("version %d, %v", sig.keyVersion, err)
			}
			if got := computeMAC([]byte(tc.key), tc.method, tc.target, tc.id, tc.time, []byte(tc.body)); got != sig.mac {
				t.Errorf("mac %s", encodeMAC(got))
			}
		})
	}
}

func TestVerification(t *testing.T) {
	clk := newClock()
	g := newRig(t, Config{Now: clk.now, RequestsPerSecond: -1, Apps: []App{
		{ClientID: DemoClientID, Keys: DemoKeys(), OAuthSecret: DemoOAuthSecret},
		{ClientID: "other", Keys: map[int][]byte{1: []byte("another-key-of-16+")}, OAuthSecret: "s"},
	}})
	var other struct {
		AccessToken string `json:"access_token"`
	}
	g.postForm(pathToken, url.Values{"grant_type": {"client_credentials"}, "client_id": {"other"}, "client_secret": {"s"}}, 200, &other)
	body := chatBody("hello", "")
	resign := func(r *http.Request, at string) {
		r.Header.Set("Request-Time", at)
		r.Header.Set("Signature", "algorithm=HMAC-SHA256,keyVersion=1,signature="+
			refSign(demoKey(), "POST", r.URL.RequestURI(), DemoClientID, at, body))
	}
	millis := func(d time.Duration) string { return strconv.FormatInt(clk.now().Add(d).UnixMilli(), 10) }

	tests := map[string]struct {
		change func(*http.Request)
		code   string // "": accepted
	}{
		"as it should be":      {func(*http.Request) {}, ""},
		"space after commas":   {func(r *http.Request) { edit(r, "Signature", ",", ", ") }, ""},
		"signed query":         {func(r *http.Request) { r.URL.RawQuery = "a=%2f"; resign(r, millis(0)) }, ""},
		"time at the edge":     {func(r *http.Request) { resign(r, millis(-5*time.Minute)) }, ""},
		"time ahead, at edge":  {func(r *http.Request) { resign(r, millis(5*time.Minute)) }, ""},
		"no client id":         {func(r *http.Request) { r.Header.Del("Client-Id") }, codeInvalidClient},
		"unknown client id":    {func(r *http.Request) { r.Header.Set("Client-Id", "UNKNOWN") }, codeInvalidClient},
		"two client ids":       {func(r *http.Request) { r.Header.Add("Client-Id", DemoClientID) }, codeInvalidClient},
		"other app's id":       {func(r *http.Request) { r.Header.Set("Client-Id", "other") }, codeInvalidSignature},
		"no signature":         {func(r *http.Request) { r.Header.Del("Signature") }, codeInvalidSignature},
		"two signatures":       {func(r *http.Request) { r.Header.Add("Signature", r.Header.Get("Signature")) }, codeInvalidSignature},
		"other algorithm":      {func(r *http.Request) { edit(r, "Signature", "HMAC-SHA256", "RSA256") }, codeInvalidSignature},
		"lower-case escapes":   {func(r *http.Request) { edit(r, "Signature", "%3D", "%3d") }, codeInvalidSignature},
		"unknown key version":  {func(r *http.Request) { edit(r, "Signature", "keyVersion=1", "keyVersion=7") }, codeInvalidKeyVersion},
		"no time":              {func(r *http.Request) { r.Header.Del("Request-Time") }, codeInvalidTime},
		"two times":            {func(r *http.Request) { r.Header.Add("Request-Time", millis(0)) }, codeInvalidTime},
		"time not in millis":   {func(r *http.Request) { resign(r, clk.now().Format(time.RFC3339)) }, codeInvalidTime},
		"time with a sign":     {func(r *http.Request) { resign(r, "+"+millis(0)) }, codeInvalidTime},
		"time too old":         {func(r *http.Request) { resign(r, millis(-5*time.Minute-time.Millisecond)) }, codeInvalidTime},
		"time too far ahead":   {func(r *http.Request) { resign(r, millis(5*time.Minute+time.Millisecond)) }, codeInvalidTime},
		"another signed time":  {func(r *http.Request) { r.Header.Set("Request-Time", millis(time.Millisecond)) }, codeInvalidSignature},
		"query not signed":     {func(r *http.Request) { r.URL.RawQuery = "a=1" }, codeInvalidSignature},
		"no token":             {func(r *http.Request) { r.Header.Del("Authorization") }, codeInvalidToken},
		"token without scheme": {func(r *http.Request) { r.Header.Set("Authorization", g.token) }, codeInvalidToken},
		"unknown token":        {func(r *http.Request) { r.Header.Set("Authorization", "Bearer nothing") }, codeInvalidToken},
		"two tokens":           {func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+g.token) }, codeInvalidToken},
		"other app's token":    {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+other.AccessToken) }, codeAccessDenied},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			req := g.signed("POST", pathChat, body)
			tc.change(req)
			resp, err := g.do(req)
			if err != nil {
				t.Fatal(err)
			}
			if tc.code == "" {
				g.read(resp, http.StatusOK, nil)
				return
			}
			var got apiError
			g.read(resp, http.StatusUnauthorized, &got)
			if got.Code != tc.code || got.Message == "" {
				t.Errorf("got %+v, want code %s", got, tc.code)
			}
			verified := tc.code == codeInvalidToken || tc.code == codeAccessDenied
			if signed := resp.Header.Get("Signature") != ""; signed != verified {
				t.Errorf("answer signed: %v, want %v", signed, verified)
			}
		})
	}
}

func edit(r *http.Request, name, old, repl string) {
	r.Header.Set(name, strings.ReplaceAll(r.Header.Get(name), old, repl))
}

// TestEveryByteCounts changes each byte of the body, the target, the time and
// the signature, one at a time.
func TestEveryByteCounts(t *testing.T) {
	clk := newClock()
	g := newRig(t, Config{Now: clk.now, RequestsPerSecond: -1})
	body := chatBody("hi", "")
	send := func(target string, body []byte, header, at string) string {
		r := httptest.NewRequest("POST", target, strings.NewReader(string(body)))
		r.Header = g.signed("POST", "/v1/chat/completions?x=1", chatBody("hi", "")).Header
		if header != "" {
			r.Header.Set("Signature", header)
		}
		if at != "" {
			r.Header.Set("Request-Time", at)
		}
		w := httptest.NewRecorder()
		g.srv.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			return codeOK
		}
		return w.Body.String()
	}
	const target = "/v1/chat/completions?x=1"
	if got := send(target, body, "", ""); got != codeOK {
		t.Fatal(got)
	}
	header := g.signed("POST", target, body).Header
	for i := range body {
		changed := []byte(string(body))
		changed[i] ^= 1
		if got := send(target, changed, "", ""); !strings.Contains(got, codeInvalidSignature) {
			t.Errorf("byte %d of the body: %s", i, got)
		}
	}
	sig := header.Get("Signature")
	for i := range sig {
		changed := []byte(sig)
		changed[i] ^= 1
		got := send(target, body, string(changed), "")
		if !strings.Contains(got, codeInvalidSignature) && !strings.Contains(got, codeInvalidKeyVersion) {
			t.Errorf("byte %d of the signature: %s", i, got)
		}
	}
	at := header.Get("Request-Time")
	for i := range at {
		changed := []byte(at)
		changed[i] ^= 1
		got := send(target, body, "", string(changed))
		if !strings.Contains(got, codeInvalidSignature) && !strings.Contains(got, codeInvalidTime) {
			t.Errorf("byte %d of the time: %s", i, got)
		}
	}
	for _, changed := range []string{"/v1/chat/completions?x=2", "/v1/chat/completions?X=1", "/v1/chat/completions", "/v1/chat/completion%73?x=1"} {
		if got := send(changed, body, "", ""); !strings.Contains(got, codeInvalidSignature) {
			t.Errorf("target %s: %s", changed, got)
		}
	}
}

func TestAnswersAreSigned(t *testing.T) {
	clk := newClock()
	g := newRig(t, Config{Now: clk.now})
	for name, tc := range map[string]struct {
		body   []byte
		status int
	}{
		"success": {chatBody("hello", ""), 200},
		"error":   {[]byte(`{}`), 400},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := g.do(g.signed("POST", pathChat, tc.body))
			if err != nil {
				t.Fatal(err)
			}
			body := g.read(resp, tc.status, nil)
			at := resp.Header.Get("Response-Time")
			want := "algorithm=HMAC-SHA256,keyVersion=1,signature=" + refSign(demoKey(), "POST", pathChat, DemoClientID, at, body)
			if resp.Header.Get("Signature") != want || resp.Header.Get("Client-Id") != DemoClientID {
				t.Errorf("headers %v", resp.Header)
			}
			if at != strconv.FormatInt(clk.now().UnixMilli(), 10) {
				t.Errorf("Response-Time %s", at)
			}
			if resp.Header.Get("Date") != clk.now().Format(http.TimeFormat) {
				t.Errorf("Date %s is not the simulator's own", resp.Header.Get("Date"))
			}
		})
	}
}

func TestParseSignatureRefuses(t *testing.T) {
	mac := "signature=" + encodeMAC([32]byte{})
	tests := map[string]string{
		"empty":              "",
		"no parts":           ",,",
		"part missing":       "algorithm=HMAC-SHA256," + mac,
		"part twice":         "algorithm=HMAC-SHA256,keyVersion=1,keyVersion=1," + mac,
		"unknown part":       "algorithm=HMAC-SHA256,keyVersion=1,x=1," + mac,
		"extra part":         "algorithm=HMAC-SHA256,keyVersion=1," + mac + ",x=1",
		"trailing comma":     "algorithm=HMAC-SHA256,keyVersion=1," + mac + ",",
		"version zero":       "algorithm=HMAC-SHA256,keyVersion=0," + mac,
		"version padded":     "algorithm=HMAC-SHA256,keyVersion=01," + mac,
		"version signed":     "algorithm=HMAC-SHA256,keyVersion=+1," + mac,
		"version too large":  "algorithm=HMAC-SHA256,keyVersion=99999999999999999999," + mac,
		"space before comma": "algorithm=HMAC-SHA256 ,keyVersion=1," + mac,
		"bad escape":         "algorithm=HMAC-SHA256,keyVersion=1,signature=%zz",
		"not base64":         "algorithm=HMAC-SHA256,keyVersion=1,signature=****",
		"not escaped":        "algorithm=HMAC-SHA256,keyVersion=1,signature=" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"short mac":          "algorithm=HMAC-SHA256,keyVersion=1,signature=AAAA",
	}
	for name, header := range tests {
		t.Run(name, func(t *testing.T) {
			if sig, err := parseSignature(header); err == nil {
				t.Errorf("accepted as %+v", sig)
			}
		})
	}
}

func FuzzParseSignature(f *testing.F) {
	f.Add("algorithm=HMAC-SHA256,keyVersion=1,signature=AB4KJfV9Kv4FHSqDLWKa%2BWAoy1NSqDIapbUKxOvmh7o%3D")
	f.Add("algorithm=HMAC-SHA256, keyVersion=12,\tsignature=W68UVCCSA6GtzG8oXF10peKGi9Sg%2B1kHjm7XZOLpcD8%3D")
	f.Add("signature=,keyVersion=,algorithm=")
	f.Add("algorithm=HMAC-SHA256,keyVersion=1,signature=%")
	f.Fuzz(func(t *testing.T, header string) {
		sig, err := parseSignature(header)
		if err != nil {
			return
		}
		// What is accepted says the same when it is written anew: nothing in it was ignored.
		parts := map[string]bool{
			"algorithm=HMAC-SHA256":                      true,
			"keyVersion=" + strconv.Itoa(sig.keyVersion): true,
			"signature=" + encodeMAC(sig.mac):            true,
		}
		for part := range strings.SplitSeq(header, ",") {
			part = strings.TrimLeft(part, " \t")
			if !parts[part] {
				t.Fatalf("part %q of %q is not accounted for", part, header)
			}
			delete(parts, part)
		}
		if len(parts) != 0 {
			t.Fatalf("%q misses %v", header, parts)
		}
	})
}
