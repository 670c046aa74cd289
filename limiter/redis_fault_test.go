package limiter

import (
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/heldport"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

const (
	// firstSilence is how long a fleet is silent that starts, with some leeway.
	firstSilence = 2 * time.Second
	// The bounds that are promised; they are judged in the time of bubbles.
	degradedWithin  = time.Second
	recoveredWithin = 2 * time.Second
	blocksFor       = redisTimeout // a reservation
	// patience is for a machine that is busy.
	patience = 30 * time.Second
)

func TestThreeReplicasUseTheWholeCapAndNoMore(t *testing.T) {
	network := newBubbleRedis(t)
	testwait.Bubble(t, func(t *testing.T) {
		f := newExactFleet(t, network)
		f.resume(firstSilence)
		const spans = 4
		from := time.Now().Add(time.Second)
		f.pass(time.Second + spans*fleetLimit.Span() + 100*time.Millisecond)
		f.check()
		n := 0
		for _, d := range f.permits(from) {
			if d < int64(spans*fleetLimit.Span()) {
				n++
			}
		}
		most := spans * fleetLimit.Requests
		t.Logf("%d permits in %d spans, %.1f %% of %d", n, spans, 100*float64(n)/float64(most), most)
		if n < most*98/100 {
			t.Errorf("%d permits in %d spans, want at least 98 %% of %d", n, spans, most)
		}
	})
}

// A replica knows the server's clock the less exactly the farther away it is. Whatever
// that is beside its guard, no second holds more than the cap.
func TestFarReplicasKeepTheCap(t *testing.T) {
	const near, far, farthest = 100 * time.Microsecond, 3 * time.Millisecond, 6 * time.Millisecond
	for name, test := range map[string]struct {
		oneWay []time.Duration
		least  int // of a hundred of the cap
	}{
		"all near":   {[]time.Duration{near, near, near}, 98},
		"one far":    {[]time.Duration{near, near, farthest}, 98},
		"one near":   {[]time.Duration{near, far, farthest}, 98},
		"all as far": {[]time.Duration{farthest, farthest, farthest}, 98},
	} {
		t.Run(name, func(t *testing.T) {
			network := newBubbleRedis(t)
			testwait.Bubble(t, func(t *testing.T) {
				limit := Limit{Requests: 50, Per: time.Second, Guard: time.Millisecond}
				f := newFarFleet(t, network, limit, 30*time.Millisecond, test.oneWay...)
				f.resume(firstSilence)
				f.pass(time.Second)
				const seconds = 10
				from := time.Now()
				f.pass(seconds * time.Second)
				n, most := len(f.permits(from)), seconds*limit.Requests
				f.check()
				t.Logf("%d permits in %d s", n, seconds)
				if n < most*test.least/100 {
					t.Errorf("%d permits in %d s, want at least %d %% of %d", n, seconds, test.least, most)
				}
			})
		})
	}
}

// Whatever happens to Redis, the promised times are kept, with the real client and
// script, and the cap holds.
func TestPromisesInFaults(t *testing.T) {
	for name, fault := range redistest.Faults() {
		for name, heal := range map[string]func(bubbleRedis){
			name:                       func(bubbleRedis) {},
			name + ", restarted empty": func(n bubbleRedis) { n.Do("FLUSHALL") },
		} {
			t.Run(name, func(t *testing.T) {
				network := newBubbleRedis(t)
				testwait.Bubble(t, func(t *testing.T) {
					f := newExactFleet(t, network)
					f.resume(firstSilence)
					f.outlast(func() { network.Break(fault) }, func() {
						heal(network)
						network.Heal()
					})
				})
			})
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, start := range redistest.Outages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			f := newRunningFleet(t, func() redis.UniversalClient { return newTestClient(t, RedisOptions{Addresses: []string{server.Addr}}) })
			f.outlast(server.Break, server.Heal)
		})
	}
}

func TestRestartedEmptyBetweenTwoBeats(t *testing.T) {
	network := newBubbleRedis(t)
	testwait.Bubble(t, func(t *testing.T) {
		f := newExactFleet(t, network)
		f.resume(firstSilence)
		f.pass(500 * time.Millisecond)
		network.Break(redistest.Fault{Refuses: true})
		network.Do("FLUSHALL")
		network.Heal()
		f.pass(200 * time.Millisecond)
		f.resume(recoveredWithin)
		f.pass(1200 * time.Millisecond)
		f.check()
	})
}

