package alipayai_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// Packs of which more calls have to be asked alone than have their answers cost more than they save: where too many are so,
// packing is off for the tenant for an hour, whether answers are compared or not, and then tried again.
func TestPacksInVainStop(t *testing.T) {
	for name, test := range map[string]struct {
		inVain  func(pack int) bool
		packs   int // of 15 pairs of calls
		stopped []string
	}{
		"each":              {func(int) bool { return true }, 10, []string{"acme 0"}},
		"one in two":        {func(pack int) bool { return pack%2 == 0 }, 10, []string{"acme 0.5"}},
		"one in fifteen":    {func(pack int) bool { return pack == 10 }, 15, nil},
		"none":              {func(int) bool { return false }, 15, nil},
		"nine, and no more": {func(pack int) bool { return pack <= 9 }, 10, []string{"acme 0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				m, seen, packs := new(model), new(comparisons), 0
				m.before = func(n int, req *http.Request) (*http.Response, error) {
					if !m.sightings()[n-1].packed {
						return nil, nil
					}
					if packs++; test.inVain(packs) {
						return says(200, `{"choices":[{"message":{"content":"Sure! The answers are yes and no."},"finish_reason":"stop"}]}`)(req)
					}
					return nil, nil
				}
				p := newPacking(t, []*model{m}, func(g *alipayai.Gateway) {
					g.Packs.MaxCalls, g.Packs.Verify, g.Packs.Observer = 2, -1, seen
				})
				both := func() {
					a, b := p.ask(t.Context(), 0, "a"), p.ask(t.Context(), 0, "b")
					testwait.Pass(time.Second)
					wantText(t, a, "re: a")
					wantText(t, b, "re: b")
				}
				for range 15 {
					both()
				}
				if packs != test.packs || !slices.Equal(seen.stopped, test.stopped) {
					t.Errorf("%d packs, stopped %q; want %d, %q", packs, seen.stopped, test.packs, test.stopped)
				}
				testwait.Pass(pack.OffFor)
				if both(); packs != test.packs+1 {
					t.Errorf("%d packs an hour later", packs)
				}
			})
		})
	}
}
