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
	// decay is in what time a latency counts for a third of what it did (1/e).
	decay = 10 * time.Second
	// margin is how much faster than one before it in the configuration an address has to be: equals do not take turns.
	margin = 1.1
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
	// probed is when it was probed last, and asked when a call was sent to measure it.
	probed, asked time.Time
}

func (r *route) isMeasured(now time.Time) bool { return r.calls.isFresh(now) || r.probes.isFresh(now) }

// latency is a peak-sensitive, exponentially weighted moving average: a slow answer counts at once and in full, and fast
// ones bring it down by and by.
type latency struct {
	seconds float64
	at      time.Time // of the last measurement; zero for none
}

func (l *latency) add(took time.Duration, now time.Time) {
	seconds := took.Seconds()
	if l.isFresh(now) {
		part := math.Exp(-max(now.Sub(l.at), 0).Seconds() / decay.Seconds())
		seconds = max(seconds, l.seconds*part+seconds*(1-part))
	}
	l.seconds, l.at = seconds, now
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

// choose gives the fastest of the addresses, of which there is at least one. One that has not been measured lately gets a
// call that measures it. Of those that fail, the one that is to be tried first is the choice only where all do; one that
// no probe brings back gets a call when it is due.
func (s *Routes) choose(addresses []*Address, now time.Time) *Address {
	if len(addresses) == 1 {
		return addresses[0]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var best *Address
	soonest := addresses[0]
	compare := s.comparable(addresses, now)
	for _, a := range addresses {
		r := s.find(a)
		switch {
		case r.failures == 0 && !r.isMeasured(now) && now.Sub(r.asked) >= fresh:
			r.asked = now
			return a
		case r.failures == 0 && (best == nil || compare(r)*margin < compare(s.find(best))):
			best = a
		case r.failures > 0 && r.probed.IsZero() && !now.Before(r.until):
			r.until = now.Add(avoid(r.failures))
			return a
		}
		if r.until.Before(s.find(soonest).until) {
			soonest = a
		}
	}
	if best == nil {
		return soonest
	}
	return best
}

// comparable gives what those of the addresses that do not fail are compared by: calls, or probes where one has no calls.
func (s *Routes) comparable(addresses []*Address, now time.Time) func(*route) float64 {
	byCalls := true
	for _, a := range addresses {
		r := s.find(a)
		byCalls = byCalls && (r.failures > 0 || r.calls.isFresh(now))
	}
	return func(r *route) float64 {
		switch {
		case byCalls || !r.probes.isFresh(now) && r.calls.isFresh(now):
			return r.calls.seconds
		case r.probes.isFresh(now):
			return r.probes.seconds
		}
		return math.MaxInt32 // a call is measuring it
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
	if len(x.provider.addresses) > 1 && !f.ClientGone && !f.StaleConnection {
		x.provider.Routes.failed(x.address, x.now())
	}
}

// probeTenant is who probes are of, in the queue of the rate cap. No tenant has that name.
const probeTenant = "alipayai probe"

// Probes runs until ctx ends. It measures each address every ProbeEvery, and sooner one that has failed, by a list of
// models, which is free: within the rate cap, behind all clients. It does nothing for a provider that has one address or
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
			if p.Routes.due(a, time.Now()) {
				probes.Go(func() { p.probe(ctx, a) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// due reports whether the address is to be probed now, and notes that it is.
func (s *Routes) due(a *Address, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(a)
	if now.Sub(r.probed) < ProbeEvery && (r.failures == 0 || now.Before(r.until) || r.probed.After(r.until)) {
		return false
	}
	r.probed = now
	return true
}

func (p *Provider) probe(ctx context.Context, a *Address) {
	const most = 64 << 10 // of an answer; a connection with more to come is not kept
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	x, f := p.Send(ctx, &Request{
		Endpoint: EndpointModels, Address: a, ID: "probe-" + rand.Text(),
		Tenant: probeTenant, Share: Share{Priority: limiter.Low},
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
