package alipayai_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
)

func TestTokenOfTheSimulatorsFailures(t *testing.T) {
	for name, test := range map[string]struct {
		fault sandbox.Fault
		want  error
		code  string
	}{
		"unavailable":         {sandbox.Fault{Kind: sandbox.TokenError}, token.ErrUnavailable, "server_error"},
		"too many":            {sandbox.Fault{Kind: sandbox.TokenError, Status: 429, Code: "slow_down"}, token.ErrUnavailable, "slow_down"},
		"not JSON":            {sandbox.Fault{Kind: sandbox.TokenError, Garbage: true}, token.ErrUnavailable, ""},
		"not JSON, and a 500": {sandbox.Fault{Kind: sandbox.TokenError, Garbage: true, Status: 500}, token.ErrUnavailable, "status 500"},
		"wrong client":        {sandbox.Fault{Kind: sandbox.TokenError, Code: "invalid_client"}, token.ErrRefused, "invalid_client"},
		"dead grant":          {sandbox.Fault{Kind: sandbox.TokenError, Status: 400, Code: "invalid_grant"}, token.ErrRefused, "invalid_grant"},
		"reset":               {sandbox.Fault{Kind: sandbox.ResetBefore, Path: "/oauth2/token"}, token.ErrUnavailable, ""},
		"broken body":         {sandbox.Fault{Kind: sandbox.TruncatedBody, Path: "/oauth2/token"}, token.ErrUnavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := newRig(t, sandbox.Config{}, func(g *alipayai.Gateway) { g.Deadline = 300 * time.Millisecond })
				r.set(test.fault)
				start := time.Now()
				got := r.chat("hello")
				message := wantError(t, got, http.StatusServiceUnavailable, failure.CodeTokenUnavailable)
				if want := "provider alipay has no access token: " + test.want.Error(); message != want {
					t.Errorf("message %q, want %q without the endpoint's own words", message, want)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				if _, err := r.provider.Tokens.Token(ctx); err == nil || !strings.Contains(err.Error(), test.code) {
					t.Errorf("error for the log %v, want the reason %q", err, test.code)
				}
				if took := time.Since(start); took > r.gateway.Deadline+100*time.Millisecond {
					t.Errorf("answered after %v", took)
				}
				if got.header.Get("X-Should-Retry") != "" {
					t.Error("tells the client not to retry what never was sent")
				}
				if n := len(r.arrived.at("/v1/chat/completions")); n != 0 {
					t.Errorf("%d calls went out without a token", n)
				}
				if o := r.outcome(); o.Status != http.StatusServiceUnavailable || o.Code != failure.CodeTokenUnavailable || o.Attempts != 0 {
					t.Errorf("outcome %+v", o)
				}
			})
		})
	}
}
