package alipaycaddy

import (
	"strconv"
	"sync"
	"testing"
)

// Whoever asks at whatever moment is given the same for a key, and nothing is forgotten.
func TestMemoKnowsOneThingOfAKey(t *testing.T) {
	var m memo[string, *int]
	var workers sync.WaitGroup
	given := make([][]*int, 8)
	for i := range given {
		workers.Go(func() {
			for n := range 100 {
				given[i] = append(given[i], m.of(strconv.Itoa(n), func() *int { return &n }))
			}
		})
	}
	workers.Wait()
	for i, those := range given {
		for n, v := range those {
			if *v != n || v != given[0][n] {
				t.Fatalf("worker %d is given %d of another one for %d", i, *v, n)
			}
		}
	}
	if n := len(*m.known.Load()); n != 100 {
		t.Errorf("%d are known, want 100", n)
	}
}
