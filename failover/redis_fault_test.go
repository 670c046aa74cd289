package failover

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

const (
	// backWithin is how long a replica takes to be back: its client connects
	// once a second at the worst.
	backWithin = 3 * time.Second
)

// away waits until replicas have noticed that Redis is away.
func (f fleet) away() error {
	for _, r := range f {
		if err := until(r.within(heardWithin), "Redis is away", func() bool { return !r.shared.reachable.Load() }); err != nil {
			return err
		}
	}
	return nil
}

// Whatever happens to Redis, the promised times are kept: with the real client and
// scripts, in the time of a bubble.
func TestPromisesInFaults(t *testing.T) {
	for name, fault := range redistest.Faults() {
		t.Run(name, func(t *testing.T) {
			playExactly(t, outageRule, func(f fleet, network *redistest.Network) error {
				return errors.Join(f.beforeOutage(), f.outage(redistest.Outage{
					Break: func() { network.Break(fault) }, Heal: network.Heal,
				}), f.afterOutage())
			})
		})
	}
}

// Over sockets a machine may keep Redis from answering in time, so that what is
// reported before or after the outage is dropped: then it is played again.
func TestFaults(t *testing.T) {
	for name, start := range redistest.Outages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 10 {
				redis := start(t)
				f := newFleet(t, 2, t.Name(), outageRule, redis.Addr)
				f.connect(t)
				disturbed := f.watch()
				err := f.beforeOutage()
				if again := disturbed(); err != nil && again {
					t.Logf("disturbed, to be played again: %v", err)
					continue
				}
				if err := errors.Join(err, f.outage(redis)); err != nil {
					t.Fatal(err)
				}
				if err := until(patience, "Redis answers", func() bool { return f[0].asks() && f[1].asks() }); err != nil {
					t.Fatal(err)
				}
				dropped := f[0].Dropped() + f[1].Dropped()
				err = f.afterOutage()
				if err == nil {
					return
				}
				if f[0].Dropped()+f[1].Dropped() == dropped {
					t.Fatal(err)
				}
				t.Logf("disturbed, to be played again: %v", err)
			}
			t.Fatal("Redis never answers in time")
		})
	}
}

// outageRule is that of fleets that go through an outage.
var outageRule = Rule{OpenFor: 500 * time.Millisecond, ProbeFor: 3 * time.Second}

// beforeOutage lets a replica report two failures.
func (f fleet) beforeOutage() error { return errors.Join(f[0].fail(2), f.counts(2)) }

// outage breaks Redis, sees the replicas go on alone, and heals it.
func (f fleet) outage(redis redistest.Outage) error {
	redis.Break()
	if !redis.Reads { // such a server is only noticed by what is reported to it
		if err := f.away(); err != nil {
			return err
		}
	}
	if err := errors.Join(f[0].fail(2), f[:1].is(Open), f[1:].is(Closed), f[:1].due()); err != nil {
		return err
	}
	probe := f[0].allow()
	if probe.none() || !f[0].allow().none() {
		return errors.New("not one probe while Redis is away")
	}
	probe.Done(Failure)
	err := errors.Join(f[:1].is(Open), f[1:].is(Closed), f[:1].changed(Open, Open))
	if f[0].Dropped() == 0 {
		err = errors.Join(err, errors.New("no event is counted as dropped"))
	}
	redis.Heal()
	return err
}

// afterOutage sees what is open reported to the other replica, and closed again.
func (f fleet) afterOutage() error {
	if err := until(f[0].within(backWithin), "the other hears of it", f[1].isOpen); err != nil {
		return err
	}
	if err := f.due(); err != nil {
		return err
	}
	probe := f[1].allow()
	if probe.none() {
		return errors.New("the other cannot probe")
	}
	probe.Done(Success)
	return until(f[0].within(backWithin), "closed at both", func() bool { return !f[0].isOpen() && !f[1].isOpen() })
}

