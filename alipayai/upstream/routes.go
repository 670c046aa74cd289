package upstream

import (
	"context"
	"crypto/rand"
	"io"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/limiter"
)

// How addresses are measured.
const (
	// ProbeEvery is how often each address of a provider that has several is probed.
	ProbeEvery = 10 * time.Second
	// fresh is for how long a measurement counts.
	fresh = 3 * ProbeEvery
	// peakDecay and meanDecay are in what time a latency counts for a third of what it did (1/e).
	peakDecay = 10 * time.Second
	meanDecay = 3 * ProbeEvery
	// An address takes the place of the one that serves when it is by margin faster than that is on average, or by spike
	// than that has just been: equals, whose answers vary, do not take turns.
	margin = 1.25
	spike  = 2
	// An address that has failed is avoided for avoidFirst, and each time for twice as long, up to avoidMost.
	avoidFirst = time.Second
	avoidMost  = 30 * time.Second
)

// Routes know how fast a provider's addresses are, and which of them fail. They outlive configurations. The zero value
// knows nothing. They are safe for concurrent use.
type Routes struct {
	mu sync.Mutex
	of map[string]*route
}

// route is what is known of an address. What probes and calls take is not compared with each other: a call waits for a
// model as well.
type route struct {
	probes, calls latency
	// failures are those since it last answered, and until is when it is tried again.
	failures int
	until    time.Time
	// probed is when it was probed last, asked when a call was sent to measure it or to try it again, and chosen when it
	// was the fastest last.
	probed, asked, chosen time.Time
}

func (r *route) isMeasured(now time.Time) bool { return r.calls.isFresh(now) || r.probes.isFresh(now) }

// latency is two exponentially weighted moving averages, in seconds. To peak a slow answer counts at once and in full, and
// fast ones bring it down by and by; mean is never above it.
type latency struct {
	peak, mean float64
	at         time.Time // of the last measurement; zero for none
}

func (l *latency) add(took time.Duration, now time.Time) {
	seconds := took.Seconds()
	peak, mean := seconds, seconds
	if l.isFresh(now) {
		since := max(now.Sub(l.at), 0).Seconds()
		average := func(before float64, decay time.Duration) float64 {
			part := math.Exp(-since / decay.Seconds())
			return before*part + seconds*(1-part)
		}
		peak = max(seconds, average(l.peak, peakDecay))
		mean = min(peak, average(l.mean, meanDecay))
	}
	l.peak, l.mean, l.at = peak, mean, now
}

// beats reports whether an address of latency l takes the place of one that serves with latency other.
func (l latency) beats(other latency) bool {
	return l.peak*margin < other.mean || l.peak*spike < other.peak
}

func (l *latency) isFresh(now time.Time) bool { return !l.at.IsZero() && now.Sub(l.at) < fresh }

func (s *Routes) find(a *Address) *route {
	if s.of == nil {
		s.of = make(map[string]*route)
	}
	key := a.URL.String()
	found := s.of[key]
	if found == nil {
		found = new(route)
		s.of[key] = found
	}
	return found
}

// choose gives the fastest of the addresses, of which there is at least one: that which was so last, unless another beats
// it. One that has not been measured lately gets a call that measures it. Of those that fail, the one that is to be tried
// first is the choice only where all do; one that no probe brings back gets a call when it is due.
func (s *Routes) choose(addresses []*Address, now time.Time) *Address {
	if len(addresses) == 1 {
		return addresses[0]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	best := s.serving(addresses)
	soonest := addresses[0]
	compared := s.comparable(addresses, now)
	for _, a := range addresses {
		r := s.find(a)
		switch {
		case r.failures == 0 && !r.isMeasured(now) && now.Sub(r.asked) >= fresh,
			r.failures > 0 && r.probed.IsZero() && !now.Before(r.until) && now.Sub(r.asked) >= avoid(r.failures):
			r.asked = now
			return a
		case r.failures == 0 && compared(r).beats(compared(s.find(best))):
			best = a
		}
		if r.until.Before(s.find(soonest).until) {
			soonest = a
		}
	}
	if best == nil {
		return soonest
	}
	s.find(best).chosen = now
	return best
}

// serving gives the address that was the fastest last, of those that do not fail; the first where none was, and nil where
// all fail.
func (s *Routes) serving(addresses []*Address) (last *Address) {
	for _, a := range addresses {
		if r := s.find(a); r.failures == 0 && (last == nil || r.chosen.After(s.find(last).chosen)) {
			last = a
		}
	}
	return last
}

// comparable gives what those of the addresses that do not fail are compared by: calls, or probes where one has no calls.
func (s *Routes) comparable(addresses []*Address, now time.Time) func(*route) latency {
	byCalls := true
	for _, a := range addresses {
		r := s.find(a)
		byCalls = byCalls && (r.failures > 0 || r.calls.isFresh(now))
	}
	return func(r *route) latency {
		switch {
		case byCalls || !r.probes.isFresh(now) && r.calls.isFresh(now):
			return r.calls
		case r.probes.isFresh(now):
			return r.probes
		}
		return latency{peak: math.MaxInt32, mean: math.MaxInt32} // a call is measuring it
	}
}

func avoid(failures int) time.Duration {
	return min(avoidFirst<<min(failures-1, 10), avoidMost)
}

// up reports whether the address is not known to fail.
func (s *Routes) up(a *Address) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(a).failures == 0
}

