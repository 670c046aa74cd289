package failover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// heardWithin is what is promised of how long replicas take to hear of changes.
const heardWithin = time.Second

// patience is for what no time is promised of.
const patience = 20 * time.Second

// newTestClient is a client as NewSharedBreakers asks for: of a Cluster if there
// are several addresses.
func newTestClient(t testing.TB, addrs ...string) redis.UniversalClient {
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs:                    addrs,
		MaxRetries:               -1,
		ContextTimeoutEnabled:    true,
		DialTimeout:              250 * time.Millisecond,
		DialerRetries:            1,
		ReadTimeout:              patience, // what is promised does not hang on the client's own
		WriteTimeout:             patience,
		PoolTimeout:              patience,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// until asks again and again until something holds.
func until(within time.Duration, what string, holds func() bool) error {
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for began := time.Now(); !holds(); <-again.C {
		if time.Since(began) > within {
			return fmt.Errorf("not within %s: %s", within, what)
		}
	}
	return nil
}

// pass lets time pass.
func pass(d time.Duration) { <-time.After(d) }

// replica is one gateway.
type replica struct {
	*Breakers
	rule      Rule
	namespace string
	exact     bool // its time is that of a bubble, of which no load of the machine takes any

	mu      sync.Mutex
	changes []State
	slowest time.Duration // Allow
}

// fleet is several replicas that share their breakers.
type fleet []*replica

// newFleet starts replicas with a client each.
func newFleet(t *testing.T, n int, namespace string, rule Rule, addrs ...string) fleet {
	return newFleetOf(t, n, namespace, rule, func() redis.UniversalClient { return newTestClient(t, addrs...) })
}

func newFleetOf(t *testing.T, n int, namespace string, rule Rule, client func() redis.UniversalClient) fleet {
	var f fleet
	for range n {
		r := &replica{
			Breakers:  NewSharedBreakers(client(), namespace),
			rule:      rule,
			namespace: namespace,
		}
		r.rule.Changed = func(_ Key, s State) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.changes = append(r.changes, s)
		}
		r.Start()
		t.Cleanup(func() { _ = r.Close() })
		f = append(f, r)
	}
	return f
}

// newExactFleet starts replicas in a bubble.
func newExactFleet(t *testing.T, n int, rule Rule, network *redistest.Network) fleet {
	f := newFleetOf(t, n, t.Name(), rule, func() redis.UniversalClient {
		client := newTestClient(t, redistest.Anywhere)
		network.Connect(client)
		return client
	})
	for _, r := range f {
		r.exact = true
	}
	return f
}

// playExactly plays with a fleet of two in a bubble.
func playExactly(t *testing.T, rule Rule, play func(f fleet, network *redistest.Network) error) {
	network := redistest.NewNetwork(t)
	testwait.Bubble(t, func(t *testing.T) {
		network.OneWay = 200 * time.Microsecond
		f := newExactFleet(t, 2, rule, network)
		f.connect(t)
		if err := play(f, network); err != nil {
			t.Error(err)
		}
		for i, r := range f {
			if r.slowest > redisTimeout {
				t.Errorf("a call at replica %d waited %s, want at most %s", i, r.slowest, redisTimeout)
			}
		}
		network.Heal()
		testwait.Pass(time.Minute) // the client dials in the background
	})
}

// within is how long a replica may take for what is promised within a time: that, in
// the time of a bubble, since a machine keeps no promises.
func (r *replica) within(promised time.Duration) time.Duration {
	if r.exact {
		return promised
	}
	return max(promised, patience)
}

// none reports whether the call was turned away.
func (a Admission) none() bool { return a == Admission{} }

// reports has a call fail until that is reported: once, and again where Redis took too
// long for a busy machine, since what is lost so is not made up for.
func (r *replica) reports(key Key, isThere func() bool) error {
	fail := func() {
		if admitted, err := r.Allow(context.Background(), key, Rule{}); err == nil {
			admitted.Done(Failure)
		}
	}
	fail()
	lost := r.Dropped()
	return until(patience, "the failure is reported", func() bool {
		if n := r.Dropped(); n != lost {
			lost = n
			fail()
		}
		return isThere()
	})
}

