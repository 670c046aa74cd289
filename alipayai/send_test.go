package alipayai_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/signer"
)

// composed is a request that somebody else has made, with everything on it that must not go on.
func composed(t *testing.T, method, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("the reader of a body that was read"))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "site.example.com"
	for _, name := range []string{
		"Authorization", "Cookie", "Via", "X-Forwarded-For", "Forwarded", "Signature", "Request-Time", "Idempotency-Key",
		"X-Idempotency-Key", "Connection", "Te", "Origin", "Referer", "X-Api-Key", "User-Agent",
	} {
		req.Header[name] = []string{"client-value", "client-value"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Payment-Proof", "proof-1")
	req.Trailer = http.Header{"X-Trailer": nil}
	req.TransferEncoding = []string{"chunked"}
	return req
}

func TestSend(t *testing.T) {
	r := newRig(t, sandbox.Config{}, first(func(p *upstream.Provider) { p.Header = http.Header{"X-Team": {"payments"}} }))
	body := []byte(chatBody("hello"))
	target := r.provider.BaseURL.String() + "/v1/chat/completions?a=%20b"
	req := composed(t, http.MethodPost, target)
	before := req.Header.Clone()
	x, f := send(t, r.provider, req, body, nil)
	if f != nil {
		t.Fatal(f)
	}
	out, resp := x.Request, x.Response
	want := []string{"Accept", "Accept-Encoding", "Authorization", "Client-Id", "Content-Type", "Payment-Proof", "Request-Time", "Signature", "User-Agent", "X-Team"}
	if names := slices.Sorted(maps.Keys(out.Header)); !slices.Equal(names, want) {
		t.Errorf("header %v, want %v", names, want)
	}
	for name, values := range out.Header {
		if strings.Contains(strings.Join(values, " "), "client-value") || len(values) != 1 {
			t.Errorf("%s: %v", name, values)
		}
	}
	if out.Host != r.provider.BaseURL.Host || out.URL.String() != target {
		t.Errorf("goes to %s at %s", out.URL, out.Host)
	}
	if out.GetBody != nil || out.Trailer != nil || out.TransferEncoding != nil || out.ContentLength != int64(len(body)) {
		t.Errorf("body of %d bytes, trailer %v, encoding %v", out.ContentLength, out.Trailer, out.TransferEncoding)
	}
	if !maps.EqualFunc(req.Header, before, slices.Equal) || req.Host != "site.example.com" || req.URL.String() != target {
		t.Error("the request that was given has changed")
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || err != nil {
		t.Errorf("%d %s (%v)", resp.StatusCode, answer, err)
	}
	if sent := r.arrived.at("/v1/chat/completions")[0].body; !bytes.Equal(sent, body) {
		t.Errorf("arrived as %q", sent)
	}
}

// Each try has a signature of its own, however soon it comes.
func TestSendIsFreshEachTime(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	req := composed(t, http.MethodPost, r.provider.BaseURL.String()+"/v1/chat/completions")
	seen := make(map[string]bool)
	for range 100 {
		out, f := sign(t, r.provider, req, []byte(chatBody("hello")))
		if f != nil {
			t.Fatal(f)
		}
		if s := out.Header.Get("Signature"); seen[s] {
			t.Fatalf("the signature of %s again", out.Header.Get("Request-Time"))
		} else {
			seen[s] = true
		}
	}
}

// Whatever the method, with a body or without, net/http must not send it twice.
func TestSignedRequestsAreNotReplayed(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"} {
		for name, body := range map[string][]byte{"without a body": nil, "with one": []byte(`{"a":1}`)} {
			t.Run(method+" "+name, func(t *testing.T) {
				server := listen(t, hangUp)
				p := simProvider(t, server.url)
				p.Tokens = nil
				for try := range 2 {
					req := composed(t, method, server.url+"/v3/pay")
					x, f := send(t, p, req, body, nil)
					switch {
					case try == 0 && f != nil:
						t.Fatal(f)
					case try == 0:
						if out := x.Request; len(body) == 0 && (out.ContentLength != 0 || out.GetBody != nil) {
							t.Errorf("length %d", out.ContentLength)
						}
						if _, err := io.Copy(io.Discard, x.Response.Body); err != nil {
							t.Fatal(err)
						}
						x.Response.Body.Close()
					case f == nil:
						t.Errorf("an answer out of a connection that hung up: %d", x.Response.StatusCode)
						x.Response.Body.Close()
					}
				}
				if n := server.counted(); n != 2 {
					t.Errorf("%d requests reached the server, want 2", n)
				}
			})
		}
	}
}

func TestSendThatFails(t *testing.T) {
	broken := errors.New("its certificate has expired")
	refused := fmt.Errorf("%w: status 401", token.ErrRefused)
	for name, test := range map[string]struct {
		edit func(*upstream.Provider)
		want error
		code string
	}{
		"unavailable": {func(p *upstream.Provider) { p.Unavailable = func(time.Time) error { return broken } }, broken, failure.CodeProviderUnavailable},
		"no token": {func(p *upstream.Provider) {
			p.Tokens = tokensFrom(func(context.Context, string) (token.Token, error) { return token.Token{}, refused })
		}, token.ErrRefused, failure.CodeTokenUnavailable},
		"cannot be signed": {func(p *upstream.Provider) { p.Tokens, p.Scheme = nil, unsignable{new(signer.HMAC)} }, signer.ErrNoKeys, failure.CodeSigningFailed},
	} {
		t.Run(name, func(t *testing.T) {
			p := simProvider(t, "http://127.0.0.1:1")
			test.edit(p)
			out, f := sign(t, p, composed(t, http.MethodPost, "http://127.0.0.1:1/v3/pay"), nil)
			if f == nil || out != nil || f.Code != test.code || !errors.Is(f.Cause, test.want) {
				t.Errorf("got %v, %v", out, f)
			}
		})
	}
}

// A token endpoint that never answers holds a call as long as it holds a gateway's, and the caller's own deadline holds too.
func TestSendWaitsSoLongForAToken(t *testing.T) {
	for name, test := range map[string]struct{ within, want time.Duration }{
		"without a deadline": {0, upstream.TokenWait}, "a later one": {time.Minute, upstream.TokenWait}, "an earlier one": {time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				p := simProvider(t, "http://127.0.0.1:1")
				p.Tokens = tokensFrom(func(ctx context.Context, _ string) (token.Token, error) {
					<-ctx.Done()
					return token.Token{}, fmt.Errorf("%w: no answer", token.ErrUnavailable)
				})
				req := composed(t, http.MethodPost, "http://127.0.0.1:1/v3/pay")
				if test.within > 0 {
					ctx, cancel := context.WithTimeout(req.Context(), test.within)
					defer cancel()
					req = req.WithContext(ctx)
				}
				began := time.Now()
				_, f := sign(t, p, req, nil)
				if took := time.Since(began); took != test.want || f == nil || !errors.Is(f.Cause, token.ErrUnavailable) {
					t.Errorf("%v after %v, want %v", f, took, test.want)
				}
				time.Sleep(20 * time.Second) // the fetch ends by itself
			})
		})
	}
}
