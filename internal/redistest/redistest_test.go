package redistest_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// newClient is a client that repeats nothing.
func newClient(t *testing.T, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DisableIdentity: true, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestServerComesBackEmpty(t *testing.T) {
	s := redistest.Start(t)
	if _, err := s.Do("SET", "key", "value"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Do("GET", "key"); err != nil || got != "value" {
		t.Fatalf("GET: %q, %v", got, err)
	}
	s.Kill()
	if got, err := s.Do("PING"); err == nil {
		t.Fatalf("a killed server answers %q", got)
	}
	s.Restart()
	if got, err := s.Do("GET", "key"); err != nil || got != "$-1" {
		t.Fatalf("GET after the restart: %q, %v", got, err)
	}
}

func TestPausedServerDoesNotAnswer(t *testing.T) {
	s := redistest.Start(t)
	s.Pause()
	if got, err := s.Do("PING"); err == nil {
		t.Fatalf("a paused server answers %q", got)
	}
	s.Resume()
	if got, err := s.Do("PING"); err != nil || got != "+PONG" {
		t.Fatalf("PING after going on: %q, %v", got, err)
	}
}

func TestClusterServesEverySlot(t *testing.T) {
	c := redistest.StartCluster(t)
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		if got, err := c.Masters[c.Owner(key)].Do("SET", key, "value"); err != nil || got != "+OK" {
			t.Errorf("SET %s: %q, %v", key, got, err)
		}
	}
}

func TestSentinelNamesTheMaster(t *testing.T) {
	w := redistest.StartWatched(t)
	info, err := w.Sentinel.Do("INFO", "sentinel")
	if err != nil || !strings.Contains(info, "address="+w.Master.Addr) {
		t.Errorf("sentinel says %q, %v, without %s", info, err, w.Master.Addr)
	}
}

func TestRelayBecomesABlackHole(t *testing.T) {
	s := redistest.Start(t)
	r := redistest.StartRelay(t, s.Addr)
	through := s.At(r.Addr)
	if got, err := through.Do("PING"); err != nil || got != "+PONG" {
		t.Fatalf("PING through the relay: %q, %v", got, err)
	}
	r.Swallow()
	if got, err := through.Do("PING"); err == nil {
		t.Fatalf("a black hole answers %q", got)
	}
	r.Pass()
	if got, err := through.Do("PING"); err != nil || got != "+PONG" {
		t.Fatalf("PING through the relay again: %q, %v", got, err)
	}
}