// allow begins a call.
func (r *replica) allow() Admission {
	began := time.Now()
	admitted, err := r.Allow(context.Background(), testKey, r.rule)
	took := time.Since(began)
	if err != nil && !errors.Is(err, ErrOpen) {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slowest = max(r.slowest, took)
	return admitted
}

// end makes a permitted call that ends with the result.
func (r *replica) end(result Result) error {
	admitted := r.allow()
	if admitted.none() {
		return fmt.Errorf("a call that was to end as %d is turned away", result)
	}
	admitted.Done(result)
	return nil
}

func (r *replica) fail(times int) (err error) {
	for range times {
		err = errors.Join(err, r.end(Failure))
	}
	return err
}

// is waits until replicas have a state.
func (f fleet) is(want State) error {
	for i, r := range f {
		err := until(r.within(heardWithin), fmt.Sprintf("replica %d is %s", i, want), func() bool {
			h := r.read(testKey)
			return h.state(time.Now()) == want
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// counts waits until replicas know of so many failures in a row.
func (f fleet) counts(want int) error {
	for i, r := range f {
		err := until(r.within(heardWithin), fmt.Sprintf("replica %d knows of %d failures", i, want), func() bool {
			return len(r.read(testKey).failures) == want
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// due waits until a probe is due everywhere.
func (f fleet) due() error {
	for _, r := range f {
		if err := until(r.within(r.rule.OpenFor+r.rule.ProbeFor+heardWithin), "a probe is due", func() bool {
			h := r.read(testKey)
			return h.isOpen() && h.wait(r.rule.withDefaults(), time.Now()) <= 0
		}); err != nil {
			return err
		}
	}
	return nil
}

// changes waits until the owners have heard of so many changes altogether, and
// says how many there were of each state.
func (f fleet) changed(want ...State) error {
	got := make(map[State]int)
	err := until(f[0].within(heardWithin), "as many changes are reported", func() bool {
		clear(got)
		n := 0
		for _, r := range f {
			r.mu.Lock()
			for _, s := range r.changes {
				got[s]++
				n++
			}
			r.mu.Unlock()
		}
		return n >= len(want)
	})
	for _, s := range want {
		got[s]--
	}
	for s, n := range got {
		if n != 0 {
			err = errors.Join(err, fmt.Errorf("%+d reports of %s", n, s))
		}
	}
	return err
}

// connect waits until all replicas are connected.
func (f fleet) connect(t *testing.T) {
	t.Helper()
	for _, r := range f {
		if err := until(patience, "Redis answers", r.asks); err != nil {
			t.Fatal(err)
		}
	}
}

// asks says whether Redis answers a replica, and connects it.
func (r *replica) asks() bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := r.shared.scripts
	return r.shared.reachable.Load() && s.reads.Client.Exists(ctx, s.keys...).Err() == nil
}

// watch says at its end whether any replica was on its own in between.
func (f fleet) watch() (disturbed func() bool) {
	var (
		alone   bool
		end     = make(chan struct{})
		watcher sync.WaitGroup
	)
	watcher.Go(func() {
		again := time.NewTicker(pollEvery / 50)
		defer again.Stop()
		for {
			for _, r := range f {
				alone = alone || r.Dropped() > 0 || !r.shared.reachable.Load()
			}
			select {
			case <-end:
				return
			case <-again.C:
			}
		}
	})
	return func() bool {
		close(end)
		watcher.Wait()
		return alone
	}
}

// playUndisturbed plays with a fleet. Where the machine has kept Redis from
// answering in time the replicas were on their own, and it is played again.
func playUndisturbed(t *testing.T, n int, rule Rule, addrs []string, play func(f fleet) error) {
	t.Helper()
	for attempt := range 10 {
		f := newFleet(t, n, fmt.Sprint(t.Name(), attempt), rule, addrs...)
		f.connect(t)
		disturbed := f.watch()
		err := play(f)
		alone := disturbed()
		if err == nil {
			return
		}
		if !alone {
			t.Fatal(err)
		}
		t.Logf("disturbed, to be played again: %v", err)
	}
	t.Fatal("Redis never answers in time")
}

// shortRule is one that tests need not wait long for.
var shortRule = Rule{OpenFor: 300 * time.Millisecond, ProbeFor: 3 * time.Second}
