package limiter

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// bubbleRedis is a real Redis for a synctest bubble: what comes out hangs on no
// machine's load. It is made outside of the bubble.
type bubbleRedis struct{ *redistest.Network }

func newBubbleRedis(t *testing.T) bubbleRedis {
	t.Helper()
	return bubbleRedis{redistest.NewNetwork(t)}
}

// newClient is a client as windows use it. It belongs to the bubble that calls.
func (b bubbleRedis) newClient(t *testing.T) redis.UniversalClient {
	t.Helper()
	client := newTestClient(t, RedisOptions{Addresses: []string{redistest.Anywhere}})
	b.Connect(client)
	return client
}

// newWindow starts one of two replicas, past its first silence.
func (b bubbleRedis) newWindow(t *testing.T) *RedisWindow {
	t.Helper()
	b.Do("SET", redisKey("k"), string(oldHistory(t)), "NX")
	window, err := NewRedisWindow(b.newClient(t), RedisWindowOptions{Key: "k", Replicas: 2, Limit: fleetLimit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = window.Close() })
	if _, _, err := window.exchange(opLook, fleetLimit, ""); err != nil {
		t.Fatal(err)
	}
	return window
}

// newQueues are those of several replicas, past the first silence of their window.
// They belong to the bubble that calls.
func (b bubbleRedis) newQueues(t *testing.T, key string, limit Limit, replicas int) []*Queue {
	t.Helper()
	var queues []*Queue
	for range replicas {
		w, err := NewRedisWindow(b.newClient(t), RedisWindowOptions{
			Key: key, Replicas: replicas, Limit: limit,
			OnState: func(s State, err error) { t.Errorf("a window is %v: %v", s, err) },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		w.mu.Lock()
		w.server.ppm = 0 // a bubble has one clock, and no drift
		w.mu.Unlock()
		queues = append(queues, NewQueue(w, time.Now))
	}
	time.Sleep(3 * quiet(limit))
	return queues
}
