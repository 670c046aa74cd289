package pack

import (
	"math/bits"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	// last is how many of a tenant's last comparisons, and of its last packs, count, and enough from how many on
	// they say something.
	last, enough = 50, 10
	// OffFor is how long a tenant's calls are not packed after too many answers differed, or too many packs were in vain.
	// Then packing is tried, and measured, anew.
	OffFor = time.Hour
	// maxTenants bounds the tenants of which results are kept.
	maxTenants = 1 << 16
)

// Agreements remember, for each tenant, how often an answer of a pack was the same as the
// one to the item alone, and how often a pack was in vain. The zero value is ready; it is safe for concurrent use, and
// holds nothing of a configuration, so that it can outlive them.
type Agreements struct {
	mu sync.Mutex
	of map[string]*tally
}

// tally is how a tenant's packing fares.
type tally struct {
	comparisons, packs results
	// until is when packing is on again; zero while it is.
	until time.Time
}

// results are the last ones: a bit for each that is bad.
type results struct {
	bad   uint64
	count int
}

// add gives the part of them that are good, with one more.
func (r *results) add(good bool) float64 {
	r.bad <<= 1
	if !good {
		r.bad |= 1
	}
	r.bad &= 1<<last - 1
	r.count = min(r.count+1, last)
	return 1 - float64(bits.OnesCount64(r.bad))/float64(r.count)
}

// Off reports whether the tenant's calls are not packed at present.
func (a *Agreements) Off(tenant string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.off(tenant, now)
}

func (a *Agreements) off(tenant string, now time.Time) bool {
	t := a.of[tenant]
	switch {
	case t == nil || t.until.IsZero():
		return false
	case now.Before(t.until):
		return true
	}
	delete(a.of, tenant)
	return false
}

// AnyOff reports whether there is a tenant whose calls are not packed at present.
func (a *Agreements) AnyOff(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for tenant := range a.of {
		if a.off(tenant, now) {
			return true
		}
	}
	return false
}

// Compared notes a comparison. It gives the part of the last ones that agreed, and whether
// that is, from now on, less than least: packing then is off for the tenant.
func (a *Agreements) Compared(tenant string, agreed bool, least float64, now time.Time) (agreement float64, turnedOff bool) {
	return a.note(tenant, func(t *tally) *results { return &t.comparisons }, agreed, least, now)
}

// Dealt notes a pack that was answered, with what that was good for: in vain is one of which more calls have to be asked alone
// than have their answers. It gives the part of the last ones that were not in vain, and whether that is, from now on, less
// than least: packing then is off for the tenant, since it costs more than it saves.
func (a *Agreements) Dealt(tenant string, inVain bool, least float64, now time.Time) (good float64, turnedOff bool) {
	return a.note(tenant, func(t *tally) *results { return &t.packs }, !inVain, least, now)
}

func (a *Agreements) note(tenant string, of func(*tally) *results, good bool, least float64, now time.Time) (part float64, turnedOff bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.of[tenant]
	if t == nil {
		t = new(tally)
		if len(a.of) < maxTenants {
			if a.of == nil {
				a.of = make(map[string]*tally)
			}
			a.of[tenant] = t
		}
	}
	r := of(t)
	part = r.add(good)
	if r.count < enough || part >= least || !t.until.IsZero() {
		return part, false
	}
	t.until = now.Add(OffFor)
	return part, true
}

// Same reports whether two answers say the same, apart from case, white space and a last
// punctuation mark.
func Same(a, b string) bool { return normalised(a) == normalised(b) }

func normalised(text string) string {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	return strings.TrimRightFunc(text, unicode.IsPunct)
}
