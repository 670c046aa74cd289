package alipayai_test

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// What is asked to compare answers takes no permit that a client waits for: it leaves when all of them have.
func TestComparisonsWaitBehindClients(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		m, seen := new(model), new(comparisons)
		p := newPacking(t, []*model{m}, capped(newCap(1, time.Second)), func(g *alipayai.Gateway) {
			g.Packs.MaxCalls, g.Packs.Verify, g.Packs.Observer = 2, 1, seen
		})
		p.ask(t.Context(), 0, "a")
		p.ask(t.Context(), 0, "b")
		// A client waits for each of the next permits when it comes.
		for i, text := range []string{"first", "second", "third"} {
			p.ask(t.Context(), time.Duration(i)*time.Second+500*time.Millisecond, text)
		}
		pass(3900 * time.Millisecond)
		var order []string
		for _, s := range m.sightings() {
			order = append(order, s.texts...)
		}
		if want := []string{"a", "b", "first", "second", "third"}; !slices.Equal(order, want) {
			t.Errorf("sent %q, want %q", order, want)
		}
		pass(10 * time.Second)
		if n := len(m.sightings()); n != 1+3+2 || seen.same != 2 {
			t.Errorf("%d requests in all, %d compared", n, seen.same)
		}
	})
}
