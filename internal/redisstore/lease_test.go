package redisstore

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// One has the lease at a time, its owner may prolong it, and who has lost it ends nothing of another's.
func TestLease(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr})
	defer client.Close()
	exchange := Exchange{Client: client, Timeout: 10 * time.Second, Repeat: Idempotent}
	mine, yours := NewLease(exchange, "lease"), NewLease(exchange, "lease")
	take := func(l *Lease, want bool) (release func()) {
		t.Helper()
		release, ok, err := l.Take(t.Context(), time.Hour)
		if err != nil || ok != want {
			t.Fatalf("taken: %v, %v; want %v", ok, err, want)
		}
		return release
	}
	lost := take(mine, true)
	take(yours, false)
	take(mine, true)
	lost()
	release := take(yours, true)
	lost()
	take(mine, false)
	release()
	take(mine, true)
	if life := client.PTTL(t.Context(), mine.Key()).Val(); life <= 0 || life > time.Hour {
		t.Errorf("it lives for %v", life)
	}
}
