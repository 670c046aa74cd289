package redistest_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// Faults are what they say, and all that is carried takes time of the bubble alone.
func TestNetwork(t *testing.T) {
	for name, fault := range redistest.Faults() {
		t.Run(name, func(t *testing.T) {
			n := redistest.NewNetwork(t)
			testwait.Bubble(t, func(t *testing.T) {
				n.OneWay = time.Millisecond
				client := newClient(t, redistest.Anywhere)
				n.Connect(client)
				incr := func() (int64, time.Duration, error) {
					ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
					defer cancel()
					began := time.Now()
					count, err := client.Incr(ctx, "n").Result()
					return count, time.Since(began), err
				}
				if count, _, err := incr(); err != nil || count != 1 {
					t.Fatalf("counted %d, %v", count, err)
				}
				if count, took, err := incr(); err != nil || count != 2 || took != 2*n.OneWay {
					t.Errorf("counted %d in %v, %v", count, took, err)
				}
				n.Break(fault)
				_, _, _ = incr() // finds its connection closed
				if count, took, err := incr(); fault.Answers != ":7\r\n" && err == nil || took > 50*time.Millisecond {
					t.Errorf("counted %d in %v, %v", count, took, err)
				}
				want := ":2\r\n"
				if fault.Loses {
					want = ":4\r\n"
				}
				if got := n.Do("INCRBY", "n", "0"); got != want {
					t.Errorf("the server has counted %q, want %q", got, want)
				}
				n.Heal()
				_, _, _ = incr()
				if _, _, err := incr(); err != nil {
					t.Errorf("after it has healed: %v", err)
				}
				time.Sleep(time.Minute) // the client dials in the background
			})
		})
	}
}

// Scripts read the time of the bubble, by their text and by their hash.
func TestNetworkHasTheTimeOfItsBubble(t *testing.T) {
	n := redistest.NewNetwork(t)
	testwait.Bubble(t, func(t *testing.T) {
		client := newClient(t, redistest.Anywhere)
		n.Connect(client)
		script := redis.NewScript("local time = redis.call('TIME')\nreturn {time[1] * 1000000 + time[2], ARGV[1]}")
		for range 3 {
			time.Sleep(1234567 * time.Microsecond)
			got, err := script.Run(t.Context(), client, nil, "a").Slice()
			if err != nil || len(got) != 2 || got[0] != time.Now().UnixMicro() || got[1] != "a" {
				t.Errorf("%v, %v at %d", got, err, time.Now().UnixMicro())
			}
		}
	})
}
