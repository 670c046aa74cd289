package growth

import (
	"testing"
	"time"
)

// failing notes that a test has failed.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Errorf(string, ...any) { f.failed = true }

var sink int

// What is quadratic is told from what is linear.
func TestLinear(t *testing.T) {
	const small, times, most = 256, 8, 24
	for name, c := range map[string]struct {
		do    func(n int)
		holds bool
	}{
		"linear": {func(n int) {
			for i := range n * 1000 {
				sink += i
			}
		}, true},
		"quadratic": {func(n int) {
			for i := range n {
				for j := range n {
					sink += i * j
				}
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &failing{TB: t}
			Linear(f, most, 0, small, times*small, c.do)
			if f.failed == c.holds {
				t.Errorf("failed: %t", f.failed)
			}
		})
	}
	t.Run("below the floor", func(t *testing.T) { Linear(t, 2, time.Minute, 1, 1000, func(int) {}) })
}
