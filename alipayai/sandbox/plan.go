package sandbox

import (
	"sync"
	"time"
)

// hits reports whether the fault applies to a call that is answered by a stream
// or by one body.
func (f Fault) hits(c *call, stream bool) bool {
	sp := kinds[f.Kind]
	if sp.only == streamAnswer && !stream || sp.only == jsonAnswer && stream || sp.only == packAnswer && !c.packed {
		return false
	}
	if f.ClientID != "" && (c.app == nil || c.app.id != f.ClientID) {
		return false
	}
	if f.Kind == PaymentRequired && c.r.Header.Get("Payment-Proof") != "" {
		return false
	}
	if f.Path != "" || f.Kind == ClockSkew {
		return f.Path == "" || f.Path == c.r.URL.Path
	}
	return c.ep.serve != nil && c.ep.token == (f.Kind == TokenError)
}

// plan is what goes wrong with one call.
type plan struct {
	latency, firstByte, skew time.Duration
	badSignature             bool
	outcome                  Fault // no kind: the call succeeds
	kinds                    []Kind
}

// add takes the fault into the plan, unless it already has another outcome.
func (p *plan) add(f Fault) bool {
	if !kinds[f.Kind].adds && p.outcome.Kind != "" {
		return false
	}
	switch f.Kind {
	case Latency:
		p.latency += f.Delay
	case SlowFirstByte:
		p.firstByte += f.Delay
	case ClockSkew:
		p.skew += f.Skew
	case WrongResponseSignature:
		p.badSignature = true
	default:
		p.outcome = f
	}
	p.kinds = append(p.kinds, f.Kind)
	return true
}

// faultList holds the faults that are set, in their order.
type faultList struct {
	mu    sync.Mutex
	armed []Fault
}

// take adds to p every fault for which use says so, and counts it down.
func (l *faultList) take(p *plan, use func(Fault) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.armed[:0]
	for _, f := range l.armed {
		if use(f) && p.add(f) && f.Times > 0 {
			f.Times--
			if f.Times == 0 {
				continue
			}
		}
		left = append(left, f)
	}
	clear(l.armed[len(left):])
	l.armed = left
}

// skew takes the clock faults, which act before a call is judged.
func (l *faultList) skew(c *call) time.Duration {
	var p plan
	l.take(&p, func(f Fault) bool { return f.Kind == ClockSkew && f.hits(c, false) })
	c.srv.stats.faulted(p.kinds)
	return p.skew
}
