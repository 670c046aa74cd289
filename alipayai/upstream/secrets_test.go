package upstream

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/signer"
)

// What of each profile's request is secret: its signature and tokens, in full,
// and nothing that an operator looks for in a log.
func TestSentSecrets(t *testing.T) {
	const signature = "c2lnbmF0dXJl/b2YgYSByZXF1ZXN0+Zq=="
	for name, test := range map[string]struct {
		header http.Header
		query  url.Values
		in     string // the parameter that holds the token
		want   []string
		public []string
	}{
		"inference": {
			header: http.Header{
				"Authorization": {"Bearer an-access-token-1"}, "Client-Id": {"app"},
				"Signature": {"algorithm=RSA256, keyVersion=1, signature=" + url.QueryEscape(signature)},
			},
			want: []string{"an-access-token-1", url.QueryEscape(signature)}, public: []string{"RSA256", "app"},
		},
		"openapi-v3": {
			header: http.Header{
				"Authorization":         {"ALIPAY-SHA256withRSA app_id=2021001234567890,app_cert_sn=50fa7b,nonce=a-public-nonce,timestamp=1767225600000,sign=" + signature},
				"Alipay-App-Auth-Token": {"202001BBmerchant-token"}, "Alipay-Request-Id": {"request-1"},
			},
			want:   []string{signature, "202001BBmerchant-token"},
			public: []string{"2021001234567890", "50fa7b", "a-public-nonce", "1767225600000", "request-1"},
		},
		"openapi-v2": {
			header: http.Header{"Content-Type": {"application/x-www-form-urlencoded;charset=utf-8"}},
			query: url.Values{
				"sign": {signature}, "app_auth_token": {"202001BBmerchant-token"}, "auth_token": {"a-user-token-3"},
				"app_id": {"2021001234567890"}, "method": {"alipay.trade.pay"}, "timestamp": {"2026-01-01 08:00:00"},
			},
			want:   []string{signature, "202001BBmerchant-token", "a-user-token-3"},
			public: []string{"2021001234567890", "alipay.trade.pay", "2026-01-01 08:00:00"},
		},
		"global": {
			header: http.Header{"Signature": {"algorithm=RSA256,keyVersion=2,signature=" + url.QueryEscape(signature)}, "Agent-Token": {"an-agent-token-4"}},
			want:   []string{url.QueryEscape(signature), "an-agent-token-4"}, public: []string{"RSA256"},
		},
		"a token in the query": {
			in: "access_token", query: url.Values{"access_token": {"24.a-token/in+the=query"}, "version": {"2024-01"}},
			want: []string{"24.a-token/in+the=query", url.QueryEscape("24.a-token/in+the=query")}, public: []string{"2024-01"},
		},
		"a key":            {header: http.Header{"X-Api-Key": {"a-key-with-padding=="}}, want: []string{"a-key-with-padding=="}},
		"an unknown field": {header: http.Header{"X-Of-The-User": {"perhaps-a-secret"}}, want: []string{"perhaps-a-secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			req := &http.Request{Header: test.header, URL: &url.URL{Scheme: "https", Host: "upstream", RawQuery: test.query.Encode()}}
			got := (&Provider{TokenQuery: test.in}).SentSecrets(nil, req)
			for _, want := range test.want {
				if !slices.Contains(got, want) {
					t.Errorf("%q is missing in %q", want, got)
				}
			}
			for _, public := range test.public {
				if slices.Contains(got, public) {
					t.Errorf("%q is no secret: %q", public, got)
				}
			}

			// An error of sending it repeats everything.
			p := &Provider{Credentials: new(credentials.Filter), TokenQuery: test.in}
			cause := errors.New("malformed answer: " + strings.Join(test.want, " and "))
			err := p.hideError(req, cause)
			for _, want := range test.want {
				if strings.Contains(err.Error(), want[:12]) || strings.Contains(err.Error(), want[len(want)-12:]) {
					t.Errorf("%q repeats %q", err, want)
				}
			}
			if !errors.Is(err, cause) || !strings.HasPrefix(err.Error(), "malformed answer: ") {
				t.Errorf("%v is not the cause", err)
			}
			if plain := errors.New("connection reset by peer"); !errors.Is(p.hideError(req, plain), plain) || p.hideError(req, plain).Error() != plain.Error() {
				t.Error("an error without secrets is replaced")
			}
		})
	}
}

