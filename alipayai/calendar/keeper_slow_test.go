package calendar

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/recordtest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// An upstream that takes longer than a look has for it is one that has not taken the key: it is asked again when that is due,
// and the other keys have their turns.
func TestUpstreamThatNeverAnswers(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		now, v := time.Now(), &vendor{asked: map[int]int{}}
		var order []int
		r := newReplica(t, v, new(recordtest.Shelf), &now, func(c *Config) {
			held := c.Held
			c.Held = func() []Key {
				return slices.SortedFunc(slices.Values(held()), func(a, b Key) int { return a.Version - b.Version })
			}
			c.Ask = func(ctx context.Context, version int) Check {
				order = append(order, version)
				<-ctx.Done()
				return Check{At: now, Code: "upstream_timeout"}
			}
		})
		r.held[1], r.held[2] = now, now
		for range 4 {
			r.Look(t.Context())
			now = now.Add(time.Minute)
		}
		if !slices.Equal(order, []int{1, 2}) || !slices.Equal(r.heard, []string{"1 false", "2 false"}) {
			t.Errorf("asked with %v and heard %q, want each key once", order, r.heard)
		}
		r.expect("none is taken", 2, "[]", "[1 2]")

		// What a configuration that ends has cut off says nothing of the upstream.
		now = now.Add(askAgain)
		ends, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		heard := len(r.heard)
		r.Look(ends)
		if len(r.heard) != heard {
			t.Errorf("heard %q of what was cut off", r.heard[heard:])
		}
	})
}
