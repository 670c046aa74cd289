package upstream

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// places are the addresses of a provider, in simulated time.
type places struct {
	mu sync.Mutex
	of map[string]*place
	// order are the hosts that calls went to, in order.
	order  []string
	chance *rand.Rand
}

// place is what is at one address: it answers after latency, give or take the part jitter of it, or fails.
type place struct {
	latency time.Duration
	jitter  float64
	fails   bool

	calls, probes []time.Time
}

func (w *places) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	p := w.of[req.URL.Host]
	if strings.HasSuffix(req.URL.Path, "/models") {
		p.probes = append(p.probes, time.Now())
	} else {
		p.calls, w.order = append(p.calls, time.Now()), append(w.order, req.URL.Host)
	}
	wait, fails := time.Duration(float64(p.latency)*(1+p.jitter*(2*w.chance.Float64()-1))), p.fails
	w.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	if fails {
		return nil, errors.New("connection reset by peer")
	}
	return &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Body: io.NopCloser(strings.NewReader("{}")), Request: req}, nil
}

// set changes what is at an address.
func (w *places) set(host string, change func(*place)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w.of[host])
}

// since gives how many calls went to an address since then.
func (w *places) since(host string, then time.Time) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.of[host].calls {
		if !at.Before(then) {
			n++
		}
	}
	return n
}

// routed runs a test in simulated time, of a provider with two addresses, near and far, and a call each 100 ms while
// pass lets time pass.
func routed(t *testing.T, probed bool, test func(t *testing.T, w *places, pass func(time.Duration))) {
	t.Helper()
	routedBy(t, probed, nil, test)
}

// routedBy is routed, with a cap that is made within simulated time; nil for none.
func routedBy(t *testing.T, probed bool, limit func() *Cap, test func(t *testing.T, w *places, pass func(time.Duration))) {
	t.Helper()
	testwait.Bubble(t, func(t *testing.T) {
		w := &places{chance: rand.New(rand.NewPCG(1, 2)), of: map[string]*place{"near": {latency: 20 * time.Millisecond}, "far": {latency: 60 * time.Millisecond}}}
		p := &Provider{
			Profile: known(t, "openai"), BaseURL: &url.URL{Scheme: "https", Host: "far", Path: "/v1"},
			Addresses: []*Address{{URL: &url.URL{Scheme: "https", Host: "near", Path: "/v1"}}},
			Clock:     new(Clock), Hold: new(Hold), Transport: w,
		}
		if limit != nil {
			p.Cap = limit()
		}
		if err := p.Prepare(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		if probed {
			running.Go(func() { p.Probes(ctx) })
		}
		test(t, w, func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				running.Go(func() {
					x, f := p.Send(ctx, &Request{Endpoint: EndpointChat, ID: "x", Body: []byte("{}"), Deadline: time.Now().Add(time.Minute), Caller: silent{}})
					if f != nil {
						return
					}
					_, _ = io.Copy(io.Discard, x.Response.Body)
					_ = x.Response.Body.Close()
					x.End()
				})
			}
		})
	})
}

// The faster address serves. A slow answer of it, to a probe where there are any, counts at once and in full, and when it is fast again it comes back.
func TestFastestAddressServes(t *testing.T) {
	for name, probed := range map[string]bool{"with probes": true, "with calls alone": false} {
		t.Run(name, func(t *testing.T) {
			routed(t, probed, func(t *testing.T, w *places, pass func(time.Duration)) {
				pass(time.Second)
				began := time.Now()
				pass(5 * time.Minute)
				if near, far := w.since("near", began), w.since("far", began); far > 11 || near < 3000-11 { // one call each 30 s measures the other
					t.Errorf("%d calls went to the faster and %d to the other address", near, far)
				}
				w.set("near", func(p *place) { p.latency = 2 * time.Second })
				if probed {
					pass(ProbeEvery)
				}
				pass(2100 * time.Millisecond) // until the first slow answer is there
				slow := time.Now()
				pass(10 * time.Second)
				if near := w.since("near", slow); near > 1 {
					t.Errorf("%d calls went to the address that is slow now", near)
				}
				w.set("near", func(p *place) { p.latency = 20 * time.Millisecond })
				pass(2 * time.Minute)
				back := time.Now()
				pass(time.Minute)
				if near, far := w.since("near", back), w.since("far", back); far > 3 {
					t.Errorf("fast again, %d calls went to it and %d to the other address", near, far)
				}
			})
		})
	}
}

