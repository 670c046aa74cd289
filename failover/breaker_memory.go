package failover

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// remembered is how long a breaker is remembered after its latest change.
	remembered = MaxSpan
	// mostPairs is how many are remembered at most.
	mostPairs = 100_000
)

// memory holds the histories of those breakers that have one.
type memory struct {
	pairs sync.Map // *pair by Key
	turns atomic.Uint64

	mu sync.Mutex // for every change
	// recent are the pairs in the order of their latest change.
	recent list.List
}

// pair is a breaker with something to remember.
type pair struct {
	key     Key
	history atomic.Pointer[history]

	// Under the lock of the memory:
	changed time.Time
	place   *list.Element
	// pending counts the events that are on their way to the replicas' common memory.
	pending int
	// unheard says that the breaker has opened here and the common memory may not have heard of it.
	unheard bool
}

// find is nil for a breaker with nothing to remember. It needs no lock.
func (m *memory) find(key Key) *pair {
	if p, ok := m.pairs.Load(key); ok {
		return p.(*pair)
	}
	return nil
}

// read is what is remembered of a breaker. It needs no lock.
func (m *memory) read(key Key) history {
	if p := m.find(key); p != nil {
		return *p.history.Load()
	}
	return history{}
}

// write replaces the history of a breaker, and counts its turn if it has opened
// or closed. The pair is nil if there is nothing to remember.
func (m *memory) write(key Key, h history, now time.Time) *pair {
	p := m.find(key)
	before := m.read(key)
	h.turn = before.turn
	if h.isOpen() != before.isOpen() {
		h.turn = m.turns.Add(1)
	}
	if p == nil {
		if h.isEmpty() {
			return nil
		}
		m.makeRoom(now)
		p = &pair{key: key}
		p.place = m.recent.PushBack(p)
		p.history.Store(&h)
		m.pairs.Store(key, p)
	} else if h.isEmpty() && p.pending == 0 {
		m.forget(p)
		return nil
	}
	p.unheard = p.unheard && h.isOpen()
	p.history.Store(&h)
	p.changed = now
	m.recent.MoveToBack(p.place)
	return p
}

// makeRoom forgets up to two breakers that have not changed for too long: one more
// than are added, so that all such are forgotten in the end while the work per call
// stays constant. If there are too many, the one that changed longest ago is
// forgotten in any case.
func (m *memory) makeRoom(now time.Time) {
	for range 2 {
		oldest := m.recent.Front()
		if oldest == nil {
			return
		}
		p := oldest.Value.(*pair)
		if now.Sub(p.changed) < remembered && m.recent.Len() < mostPairs {
			return
		}
		m.forget(p)
	}
}

func (m *memory) forget(p *pair) {
	m.pairs.Delete(p.key)
	m.recent.Remove(p.place)
}

// Tally is how many breakers are not closed.
type Tally struct{ Open, HalfOpen int }

// States counts the breakers that are not closed, as this replica knows them, by
// provider; a provider that has none is left out. It takes no lock, and looks at
// all breakers that are remembered: some milliseconds at most.
func (m *memory) States() map[string]Tally {
	now := time.Now()
	tallies := make(map[string]Tally)
	for key, p := range m.pairs.Range {
		provider := key.(Key).Provider
		tally := tallies[provider]
		switch p.(*pair).history.Load().state(now) {
		case Closed:
			continue
		case Open:
			tally.Open++
		case HalfOpen:
			tally.HalfOpen++
		}
		tallies[provider] = tally
	}
	return tallies
}
