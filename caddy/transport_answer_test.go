package alipaycaddy

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// answering is a rig whose site signs openapi-v2 calls for an upstream that
// answers them as a test wants. Answers are verified if they are signed.
func answering(t *testing.T, upstream http.HandlerFunc, options ...string) *rig {
	t.Helper()
	g := newRig(t, sandbox.Config{})
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	g.vars["upstream"], g.vars["rsa"] = server.URL, g.file("rsa", privatePEM(rsaKey()))
	g.vars["rsa_public"] = g.file("rsa_public", publicPEM(&rsaKey().PublicKey))
	g.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	g.load(openAPIV2(append(options, "base_url ${upstream}", "public_key 1 {file.${rsa_public}}")...), `
http://${gateway} {
	metrics /metrics
	reverse_proxy ${upstream} {
		transport alipayai alipay {
			paths /gateway.do
			methods *
			allow_anonymous
		}
	}
}`)
	return g
}

const anAPI = "/gateway.do?method=alipay.trade.query"

// TestTransportHandsOn looks at what comes back of answers that are not signed.
func TestTransportHandsOn(t *testing.T) {
	g := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Location", "https://elsewhere.example/")
		w.Header().Set("Signature", "for the client to verify")
		w.Header().Set("X-Other", "kept")
		switch r.Header.Get("Accept-Language") {
		case "redirect":
			w.WriteHeader(http.StatusFound)
		case "down":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		io.WriteString(w, "<html>")
	})
	for language, status := range map[string]int{"redirect": 302, "down": 503, "en": 200} {
		a := g.do("POST", anAPI, "", "Accept-Language: "+language)
		if a.status != status || a.body != "<html>" || a.header.Get("X-Other") != "kept" || a.header.Get("Location") == "" {
			t.Errorf("%s: %d %s %v", language, a.status, a.body, a.header)
		}
		if a.header.Get("Set-Cookie") != "" || a.header.Get("Signature") == "" {
			t.Errorf("%s: header %v", language, a.header)
		}
	}
}

// TestTransportTellsWhatWentWrong has answers that cannot be handed on.
func TestTransportTellsWhatWentWrong(t *testing.T) {
	chunk := strings.Repeat("a", 1<<20)
	for code, upstream := range map[string]http.HandlerFunc{
		"upstream_truncated_response": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "<html>")
		},
		"upstream_response_too_large": func(w http.ResponseWriter, _ *http.Request) {
			for range alipayai.DefaultMaxAnswer>>20 + 1 {
				io.WriteString(w, chunk)
			}
		},
		"invalid_response_signature": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"alipay_trade_query_response":{"code":"10000"},"sign":"AAAA"}`)
		},
	} {
		t.Run(code, func(t *testing.T) {
			g := answering(t, upstream)
			a := g.do("POST", anAPI, "")
			if a.status != http.StatusBadGateway || a.code() != code || a.header.Get("X-Should-Retry") != "false" {
				t.Errorf("%d %s %v, want %s", a.status, a.body, a.header, code)
			}
			for _, word := range []string{"127.0.0.1", "EOF", "reading", "10000"} {
				if strings.Contains(a.body, word) {
					t.Errorf("the client reads %s: %s", word, a.body)
				}
			}
			g.eventually("the attempt to be counted", func() bool {
				return g.scrape()[`caddy_alipayai_attempts_total{code="`+code+`",provider="alipay"}`] == "1"
			})
		})
	}
}

// TestTransportClientLeaves while the answer's body is on its way: that is no
// fault of the upstream's.
func TestTransportClientLeaves(t *testing.T) {
	half, ended := make(chan struct{}), make(chan struct{})
	g := answering(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		close(half)
		<-r.Context().Done()
	})
	ctx, leave := context.WithTimeout(t.Context(), 10*time.Second)
	defer leave()
	go func() {
		<-half
		leave()
	}()
	req := must(http.NewRequestWithContext(ctx, "POST", "http://"+g.vars["gateway"]+anAPI, nil))
	if resp, err := g.http.Do(req); err == nil {
		resp.Body.Close()
		t.Fatalf("status %d", resp.StatusCode)
	}
	<-ended
	g.eventually("the attempt to be counted", func() bool {
		return g.scrape()[`caddy_alipayai_attempts_total{code="client_gone",provider="alipay"}`] == "1"
	})
}

// TestTransportDropsRefusedTokens has the API refuse a token that still lives.
// The call is not repeated; the next one has a new token.
func TestTransportDropsRefusedTokens(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.load(oneProvider, limitedSite)
	g.chat("with the first token")
	if err := g.api.SetFaults(sandbox.Fault{Kind: sandbox.ExpiredToken, Times: 1}); err != nil {
		t.Fatal(err)
	}
	before := g.tokenFetches()
	if a := g.do("POST", "/raw"+chatPath, chatBody("hello", false)); a.status != http.StatusUnauthorized {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if n := g.chats(); n != 2 {
		t.Errorf("%d calls arrived, want 2", n)
	}
	if a := g.do("POST", "/raw"+chatPath, chatBody("hello", false)); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := g.tokenFetches() - before; n != 1 {
		t.Errorf("%d more tokens fetched, want 1", n)
	}
}

// TestTransportWithoutPublicKey is told to verify what is signed, and has nothing to verify with.
func TestTransportWithoutPublicKey(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Alipay-Signature", "AAAA")
		io.WriteString(w, "{}")
	}))
	t.Cleanup(server.Close)
	g.vars["upstream"], g.vars["rsa"] = server.URL, g.file("rsa", privatePEM(rsaKey()))
	for _, option := range []string{"", "verify_response if_present", "verify_response off"} {
		g.load(openAPI("base_url ${upstream}", "key 1 {file.${rsa}}", option), `
http://${gateway} {
	reverse_proxy ${upstream} {
		transport alipayai alipay {
			paths /v3/*
			allow_anonymous
		}
	}
}`)
		if a := g.do("POST", "/v3/a", "{}"); a.status != http.StatusOK || a.header.Get("Alipay-Signature") != "AAAA" {
			t.Errorf("%q: %d %s %v", option, a.status, a.body, a.header)
		}
	}
}
