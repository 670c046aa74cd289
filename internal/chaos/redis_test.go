package main

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/limiter"
)

// newRedis starts a server, or skips the test where there is none.
func newRedis(t *testing.T) *redisServer {
	t.Helper()
	redistest.Start(t) // which knows when to skip
	s, err := startRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func dial(t *testing.T, s *redisServer) redis.UniversalClient {
	t.Helper()
	client, err := limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{s.addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// A server that is killed remembers, so that only the gateway can be the cause of a call that is served twice.
func TestKilledRedisRemembers(t *testing.T) {
	s := newRedis(t)
	client := dial(t, s)
	const keys = 100
	for i := range keys {
		if err := client.Set(t.Context(), "key "+string(rune('0'+i)), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	s.kill()
	s.kill()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("a killed server answers")
	}
	if err := s.restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := dial(t, s).DBSize(t.Context()).Result(); err != nil || n != keys {
		t.Errorf("it remembers %d keys of %d: %v", n, keys, err)
	}
}

func TestPausedRedisDoesNotAnswer(t *testing.T) {
	s := newRedis(t)
	client := dial(t, s)
	if err := s.pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := client.Ping(ctx).Err(); err == nil {
		t.Error("a stopped server answers")
	}
	if err := s.resume(); err != nil {
		t.Fatal(err)
	}
	if settled(0, func() int {
		if client.Ping(t.Context()).Err() == nil {
			return 0
		}
		return 1
	}) > 0 {
		t.Error("it does not answer again")
	}
	s.close()
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("it leaves %s behind: %v", s.dir, err)
	}
}