// answered notes that the address has answered, which is no failure whatever it says.
func (s *Routes) answered(a *Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.find(a).failures = 0
}

// served notes that the address has served a request after so long. A refusal is no measure: it comes at once, and an
// address that refuses everything would be the fastest.
func (s *Routes) served(a *Address, probe bool, took time.Duration, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(a)
	if probe {
		r.probes.add(took, now)
	} else {
		r.calls.add(took, now)
	}
}

// failed notes that it has not.
func (s *Routes) failed(a *Address, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(a)
	if r.failures > 0 && now.Before(r.until.Add(-avoid(r.failures)/2)) {
		return // of calls that were under way together, the first counts
	}
	r.failures++
	r.until = now.Add(avoid(r.failures))
}

// measure notes the time to the first byte of an answer.
func (x *Exchange) measure(r *Request) {
	routes, status := x.provider.Routes, x.Response.StatusCode
	if len(x.provider.addresses) == 1 {
		return
	}
	if status >= http.StatusInternalServerError {
		routes.failed(x.address, x.received)
		return
	}
	routes.answered(x.address)
	if status < http.StatusMultipleChoices {
		routes.served(x.address, r.carriesNothing(), x.received.Sub(x.sent), x.received)
	}
}

// measureFailure notes that no answer came, unless that is the client's or the gateway's own doing.
func (x *Exchange) measureFailure(f *failure.Failure) {
	if len(x.provider.addresses) > 1 && !f.ClientGone && !f.StaleConnection && !f.Unprocessed {
		x.provider.Routes.failed(x.address, x.now())
	}
}

// probeTenant is who probes are of, in the queue of the rate cap. No tenant has that name.
const probeTenant = "alipayai probe"

// Probes runs until ctx ends. It measures each address every ProbeEvery, and sooner one that has failed, by a list of
// models, which is free: within the rate cap, and with permits that no client waits for. Where there are none, calls measure
// an address; what brings one back that has failed is a probe alone, which then has one permit out of ten. It does nothing for a provider that has one address or
// no such list: calls measure it then.
func (p *Provider) Probes(ctx context.Context) {
	if len(p.addresses) == 1 || !p.Has(EndpointModels) {
		return
	}
	ticks := time.NewTicker(avoidFirst)
	defer ticks.Stop()
	var probes sync.WaitGroup
	defer probes.Wait()
	for {
		for _, a := range p.addresses {
			if due, failing := p.Routes.due(a, time.Now()); due {
				priority := limiter.Background
				if failing {
					priority = limiter.Low
				}
				probes.Go(func() { p.probe(ctx, a, priority) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// due reports whether the address is to be probed now, and notes that it is, and whether it has failed.
func (s *Routes) due(a *Address, now time.Time) (due, failing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(a)
	if now.Sub(r.probed) < ProbeEvery && (r.failures == 0 || now.Before(r.until) || r.probed.After(r.until)) {
		return false, false
	}
	r.probed = now
	return true, r.failures > 0
}

func (p *Provider) probe(ctx context.Context, a *Address, priority limiter.Priority) {
	const most = 64 << 10 // of an answer; a connection with more to come is not kept
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	x, f := p.Send(ctx, &Request{
		Endpoint: EndpointModels, Address: a, ID: "probe-" + rand.Text(),
		Tenant: probeTenant, Share: Share{Priority: priority},
		Deadline: time.Now().Add(p.Timeout), Caller: prober{},
	})
	if f != nil {
		return
	}
	defer x.End()
	_, _ = io.Copy(io.Discard, io.LimitReader(x.Response.Body, most))
	_ = x.Response.Body.Close()
}

// prober hears of probes, which nothing else has to.
type prober struct{}

func (prober) Permitted(*Provider, time.Duration)                {}
func (prober) Rejected(*Provider, string)                        {}
func (prober) SigningFailed(*Provider)                           {}
func (prober) Leaving(*Provider, *http.Request) *failure.Failure { return nil }
