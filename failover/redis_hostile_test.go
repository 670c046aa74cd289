package failover

import (
	"encoding/binary"
	"math"
	"testing"
	"time"
)

// claiming says in a stored breaker that so many failures follow.
func claiming(value string, failures float64) string {
	const at = 32 // after version, opened, until and holder
	number := binary.BigEndian.AppendUint64(nil, math.Float64bits(failures))
	return value[:at] + string(number) + value[at+len(number):]
}

// Numbers that no script writes make no breaker, and do no harm.
func TestDecodeRefusesHostileNumbers(t *testing.T) {
	key := Key{Tenant: "t", Provider: "p"}
	huge := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 1 << 60, 1e308}
	for _, n := range huge {
		for name, value := range map[string]string{
			"count of failures": claiming(encode(key, stored{Version: 1}), n),
			"version":           encode(key, stored{Version: n}),
		} {
			if _, h, err := decode(value, 1, time.Now()); err == nil {
				t.Errorf("%s %g is taken: %+v", name, n, h)
			}
		}
	}
	now := time.Now()
	for name, s := range map[string]stored{"opened": {Opened: math.NaN()}, "until": {Until: math.NaN()}} {
		if _, h, err := decode(encode(key, s), 1, now); err == nil {
			t.Errorf("%s that is not a number is taken: %+v", name, h)
		}
	}
	if _, h, err := decode(encode(key, stored{Failures: 1}, math.NaN()), 1, now); err == nil {
		t.Errorf("a failure whose time is not a number is taken: %+v", h)
	}
	for _, at := range []float64{math.Inf(1), math.Inf(-1), 1e308, -1e308} {
		_, h, err := decode(encode(key, stored{Opened: at}), 1, now)
		if off := h.opened.Sub(now).Abs(); err != nil || off > 25*time.Hour {
			t.Errorf("time %g is %v from now, %v", at, off, err)
		}
	}
}

// More failures than follow are refused before room is made for them.
func TestDecodeRefusesMoreFailuresThanFollow(t *testing.T) {
	for _, n := range []float64{5, 1000, 1 << 40, math.MaxInt64} {
		if _, _, err := decode(claiming(encode(Key{}, stored{}, 1), n), 1, time.Now()); err == nil {
			t.Errorf("%g failures are taken where one follows", n)
		}
	}
}

// Each event that is not reported to the others is counted: while Redis is away, when
// too many wait, and when sending fails.
func TestWhatIsDroppedIsCounted(t *testing.T) {
	client := newTestClient(t, "127.0.0.1:1")
	b := NewSharedBreakers(client, t.Name())
	defer func() { _ = b.Close() }()
	b.mu.Lock()
	for range queueSize + 3 {
		b.enqueue(report{event: failed})
	}
	b.mu.Unlock()
	if got := b.Dropped(); got != 3 {
		t.Errorf("%d are dropped where 3 are too many, want 3", got)
	}
	b.shared.reachable.Store(false)
	b.mu.Lock()
	b.enqueue(report{event: failed})
	b.mu.Unlock()
	if got := b.Dropped(); got != 4 {
		t.Errorf("%d are dropped with one while redis is away, want 4", got)
	}
	b.shared.reachable.Store(true)
	_, _, ok := b.askToProbe(Key{}, Rule{}.withDefaults(), history{})
	if got := b.Dropped(); ok || got != 5 {
		t.Errorf("%d are dropped with a probe that was not reported, want 5", got)
	}
}