// A server that comes back with its clock set back is polled all the same.
func TestVersionsOfALostMemoryAreForgotten(t *testing.T) {
	server := redistest.Start(t)
	f := newFleet(t, 2, t.Name(), Rule{}, server.Addr)
	f.connect(t)
	ahead := time.Now().Add(time.Hour).UnixMicro()
	if _, err := server.Do("ZADD", f[0].shared.scripts.keys[1], fmt.Sprint(ahead), "other"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f[0].fail(1), until(f[0].within(heardWithin), "such versions are in use", func() bool {
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
	if err := until(f[0].within(backWithin), "Redis is back", func() bool { return f[0].asks() && f[1].asks() }); err != nil {
		t.Fatal(err)
	}
	other := Key{"other", "alipay"}
	for range 4 {
		end(t, f[0].Breakers, other, Rule{}, Failure)
	}
	if err := until(f[0].within(backWithin), "the other hears of it", func() bool {
		h := f[1].read(other)
		return h.isOpen()
	}); err != nil {
		t.Error(err)
	}
}

// The call that finds out that Redis is away waits no longer than promised, and is
// the probe all the same.
func TestProbeFindsRedisAway(t *testing.T) {
	playExactly(t, shortRule, func(f fleet, network *redistest.Network) error {
		if err := errors.Join(f[0].fail(4), f.is(Open), f.due()); err != nil {
			return err
		}
		f[0].shared.stop() // so that nothing but the call asks
		<-f[0].shared.done
		f[0].shared.reachable.Store(true)
		network.Break(redistest.Fault{Swallows: true})
		f[0].slowest = 0
		probe := f[0].allow()
		if probe.none() {
			return errors.New("no probe")
		}
		var err error
		if took := f[0].slowest; took != redisTimeout {
			err = fmt.Errorf("the probe waited %s, want %s", took, redisTimeout)
		}
		if f[0].shared.reachable.Load() {
			err = errors.Join(err, errors.New("that Redis is away goes unnoticed"))
		}
		probe.Done(Success)
		return errors.Join(err, f[:1].is(Closed), f[:1].changed(Open, Closed))
	})
}

func TestNothingAnswersFromTheStart(t *testing.T) {
	for name, fault := range redistest.Faults() {
		t.Run(name, func(t *testing.T) {
			network := redistest.NewNetwork(t)
			network.Break(fault)
			testwait.Bubble(t, func(t *testing.T) {
				f := newExactFleet(t, 1, shortRule, network)
				if err := errors.Join(f[0].fail(4), f.is(Open), f.due(), f[0].end(Success), f.is(Closed)); err != nil {
					t.Error(err)
				}
				if f[0].slowest > redisTimeout {
					t.Errorf("a call waited %s", f[0].slowest)
				}
				network.Heal()
				time.Sleep(time.Minute) // the client dials in the background
			})
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

func TestBurstOfFailuresBlocksNoCall(t *testing.T) {
	server := redistest.Start(t)
	f := newFleet(t, 1, t.Name(), Rule{}, server.Addr)
	f.connect(t)
	if err := f[0].reports(testKey, func() bool { return f[0].read(testKey).version > 0 }); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	f[0].shared.reachable.Store(true) // should the worker have noticed already
	began := time.Now()
	const calls = 5 * queueSize
	for i := range calls {
		admitted, err := f[0].Allow(t.Context(), Key{fmt.Sprint(i), "alipay"}, Rule{})
		if err != nil {
			t.Fatal(err)
		}
		admitted.Done(Failure)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("%d failures took %s", calls, took)
	}
	if err := until(patience, "all that cannot be reported is dropped and counted", func() bool {
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
		probe.Done(Success)
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
	if err := until(f[0].within(backWithin), "the other replica hears of it", f[1].isOpen); err != nil {
		t.Error(err)
	}
}

func TestKeysInRedis(t *testing.T) {
	server := redistest.Start(t)
	client := newTestClient(t, server.Addr)
	f := newFleet(t, 1, "secret-namespace", Rule{}, server.Addr)
	var keys []string
	if err := f[0].reports(Key{"secret-tenant", "secret-provider"}, func() bool {
		keys, _ = client.Keys(context.Background(), "*").Result()
		return len(keys) >= 3 // that of the poll may be there first
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
	if len(keys) != 3 || len(tags) != 1 {
		t.Errorf("keys %q have %d tags, want three with one", keys, len(tags))
	}
	if names := strings.Join(append(keys, fields...), " "); strings.Contains(names, "secret") {
		t.Errorf("names are in keys: %s", names)
	}
}
