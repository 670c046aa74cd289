//go:build !race

// The race detector makes sync.Pool forget at random.

package signer

import (
	"testing"
	"time"
)

// Signing stands on the path of every call, so its memory is part of the contract.
func TestHMACSignAllocates(t *testing.T) {
	s, m := newHMAC(t, "2026APP01"), chatMessage()
	var signed Signed
	var err error
	if allocs := testing.AllocsPerRun(1000, func() { signed, err = s.Sign(m) }); err != nil || allocs > 3 {
		t.Errorf("Sign made %v allocations, want at most 3 (%v)", allocs, err)
	}
	if len(signed.Fields) != 3 {
		t.Errorf("got %v", signed.Fields)
	}
}

// A layout of one's own costs what the built-in one does: no allocation more, and at most 2 µs, of which the test's
// ceiling is ten times as much for the sake of busy machines. BenchmarkLayoutSign measures it.
func TestLayoutSignCosts(t *testing.T) {
	built, own, m := newHMAC(t, "2026APP01"), asLayout(t, "2026APP01"), chatMessage()
	sign := func(s Scheme) func() {
		return func() {
			if _, err := s.Sign(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a, b := testing.AllocsPerRun(1000, sign(built)), testing.AllocsPerRun(1000, sign(own)); b > a {
		t.Errorf("Sign made %v allocations, the built-in's %v", b, a)
	}
	const ceiling = 20 * time.Microsecond
	fastest := func(f func()) time.Duration {
		least := time.Hour
		for range 50 {
			start := time.Now()
			for range 20 {
				f()
			}
			least = min(least, time.Since(start)/20)
		}
		return least
	}
	if a, b := fastest(sign(built)), fastest(sign(own)); b > a+ceiling {
		t.Errorf("Sign took %v, the built-in's %v", b, a)
	}
}
