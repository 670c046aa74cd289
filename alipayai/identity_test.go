package alipayai_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

// Some servers take an underscore or a dot for a dash, and case never counts: no spelling of a field passes for another
// one, and none for nothing. A trailer is a field too.
func TestSendRefusesEachSpelling(t *testing.T) {
	for _, scheme := range []string{"openapi-v3", "openapi-v2", "global"} {
		for _, field := range []string{
			"Alipay-App-Auth-Token", "Agent-Token", "Client-Id", "Alipay-Encrypt-Type", "Alipay-Request-Id", "Content-Type",
			"Content-Encoding", "X-Http-Method-Override", "Alipay-Sub-Merchant",
		} {
			for spelling, name := range map[string]string{
				"lower case":  strings.ToLower(field),
				"upper case":  strings.ToUpper(field),
				"underscores": strings.ReplaceAll(field, "-", "_"),
				"one of each": strings.Replace(strings.Replace(field, "-", "_", 1), "-", ".", 1),
				"dots":        strings.ToLower(strings.ReplaceAll(field, "-", ".")),
			} {
				p := rsaProvider(t, scheme)
				p.Header = http.Header{"Agent-Token": {"ours"}}
				for place, into := range map[string]func(*http.Request, string){
					"alone": func(r *http.Request, value string) { r.Header[name] = []string{value} },
					"beside the right one": func(r *http.Request, value string) {
						right := r.Header[field] // where name is field, the other one comes instead
						r.Header[name] = []string{value}
						r.Header[field] = right
					},
					"as a trailer": func(r *http.Request, value string) { r.Trailer = http.Header{name: {value}} },
				} {
					req := composed(t, http.MethodPost, p.BaseURL.String()+"/v3/pay?method=a.b")
					into(req, "theirs")
					out, f := sign(t, p, req, nil)
					if codeOf(f) != failure.CodeNotSigned || !errors.Is(f.Cause, upstream.ErrNotSigned) || out != nil || strings.Contains(f.Message, "theirs") {
						t.Errorf("%s, %s in %s, %s: %v", scheme, field, spelling, place, f)
					}
					into(req, "")
					if _, f := sign(t, p, req, nil); f != nil {
						t.Errorf("%s, %s in %s, %s, empty: %v", scheme, field, spelling, place, f)
					}
				}
			}
		}
	}
}

// What an SDK sends with every call is no reason to refuse one.
func TestSendTakesWhatSDKsSend(t *testing.T) {
	for name, test := range map[string]struct {
		scheme string
		header http.Header
	}{
		"alipay-sdk-nodejs-all, v3": {"openapi-v3", http.Header{
			"Alipay-Request-Id": {"1"}, "Accept": {"application/json"}, "Alipay-Encryption-Algm": {"AES"}, "Alipay-Encrypt-Type": {"AES"},
			"Content-Type": {"text/plain"}, "Alipay-Root-Cert-Sn": {"687b59193f3f462dd5336e5abf83c5d8"},
			"Authorization": {"ALIPAY-SHA256withRSA app_id=2021000000000001,app_cert_sn=a,nonce=n,timestamp=1,expired_seconds=120,sign=AAAA="},
		}},
		"alipay-sdk-java-all, v3": {"openapi-v3", http.Header{
			"Alipay-Request-Id": {"1"}, "Alipay-Sdk-Version": {"alipay-sdk-java-3"}, "Alipay-Encrypt-Type": {"AES"}, "Content-Type": {"text/plain"},
		}},
		"global-open-sdk-go": {"global", http.Header{
			"Content-Type": {"application/json; charset=UTF-8"}, "Request-Time": {"1"}, "Client-Id": {"2021000000000001"}, "Key-Version": {"1"},
			"Signature": {"algorithm=RSA256,keyVersion=1,signature=AAAA"}, "Sdk-Version": {"global-open-sdk-go"}, "Agent-Token": {""},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := rsaProvider(t, test.scheme)
			req := composed(t, http.MethodPost, p.BaseURL.String()+"/v3/pay")
			req.Header = test.header
			out, f := sign(t, p, req, []byte("{}"))
			if f != nil {
				t.Fatal(f)
			}
			for field := range test.header {
				if upstream.IsDecisive(field) && test.header.Get(field) != "" && out.Header.Get(field) != test.header.Get(field) {
					t.Errorf("%s: %q", field, out.Header[field])
				}
			}
			if err := p.Scheme.VerifyRequest(signer.Message{Method: "POST", Target: "/v3/pay", Body: []byte("{}")}, out.Header); err != nil {
				t.Error(err)
			}
		})
	}
}

// How long an SDK's own signature is good is carried over where it is a time that the API takes, and refused else: the gateway's
// would not be what the SDK wanted.
func TestSendTakesHowLongASignatureIsGood(t *testing.T) {
	for name, test := range map[string]struct{ seconds, want string }{
		"a time":      {"120", "expired_seconds=120"},
		"the least":   {"1", "expired_seconds=1"},
		"none":        {"0", ""},
		"negative":    {"-1", ""},
		"too long":    {"99999999", ""},
		"with a sign": {"+60", ""},
		"with a zero": {"060", ""},
		"no number":   {"soon", ""},
		"not said":    {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := rsaProvider(t, "openapi-v3")
			req := composed(t, http.MethodPost, p.BaseURL.String()+"/v3/pay")
			req.Header.Set("Authorization", "ALIPAY-SHA256withRSA app_id=2021000000000001,nonce=n,timestamp=1,expired_seconds="+test.seconds+",sign=AAAA=")
			out, f := sign(t, p, req, []byte("{}"))
			if test.want == "" {
				if codeOf(f) != failure.CodeNotSigned || out != nil {
					t.Errorf("%v", f)
				}
			} else if f != nil || !strings.Contains(out.Header.Get("Authorization"), ","+test.want+",") {
				t.Errorf("%v: %v", f, out)
			}
		})
	}
}

// A signature may fill more header fields than most do.
func TestSendSetsAllFieldsOfALayout(t *testing.T) {
	keys, err := signer.NewRing(map[int]*signer.HMACKey{1: signer.NewHMACKey([]byte("example-hmac-key-1"))})
	if err != nil {
		t.Fatal(err)
	}
	fields := []signer.Field{
		{Name: "X-App", Value: "{client_id}"}, {Name: "X-Time", Value: "{time_s}"}, {Name: "X-Nonce", Value: "{nonce}"},
		{Name: "X-Digest", Value: "{body_sha256}"}, {Name: "X-Version", Value: "v1"}, {Name: "X-Sig", Value: "{signature}"},
	}
	p := rsaProvider(t, "openapi-v3")
	if p.Scheme, err = signer.NewLayout(signer.LayoutConfig{ClientID: p.ClientID, Keys: keys, Encoding: "hex", Content: "{time_s}.{nonce}.{body}", Fields: fields}); err != nil {
		t.Fatal(err)
	}
	out, f := sign(t, p, composed(t, http.MethodPost, p.BaseURL.String()+"/v3/pay"), []byte("{}"))
	if f != nil {
		t.Fatal(f)
	}
	seen := make(map[string]bool)
	for _, field := range fields {
		value := out.Header.Get(field.Name)
		if value == "" || seen[value] {
			t.Errorf("%s: %q", field.Name, value)
		}
		seen[value] = true
	}
}
