package alipayai_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

// reflecting sends each request back as its answer: its own body, under its own signature and time.
func reflecting(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/oauth2/token" {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"t-1","token_type":"Bearer","expires_in":3600}`)
		return
	}
	for from, to := range map[string]string{"Signature": "Signature", "Request-Time": "Response-Time", "Client-Id": "Client-Id"} {
		w.Header().Set(to, r.Header.Get(from))
	}
	w.Header().Set("Content-Type", "application/json")
	io.Copy(w, r.Body)
}

// Both directions have one key and one layout, so a reflected request is signed well. It is no answer.
func TestReflectedRequestIsNoAnswer(t *testing.T) {
	for _, mode := range []upstream.VerifyMode{upstream.VerifyIfPresent, upstream.VerifyRequire} {
		r := startRig(t, http.HandlerFunc(reflecting), simProvider, first(func(p *upstream.Provider) { p.Verify = mode }))
		body := strings.Replace(chatBody("hello"), "{", `{"choices":[{"index":0,"message":{"role":"assistant","content":"forged"}}],`, 1)
		wantError(t, r.post("/v1/chat/completions", body), http.StatusBadGateway, failure.CodeBadSignature)
	}
}

// A Signature header has several spellings; the value counts.
func TestReflectedSignatureInOtherWords(t *testing.T) {
	p := simProvider(t, "http://127.0.0.1:1")
	p.Tokens, p.Verify = nil, upstream.VerifyRequire
	const body = "the same"
	x := exchange(t, p, 200, body)
	req, resp := x.Request, x.Response
	parts := strings.Split(req.Header.Get("Signature"), ",")
	resp.Header.Set("Signature", strings.Join([]string{parts[2], parts[0], parts[1]}, ", "))
	resp.Header.Set("Response-Time", req.Header.Get("Request-Time"))
	if err := p.Scheme.VerifyResponse(signer.Message{Method: "POST", Target: "/v3/pay", Body: []byte(body)}, resp.Header); err != nil {
		t.Fatalf("the reflected signature is wrong in itself: %v", err)
	}
	if f := x.PassOn(100); codeOf(f) != failure.CodeBadSignature {
		t.Errorf("got %v", f)
	}
}

var testRSAKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// rsaProvider signs by an RSA scheme and verifies answers with the same key.
func rsaProvider(t *testing.T, name string) *upstream.Provider {
	t.Helper()
	private, err := signer.NewRing(map[int]*rsa.PrivateKey{1: testRSAKey()})
	if err != nil {
		t.Fatal(err)
	}
	public, err := signer.NewRing(map[int]*rsa.PublicKey{1: &testRSAKey().PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	keys := signer.RSAKeys{Keys: private, ResponseKeys: public}
	p := &upstream.Provider{Name: "alipay", ClientID: "2021000000000001", Profile: profile(t, name), BaseURL: parseURL(t, "http://127.0.0.1:1"), Clock: new(upstream.Clock)}
	switch config := (signer.OpenAPIConfig{AppID: p.ClientID, RSAKeys: keys}); name {
	case "openapi-v2":
		p.Scheme, err = signer.NewOpenAPIV2(config)
	case "openapi-v3":
		p.Scheme, err = signer.NewOpenAPIV3(config)
	case "global":
		p.Scheme, err = signer.NewGlobal(signer.GlobalConfig{ClientID: p.ClientID, RSAKeys: keys})
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What stands in for the API, such as a load balancer, signs nothing, nor does the platform where it fails early.
func TestPassOnUnsigned(t *testing.T) {
	const badSign = `{"alipay_trade_query_response":{"code":"10000"},"sign":"AAAA"}`
	for name, test := range map[string]struct {
		scheme string
		status int
		body   string
		// a signature that the header has
		field, signature string
		// wanted by mode
		ifPresent, require string
	}{
		"v2, HTML page":           {"openapi-v2", 503, "<html>down</html>", "", "", "", ""},
		"v2, HTML with 200":       {"openapi-v2", 200, "<html>down</html>", "", "", "", failure.CodeBadSignature},
		"v2, nothing":             {"openapi-v2", 502, "", "", "", "", ""},
		"v2, other JSON":          {"openapi-v2", 503, `{"message":"no upstream"}`, "", "", "", ""},
		"v2, failure with 200":    {"openapi-v2", 200, `{"error_response":{"code":"40005"}}`, "", "", "", failure.CodeBadSignature},
		"v2, money":               {"openapi-v2", 402, `{"error_response":{"code":"40005"}}`, "", "", "", failure.CodeBadSignature},
		"v2, no sign":             {"openapi-v2", 400, `{"error_response":{"code":"40005"},"sign":null}`, "", "", "", ""},
		"v2, wrong sign":          {"openapi-v2", 200, badSign, "", "", failure.CodeBadSignature, failure.CodeBadSignature},
		"v2, wrong sign, 503":     {"openapi-v2", 503, badSign, "", "", failure.CodeBadSignature, failure.CodeBadSignature},
		"v2, redirect":            {"openapi-v2", 302, "<html>moved</html>", "", "", "", ""},
		"v3, HTML page":           {"openapi-v3", 503, "<html>down</html>", "", "", "", ""},
		"v3, success":             {"openapi-v3", 200, "{}", "", "", "", failure.CodeBadSignature},
		"v3, success, null":       {"openapi-v3", 200, "{}", "Alipay-Signature", "null", "", failure.CodeBadSignature},
		"v3, failure":             {"openapi-v3", 400, `{"code":"invalid-parameter"}`, "", "", "", ""},
		"v3, failure, empty":      {"openapi-v3", 400, `{"code":"app-call-limited"}`, "Alipay-Signature", "", "", ""},
		"v3, failure, null":       {"openapi-v3", 400, `{"code":"app-call-limited"}`, "Alipay-Signature", "null", "", ""},
		"v3, wrong signature":     {"openapi-v3", 200, "{}", "Alipay-Signature", "AAAA", failure.CodeBadSignature, failure.CodeBadSignature},
		"v3, failure, wrong too":  {"openapi-v3", 400, "{}", "Alipay-Signature", "AAAA", failure.CodeBadSignature, failure.CodeBadSignature},
		"v3, redirect":            {"openapi-v3", 307, "", "", "", "", ""},
		"global, HTML page":       {"global", 503, "<html>down</html>", "", "", "", ""},
		"global, failure, empty":  {"global", 500, "{}", "Signature", "", "", ""},
		"global, wrong signature": {"global", 503, "<html>down</html>", "Signature", "AAAA", failure.CodeBadSignature, failure.CodeBadSignature},
	} {
		for mode, want := range map[upstream.VerifyMode]string{upstream.VerifyOff: "", upstream.VerifyIfPresent: test.ifPresent, upstream.VerifyRequire: test.require} {
			t.Run(name+", "+string(mode), func(t *testing.T) {
				p := rsaProvider(t, test.scheme)
				p.Verify = mode
				x := exchange(t, p, 200, "")
				resp := unsigned(test.status, strings.NewReader(test.body))
				x.Response = resp
				if test.field != "" {
					resp.Header[test.field] = []string{test.signature}
				}
				if f := x.PassOn(100); codeOf(f) != want {
					t.Fatalf("got %v, want %q", f, want)
				}
				if want == "" {
					if left, err := io.ReadAll(resp.Body); string(left) != test.body || err != nil {
						t.Errorf("left %q, %v", left, err)
					}
				}
				if mode == upstream.VerifyOff && test.field != "" && resp.Header.Get(test.field) != test.signature {
					t.Errorf("%s is gone, and nobody has verified it", test.field)
				}
			})
		}
	}
}

// A signature that is right is taken, and goes no further.
func TestPassOnSigned(t *testing.T) {
	p := simProvider(t, "http://127.0.0.1:1")
	p.Tokens, p.Verify = nil, upstream.VerifyRequire
	x := exchange(t, p, 200, "{}")
	resp := x.Response
	signed, err := p.Scheme.(*signer.HMAC).SignResponse(
		signer.Message{Method: "POST", Target: "/v3/pay", Body: []byte("{}"), Time: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range signed.Fields {
		resp.Header.Set(f.Name, f.Value)
	}
	resp.Header.Set("Alipay-Signature", "of somebody else")
	if f := x.PassOn(100); f != nil {
		t.Fatal(f)
	}
	if resp.Header.Get("Signature") != "" || resp.Header.Get("Alipay-Signature") == "" {
		t.Errorf("header %v", resp.Header)
	}
}

func TestPassOnUnreadable(t *testing.T) {
	broken := errors.New("read tcp 10.0.0.1:443: connection reset by peer")
	for name, test := range map[string]struct {
		body io.Reader
		want string
	}{
		"just fits": {strings.NewReader(strings.Repeat("a", 100)), ""},
		"too large": {strings.NewReader(strings.Repeat("a", 101)), failure.CodeResponseTooLarge},
		"cut":       {io.MultiReader(strings.NewReader("a"), iotest.ErrReader(io.ErrUnexpectedEOF)), failure.CodeTruncated},
		"reset":     {io.MultiReader(strings.NewReader("a"), iotest.ErrReader(broken)), failure.CodeTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			p := rsaProvider(t, "openapi-v3")
			p.Verify = upstream.VerifyIfPresent
			x := exchange(t, p, 200, "")
			x.Response.Body = io.NopCloser(test.body)
			if f := x.PassOn(100); codeOf(f) != test.want {
				t.Errorf("got %v, want %q", f, test.want)
			}
		})
	}
}

// What an answer says of the access token counts, whether it is signed or not.
func TestPassOnDropsRefusedTokens(t *testing.T) {
	long := bytes.Repeat([]byte("a"), 16<<10)
	for name, test := range map[string]struct {
		status  int
		body    string
		off     bool
		dropped bool
	}{
		"success":                    {200, `{"choices":[]}`, false, false},
		"401":                        {401, "", false, true},
		"401, body not read":         {401, "", true, true},
		"code in a 200":              {200, `{"result":{"resultStatus":"F","resultCode":"EXPIRED_ACCESS_TOKEN"}}`, false, true},
		"code in a 400":              {400, `{"code":"INVALID_ACCESS_TOKEN","message":"m"}`, false, true},
		"401 for another credential": {401, `{"code":"INVALID_SIGNATURE","message":"m"}`, false, false},
		"another failure":            {500, `{"code":"SYSTEM_ERROR","message":"m"}`, false, false},
		"code in a large body":       {400, `{"code":"INVALID_ACCESS_TOKEN","message":"` + string(long) + `"}`, false, false},
		"code in a body not read":    {400, `{"code":"INVALID_ACCESS_TOKEN","message":"m"}`, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := simProvider(t, "http://127.0.0.1:1")
			p.Verify = upstream.VerifyIfPresent
			if test.off {
				p.Verify = upstream.VerifyOff
			}
			p.Tokens = tokensFrom(func(context.Context, string) (token.Token, error) {
				now := time.Now()
				return token.Token{Access: "t-1", Issued: now, Expiry: now.Add(time.Hour)}, nil
			})
			x := exchange(t, p, test.status, "")
			x.Response.Body = io.NopCloser(strings.NewReader(test.body))
			if f := x.PassOn(1 << 20); f != nil {
				t.Fatal(f)
			}
			if _, live := p.Tokens.Cell.Peek(); live == test.dropped {
				t.Errorf("token live: %t, want dropped: %t", live, test.dropped)
			}
		})
	}
}

func TestSendLearnsTheClock(t *testing.T) {
	for _, mode := range []upstream.VerifyMode{upstream.VerifyOff, upstream.VerifyRequire} {
		p := rsaProvider(t, "openapi-v3")
		p.Verify = mode
		resp := unsigned(400, strings.NewReader("{}"))
		resp.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		if _, f := send(t, p, composed(t, http.MethodPost, p.BaseURL.String()+"/v3/pay"), nil, gives{resp}); f != nil {
			t.Fatal(f)
		}
		if off := (p.Clock.Skew() - time.Hour).Abs(); off > upstream.MinSkew {
			t.Errorf("%s: learned %v", mode, p.Clock.Skew())
		}
	}
}
