package alipaycaddy

import (
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// TestInFlight gives back when the last call has ended, once, and at once where
// there is none.
func TestInFlight(t *testing.T) {
	var u inFlight
	given := 0
	want := func(n int) {
		t.Helper()
		if given != n {
			t.Errorf("given back %d times, want %d", given, n)
		}
	}
	u.begin()
	u.begin()
	u.end()
	u.whenEnded(func() { given++ })
	want(0)
	u.begin()
	u.end()
	want(0)
	u.end()
	want(1)
	u.begin() // one that was late
	u.end()
	want(1)
	new(inFlight).whenEnded(func() { given++ })
	want(2)
}

// TestInFlightGivesBackUnlocked begins and ends calls while something is given back, which may take as long as a disk does: neither
// waits for it.
func TestInFlightGivesBackUnlocked(t *testing.T) {
	for name, giveBack := range map[string]func(u *inFlight, back func()){
		"with the last call":    func(u *inFlight, back func()) { u.begin(); u.whenEnded(back); u.end() },
		"where there is none":   func(u *inFlight, back func()) { u.whenEnded(back) },
		"what comes meanwhile":  func(u *inFlight, back func()) { u.whenEnded(func() { u.begin(); u.whenEnded(back); u.end() }) },
		"behind another, ended": func(u *inFlight, back func()) { u.begin(); u.whenEnded(func() {}); u.whenEnded(back); u.end() },
	} {
		t.Run(name, func(t *testing.T) {
			var u inFlight
			given := 0
			done := make(chan struct{})
			go func() {
				defer close(done)
				giveBack(&u, func() {
					given++
					u.begin()
					u.end()
				})
			}()
			testwait.Receive(t, 15*time.Second, done, "what is given back holds up a call")
			if given != 1 {
				t.Errorf("given back %d times", given)
			}
		})
	}
}

// TestAcquire shares values by kind and identity, as long as there are references to them.
func TestAcquire(t *testing.T) {
	type value struct{ n int }
	one, release := acquire[value]("test", "a", "bc")
	same, releaseSame := acquire[value]("test", "a", "bc")
	other, releaseOther := acquire[value]("test", "ab", "c")
	kind, releaseKind := acquire[value]("another", "a", "bc")
	one.n = 7
	if same != one || other == one || kind == one {
		t.Error("shared what is another's, or did not share")
	}
	release()
	release() // does nothing
	if still, releaseStill := acquire[value]("test", "a", "bc"); still != one {
		t.Error("lost a value that has a reference")
	} else {
		releaseStill()
	}
	releaseSame()
	if fresh, releaseFresh := acquire[value]("test", "a", "bc"); fresh.n != 0 {
		t.Error("kept a value without references")
	} else {
		releaseFresh()
	}
	releaseOther()
	releaseKind()
	if left := references(); len(left) != 0 {
		t.Errorf("left in the pool: %v", left)
	}
}
