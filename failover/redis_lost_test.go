package failover

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// A breaker that opened while Redis was lost stays open when Redis is back, however many of its failures Redis has
// counted, and the other replica hears of it.
func TestOpenWhileRedisIsLostStaysOpen(t *testing.T) {
	for name, fault := range redistest.Faults() {
		for counted := range 4 {
			t.Run(fmt.Sprintf("%s after %d failures", name, counted), func(t *testing.T) {
				playExactly(t, Rule{}, func(f fleet, network *redistest.Network) error {
					if err := errors.Join(f[0].fail(counted), f.counts(counted)); err != nil {
						return err
					}
					network.Break(fault)
					if err := errors.Join(f[0].fail(4-counted), f[:1].is(Open), f[:1].away()); err != nil {
						return err
					}
					network.Heal()
					heard := until(backWithin, "the other hears of it", f[1].isOpen)
					pass(4 * pollEvery)
					return errors.Join(heard, f.is(Open), f[:1].changed(Open))
				})
			})
		}
	}
}

// So does one all of whose failures were on their way when the connection broke.
func TestOpenWhileReportsAreInFlight(t *testing.T) {
	for after := range 16 {
		moment := time.Duration(after) * 100 * time.Microsecond
		t.Run(moment.String(), func(t *testing.T) {
			playExactly(t, Rule{}, func(f fleet, network *redistest.Network) error {
				if err := f[0].fail(4); err != nil {
					return err
				}
				pass(moment)
				network.Break(redistest.Fault{Loses: true})
				pass(redisTimeout)
				network.Heal()
				heard := until(backWithin, "the other hears of it", f[1].isOpen)
				pass(4 * pollEvery)
				return errors.Join(heard, f.is(Open))
			})
		})
	}
}

// One that opened when as much was to be reported as waits at most is reported as soon as there is room.
func TestOpenWhereTooMuchIsReported(t *testing.T) {
	playExactly(t, Rule{}, func(f fleet, _ *redistest.Network) error {
		f[0].shared.reachable.Store(false) // what is reported now is dropped, and no poll makes up for it
		err := f[0].fail(4)
		f[0].shared.reachable.Store(true)
		heard := until(backWithin, "the other hears of it", f[1].isOpen)
		pass(4 * pollEvery)
		return errors.Join(err, heard, f.is(Open))
	})
}

// What another replica has closed meanwhile is closed, also here.
func TestClosedWhileRedisIsLostToOneReplica(t *testing.T) {
	playExactly(t, shortRule, func(f fleet, network *redistest.Network) error {
		if err := errors.Join(f[0].fail(4), f.is(Open), f.due()); err != nil {
			return err
		}
		f[0].shared.lose(nil) // as if its own connection had broken
		if err := f[1].end(Success); err != nil {
			return err
		}
		pass(4 * pollEvery)
		return f.is(Closed)
	})
}

// One that Redis never hears of, since the report of it was one too many, has its probe all the same.
func TestProbeOfWhatRedisHasNotHeard(t *testing.T) {
	playExactly(t, shortRule, func(f fleet, _ *redistest.Network) error {
		if err := errors.Join(f[0].fail(2), f.counts(2)); err != nil {
			return err
		}
		f[0].shared.reachable.Store(false) // what is reported now is dropped, and no poll makes up for it
		err := f[0].fail(2)
		f[0].shared.reachable.Store(true)
		if err := errors.Join(err, f[1].fail(1), f[1:].counts(3), f[:1].due()); err != nil {
			return err
		}
		probe := f[0].allow()
		if probe.none() || !f[0].allow().none() {
			return errors.New("not one probe")
		}
		probe.Done(Success)
		return errors.Join(f[:1].is(Closed), f[:1].changed(Open, Closed))
	})
}
