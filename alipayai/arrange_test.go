package alipayai

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover/balance"
)

// toArrange is what an order depends on, without a call. waits and prices are by the names of providers.
type toArrange struct {
	pinned bool
	waits  map[string]time.Duration
	prices map[string]price.Amount
}

func (a toArrange) isPinned() bool                            { return a.pinned }
func (toArrange) sticky(*Balance) []byte                      { return nil }
func (a toArrange) waitAt(p *upstream.Provider) time.Duration { return a.waits[p.Name] }
func (a toArrange) priceAt(p *upstream.Provider) (price.Amount, bool) {
	amount, known := a.prices[p.Name]
	return amount, known
}

// Equals are asked in the order that the policy gives them, together with the candidate before the stable one; what follows them stays. Of
// what has no equal the clock is not read.
func TestArrange(t *testing.T) {
	a, b, c, next := &upstream.Provider{Name: "a"}, &upstream.Provider{Name: "b"}, &upstream.Provider{Name: "c"}, &upstream.Provider{Name: "next"}
	waits := map[string]time.Duration{"a": 2 * time.Second, "b": time.Second}
	for name, test := range map[string]struct {
		of     toArrange
		policy balance.Policy
		canary *Canary
		rest   []*upstream.Provider
		want   []*upstream.Provider
		n      int
		equal  bool
	}{
		"the least wait":      {toArrange{waits: waits}, balance.LeastWait, nil, []*upstream.Provider{a, b, c}, []*upstream.Provider{b, a, c}, 2, true},
		"the cheapest":        {toArrange{prices: map[string]price.Amount{"a": 2, "b": 1}}, balance.Cheapest, nil, []*upstream.Provider{a, b, c}, []*upstream.Provider{b, a, c}, 2, true},
		"one that has none":   {toArrange{waits: waits}, balance.LeastWait, nil, []*upstream.Provider{c, a, b}, []*upstream.Provider{c, a, b}, 1, false},
		"the last":            {toArrange{waits: waits}, balance.LeastWait, nil, []*upstream.Provider{b}, []*upstream.Provider{b}, 1, false},
		"with a candidate":    {toArrange{waits: waits}, balance.LeastWait, &Canary{Stable: a, Candidate: next}, []*upstream.Provider{next, a, b, c}, []*upstream.Provider{b, next, a, c}, 3, true},
		"pinned, each by one": {toArrange{pinned: true, waits: waits}, balance.LeastWait, nil, []*upstream.Provider{a, b, c}, nil, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			of := &Balance{Equals: [][]*upstream.Provider{{a, b}}, Policy: test.policy, Latencies: new(balance.Latencies)}
			rest := slices.Clone(test.rest)
			read := false
			n, equals := of.arrange(test.of, test.canary, func() time.Time { read = true; return time.Now() }, rest)
			if read != (test.n > 1) {
				t.Errorf("the clock was read: %t", read)
			}
			if n != test.n || (equals != nil) != test.equal || test.want != nil && !slices.Equal(rest, test.want) {
				t.Errorf("%d providers, equal: %t, in the order %v", n, equals != nil, rest)
			}
		})
	}
}
