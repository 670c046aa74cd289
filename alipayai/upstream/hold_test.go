package upstream

import (
	"maps"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/caddy-alipayai/gateway/limiter"
)

// TestThrottledBelongs holds whom a throttling silences: the model where the vendor counts by model, else the account;
// never what another account of the host has.
func TestThrottledBelongs(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		profile     string
		model       string
		same, other bool
	}{
		"openai":         {"openai", "a", true, false},
		"openrouter":     {"openrouter", "a", true, false},
		"anthropic":      {"anthropic", "a", true, false},
		"qwen":           {"qwen", "a", true, false},
		"deepseek":       {"deepseek", "a", true, true},
		"mistral":        {"mistral", "a", true, true},
		"model unknown":  {"openai", "", true, true},
		"litellm, model": {"litellm", "a", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			profile, err := LookupProfile(test.profile)
			if err != nil {
				t.Fatal(err)
			}
			p := &Provider{Profile: profile, Hold: new(Hold)}
			p.Throttled(now, time.Minute, test.model)
			if held := p.Held(now.Add(30*time.Second), "a") == 30*time.Second; held != test.same {
				t.Errorf("the model itself is held: %t", held)
			}
			if held := p.Held(now, "b") > 0; held != test.other {
				t.Errorf("another model is held: %t", held)
			}
			if left := p.Held(now.Add(time.Minute), "a"); left != 0 {
				t.Errorf("still held for %v", left)
			}
			if other := (&Provider{Profile: profile, Hold: new(Hold)}); other.Held(now, "a") != 0 {
				t.Error("another account is held")
			}
		})
	}
}

// TestThrottledWindow holds that the window of a host, which accounts without a client id share, stays open for the others.
func TestThrottledWindow(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		profile, clientID string
		closes            bool
	}{
		"signed":          {"alipay", "app", true},
		"signed, no id":   {"alipay", "", true},
		"an id, unsigned": {"deepseek", "app", true},
		"a fixed key":     {"deepseek", "", false},
		"fixed, by model": {"openai", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			profile, err := LookupProfile(test.profile)
			if err != nil {
				t.Fatal(err)
			}
			window := limiter.NewMemoryWindow(time.Now)
			limit := limiter.Limit{Requests: 50, Per: time.Second}
			p := &Provider{Profile: profile, ClientID: test.clientID, Hold: new(Hold), Cap: &Cap{Limit: limit, Window: window, Queue: limiter.NewQueue(window, time.Now)}}
			p.Throttled(now, time.Minute, "a")
			if closed := time.Until(window.Next(limit, now)) > 30*time.Second; closed != test.closes {
				t.Errorf("the window is closed: %t", closed)
			}
			if held := p.Held(now, "a") > 0; held == test.closes {
				t.Errorf("held: %t", held)
			}
		})
	}
}

// TestNoHold holds that what has no Hold is never held.
func TestNoHold(t *testing.T) {
	for _, profile := range []string{"openai", "deepseek"} {
		p, now := &Provider{Profile: known(t, profile)}, time.Now()
		for _, model := range []string{"", "a"} {
			p.Throttled(now, time.Minute, model)
			if left := p.Held(now, model); left != 0 {
				t.Errorf("%s: %q is held for %v", profile, model, left)
			}
		}
	}
}

// TestHeldModelsAreBounded holds that names which clients choose take no more than so much room.
func TestHeldModelsAreBounded(t *testing.T) {
	h, now := new(Hold), time.Now()
	for i := range 3 * maxHeldModels {
		h.ExtendModel(now, time.Minute, strconv.Itoa(i))
	}
	if len(h.models) != maxHeldModels {
		t.Errorf("%d models are held", len(h.models))
	}
	later := now.Add(2 * time.Minute)
	h.ExtendModel(later, time.Minute, "late")
	if len(h.models) != 1 || h.LeftModel(later, "late") != time.Minute {
		t.Errorf("%d models, %v", len(h.models), h.LeftModel(later, "late"))
	}
}

// fleetHold is what all replicas hold of an account, by model.
type fleetHold map[string]time.Time

func (h fleetHold) Extend(now time.Time, d time.Duration, model string) { h[model] = now.Add(d) }

func (h fleetHold) Left(now time.Time, model string) time.Duration {
	return max(h[model].Sub(now), h[""].Sub(now), 0)
}

