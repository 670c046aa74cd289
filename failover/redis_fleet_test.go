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
		time.Sleep(time.Minute) // the client dials in the background
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

func TestFleet(t *testing.T) {
	tests := map[string]struct {
		rule Rule
		play func(f fleet) error
	}{
		"failures in a row add up": {Rule{}, func(f fleet) error {
			if err := errors.Join(f[0].fail(2), f[1].fail(2)); err != nil {
				return err
			}
			return errors.Join(f.is(Open), f.changed(Open))
		}},
		"failures in a row add up, one by one": {Rule{}, func(f fleet) error {
			for i := range 3 {
				if err := errors.Join(f[i%2].fail(1), f.counts(i+1)); err != nil {
					return err
				}
			}
			return errors.Join(f[1].fail(1), f.is(Open), f.changed(Open))
		}},
		"what one opens the others hear of": {Rule{}, func(f fleet) error {
			return errors.Join(f[0].fail(4), f[:1].is(Open), f.is(Open), f.changed(Open))
		}},
		"a success at one resets for all": {Rule{}, func(f fleet) error {
			return errors.Join(
				f[0].fail(3), f.counts(3), f[1].end(Success), f.counts(0),
				f[0].fail(3), f.counts(3), f.is(Closed), f.changed())
		}},
		"failures too far apart": {Rule{Within: 200 * time.Millisecond}, func(f fleet) error {
			err := errors.Join(f[0].fail(1), f[1].fail(2), f.counts(3))
			pass(200 * time.Millisecond)
			return errors.Join(err, f[1].fail(1), f.is(Closed), f.counts(4), f.is(Closed), f.changed())
		}},
		"one probe, which closes for all": {shortRule, func(f fleet) error {
			err := errors.Join(f[0].fail(4), f.is(Open), f.due())
			probe, n := f.rush()
			if n != 1 {
				return errors.Join(err, fmt.Errorf("%d probes", n))
			}
			if a, b := f[0].read(testKey), f[1].read(testKey); a.probe.holder != b.probe.holder {
				err = errors.Join(err, errors.New("who was refused does not know the probe"))
			}
			err = errors.Join(err, f.is(HalfOpen))
			probe.Done(Success)
			return errors.Join(err, f.is(Closed), f.changed(Open, Closed),
				f[0].fail(1), f[1].fail(2), f.is(Closed))
		}},
		"one probe, which opens for all": {shortRule, func(f fleet) error {
			err := errors.Join(f[0].fail(4), f.is(Open), f.due())
			probe, n := f.rush()
			if n != 1 {
				return errors.Join(err, fmt.Errorf("%d probes", n))
			}
			err = errors.Join(err, f.is(HalfOpen))
			probe.Done(Failure)
			return errors.Join(err, f.is(Open), f.changed(Open, Open), f.due())
		}},
		"a probe without an outcome gives its place back": {shortRule, func(f fleet) error {
			err := errors.Join(f[0].fail(4), f.is(Open), f.due(), f[0].end(Ignored))
			err = errors.Join(err, until(f[0].within(heardWithin), "another probe", func() bool {
				probe := f[1].allow()
				if !probe.none() {
					probe.Done(Success)
				}
				return !probe.none()
			}))
			return errors.Join(err, f.is(Closed), f.changed(Open, Closed))
		}},
		"a probe that hangs frees its place": {
			Rule{OpenFor: 300 * time.Millisecond, ProbeFor: 700 * time.Millisecond},
			func(f fleet) error {
				err := errors.Join(f[0].fail(4), f.is(Open), f.due())
				hung := f[0].allow()
				if hung.none() {
					return errors.Join(err, errors.New("no first probe"))
				}
				began := time.Now()
				err = errors.Join(err, f.is(HalfOpen))
				if !f[1].allow().none() {
					return errors.Join(err, errors.New("a second probe while the first one has its lease"))
				}
				err = errors.Join(err, f.due())
				if took := time.Since(began); took > 1500*time.Millisecond {
					err = errors.Join(err, fmt.Errorf("the place is free after %s", took))
				}
				probe := f[1].allow()
				if probe.none() {
					return errors.Join(err, errors.New("no second probe"))
				}
				hung.Done(Success) // too late
				pass(2 * pollEvery)
				for i, r := range f {
					if !r.isOpen() {
						err = errors.Join(err, fmt.Errorf("replica %d is closed by a probe that came too late", i))
					}
				}
				probe.Done(Success)
				return errors.Join(err, f.is(Closed))
			},
		},
		"results from before it opened do not count": {shortRule, func(f fleet) error {
			slow := []Admission{f[1].allow(), f[1].allow(), f[1].allow(), f[1].allow(), f[1].allow()}
			err := errors.Join(f[0].fail(4), f.is(Open))
			slow[0].Done(Success)
			pass(2 * pollEvery)
			err = errors.Join(err, f.due(), f[0].end(Success), f.is(Closed))
			for _, admitted := range slow[1:] {
				admitted.Done(Failure)
			}
			pass(2 * pollEvery)
			return errors.Join(err, f.is(Closed), f.counts(0), f.changed(Open, Closed))
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			playExactly(t, tt.rule, func(f fleet, _ *redistest.Network) error { return tt.play(f) })
		})
	}
}

func (r *replica) isOpen() bool {
	h := r.read(testKey)
	return h.isOpen()
}

// rush makes many calls at once at all replicas, and says how many were let
// through; probe is one of them.
func (f fleet) rush() (probe Admission, n int) {
	var (
		mu    sync.Mutex
		calls sync.WaitGroup
	)
	for _, r := range f {
		for range 50 {
			calls.Go(func() {
				admitted := r.allow()
				mu.Lock()
				defer mu.Unlock()
				if !admitted.none() {
					probe = admitted
					n++
				}
			})
		}
	}
	calls.Wait()
	return probe, n
}

func TestReplicaThatStartsKnowsWhatIsOpen(t *testing.T) {
	server := redistest.Start(t)
	playUndisturbed(t, 1, Rule{}, []string{server.Addr}, func(f fleet) error {
		// More than a page of others that change afterwards.
		err := errors.Join(f[0].fail(4), f.is(Open))
		for i := range 2*pageSize + 10 {
			admitted, _ := f[0].Allow(t.Context(), Key{fmt.Sprint("other", i), "alipay"}, Rule{})
			admitted.Done(Failure)
			if i%100 == 0 {
				pass(20 * time.Millisecond) // the queue is bounded
			}
		}
		err = errors.Join(err, until(patience, "all is reported", func() bool { return len(f[0].shared.reports) == 0 }))
		late := newFleet(t, 1, f[0].namespace, Rule{}, server.Addr)
		return errors.Join(err, late.is(Open), until(f[0].within(heardWithin), "it knows of the others", func() bool {
			return late[0].find(Key{fmt.Sprint("other", 2*pageSize+9), "alipay"}) != nil
		}))
	})
}
