package limiter

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
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

// A slot that may begin here by more after its time at the server than it was booked for is not used: so it is where a clock was
// set, and the exchange that tells took its time.
func TestSlotLaterThanBookedIsVoid(t *testing.T) {
	for name, test := range map[string]struct {
		oneWay, set time.Duration
		void        bool
	}{
		"quick":            {},
		"slow":             {oneWay: 5 * time.Millisecond},
		"quick, set ahead": {set: time.Hour},
		"slow, set ahead":  {oneWay: 5 * time.Millisecond, set: time.Hour, void: true},
		"slow, set back":   {oneWay: 5 * time.Millisecond, set: -time.Hour, void: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBubbleRedis(t)
			b.OneWay = test.oneWay
			testwait.Bubble(t, func(t *testing.T) {
				w := b.newWindow(t)
				_ = w.Close() // nothing else asks
				now := w.clock.read(time.Now())
				if w.server.at = now; test.set != 0 {
					w.server.ahead += int64(test.set)
					w.server.least = w.server.ahead
				}
				slot, err := w.reserveShared(fleetLimit)
				if err != nil {
					t.Fatal(err)
				}
				if void := slot.Void(time.Now()); void != test.void {
					t.Errorf("void: %v, want %v", void, test.void)
				}
			})
		})
	}
}
