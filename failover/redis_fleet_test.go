package failover

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

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
