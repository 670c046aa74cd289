// Package testwait waits in tests, for no longer than given, and fails the test then.
package testwait

import (
	"testing"
	"testing/synctest"
	"time"
)

// Pass lets time pass in a bubble of testing/synctest, with all that happens meanwhile and then. It panics outside of one: no
// test waits for the time of a clock.
func Pass(d time.Duration) {
	synctest.Wait()
	time.Sleep(d)
	synctest.Wait()
}

// For asks again and again until something holds.
func For(tb testing.TB, within time.Duration, what string, holds func() bool) {
	tb.Helper()
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-timeout.C:
			tb.Fatalf("not within %v: %s", within, what)
		}
	}
}

// Receive takes a value from c.
func Receive[T any](tb testing.TB, within time.Duration, c <-chan T, what string) T {
	tb.Helper()
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	select {
	case v := <-c:
		return v
	case <-timeout.C:
		tb.Fatalf("not within %v: %s", within, what)
		panic("unreachable")
	}
}
