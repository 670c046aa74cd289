package failover

import (
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// held counts what is remembered, in both of its places.
func held(t *testing.T, b *Breakers) int {
	t.Helper()
	n := 0
	for range b.pairs.Range {
		n++
	}
	if n != b.recent.Len() {
		t.Fatalf("%d breakers in the map, %d in the list", n, b.recent.Len())
	}
	return n
}

// end makes a call that ends with the result.
func end(t *testing.T, b *Breakers, key Key, rule Rule, result Result) {
	t.Helper()
	admitted, err := b.Allow(t.Context(), key, rule)
	if err != nil {
		t.Fatal(err)
	}
	admitted.Done(result)
}

func TestOnlyWhatMattersIsRemembered(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var b Breakers
		steps := []struct {
			result Result
			want   int
		}{{Success, 0}, {Ignored, 0}, {Failure, 1}, {Ignored, 1}, {Success, 0}, {Failure, 1}, {Failure, 1}, {Success, 0}}
		for i, step := range steps {
			end(t, &b, testKey, Rule{}, step.result)
			if n := held(t, &b); n != step.want {
				t.Errorf("step %d: %d breakers are remembered, want %d", i, n, step.want)
			}
		}
		if _, err := b.Allow(t.Context(), testKey, Rule{}); err != nil || held(t, &b) != 0 {
			t.Errorf("a call that never ends leaves %d breakers, %v", held(t, &b), err)
		}
	})
}

func TestFailuresInMemoryAreBounded(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var b Breakers
		for range 1000 {
			end(t, &b, testKey, Rule{Within: time.Second}, Failure)
			time.Sleep(time.Second)
		}
		if n := len(b.read(testKey).failures); n != 4 {
			t.Errorf("%d failures are remembered, want the 4 that the rule asks for", n)
		}
	})
}

func TestBreakersAreForgottenAfterAnHour(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var b Breakers
		for i := range 10 {
			end(t, &b, Key{strconv.Itoa(i), "alipay"}, Rule{}, Failure)
		}
		time.Sleep(59 * time.Minute)
		end(t, &b, Key{"0", "alipay"}, Rule{}, Failure) // is not forgotten yet
		end(t, &b, Key{"10", "alipay"}, Rule{}, Failure)
		if n := held(t, &b); n != 11 {
			t.Errorf("%d breakers are remembered within the hour, want 11", n)
		}
		time.Sleep(time.Minute)
		for i := range 5 { // each makes room for itself and one more
			end(t, &b, Key{strconv.Itoa(100 + i), "alipay"}, Rule{}, Failure)
		}
		if n := held(t, &b); n != 2+5 {
			t.Errorf("%d breakers are remembered after the hour, want 7", n)
		}
		if b.find(Key{"0", "alipay"}) == nil {
			t.Error("one that changed within the hour is forgotten")
		}
	})
}

func TestBreakersAreBoundedInNumber(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var b Breakers
		for range 4 {
			end(t, &b, testKey, Rule{}, Failure)
		}
		const more = 1000
		for i := range mostPairs + more {
			if i == more+1 {
				time.Sleep(time.Minute)
				end(t, &b, testKey, Rule{}, Failure) // the probe: it changed just now
			}
			end(t, &b, Key{strconv.Itoa(i), "alipay"}, Rule{}, Failure)
		}
		if n := held(t, &b); n != mostPairs {
			t.Errorf("%d breakers are remembered, want %d", n, mostPairs)
		}
		h := b.read(testKey)
		if !h.isOpen() {
			t.Error("one that changed later is forgotten before others")
		}
		for i, want := range map[int]bool{0: false, more: false, more + 1: true, mostPairs + more - 1: true} {
			if got := b.find(Key{strconv.Itoa(i), "alipay"}) != nil; got != want {
				t.Errorf("number %d is remembered: %t, want %t", i, got, want)
			}
		}
	})
}

// What comes from other replicas knows nothing of this one's turns.
func TestTurnsAreTheMemorysOwn(t *testing.T) {
	var b Breakers
	now := time.Now()
	for i, step := range []struct {
		opened time.Time
		want   uint64
	}{{now, 1}, {now.Add(time.Second), 1}, {time.Time{}, 2}, {time.Time{}, 2}, {now, 3}} {
		b.mu.Lock()
		b.write(testKey, history{opened: step.opened, turn: 77}, now)
		b.mu.Unlock()
		if got := b.read(testKey).turn; got != step.want {
			t.Errorf("step %d: turn %d, want %d", i, got, step.want)
		}
	}
}

// A change that is still queued for Redis takes precedence over one that is polled,
// and a newer version over an older one.
func TestMerge(t *testing.T) {
	tests := map[string]struct {
		pending      int
		known, heard int64
		want         int // failures
	}{
		"newer":                  {0, 5, 6, 2},
		"the same":               {0, 5, 5, 1},
		"older":                  {0, 5, 4, 1},
		"newer, but more queued": {1, 5, 6, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var b Breakers
			now := time.Now()
			b.mu.Lock()
			b.write(testKey, history{failures: []time.Time{now}, version: tt.known}, now).pending = tt.pending
			b.mu.Unlock()
			b.merge([]change{
				{testKey, history{failures: []time.Time{now, now}, version: tt.heard}},
				{Key{"new", "alipay"}, history{failures: []time.Time{now}, version: 1}},
			})
			if got := len(b.read(testKey).failures); got != tt.want {
				t.Errorf("%d failures, want %d", got, tt.want)
			}
			if b.find(Key{"new", "alipay"}) == nil {
				t.Error("a breaker that is new here is not merged")
			}
		})
	}
}

func TestStates(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		var b Breakers
		for _, key := range []Key{{"a", "alipay"}, {"b", "alipay"}, {"c", "alipay"}, {"a", "qwen"}} {
			for range 4 {
				end(t, &b, key, Rule{}, Failure)
			}
		}
		end(t, &b, Key{"a", "claude"}, Rule{}, Failure)
		expect := func(want map[string]Tally) {
			t.Helper()
			if got := b.States(); !maps.Equal(got, want) {
				t.Errorf("states %v, want %v", got, want)
			}
		}
		expect(map[string]Tally{"alipay": {Open: 3}, "qwen": {Open: 1}})
		time.Sleep(time.Minute)
		probe, err := b.Allow(t.Context(), Key{"a", "alipay"}, Rule{})
		if err != nil {
			t.Fatal(err)
		}
		expect(map[string]Tally{"alipay": {Open: 2, HalfOpen: 1}, "qwen": {Open: 1}})
		end(t, &b, Key{"a", "qwen"}, Rule{}, Success)
		expect(map[string]Tally{"alipay": {Open: 2, HalfOpen: 1}})
		time.Sleep(time.Minute) // the probe hangs
		expect(map[string]Tally{"alipay": {Open: 3}})
		probe.Done(Success)
		expect(map[string]Tally{"alipay": {Open: 2}})
	})
}

func TestWords(t *testing.T) {
	for state, want := range map[State]string{Closed: "closed", Open: "open", HalfOpen: "half_open"} {
		if got := state.String(); got != want {
			t.Errorf("state %d is %q, want %q", state, got, want)
		}
	}
	if got, want := (&OpenError{RetryAfter: time.Second}).Error(), "breaker is open; retry after 1s"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	if err := new(Breakers).Close(); err != nil || new(Breakers).Dropped() != 0 {
		t.Errorf("breakers that share nothing: %v", err)
	}
}
