package failover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

const (
	// asksWithin is the promised bound of the one exchange that a call waits
	// for, and what a busy machine may add.
	asksWithin = redisTimeout + 40*time.Millisecond
	// backWithin is how long a replica takes to be back: its client connects
	// once a second at the worst.
	backWithin = 3 * time.Second
)

// away waits until replicas have noticed that Redis is away.
func (f fleet) away() error {
	for _, r := range f {
		if err := until(heardWithin, "Redis is away", func() bool { return !r.shared.reachable.Load() }); err != nil {
			return err
		}
	}
	return nil
}

func TestFaults(t *testing.T) {
	for name, start := range redistest.Outages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := start(t)
			rule := Rule{OpenFor: 500 * time.Millisecond, ProbeFor: 3 * time.Second}
			f := newFleet(t, 2, t.Name(), rule, redis.Addr)
			f.connect(t)
			if err := errors.Join(f[0].fail(2), f.counts(2)); err != nil {
				t.Fatal(err)
			}
			redis.Break()
			if !redis.Reads { // such a server is only noticed by what is reported to it
				if err := f.away(); err != nil {
					t.Fatal(err)
				}
			}

			// Each goes on alone, from what is known.
			if err := errors.Join(f[0].fail(2), f[:1].is(Open), f[1:].is(Closed), f[:1].due()); err != nil {
				t.Fatal(err)
			}
			probe := f[0].allow()
			if probe == nil || f[0].allow() != nil {
				t.Fatal("not one probe while Redis is away")
			}
			probe(Failure)
			if err := errors.Join(f[:1].is(Open), f[1:].is(Closed), f[:1].changed(Open, Open)); err != nil {
				t.Fatal(err)
			}
			if f[0].Dropped() == 0 {
				t.Error("no event is counted as dropped")
			}

			// And tells the other when Redis is back.
			redis.Heal()
			if err := until(backWithin, "the other hears of it", f[1].isOpen); err != nil {
				t.Fatal(err)
			}
			if err := f.due(); err != nil {
				t.Fatal(err)
			}
			if probe = f[1].allow(); probe == nil {
				t.Fatal("the other cannot probe")
			}
			probe(Success)
			if err := until(backWithin, "closed at both", func() bool { return !f[0].isOpen() && !f[1].isOpen() }); err != nil {
				t.Error(err)
			}
			for i, r := range f {
				if r.slowest > asksWithin {
					t.Errorf("a call at replica %d waited %s, want at most %s", i, r.slowest, asksWithin)
				}
			}
		})
	}
}

// A server that comes back with its clock set back is listened to all the same.
func TestVersionsOfALostMemoryAreForgotten(t *testing.T) {
	server := redistest.Start(t)
	f := newFleet(t, 2, t.Name(), Rule{}, server.Addr)
	f.connect(t)
	ahead := time.Now().Add(time.Hour).UnixMicro()
	if _, err := server.Do("ZADD", f[0].shared.scripts.keys[1], fmt.Sprint(ahead), "other"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f[0].fail(1), until(heardWithin, "such versions are in use", func() bool {
		h := f[0].read(testKey)
		return h.version > ahead
	})); err != nil {
		t.Fatal(err)
	}
	pass(2 * pollEvery)
	server.Kill()
	if err := f.away(); err != nil {
		t.Fatal(err)
	}
	server.Restart()
	if err := until(backWithin, "Redis is back", func() bool { return f[0].asks() && f[1].asks() }); err != nil {
		t.Fatal(err)
	}
	other := Key{"other", "alipay"}
	for range 4 {
		end(t, f[0].Breakers, other, Rule{}, Failure)
	}
	if err := until(backWithin, "the other hears of it", func() bool {
		h := f[1].read(other)
		return h.isOpen()
	}); err != nil {
		t.Error(err)
	}
}

// The call that finds out that Redis is away waits no longer than promised, and is
// the probe all the same.
func TestProbeFindsRedisAway(t *testing.T) {
	server := redistest.Start(t)
	f := newFleet(t, 1, t.Name(), shortRule, server.Addr)
	f.connect(t)
	if err := errors.Join(f[0].fail(4), f.is(Open), f.due()); err != nil {
		t.Fatal(err)
	}
	f[0].shared.stop() // so that nothing but the call asks
	<-f[0].shared.done
	f[0].shared.reachable.Store(true)
	server.Pause()
	f[0].slowest = 0
	probe := f[0].allow()
	if probe == nil {
		t.Fatal("no probe")
	}
	if took := f[0].slowest; took > asksWithin || took < redisTimeout/2 {
		t.Errorf("the probe waited %s, want about %s", took, redisTimeout)
	}
	if f[0].shared.reachable.Load() {
		t.Error("that Redis is away goes unnoticed")
	}
	probe(Success)
	if err := errors.Join(f.is(Closed), f.changed(Open, Closed)); err != nil {
		t.Error(err)
	}
}

func TestNothingAnswersFromTheStart(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = refusing.Close()
	for name, addr := range map[string]string{"silent": silent.Addr().String(), "refusing": refusing.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 1, t.Name(), shortRule, addr)
			if err := errors.Join(f[0].fail(4), f.is(Open), f.due(), f[0].end(Success), f.is(Closed)); err != nil {
				t.Error(err)
			}
			if f[0].slowest > asksWithin {
				t.Errorf("a call waited %s", f[0].slowest)
			}
		})
	}
}

