//go:build !race

// The race detector makes sync.Pool forget at random.

package signer

import "testing"

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
