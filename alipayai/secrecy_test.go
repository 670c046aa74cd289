package alipayai_test

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

type records chan evidence.Record

func (r records) Record(record evidence.Record) { r <- record.Concealed() }

// An upstream that says what it was sent does not get it into the evidence.
func TestEvidenceHoldsNoCredential(t *testing.T) {
	const key = "upstream-secret-key-0123456789"
	kept := make(records, 1)
	r := newPlainRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "got "+r.Header.Get("Authorization"))
		fmt.Fprintf(w, `{"code":"SYSTEM_ERROR","message":"failed","sent":%q}`, r.Header.Get("Authorization"))
	}, func(g *alipayai.Gateway) {
		ring, err := signer.NewRing(map[int]string{1: key})
		if err != nil {
			t.Fatal(err)
		}
		if g.Providers[0].Scheme, err = signer.NewBearer(ring); err != nil {
			t.Fatal(err)
		}
		g.Evidence = kept
	})
	r.chat("hello")
	got := <-kept
	if said := string(got.Response.Body) + fmt.Sprint(got.Response.Header); strings.Contains(said, key) || !strings.Contains(said, "[credential]") {
		t.Errorf("the record holds %s", said)
	}
}

// A token endpoint that says what it was sent tells neither client nor log.
func TestTokenEndpointThatRepeats(t *testing.T) {
	const secret = "oauth-client-secret-0123456789"
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":%q}`, "no client with "+secret)
	}))
	t.Cleanup(endpoint.Close)
	r := newPlainRig(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without a token") }, first(func(p *upstream.Provider) {
		p.Tokens = &token.Source{Cell: new(token.Cell), Now: time.Now, Fetcher: &token.Grant{
			URL: endpoint.URL, ClientID: "app", Secret: secret, Transport: p.Transport, Now: time.Now,
		}}
	}))
	got := r.chat("hello")
	wantError(t, got, http.StatusServiceUnavailable, failure.CodeTokenUnavailable)
	if strings.Contains(got.body, secret) {
		t.Errorf("the client is told %s", got.body)
	}
	_, err := r.provider.Tokens.Token(t.Context())
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("the log is told %v", err)
	}
}

// A proof of payment is for one call at one provider.
func TestPaymentProofIsMoney(t *testing.T) {
	s := perform(t, [][]turn{{busy}, {good}})
	if got := s.call(chatBody("hello"), "Payment-Proof", "paid"); got.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", got.status, got.body)
	}
	s.wantCalls(1, 0)
}

// An empty key claims nothing, and is none.
func TestEmptyIdempotencyKey(t *testing.T) {
	s := perform(t, [][]turn{{good}})
	wantError(t, s.call(chatBody("hello"), "Idempotency-Key", ""), http.StatusBadRequest, failure.CodeInvalidIdempotencyKey)
	s.wantCalls(0)
}

// brokenStore keeps no refresh token, and says where.
type brokenStore struct{}

func (brokenStore) Load(context.Context) (token.Token, error) {
	return token.Token{}, &fs.PathError{Op: "open", Path: "/var/lib/caddy/alipayai/refresh_tokens/5a5a", Err: fs.ErrPermission}
}
func (brokenStore) Store(context.Context, token.Token) error { return fs.ErrPermission }
func (brokenStore) Lock(context.Context) (func(), error) {
	return func() {}, nil
}

// Where the gateway keeps what it keeps is for the operator's log alone.
func TestStoragePathIsNotForClients(t *testing.T) {
	r := newPlainRig(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without a token") }, first(func(p *upstream.Provider) {
		p.Tokens = &token.Source{Cell: new(token.Cell), Now: time.Now, RefreshToken: "first-refresh-token", Store: brokenStore{}, Fetcher: &token.Grant{
			URL: "http://127.0.0.1/none", ClientID: "app", Secret: "s", Transport: p.Transport, Now: time.Now,
		}}
	}), func(g *alipayai.Gateway) { g.Deadline = 300 * time.Millisecond })
	got := r.chat("hello")
	message := wantError(t, got, http.StatusServiceUnavailable, failure.CodeTokenUnavailable)
	if strings.Contains(got.body, "/var/lib") || !strings.Contains(message, "token endpoint is unavailable") {
		t.Errorf("the client is told %s", got.body)
	}
}
