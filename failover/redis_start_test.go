package failover

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Breakers of a configuration that is only validated connect to nothing, and end all the same.
func TestSharedBreakersThatNeverStart(t *testing.T) {
	dialled := false
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, OnConnect: func(context.Context, *redis.Conn) error {
		dialled = true
		return nil
	}})
	defer client.Close()
	b := NewSharedBreakers(client, "never")
	for range 4 {
		admitted, err := b.Allow(t.Context(), Key{"acme", "alipay"}, Rule{})
		if err != nil {
			t.Fatal(err)
		}
		admitted.Done(Failure)
	}
	if _, err := b.Allow(t.Context(), Key{"acme", "alipay"}, Rule{}); err == nil {
		t.Error("the breaker is closed after four failures of this replica alone")
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	b.Start()
	if dialled {
		t.Error("connected")
	}
}
