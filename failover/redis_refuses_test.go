package failover

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A server that answers and takes no writes is away, with what it says as the cause, until it takes them again.
func TestAwayWhereWritesAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		refuse, take []string
		want         string
	}{
		"out of memory":             {[]string{"CONFIG", "SET", "maxmemory", "1"}, []string{"CONFIG", "SET", "maxmemory", "0"}, "OOM "},
		"a replica":                 {[]string{"REPLICAOF", "127.0.0.1", "1"}, []string{"REPLICAOF", "NO", "ONE"}, "READONLY "},
		"without replicas":          {[]string{"CONFIG", "SET", "min-replicas-to-write", "1"}, []string{"CONFIG", "SET", "min-replicas-to-write", "0"}, "NOREPLICAS "},
		"of a user who may not SET": {[]string{"ACL", "SETUSER", "default", "-set"}, []string{"ACL", "SETUSER", "default", "+set"}, "can't run this command"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1, ContextTimeoutEnabled: true})
			t.Cleanup(func() { _ = client.Close() })
			b := NewSharedBreakers(client, "refused")
			t.Cleanup(func() { _ = b.Close() })
			b.Start()
			says := func(words []string) {
				t.Helper()
				if answer, err := server.Do(words...); err != nil || answer != "+OK" {
					t.Fatalf("%q: %q, %v", words, answer, err)
				}
			}
			if why := b.Lost(); why != nil {
				t.Errorf("lost before: %v", why)
			}
			says(tt.refuse)
			testwait.For(t, patience, "the refusal to be noticed", func() bool {
				why := b.Lost()
				return b.Away() > 0 && why != nil && strings.Contains(why.Error(), tt.want)
			})
			says(tt.take)
			testwait.For(t, patience, "the server to be back", func() bool { return b.Away() == 0 && b.Lost() == nil })
			if err := b.Close(); err != nil || b.Away() == 0 || b.Lost() == nil {
				t.Errorf("ended: %v, away for %v, because of %v", err, b.Away(), b.Lost())
			}
		})
	}
}
