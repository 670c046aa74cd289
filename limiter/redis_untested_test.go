package limiter

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// Between two answers the clock may have run faster than the server's by the drift:
// no time comes out earlier for that.
func TestServerTimeLeavesRoomForDrift(t *testing.T) {
	r := redisTime{ppm: drift}
	r.observe(0, 0, 0)
	const later = int64(1000 * time.Second)
	// This answer was under way for long, and says little by itself.
	r.observe(later-int64(10*time.Second), later+int64(10*time.Second), 1000*1e6)
	want := (later + int64(10*time.Second)) * drift / 1_000_000
	if got := r.local(0); got != want {
		t.Errorf("after 1010 s the clock may be ahead by %v, want %v", time.Duration(got), time.Duration(want))
	}
}

// A client for windows repeats nothing by itself, and keeps to deadlines: the one
// of the call, and its own where there is none.
func TestClientRepeatsNothingAndKeepsToDeadlines(t *testing.T) {
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var silent atomic.Bool
	var pings atomic.Int32
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				b := make([]byte, 4096)
				for {
					n, err := conn.Read(b)
					if err != nil {
						return
					}
					if !contains(b[:n], "ping") {
						_, _ = conn.Write([]byte("-ERR unknown command\r\n"))
						continue
					}
					pings.Add(1)
					if !silent.Load() {
						return // breaks the connection: a client may repeat that
					}
				}
			}()
		}
	}()
	client := newTestClient(t, RedisOptions{Addresses: []string{listener.Addr().String()}})
	if err := client.Ping(t.Context()).Err(); err == nil || pings.Load() != 1 {
		t.Errorf("%d pings for one, error %v", pings.Load(), err)
	}
	silent.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	err = client.Ping(ctx).Err()
	if !isTimeout(err) {
		t.Errorf("a call of 5 ms ends with %v", err)
	}
	var options *redis.Options
	if c, ok := client.(*redis.Client); ok {
		options = c.Options()
	}
	if options == nil || !options.ContextTimeoutEnabled || options.ReadTimeout != redisLongest || options.WriteTimeout != redisLongest {
		t.Errorf("a %T goes by no contexts, or its timeouts are not %v", client, redisLongest)
	}
	began := time.Now()
	if err := client.Ping(context.Background()).Err(); !isTimeout(err) || time.Since(began) > redisLongest/2 {
		t.Errorf("a call without a deadline ends after %v with %v", time.Since(began), err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout()
}

func contains(b []byte, word string) bool {
	for i := 0; i+len(word) <= len(b); i++ {
		if string(b[i:i+len(word)]) == word {
			return true
		}
	}
	return false
}

// A correction moves a permit, and counts it once.
func TestCorrectedPermitCountsOnce(t *testing.T) {
	clock := newTestClock()
	w := NewMemoryWindow(clock.now)
	l := Limit{Requests: 2, Per: time.Second}
	s, err := w.Reserve(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	clock.add(100 * time.Millisecond)
	w.move(s, l)
	if got := w.Next(l, clock.now()); !got.Equal(clock.now()) {
		t.Errorf("the second of two is free %v from now, want now", got.Sub(clock.now()))
	}
	if w.ring.count != 1 {
		t.Errorf("%d permits are kept, want 1", w.ring.count)
	}
}

// The words of metrics and logs.
func TestStateNames(t *testing.T) {
	for state, want := range map[State]string{Shared: "shared", Degraded: "degraded"} {
		if got := state.String(); got != want {
			t.Errorf("%d is called %q, want %q", state, got, want)
		}
	}
}

// Who was in touch with Redis a while ago looks again when a beat has passed since.
func TestLooksAgainABeatAfterTheLastContact(t *testing.T) {
	client := newTestClient(t, RedisOptions{Addresses: []string{redistest.Start(t).Addr}})
	w := newTestWindow(t, client, "k")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(time.Hour)
	w.mu.Lock()
	w.now = func() time.Time { return now }
	w.reached = w.clock.read(now) - int64(beat/4)
	w.mu.Unlock()
	if got := w.look(); got != beat*3/4 {
		t.Errorf("a quarter of a beat after the last contact it looks in %v, want %v", got, beat*3/4)
	}
}