func TestScriptsAreLoadedAgain(t *testing.T) {
	server := redistest.Start(t)
	playUndisturbed(t, 2, Rule{}, []string{server.Addr}, func(f fleet) error {
		err := errors.Join(f[0].fail(2), f.counts(2))
		if _, flushed := server.Do("SCRIPT", "FLUSH"); flushed != nil {
			t.Fatal(flushed)
		}
		return errors.Join(err, f[1].fail(2), f.is(Open), f.changed(Open))
	})
}

func TestBurstOfFailuresHoldsUpNobody(t *testing.T) {
	server := redistest.Start(t)
	f := newFleet(t, 1, t.Name(), Rule{}, server.Addr)
	f.connect(t)
	if err := errors.Join(f[0].fail(1), until(heardWithin, "it is told", func() bool {
		return f[0].read(testKey).version > 0
	})); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	f[0].shared.reachable.Store(true) // should the worker have noticed already
	began := time.Now()
	const calls = 5 * queueSize
	for i := range calls {
		done, err := f[0].Allow(t.Context(), Key{fmt.Sprint(i), "alipay"}, Rule{})
		if err != nil {
			t.Fatal(err)
		}
		done(Failure)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("%d failures took %s", calls, took)
	}
	if err := until(patience, "all that cannot be told is dropped and counted", func() bool {
		return f[0].Dropped() >= calls
	}); err != nil {
		t.Error(err)
	}
	server.Resume()
}

func TestClosedGoesOnAlone(t *testing.T) {
	server := redistest.Start(t)
	playUndisturbed(t, 2, shortRule, []string{server.Addr}, func(f fleet) error {
		err := errors.Join(f[0].fail(3), f.counts(3))
		for range 2 {
			if err := f[0].Close(); err != nil {
				return err
			}
		}
		before := f[0].Dropped()
		err = errors.Join(err, f[0].fail(1), f[:1].is(Open), f[:1].due(), f[0].end(Success), f[:1].is(Closed),
			f[:1].changed(Open, Closed))
		if f[0].Dropped() == before {
			err = errors.Join(err, errors.New("events after Close are not counted as dropped"))
		}
		pass(2 * pollEvery)
		return errors.Join(err, f[1:].counts(3), f[1].fail(1), f[1:].is(Open))
	})
}

func TestCluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	playUndisturbed(t, 2, shortRule, cluster.Addrs(), func(f fleet) error {
		err := errors.Join(f[0].fail(2), f[1].fail(2), f.is(Open), f.changed(Open), f.due())
		probe, n := f.rush()
		if n != 1 {
			return errors.Join(err, fmt.Errorf("%d probes", n))
		}
		probe(Success)
		return errors.Join(err, f.is(Closed))
	})
}

func TestClusterFailover(t *testing.T) {
	cluster := redistest.StartCluster(t)
	f := newFleet(t, 2, t.Name(), Rule{}, cluster.Addrs()...)
	owner := cluster.Owner(f[0].shared.scripts.keys[0])
	cluster.Masters[owner].Kill()
	if err := errors.Join(f.away(), f[0].fail(4), f[:1].is(Open)); err != nil {
		t.Fatal(err)
	}
	if err := until(patience, "the other becomes master", cluster.Replicas[owner].IsMaster); err != nil {
		t.Fatal(err)
	}
	if err := until(backWithin, "the other replica hears of it", f[1].isOpen); err != nil {
		t.Error(err)
	}
}

func TestKeysInRedis(t *testing.T) {
	server := redistest.Start(t)
	client := newTestClient(t, server.Addr)
	f := newFleet(t, 1, "secret-namespace", Rule{}, server.Addr)
	done, _ := f[0].Allow(t.Context(), Key{"secret-tenant", "secret-provider"}, Rule{})
	done(Failure)
	var keys []string
	if err := until(patience, "the failure is told", func() bool {
		keys, _ = client.Keys(context.Background(), "*").Result()
		return len(keys) > 0
	}); err != nil {
		t.Fatal(err)
	}
	fields, err := client.HKeys(t.Context(), f[0].shared.scripts.keys[0]).Result()
	if err != nil || len(fields) != 1 {
		t.Fatalf("fields %q, %v", fields, err)
	}
	tags := make(map[string]bool)
	for _, key := range keys {
		ttl, err := client.PTTL(t.Context(), key).Result()
		if err != nil || ttl <= 0 || ttl > remembered {
			t.Errorf("time to live of %s is %s, %v", key, ttl, err)
		}
		_, tag, _ := strings.Cut(key, "{")
		tag, _, tagged := strings.Cut(tag, "}")
		if !tagged {
			t.Errorf("%s has no tag", key)
		}
		tags[tag] = true
	}
	if len(keys) != 2 || len(tags) != 1 {
		t.Errorf("keys %q have %d tags, want two with one", keys, len(tags))
	}
	if names := strings.Join(append(keys, fields...), " "); strings.Contains(names, "secret") {
		t.Errorf("names are in keys: %s", names)
	}
}
