package testwait

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/caddy-alipayai/gateway/internal/race"
)

// bubbles counts the bubbles that there are, and processors what GOMAXPROCS was before the first.
var bubbles struct {
	sync.Mutex
	n, processors int
}

// Bubble runs a test in a bubble of testing/synctest: with the race detector on one processor, since the timers of a bubble share
// one context of the detector, and threads that use it at once crash it (https://github.com/golang/go/issues/78156).
func Bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	if race.Enabled {
		bubbles.Lock()
		if bubbles.n++; bubbles.n == 1 {
			bubbles.processors = runtime.GOMAXPROCS(1)
		}
		bubbles.Unlock()
		defer func() {
			bubbles.Lock()
			defer bubbles.Unlock()
			if bubbles.n--; bubbles.n == 0 {
				runtime.GOMAXPROCS(bubbles.processors)
			}
		}()
	}
	synctest.Test(t, f) //nolint:forbidigo // here alone
}
