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
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
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

func TestSignRequest(t *testing.T) {
	r := newRig(t, sandbox.Config{}, first(func(p *upstream.Provider) { p.Header = http.Header{"X-Team": {"payments"}} }))
	body := []byte(chatBody("hello"))
	target := r.provider.BaseURL.String() + "/v1/chat/completions?a=%20b"
	req := composed(t, http.MethodPost, target)
	before := req.Header.Clone()
	out, _, err := r.provider.SignRequest(req, body, "acme")
	if err != nil {
		t.Fatal(err)
	}
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
	resp, err := r.provider.Transport.RoundTrip(out)
	if err != nil {
		t.Fatal(err)
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
func TestSignRequestIsFreshEachTime(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	req := composed(t, http.MethodPost, r.provider.BaseURL.String()+"/v1/chat/completions")
	seen := make(map[string]bool)
	for range 100 {
		out, _, err := r.provider.SignRequest(req, []byte(chatBody("hello")), "acme")
		if err != nil {
			t.Fatal(err)
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
					out, _, err := p.SignRequest(req, body, "acme")
					if err != nil {
						t.Fatal(err)
					}
					if len(body) == 0 && (out.ContentLength != 0 || out.GetBody != nil) {
						t.Errorf("length %d", out.ContentLength)
					}
					resp, err := p.Transport.RoundTrip(out)
					if try == 0 && err == nil {
						_, err = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					} else if try == 1 && err == nil {
						t.Errorf("an answer out of a connection that hung up: %d", resp.StatusCode)
						resp.Body.Close()
					}
					if try == 0 && err != nil {
						t.Fatal(err)
					}
				}
				if n := server.counted(); n != 2 {
					t.Errorf("%d requests reached the server, want 2", n)
				}
			})
		}
	}
}

func TestSignRequestThatFails(t *testing.T) {
	broken := errors.New("its certificate has expired")
	refused := fmt.Errorf("%w: status 401", token.ErrRefused)
	for name, test := range map[string]struct {
		edit func(*upstream.Provider)
		want error
	}{
		"unavailable": {func(p *upstream.Provider) { p.Unavailable = func(time.Time) error { return broken } }, broken},
		"no token": {func(p *upstream.Provider) {
			p.Tokens = tokensFrom(func(context.Context, string) (token.Token, error) { return token.Token{}, refused })
		}, token.ErrRefused},
		"cannot be signed": {func(p *upstream.Provider) { p.Tokens, p.Scheme = nil, unsignable{} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := simProvider(t, "http://127.0.0.1:1")
			test.edit(p)
			out, _, err := p.SignRequest(composed(t, http.MethodPost, "http://127.0.0.1:1/v3/pay"), nil, "acme")
			if err == nil || out != nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, %v", out, err)
			}
		})
	}
}

// A token endpoint that never answers holds a call as long as it holds a gateway's, and the caller's own deadline holds too.
func TestSignRequestWaitsSoLongForAToken(t *testing.T) {
	for name, test := range map[string]struct{ within, want time.Duration }{
		"without a deadline": {0, upstream.TokenWait}, "a later one": {time.Minute, upstream.TokenWait}, "an earlier one": {time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
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
				_, _, err := p.SignRequest(req, nil, "acme")
				if took := time.Since(began); took != test.want || !errors.Is(err, token.ErrUnavailable) {
					t.Errorf("%v after %v, want %v", err, took, test.want)
				}
				time.Sleep(20 * time.Second) // the fetch ends by itself
			})
		})
	}
}
