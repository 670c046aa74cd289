package limiter

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// alipay is the production cap.
var alipay = Limit{Requests: 50, Per: time.Second, Guard: 10 * time.Millisecond}

// backlog keeps n calls of the tenant waiting until the test ends.
func (h *harness) backlog(n int, r Request, served func()) {
	for range n {
		go func() {
			for {
				if _, err := h.Wait(h.t.Context(), r); err != nil {
					return
				}
				served()
			}
		}()
	}
	h.settle()
}

func TestOthersDoNotNoticeALongBacklog(t *testing.T) {
	p99 := func(t *testing.T, limit Limit, backlog int) (p99 time.Duration) {
		testwait.Bubble(t, func(t *testing.T) {
			h := newHarness(t)
			r := patient("backlog")
			r.Limit = limit
			h.backlog(backlog, r, func() {})
			r.Tenant = "other"
			rng := rand.New(rand.NewPCG(1, 1))
			var waits []time.Duration
			for range 1000 {
				time.Sleep(time.Duration(rng.ExpFloat64() * float64(time.Second/10)))
				came := time.Now()
				if _, err := h.Wait(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				waits = append(waits, time.Since(came))
			}
			h.Drain()
			slices.Sort(waits)
			p99 = waits[989]
		})
		return p99
	}
	limits := map[string]Limit{
		"in bursts":  alipay,
		"one by one": {Requests: 1, Per: 20 * time.Millisecond},
	}
	for name, limit := range limits {
		t.Run(name, func(t *testing.T) {
			short, long := p99(t, limit, 100), p99(t, limit, 10_000)
			t.Logf("p99 wait beside a backlog of 100: %v, of 10,000: %v", short, long)
			if math.Abs(float64(long)/float64(short)-1) >= 0.05 {
				t.Errorf("p99 of another tenant is %v beside a backlog of 10,000, %v beside 100", long, short)
			}
		})
	}
}

func TestTenantsGetTheirShares(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		h := newHarness(t)
		served := make([]int, 4)
		for i, weight := range []int{0, 1, 2, 5} { // 0 counts as 1
			r := patient(fmt.Sprint(i))
			r.Limit, r.Weight = alipay, weight
			h.backlog(100, r, func() { h.mu.Lock(); served[i]++; h.mu.Unlock() })
		}
		time.Sleep(5 * time.Second)
		h.mu.Lock()
		clear(served) // the first 50 were free
		h.mu.Unlock()
		time.Sleep(30 * time.Second)
		h.Drain()
		synctest.Wait()
		total := 0
		for _, n := range served {
			total += n
		}
		if mean := float64(total) / 30; mean < 49 {
			t.Errorf("%.1f permits a second, want 49 at least", mean)
		}
		for i, share := range []float64{1. / 9, 1. / 9, 2. / 9, 5. / 9} {
			if got := float64(served[i]) / float64(total); math.Abs(got/share-1) > 0.05 {
				t.Errorf("tenant %d gets %.3f of the permits, want %.3f", i, got, share)
			}
		}
	})
}

func TestLowerClassesAreLateButNotStarved(t *testing.T) {
	tests := map[string]struct {
		waiting []Priority
		want    map[Priority]int // of 100 permits
	}{
		"two classes":   {[]Priority{High, Low}, map[Priority]int{High: 90, Low: 10}},
		"three classes": {[]Priority{High, Normal, Low}, map[Priority]int{High: 80, Normal: 10, Low: 10}},
		"beyond":        {[]Priority{High + 5, Low - 5}, map[Priority]int{High + 5: 90, Low - 5: 10}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				h := newHarness(t)
				r := patient("a")
				h.call(t.Context(), "", r)
				served := make(map[Priority]int)
				for _, p := range tt.waiting {
					r.Priority = p
					h.backlog(3, r, func() { h.mu.Lock(); served[p]++; h.mu.Unlock() })
				}
				time.Sleep(100*time.Second + time.Second/2)
				h.Drain()
				synctest.Wait()
				for p, want := range tt.want {
					if got := served[p]; got < want-1 || got > want+1 {
						t.Errorf("class %d gets %d permits in 100, want about %d", p, got, want)
					}
				}
			})
		})
	}
}