// An address that fails is avoided, each time for twice as long and at most for 30 seconds; a probe, or a call where no
// probe is possible, brings it back when it is well.
func TestFailingAddressIsAvoided(t *testing.T) {
	t.Run("with calls alone", func(t *testing.T) {
		routed(t, false, func(t *testing.T, w *places, pass func(time.Duration)) {
			pass(10 * time.Second)
			w.set("near", func(p *place) { p.fails = true })
			fails := time.Now()
			pass(2 * time.Minute)
			w.mu.Lock()
			var gaps []time.Duration
			var last time.Time
			for _, at := range w.of["near"].calls {
				if at.Before(fails) {
					continue
				}
				if !last.IsZero() {
					gaps = append(gaps, at.Sub(last).Round(time.Second))
				}
				last = at
			}
			w.mu.Unlock()
			want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}
			if len(gaps) < len(want) {
				t.Fatalf("tried again after %v", gaps)
			}
			for i, gap := range gaps {
				if i < len(want) && gap != want[i] {
					t.Errorf("tried again after %v, want %v", gaps, want)
					break
				}
			}
			w.set("near", func(p *place) { p.fails = false })
			pass(31 * time.Second)
			back := time.Now()
			pass(20 * time.Second)
			if near := w.since("near", back); near < 195 {
				t.Errorf("well again, it got %d of 200 calls", near)
			}
		})
	})
	t.Run("with probes", func(t *testing.T) {
		routed(t, true, func(t *testing.T, w *places, pass func(time.Duration)) {
			pass(15 * time.Second)
			w.set("near", func(p *place) { p.fails = true })
			pass(time.Second)
			fails := time.Now()
			pass(2 * time.Minute)
			if near := w.since("near", fails); near != 0 {
				t.Errorf("%d calls went to the address that fails", near)
			}
			w.mu.Lock()
			var longest time.Duration
			probes := w.of["near"].probes
			for i := 1; i < len(probes); i++ {
				longest = max(longest, probes[i].Sub(probes[i-1]))
			}
			w.mu.Unlock()
			if longest > ProbeEvery+avoidFirst || len(probes) < 12 || len(probes) > 25 {
				t.Errorf("%d probes, the longest time between two is %v", len(probes), longest)
			}
			w.set("near", func(p *place) { p.fails = false })
			pass(ProbeEvery + 2*avoidFirst)
			back := time.Now()
			pass(20 * time.Second)
			if near := w.since("near", back); near < 195 {
				t.Errorf("well again, it got %d of 200 calls", near)
			}
		})
	})
	t.Run("both", func(t *testing.T) {
		routed(t, true, func(t *testing.T, w *places, pass func(time.Duration)) {
			pass(15 * time.Second)
			for host := range w.of {
				w.set(host, func(p *place) { p.fails = true })
			}
			fails := time.Now()
			pass(time.Minute)
			if n := w.since("near", fails) + w.since("far", fails); n != 600 {
				t.Errorf("%d of 600 calls went to an address", n)
			}
		})
	})
}

// Two addresses that are as fast as each other do not take turns, however unsteady they are.
func TestEqualAddressesDoNotTakeTurns(t *testing.T) {
	for name, jitter := range map[string]float64{"steady": 0, "unsteady": 0.1, "very unsteady": 0.2} {
		for kind, probed := range map[string]bool{"with probes": true, "with calls alone": false} {
			t.Run(name+", "+kind, func(t *testing.T) {
				routed(t, probed, func(t *testing.T, w *places, pass func(time.Duration)) {
					for host := range w.of {
						w.set(host, func(p *place) { p.latency, p.jitter = 50*time.Millisecond, jitter })
					}
					pass(time.Minute)
					w.mu.Lock()
					w.order = nil
					w.mu.Unlock()
					const minutes = 30
					pass(minutes * time.Minute)
					w.mu.Lock()
					defer w.mu.Unlock()
					turns, settled := 0, w.order[0]
					for i := 1; i+1 < len(w.order); i++ { // one call that measures the other address is no turn
						if w.order[i] != settled && w.order[i+1] != settled {
							turns++
							settled = w.order[i]
						}
					}
					if turns > minutes/5 {
						t.Errorf("%d turns in %d minutes", turns, minutes)
					}
				})
			})
		}
	}
}

// Where clients wait for all permits, probes take none of them: calls measure the addresses then. One that has failed is
// probed all the same, and comes back.
func TestProbesTakeNoPermitThatClientsWaitFor(t *testing.T) {
	limit := func() *Cap {
		window := limiter.NewMemoryWindow(time.Now)
		return &Cap{
			Limit: limiter.Limit{Requests: 5, Per: time.Second}, Window: window, Queue: limiter.NewQueue(window, time.Now), // of 10 calls a second
			MaxWait: 10 * time.Second, MaxCount: 100, MaxBytes: 1 << 20,
		}
	}
	routedBy(t, true, limit, func(t *testing.T, w *places, pass func(time.Duration)) {
		probes := func(then time.Time) (n int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, place := range w.of {
				for _, at := range place.probes {
					if !at.Before(then) {
						n++
					}
				}
			}
			return n
		}
		pass(20 * time.Second)
		busy := time.Now()
		pass(5 * time.Minute)
		if n := probes(busy); n > 0 {
			t.Errorf("%d probes had permits that clients waited for", n)
		}
		if near, far := w.since("near", busy), w.since("far", busy); far == 0 || near < 1400 {
			t.Errorf("%d calls went to the faster and %d to the other address", near, far)
		}
		w.set("near", func(p *place) { p.fails = true })
		pass(time.Minute)
		w.set("near", func(p *place) { p.fails = false })
		pass(time.Minute)
		back := time.Now()
		pass(time.Minute)
		if near := w.since("near", back); near < 250 {
			t.Errorf("well again, it got %d of 300 calls", near)
		}
	})
}
