package alipayai_test

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// comparisons is a PackObserver that counts.
type comparisons struct {
	mu              sync.Mutex
	same, different int
	stopped         []string
}

func (*comparisons) Packed(string, int)        {}
func (*comparisons) AskedAlone(string, string) {}

func (c *comparisons) Compared(_ string, agreed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if agreed {
		c.same++
	} else {
		c.different++
	}
}

func (c *comparisons) PackingStopped(tenant string, agreement float64) {
	c.stopped = append(c.stopped, tenant+" "+strconv.FormatFloat(agreement, 'g', 2, 64))
}

// A part of the packed answers is compared with what the call is answered alone. Where too
// many differ, packing is off for the tenant for an hour; no other tenant sees that, and
// no client waits for it or pays for it.
func TestPackedAnswersAreCompared(t *testing.T) {
	for name, test := range map[string]struct {
		reply   func(text string, packed bool) string
		stopped []string
	}{
		"the same": {nil, nil},
		"but for what is said": {func(text string, packed bool) string {
			return map[bool]string{true: " RE:  ", false: "re: "}[packed] + text + map[bool]string{true: "."}[packed]
		}, nil},
		"different": {func(text string, packed bool) string { return map[bool]string{true: "no", false: text}[packed] }, []string{"acme 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				m, seen, running := &model{reply: test.reply}, new(comparisons), 0
				p := newPacking(t, []*model{m}, func(g *alipayai.Gateway) {
					g.Packs.MaxCalls, g.Packs.Verify, g.Packs.Observer = 2, 1, seen
					var mu sync.Mutex
					g.Packs.Running = func() func() {
						mu.Lock()
						defer mu.Unlock()
						running++
						return func() {
							mu.Lock()
							defer mu.Unlock()
							running--
						}
					}
				})
				both := func(header ...string) *reply {
					p.ask(t.Context(), 0, "a", header...)
					got := p.ask(t.Context(), 0, "b", header...)
					testwait.Pass(time.Second)
					return got
				}
				for range 5 {
					both()
				}
				if seen.same+seen.different != 10 || !slices.Equal(seen.stopped, test.stopped) || (seen.same == 0) != (test.stopped != nil) {
					t.Errorf("%+v", seen)
				}
				packs := map[bool]string{true: "", false: "2"}[test.stopped != nil]
				wantHeader(t, *both(), "X-Alipayai-Packed", packs)
				wantHeader(t, *both(tenantHeader, "other"), "X-Alipayai-Packed", "2")
				testwait.Pass(pack.OffFor)
				wantHeader(t, *both(), "X-Alipayai-Packed", "2")
				if running != 0 {
					t.Errorf("%d are running", running)
				}
				for range len(p.seen.settled) { // the calls of clients alone
					if o := <-p.seen.settled; o.Packed == 2 && (o.Attempts != 1 || o.Usage.Total > 154) {
						t.Errorf("%+v", o)
					}
				}
			})
		})
	}
}

// What is not the same each time is not compared, nor is an answer that is not asked for.
func TestOnlyFixedAnswersAreCompared(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		m, seen := new(model), new(comparisons)
		p := newPacking(t, []*model{m}, func(g *alipayai.Gateway) { g.Packs.MaxCalls, g.Packs.Verify, g.Packs.Observer = 2, 1, seen })
		for range 2 {
			go p.call(userBody("u1", "warm", `"temperature":0.5`))
		}
		testwait.Pass(time.Second)
		if n := len(m.sightings()); n != 1 || seen.same+seen.different != 0 {
			t.Errorf("%d requests, %+v", n, seen)
		}
	})
}

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
		testwait.Pass(3900 * time.Millisecond)
		var order []string
		for _, s := range m.sightings() {
			order = append(order, s.texts...)
		}
		if want := []string{"a", "b", "first", "second", "third"}; !slices.Equal(order, want) {
			t.Errorf("sent %q, want %q", order, want)
		}
		testwait.Pass(10 * time.Second)
		if n := len(m.sightings()); n != 1+3+2 || seen.same != 2 {
			t.Errorf("%d requests in all, %d compared", n, seen.same)
		}
	})
}
