package token

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// Each way to ask is the one that its endpoint takes; the life of the token is read whatever it is called.
func TestGrantInTheFormOfTheEndpoint(t *testing.T) {
	for variant, auth := range map[sandbox.Variant]Auth{sandbox.VariantTokenPost: AuthForm, sandbox.VariantTokenJSON: AuthJSON} {
		t.Run(string(auth), func(t *testing.T) {
			sim := newSimulator(t, sandbox.Config{Variants: []sandbox.Variant{variant}, TokenLife: time.Minute})
			grant := sim.grant()
			if _, err := grant.Fetch(t.Context(), ""); err == nil {
				t.Error("it takes HTTP Basic as well")
			}
			grant.Auth = auth
			for _, refresh := range []string{"", sandbox.DemoRefreshToken} {
				token, err := grant.Fetch(t.Context(), refresh)
				if err != nil {
					t.Fatalf("refresh token %t: %v", refresh != "", err)
				}
				if life := token.Expiry.Sub(token.Issued); life != time.Minute {
					t.Errorf("lives for %v", life)
				}
			}
		})
	}
}

// Credentials stand in one place only, and errors hold none of them.
func TestGrantShowsTheSecretOnce(t *testing.T) {
	for auth, kind := range map[Auth]string{AuthBasic: "application/x-www-form-urlencoded", AuthForm: "application/x-www-form-urlencoded", AuthJSON: "application/json"} {
		t.Run(string(auth), func(t *testing.T) {
			grant := &Grant{URL: "http://127.0.0.1/token", ClientID: "app", Secret: "a-secret&more", Auth: auth, Scope: "chat"}
			req, err := grant.request(t.Context(), redeeming(""))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(req.Body)
			_, _, basic := req.BasicAuth()
			if inBody := strings.Contains(string(body), "a-secret"); inBody == basic || basic != (auth == AuthBasic) {
				t.Errorf("by HTTP Basic: %t, in the body: %t", basic, inBody)
			}
			if req.Header.Get("Content-Type") != kind || req.ContentLength != int64(len(body)) || req.Method != http.MethodPost {
				t.Errorf("%s of %s and %d bytes, want %s of %d", req.Method, req.Header.Get("Content-Type"), req.ContentLength, kind, len(body))
			}
		})
	}
	if err := Auth("digest").Check(); err == nil || !strings.Contains(err.Error(), "basic, form, json or query") {
		t.Errorf("error %v", err)
	}
}