func TestShortStopCostsNoSilence(t *testing.T) {
	network := newBubbleRedis(t)
	testwait.Bubble(t, func(t *testing.T) {
		f := newExactFleet(t, network)
		f.resume(firstSilence)
		f.pass(1200 * time.Millisecond)
		opened := f.opened()
		network.Break(redistest.Fault{Swallows: true})
		f.reach(Degraded, degradedWithin)
		network.Heal()
		f.reach(Shared, 500*time.Millisecond)
		f.pass(1500 * time.Millisecond)
		f.check()
		if f.opened() != opened {
			t.Error("a new history was begun")
		}
		all := slices.Sorted(slices.Values(f.permits(f.began)))
		for i := range all[1:] {
			if pause := time.Duration(all[i+1] - all[i]); pause > fleetLimit.Span() {
				t.Errorf("%s without a permit", pause)
			}
		}
	})
}

func TestHistoryAndScriptFlushed(t *testing.T) {
	network := newBubbleRedis(t)
	testwait.Bubble(t, func(t *testing.T) {
		f := newExactFleet(t, network)
		f.resume(firstSilence)
		f.pass(300 * time.Millisecond)
		network.FlushScripts()
		f.pass(1200 * time.Millisecond)
		for _, r := range f.replicas {
			r.mu.Lock()
			if len(r.changes) != 0 {
				t.Errorf("a script that was flushed is reported as %v", r.changes)
			}
			r.mu.Unlock()
		}
		network.Do("FLUSHALL")
		f.pass(200 * time.Millisecond)
		f.resume(recoveredWithin)
		f.pass(1200 * time.Millisecond)
		f.check()
		for _, r := range f.replicas {
			if len(r.changes) != 1 || r.changes[0].state != Shared || !errors.Is(r.changes[0].err, ErrHistoryLost) {
				t.Errorf("a history that was flushed is reported as %v", r.changes)
			}
		}
	})
}

func TestFailover(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) (o RedisOptions, master, next func(key string) *redistest.Server){
		"cluster": func(t *testing.T) (RedisOptions, func(string) *redistest.Server, func(string) *redistest.Server) {
			c := redistest.StartCluster(t)
			return RedisOptions{Addresses: c.Addrs(), Cluster: true},
				func(key string) *redistest.Server { return c.Masters[c.Owner(key)] },
				func(key string) *redistest.Server { return c.Replicas[c.Owner(key)] }
		},
		"sentinel": func(t *testing.T) (RedisOptions, func(string) *redistest.Server, func(string) *redistest.Server) {
			w := redistest.StartWatched(t)
			return RedisOptions{Addresses: []string{w.Sentinel.Addr}, MasterName: w.Name},
				func(string) *redistest.Server { return w.Master }, func(string) *redistest.Server { return w.Replica }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, master, next := start(t)
			f := newRunningFleet(t, func() redis.UniversalClient { return newTestClient(t, o) })
			f.pass(500 * time.Millisecond)
			key := f.replicas[0].window.script.keys[0]
			promoted := next(key)
			master(key).Kill()
			f.reach(Degraded, degradedWithin)
			f.await(10*time.Second, "the other becomes master", promoted.IsMaster)
			f.reach(Shared, recoveredWithin)
			f.pass(200 * time.Millisecond)
			f.resume(recoveredWithin)
			f.pass(1200 * time.Millisecond)
			f.check()
		})
	}
}

func TestNothingAnswersFromTheStart(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	refusing := heldport.Addr(t)
	tests := map[string]RedisOptions{
		"silent server":   {Addresses: []string{silent.Addr().String()}},
		"silent cluster":  {Addresses: []string{silent.Addr().String()}, Cluster: true},
		"silent sentinel": {Addresses: []string{silent.Addr().String()}, MasterName: "gateway"},
		"no server":       {Addresses: []string{refusing}},
		"no cluster":      {Addresses: []string{refusing}, Cluster: true},
		"no sentinel":     {Addresses: []string{refusing}, MasterName: "gateway"},
	}
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, fleetLimit, 0, func() redis.UniversalClient { return newTestClient(t, o) })
			f.reach(Degraded, degradedWithin)
			f.resume(firstSilence)
			f.pass(500 * time.Millisecond)
			f.check()
		})
	}
}
