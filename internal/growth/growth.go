// Package growth holds in tests that time grows with what is done, and no faster.
package growth

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// Linear holds that do takes at most so many times as long with what is large as with what is small. The two are made beforehand,
// since the time for that would hide that of do. What only copies takes no time, but for the memory that a large one needs: what is
// small counts as floor at the least.
//
// A machine may be twice as fast at one moment as at the next: both are timed one after the other, and such pairs decide as soon as
// two more of them say yes than no, or one says so by half of most.
func Linear[T any](t testing.TB, most int, floor time.Duration, small, large T, do func(T)) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // garbage of other tests is not this one's
	const mostPairs = 15
	var fast, slow time.Duration
	for pairs, ahead := 0, 0; pairs < mostPairs; pairs++ {
		fast = max(timeOf(do, small), floor)
		slow = timeOf(do, large)
		if slow > time.Duration(most)*fast {
			ahead--
		} else if ahead++; ahead == 2 || slow <= time.Duration(most)*fast/2 {
			return
		}
	}
	t.Errorf("the small one takes %v, and the large one %v, which is more than %d times as long", fast, slow, most)
}

// timeOf is how long do computes, on the average of so many runs that the clock is fine enough.
func timeOf[T any](do func(T), with T) time.Duration {
	const enough = 2 * time.Millisecond
	runtime.GC()
	began := computed()
	for n := time.Duration(1); ; n++ {
		do(with)
		if took := computed() - began; took >= enough {
			return took / n
		}
	}
}

var start = time.Now()
