package limiter

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

const (
	// firstSilence is how long a fleet is silent that starts, with some leeway.
	firstSilence = 2 * time.Second
	// The bounds that are promised.
	degradedWithin  = time.Second
	recoveredWithin = 2 * time.Second
)

func TestThreeReplicasUseTheWholeCapAndNoMore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := newFleet(t, func() redis.UniversalClient {
		return newTestClient(t, RedisOptions{Addresses: []string{server.Addr}})
	})
	f.resume(firstSilence)
	const spans = 4
	from := time.Now().Add(time.Second)
	f.pass(time.Second + spans*fleetLimit.Span() + 100*time.Millisecond)
	f.check()
	n := 0
	for _, d := range f.departures(from) {
		if d < int64(spans*fleetLimit.Span()) {
			n++
		}
	}
	most := spans * fleetLimit.Requests
	t.Logf("%d departures in %d spans, %.1f %% of %d", n, spans, 100*float64(n)/float64(most), most)
	if n < most*98/100 {
		t.Errorf("%d departures in %d spans, want at least 98 %% of %d", n, spans, most)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T) (addr string, fault, heal func()){
		"stopped": func(t *testing.T) (string, func(), func()) {
			s := redistest.Start(t)
			return s.Addr, s.Pause, s.Resume
		},
		"killed, restarted empty": func(t *testing.T) (string, func(), func()) {
			s := redistest.Start(t)
			return s.Addr, s.Kill, s.Restart
		},
		"black hole": func(t *testing.T) (string, func(), func()) {
			r := redistest.StartRelay(t, redistest.Start(t).Addr)
			return r.Addr, r.Swallow, r.Pass
		},
	}
	for name, start := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, fault, heal := start(t)
			f := newRunningFleet(t, func() redis.UniversalClient {
				return newTestClient(t, RedisOptions{Addresses: []string{addr}})
			})
			f.pass(500 * time.Millisecond)
			fault()
			f.callInTheMiddle()
			f.reach(Degraded, degradedWithin)
			f.await(firstSilence, "every replica departs on its own", f.onTheirOwn)
			f.pass(1200 * time.Millisecond)
			heal()
			began := time.Now()
			f.reach(Shared, recoveredWithin)
			f.pass(200 * time.Millisecond)
			f.resume(recoveredWithin - time.Since(began))
			f.pass(1200 * time.Millisecond)
			f.check()
		})
	}
}

func TestRestartedEmptyBetweenTwoBeats(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := newRunningFleet(t, func() redis.UniversalClient {
		return newTestClient(t, RedisOptions{Addresses: []string{server.Addr}})
	})
	f.pass(500 * time.Millisecond)
	server.Kill()
	server.Restart()
	f.pass(200 * time.Millisecond)
	f.resume(recoveredWithin)
	f.pass(1200 * time.Millisecond)
	f.check()
}

func TestShortStopCostsNoSilence(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := newRunningFleet(t, func() redis.UniversalClient {
		return newTestClient(t, RedisOptions{Addresses: []string{server.Addr}})
	})
	f.pass(1200 * time.Millisecond)
	opened := f.opened()
	server.Pause()
	f.reach(Degraded, degradedWithin)
	server.Resume()
	f.reach(Shared, 500*time.Millisecond)
	f.pass(1500 * time.Millisecond)
	f.check()
	if f.opened() != opened {
		t.Error("a new history was begun")
	}
	all := slices.Sorted(slices.Values(f.departures(f.began)))
	for i := range all[1:] {
		if pause := time.Duration(all[i+1] - all[i]); pause > fleetLimit.Span() {
			t.Errorf("%s without a departure", pause)
		}
	}
}

func TestHistoryAndScriptFlushed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := newRunningFleet(t, func() redis.UniversalClient {
		return newTestClient(t, RedisOptions{Addresses: []string{server.Addr}})
	})
	f.pass(300 * time.Millisecond)
	if _, err := server.Do("SCRIPT", "FLUSH"); err != nil {
		t.Fatal(err)
	}
	f.pass(1200 * time.Millisecond)
	for _, r := range f.replicas {
		r.mu.Lock()
		if len(r.changes) != 0 {
			t.Errorf("a script that was flushed is reported as %v", r.changes)
		}
		r.mu.Unlock()
	}
	if _, err := server.Do("FLUSHALL"); err != nil {
		t.Fatal(err)
	}
	f.pass(200 * time.Millisecond)
	f.resume(recoveredWithin)
	f.pass(1200 * time.Millisecond)
	f.check()
	for _, r := range f.replicas {
		if len(r.changes) != 1 || r.changes[0].state != Shared || !errors.Is(r.changes[0].err, ErrHistoryLost) {
			t.Errorf("a history that was flushed is reported as %v", r.changes)
		}
	}
}

func TestClusterFailover(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	f := newRunningFleet(t, func() redis.UniversalClient {
		return newTestClient(t, RedisOptions{Addresses: cluster.Addrs(), Cluster: true})
	})
	f.pass(500 * time.Millisecond)
	owner := cluster.Owner(f.replicas[0].window.script.keys[0])
	cluster.Masters[owner].Kill()
	f.reach(Degraded, degradedWithin)
	f.await(10*time.Second, "the other becomes master", func() bool {
		info, err := cluster.Replicas[owner].Do("INFO", "replication")
		return err == nil && strings.Contains(info, "role:master")
	})
	f.reach(Shared, recoveredWithin)
	f.pass(200 * time.Millisecond)
	f.resume(recoveredWithin)
	f.pass(1200 * time.Millisecond)
	f.check()
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	watched := redistest.StartWatched(t)
	f := newRunningFleet(t, func() redis.UniversalClient {
		return newTestClient(t, RedisOptions{
			Addresses: []string{watched.Sentinel.Addr}, MasterName: watched.Name,
		})
	})
	f.pass(500 * time.Millisecond)
	watched.Master.Kill()
	f.reach(Degraded, degradedWithin)
	f.await(10*time.Second, "the other becomes master", func() bool {
		info, err := watched.Replica.Do("INFO", "replication")
		return err == nil && strings.Contains(info, "role:master")
	})
	f.reach(Shared, recoveredWithin)
	f.pass(200 * time.Millisecond)
	f.resume(recoveredWithin)
	f.pass(1200 * time.Millisecond)
	f.check()
}

func TestNothingAnswersFromTheStart(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing.Close()
	tests := map[string]RedisOptions{
		"silent server":   {Addresses: []string{silent.Addr().String()}},
		"silent cluster":  {Addresses: []string{silent.Addr().String()}, Cluster: true},
		"silent sentinel": {Addresses: []string{silent.Addr().String()}, MasterName: "gateway"},
		"no server":       {Addresses: []string{refusing.Addr().String()}},
		"no cluster":      {Addresses: []string{refusing.Addr().String()}, Cluster: true},
		"no sentinel":     {Addresses: []string{refusing.Addr().String()}, MasterName: "gateway"},
	}
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, func() redis.UniversalClient { return newTestClient(t, o) })
			f.reach(Degraded, degradedWithin)
			f.resume(firstSilence)
			f.pass(500 * time.Millisecond)
			f.check()
		})
	}
}