// Of what a layout of one's own sends, the signature alone is secret, whatever else stands in its field; a field that
// is not the layout's counts as before.
func TestSentSecretsOfLayout(t *testing.T) {
	keys, err := signer.NewRing(map[int]*signer.HMACKey{1: signer.NewHMACKey([]byte("example-hmac-key-1"))})
	if err != nil {
		t.Fatal(err)
	}
	m := signer.Message{Method: "POST", Target: "/", Body: []byte("{}"), Time: time.Unix(1769860800, 0), Nonce: "a-nonce-of-the-test"}
	for name, fields := range map[string][]signer.Field{
		"apart":      {{Name: "X-Sig", Value: "{signature}"}, {Name: "X-Time", Value: "{time_s}"}, {Name: "X-Nonce", Value: "{nonce}"}},
		"in one":     {{Name: "X-Sig", Value: "t={time_s},n={nonce},v1={signature}"}},
		"a digest":   {{Name: "X-Sig", Value: "{time_s};{body_sha256};{nonce};{signature}"}},
		"after":      {{Name: "X-Sig", Value: "{signature} {nonce} {time_s}"}},
		"the client": {{Name: "Authorization", Value: "HMAC {client_id}:{signature}"}, {Name: "X-Rest", Value: "{time_s}-{nonce}"}},
	} {
		for _, encoding := range []string{"hex", "HEX", "base64", "base64url", "base64_escaped"} {
			layout, err := signer.NewLayout(signer.LayoutConfig{
				ClientID: "app-1", Keys: keys, Encoding: encoding, Content: `{time_s}.{nonce}.{body}`, Fields: fields,
			})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			signed, err := layout.Sign(m)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			h := http.Header{"X-Of-The-User": {"perhaps-a-secret"}}
			for _, f := range signed.Fields {
				h.Set(f.Name, f.Value)
			}
			p := &Provider{Scheme: layout}
			want := []string{layout.SentSignature(h), "perhaps-a-secret"}
			if len(want[0]) < 43 {
				t.Fatalf("%s, %s: no signature in %v", name, encoding, h)
			}
			if got := p.SentSecrets(nil, &http.Request{Header: h}); !slices.Equal(got, want) {
				t.Errorf("%s, %s: got %q, want %q", name, encoding, got, want)
			}
			// One that something else has changed is secret as a whole.
			name := fields[0].Name
			h.Set(name, "changed "+h.Get(name))
			if got := p.SentSecrets(nil, &http.Request{Header: h}); len(got) < 2 {
				t.Errorf("%s, %s: a changed field is no secret: %q", name, encoding, got)
			}
		}
	}
}

// What a provider says of a failure is shown without the credentials in it, whichever part of it they are in.
func TestFailuresShowNoSecret(t *testing.T) {
	const secret = "upstream-secret-key-0123456789"
	var f *credentials.Filter
	for name, test := range map[string]struct {
		reported wire.Failure
		header   http.Header
	}{
		"code":    {reported: wire.Failure{Code: secret, Message: "no"}},
		"message": {reported: wire.Failure{Code: "one", Message: "no key " + secret}},
		"param":   {reported: wire.Failure{Code: "one", Message: "no", Param: secret}},
		"id":      {reported: wire.Failure{Code: "one", Message: "no"}, header: http.Header{"X-Request-Id": {secret}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Provider{Profile: known(t, "openai")}
			resp := &http.Response{StatusCode: http.StatusBadRequest, Header: test.header}
			got := p.failed(resp, &test.reported, false, time.Now(), f.With(func() []string { return []string{secret} }))
			if shown := strings.Join([]string{got.Code, got.Message, got.Param, got.UpstreamID}, "\n"); strings.Contains(shown, secret) {
				t.Errorf("shown is %q", shown)
			}
		})
	}
}
