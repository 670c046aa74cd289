package failover

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// model is a breaker as it is meant: it keeps all that was ever reported, and
// looks through it for every decision.
type model struct {
	rule   Rule
	log    []reported
	began  time.Time // of the present period, open or closed
	period int
	open   bool
	probe  *modelCall
}

// reported is a result that counted while the breaker was closed.
type reported struct {
	at     time.Time
	period int
	result Result
}

type modelCall struct {
	period   int
	began    time.Time
	admitted Admission
}

// allow reports whether a call is admitted, or how long it is until one may be.
func (m *model) allow(now time.Time) (*modelCall, time.Duration) {
	c := &modelCall{period: m.period, began: now}
	if !m.open {
		return c, 0
	}
	wait := m.began.Add(m.rule.OpenFor).Sub(now)
	if m.probe != nil {
		wait = max(wait, m.probe.began.Add(m.rule.ProbeFor).Sub(now))
	}
	if wait > 0 {
		return nil, wait
	}
	m.probe = c
	return c, 0
}

func (m *model) turn(open bool, now time.Time) {
	m.open, m.began, m.probe = open, now, nil
	m.period++
}

func (m *model) end(c *modelCall, result Result, now time.Time) {
	switch {
	case m.open && c == m.probe:
		m.probe = nil
		switch result {
		case Success:
			m.turn(false, now)
		case Failure:
			m.turn(true, now)
		}
	case !m.open && c.period == m.period && result != Ignored:
		m.log = append(m.log, reported{now, m.period, result})
		if m.inARow(now) > m.rule.Failures {
			m.turn(true, now)
		}
	}
}

// inARow counts the failures since the latest success of this period that are
// within the time.
func (m *model) inARow(now time.Time) (n int) {
	for _, r := range slices.Backward(m.log) {
		if r.period != m.period || r.result == Success || now.Sub(r.at) > m.rule.Within {
			break
		}
		n++
	}
	return n
}

func (m *model) state(now time.Time) State {
	switch {
	case !m.open:
		return Closed
	case m.probe != nil && now.Before(m.probe.began.Add(m.rule.ProbeFor)):
		return HalfOpen
	default:
		return Open
	}
}

func TestBreakersAgainstModel(t *testing.T) {
	for seed := range uint64(60) {
		testwait.Bubble(t, func(t *testing.T) { compare(t, seed) })
	}
}

func compare(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 2))
	var (
		breakers Breakers
		keys     []Key
		models   = make(map[Key]*model)
		under    = make(map[Key][]*modelCall)
		opened   int
	)
	for i := range 3 {
		key := Key{fmt.Sprint("tenant", i), "alipay"}
		keys = append(keys, key)
		models[key] = &model{rule: Rule{
			Failures: 1 + random.IntN(4),
			Within:   time.Duration(1+random.IntN(60)) * time.Second,
			OpenFor:  time.Duration(1+random.IntN(30)) * time.Second,
			ProbeFor: time.Duration(1+random.IntN(30)) * time.Second,
		}}
	}
	for step := range 1500 {
		key := keys[random.IntN(len(keys))]
		m, now := models[key], time.Now()
		switch random.IntN(8) {
		case 0:
			time.Sleep(time.Duration(random.IntN(8)) * time.Second)
		case 1, 2, 3:
			want, wait := m.allow(now)
			admitted, err := breakers.Allow(t.Context(), key, m.rule)
			var open *OpenError
			switch {
			case want == nil && (!errors.As(err, &open) || open.RetryAfter != wait):
				t.Fatalf("seed %d, step %d: %v, want a rejection for %s", seed, step, err, wait)
			case want != nil && err != nil:
				t.Fatalf("seed %d, step %d: %v, want to be admitted", seed, step, err)
			case want != nil:
				want.admitted = admitted
				under[key] = append(under[key], want)
			}
		default:
			if len(under[key]) == 0 {
				continue
			}
			// Mostly the latest call, but sometimes one from long ago.
			i := len(under[key]) - 1
			if random.IntN(3) == 0 {
				i = random.IntN(len(under[key]))
			}
			c := under[key][i]
			under[key] = append(under[key][:i:i], under[key][i+1:]...)
			result := []Result{Failure, Failure, Failure, Success, Ignored}[random.IntN(5)]
			wasOpen := m.open
			m.end(c, result, now)
			c.admitted.Done(result)
			c.admitted.Done(Failure) // which has no effect
			if m.open && !wasOpen {
				opened++
			}
		}
		want := Tally{}
		for _, m := range models {
			switch m.state(time.Now()) {
			case Open:
				want.Open++
			case HalfOpen:
				want.HalfOpen++
			}
		}
		if got := breakers.States()["alipay"]; got != want {
			t.Fatalf("seed %d, step %d: states %+v, want %+v", seed, step, got, want)
		}
	}
	if opened < 5 {
		t.Errorf("seed %d: opened only %d times", seed, opened)
	}
}

// Calls of many goroutines: there is never more than one probe at a time, no call
// passes while it is open, and in the end it closes.
func TestBreakersUnderConcurrentCalls(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var (
			b       Breakers
			mu      sync.Mutex
			state   = Closed
			changes int
			work    sync.WaitGroup
			broken  = true // at the upstream
		)
		rule := Rule{OpenFor: 100 * time.Millisecond, ProbeFor: time.Second}
		rule.Changed = func(_ Key, to State) {
			mu.Lock()
			defer mu.Unlock()
			legal := map[State][]State{Closed: {Open}, Open: {Open, Closed}}
			ok := false
			for _, next := range legal[state] {
				ok = ok || next == to
			}
			if !ok {
				t.Errorf("from %s to %s", state, to)
			}
			state = to
			changes++
		}
		for caller := range 20 {
			work.Go(func() {
				random := rand.New(rand.NewPCG(uint64(caller), 3))
				for range 500 {
					admitted, err := b.Allow(t.Context(), testKey, rule)
					time.Sleep(time.Duration(1+random.IntN(20)) * time.Millisecond)
					if err != nil {
						continue
					}
					mu.Lock()
					result := Success
					if broken {
						result = Failure
					}
					if random.IntN(10) == 0 {
						result = Ignored
					}
					mu.Unlock()
					admitted.Done(result)
				}
			})
		}
		time.Sleep(3 * time.Second)
		mu.Lock()
		broken = false
		mu.Unlock()
		work.Wait()
		if state != Closed || changes < 20 {
			t.Errorf("%s after %d changes, want closed after some", state, changes)
		}
		if n := len(b.States()); n != 0 {
			t.Errorf("states of %d providers, want none", n)
		}
	})
}
