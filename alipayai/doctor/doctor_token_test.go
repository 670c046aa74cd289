package doctor

import (
	"context"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// A refresh token is redeemed by its keeper, which stores the next one, and is not tried in other forms.
func TestCheckRedeemsARefreshTokenOnce(t *testing.T) {
	sim := newSimulator(t, sandbox.Config{RotateRefreshTokens: true})
	store := &memoryStore{}
	p := newProvider(t, sim.url, func(p *upstream.Provider) {
		p.Tokens.RefreshToken, p.Tokens.Store = sandbox.DemoRefreshToken, store
	})
	if report := Check(t.Context(), p, Options{}); !report.OK() {
		t.Errorf("report %+v", report)
	}
	if n := sim.Stats().TokenFetches["refresh_token"]; n != 1 || store.stored.Refresh == "" {
		t.Errorf("redeemed %d times, stored: %t", n, store.stored.Refresh != "")
	}
	report := Check(t.Context(), p, Options{})
	if n := sim.Stats().TokenFetches["refresh_token"]; n != 1 || !report.OK() {
		t.Errorf("a token that is good still: redeemed %d times: %+v", n, report.Steps)
	}
}

// memoryStore keeps one refresh token.
type memoryStore struct {
	mu     sync.Mutex
	stored token.Token
}

func (s *memoryStore) Lock(context.Context) (func(), error) { return func() {}, nil }

func (s *memoryStore) Load(context.Context) (token.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored, nil
}

func (s *memoryStore) Store(_ context.Context, t token.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored = t
	return nil
}
