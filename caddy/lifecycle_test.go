package alipaycaddy

import (
	"slices"
	"testing"
)

// TestAcquiredIsGivenBackOnce gives back what was acquired last first, when none of those that may use it is in flight any
// more: what comes from one to another at its end is waited for there.
func TestAcquiredIsGivenBackOnce(t *testing.T) {
	var held acquired
	var given []string
	for _, name := range []string{"store", "ledger", "budget"} {
		held.add(func() { given = append(given, name) })
	}
	var before, handler inFlight
	before.begin()
	held.releaseAfter(&before, &handler)
	handler.begin() // which came on
	before.end()
	if len(given) != 0 {
		t.Errorf("%v is given back while a call uses it", given)
	}
	handler.end()
	held.releaseAfter(&before, &handler)
	if want := []string{"budget", "ledger", "store"}; !slices.Equal(given, want) {
		t.Errorf("given back: %v, want %v", given, want)
	}
}