// TestThrottledIsShared holds which throttling other replicas hear of: each but that of a rate window, which they share by
// itself. What they were answered holds this one for no longer than its own would.
func TestThrottledIsShared(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		profile, clientID, model string
		cap                      bool
		hold                     time.Duration
		want                     fleetHold
	}{
		"a model":                   {"openai", "", "a", false, time.Minute, fleetHold{"a": now.Add(time.Minute)}},
		"a model under a cap":       {"openai", "", "a", true, time.Minute, fleetHold{"a": now.Add(time.Minute)}},
		"model unknown":             {"openai", "", "", false, time.Minute, fleetHold{"": now.Add(time.Minute)}},
		"an account":                {"deepseek", "", "a", false, time.Minute, fleetHold{"": now.Add(time.Minute)}},
		"it does not say how long":  {"deepseek", "", "a", false, 0, fleetHold{"": now.Add(ThrottleHold)}},
		"a window":                  {"alipay", "app", "a", true, time.Minute, fleetHold{}},
		"a client without a window": {"alipay", "app", "a", false, time.Minute, fleetHold{"": now.Add(time.Minute)}},
	} {
		t.Run(name, func(t *testing.T) {
			profile, err := LookupProfile(test.profile)
			if err != nil {
				t.Fatal(err)
			}
			shared := make(fleetHold)
			replica := func() *Provider {
				p := &Provider{Profile: profile, ClientID: test.clientID, Hold: new(Hold), SharedHold: shared}
				if test.cap {
					window := limiter.NewMemoryWindow(time.Now)
					p.Cap = &Cap{Limit: limiter.Limit{Requests: 50, Per: time.Second}, Window: window, Queue: limiter.NewQueue(window, time.Now)}
				}
				return p
			}
			first, second := replica(), replica()
			first.Throttled(now, test.hold, test.model)
			if !maps.Equal(shared, test.want) {
				t.Errorf("shared are %v, want %v", shared, test.want)
			}
			for _, model := range []string{"a", "b"} {
				if got, want := second.Held(now, model), first.Held(now, model); got != want {
					t.Errorf("the other replica holds model %s for %v, want %v", model, got, want)
				}
			}
		})
	}
}

// setClock gives the reading of a clock that was set by d: its monotonic part stays.
func setClock(reading time.Time, d time.Duration) time.Time {
	const second = 1 << 30 // in the wall clock's word of a reading with a monotonic part, which is the first one
	set := reading
	*(*int64)(unsafe.Pointer(&set)) += int64(d/time.Second) * second
	return set
}

// A hold is as long as it was asked for also where the clock is set meanwhile.
func TestHoldsWhileTheClockIsSet(t *testing.T) {
	now := time.Now()
	for name, by := range map[string]time.Duration{"not": 0, "back": -10 * time.Minute, "forward": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			if set := setClock(now, by); set.Sub(now) != 0 || set.Round(0).Sub(now.Round(0)) != by {
				t.Fatalf("%v is no reading of a clock that was set by %v at %v", set, by, now)
			}
			of := map[string]func(h *Hold) (extend func(time.Time, time.Duration), left func(time.Time) time.Duration){
				"account": func(h *Hold) (func(time.Time, time.Duration), func(time.Time) time.Duration) { return h.Extend, h.Left },
				"model": func(h *Hold) (func(time.Time, time.Duration), func(time.Time) time.Duration) {
					return func(now time.Time, d time.Duration) { h.ExtendModel(now, d, "m") },
						func(now time.Time) time.Duration { return h.LeftModel(now, "m") }
				},
			}
			for what, methods := range of {
				extend, left := methods(new(Hold))
				extend(now, time.Second)
				if got := left(setClock(now.Add(600*time.Millisecond), by)); got != 400*time.Millisecond {
					t.Errorf("%s: held for %v more, want 400ms", what, got)
				}
				if got := left(setClock(now.Add(time.Second), by)); got != 0 {
					t.Errorf("%s: held for %v more after its end", what, got)
				}
				extend(setClock(now.Add(2*time.Second), by), time.Second)
				if got := left(setClock(now.Add(2*time.Second), by)); got != time.Second {
					t.Errorf("%s: held for %v when it is held again, want 1s", what, got)
				}
			}
		})
	}
}
