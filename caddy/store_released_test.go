package alipaycaddy

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/limiter"
)

// A claim whose reply was lost is released although the store is closed at once, as it is when the last configuration that uses
// it, and its last call, have ended: its key would be refused for all its lease.
func TestClosedStoreHasReleasedItsClaims(t *testing.T) {
	server := redistest.Start(t)
	relay := redistest.StartRelay(t, server.Addr)
	open := func(addr string) *redisStore {
		client, err := limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{addr}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		return &redisStore{client: client, replicas: 1}
	}
	sealing := must(seal.New([32]byte{1}))
	claim := func(s *redisStore, key byte) (replay.Claim, error) {
		claim, _, err := s.claims(sealing).Claim(t.Context(), "acme", replay.Key{key}, [32]byte{}, time.Hour)
		return claim, err
	}
	another := open(server.Addr)
	if first, err := claim(another, 0); err != nil || first.Release(t.Context()) != nil { // the server has the scripts from now on
		t.Fatal("nothing is claimed and released")
	}
	relay.LoseReplies()
	for key := range byte(10) {
		s := open(relay.Addr)
		if _, err := claim(s, key); !errors.Is(err, replay.ErrUnavailable) {
			t.Fatalf("a claim whose reply is lost: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := claim(another, key); err != nil {
			t.Errorf("when the store is closed, another replica's claim of the key: %v", err)
		}
	}
}
