package sandbox

import (
	"sync"
	"time"
)

// traffic watches the arrivals of one app. Time is read under its lock, so the
// order of arrivals and the order of their times are the same: both the cap and
// the peak are exact.
type traffic struct {
	mu   sync.Mutex
	last time.Time
	cap  window
	peak peak
}

// arrive notes one arrival and reports whether the cap lets it in, and if not,
// after how long it would.
func (t *traffic) arrive(now func() time.Time) (ok bool, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := now()
	if at.Before(t.last) {
		at = t.last // a clock that steps back must not open the window
	}
	t.last = at
	t.peak.add(at)
	return t.cap.admit(at)
}

func (t *traffic) most() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peak.most
}

func (t *traffic) resetPeak() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peak = peak{}
}

// window admits at most len(ring) arrivals in any second [t, t+1s). It keeps the
// times of the last admitted ones in a ring: a new arrival fits exactly when the
// oldest of them is a second old. Refused arrivals take no place. A ring of
// length 0 admits everything.
type window struct {
	ring []time.Time
	next int
}

func newWindow(perSecond int) window {
	return window{ring: make([]time.Time, max(perSecond, 0))}
}

func (w *window) admit(at time.Time) (ok bool, wait time.Duration) {
	if len(w.ring) == 0 {
		return true, 0
	}
	if oldest := w.ring[w.next]; !oldest.IsZero() {
		if wait := time.Second - at.Sub(oldest); wait > 0 {
			return false, wait
		}
	}
	w.ring[w.next] = at
	w.next = (w.next + 1) % len(w.ring)
	return true, 0
}

// peak knows the most arrivals that any sliding second has seen, refused ones included.
type peak struct {
	recent []time.Time
	head   int
	most   int
}

func (p *peak) add(at time.Time) {
	for p.head < len(p.recent) && at.Sub(p.recent[p.head]) >= time.Second {
		p.head++
	}
	if p.head > len(p.recent)/2 {
		p.recent = p.recent[:copy(p.recent, p.recent[p.head:])]
		p.head = 0
	}
	p.recent = append(p.recent, at)
	p.most = max(p.most, len(p.recent)-p.head)
}
