package balance

import (
	"math"
	"sync"
	"time"
)

// decay is in what time a latency counts for a third of what it did (1/e).
const decay = 10 * time.Second

// unknown is the cost of a provider that is being asked for the first time, in seconds: no
// more go there until it has answered.
const unknown = 3600

// Latencies keeps the time to first content of providers as a peak-sensitive, exponentially
// weighted moving average, as Finagle's balancer does: a slow answer counts at once and in
// full, and fast ones bring it down by and by. Without answers it comes down as well, so that
// a provider which was slow is asked again. The zero value knows none. It is safe for
// concurrent use.
type Latencies struct {
	mu sync.Mutex
	of map[string]*latency
}

type latency struct {
	known   bool
	seconds float64
	at      time.Time
	pending int
}

func (l *Latencies) find(name string) *latency {
	if l.of == nil {
		l.of = make(map[string]*latency)
	}
	found := l.of[name]
	if found == nil {
		found = new(latency)
		l.of[name] = found
	}
	return found
}

// Cost is what asking the provider would cost: its latency, in seconds, once for each call
// that waits for it and for one more.
func (l *Latencies) Cost(name string, now time.Time) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.find(name)
	switch {
	case of.known:
		of.add(0, now)
		return of.seconds * float64(of.pending+1)
	case of.pending > 0:
		return unknown
	default:
		return 0
	}
}

// Begin counts a call that waits for the provider's answer; End has to follow.
func (l *Latencies) Begin(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.find(name).pending++
}

// End counts one that waits no longer. took is the time to its first content, or to a
// timeout; 0 where neither came.
func (l *Latencies) End(name string, now time.Time, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.find(name)
	of.pending--
	if took > 0 {
		of.add(took.Seconds(), now)
		of.known = true
	}
}

func (l *latency) add(seconds float64, now time.Time) {
	part := math.Exp(-max(now.Sub(l.at), 0).Seconds() / decay.Seconds())
	if !l.known {
		part = 0
	}
	l.seconds = max(seconds, l.seconds*part+seconds*(1-part))
	if now.After(l.at) {
		l.at = now
	}
}
