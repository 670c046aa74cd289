package upstream

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
)

// What of each profile's request is secret: its signature and tokens, in full,
// and nothing that an operator looks for in a log.
func TestSentSecrets(t *testing.T) {
	const signature = "c2lnbmF0dXJl/b2YgYSByZXF1ZXN0+Zq=="
	for name, test := range map[string]struct {
		header http.Header
		query  url.Values
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
		"a key":            {header: http.Header{"X-Api-Key": {"a-key-with-padding=="}}, want: []string{"a-key-with-padding=="}},
		"an unknown field": {header: http.Header{"X-Of-The-User": {"perhaps-a-secret"}}, want: []string{"perhaps-a-secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			req := &http.Request{Header: test.header, URL: &url.URL{Scheme: "https", Host: "upstream", RawQuery: test.query.Encode()}}
			got := SentSecrets(nil, req)
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

			// An error of sending it quotes everything.
			p := &Provider{Credentials: new(credentials.Filter)}
			cause := errors.New("malformed answer: " + strings.Join(test.want, " and "))
			err := p.hideError(req, cause)
			for _, want := range test.want {
				if strings.Contains(err.Error(), want[:12]) || strings.Contains(err.Error(), want[len(want)-12:]) {
					t.Errorf("%q quotes %q", err, want)
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
