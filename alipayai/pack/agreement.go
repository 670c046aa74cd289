package pack

import (
	"math/bits"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	// compared is how many of a tenant's last comparisons count, and enough from how many on
	// they say something.
	compared, enough = 50, 10
	// OffFor is how long a tenant's calls are not packed after too many answers differed. Then
	// packing is tried, and measured, anew.
	OffFor = time.Hour
	// maxTenants bounds the tenants of which results are kept.
	maxTenants = 1 << 16
)

// Agreements remember, for each tenant, how often an answer of a pack was the same as the
// one to the item alone. The zero value is ready; it is safe for concurrent use, and
// holds nothing of a configuration, so that it can outlive them.
type Agreements struct {
	mu sync.Mutex
	of map[string]*tally
}

// tally is the last comparisons of a tenant: a bit for each that differed.
type tally struct {
	differed uint64
	count    int
	// until is when packing is on again; zero while it is.
	until time.Time
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
	t.differed <<= 1
	if !agreed {
		t.differed |= 1
	}
	t.differed &= 1<<compared - 1
	t.count = min(t.count+1, compared)
	agreement = 1 - float64(bits.OnesCount64(t.differed))/float64(t.count)
	if t.count < enough || agreement >= least || !t.until.IsZero() {
		return agreement, false
	}
	t.until = now.Add(OffFor)
	return agreement, true
}

// Same reports whether two answers say the same, apart from case, white space and a last
// punctuation mark.
func Same(a, b string) bool { return normalised(a) == normalised(b) }

func normalised(text string) string {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	return strings.TrimRightFunc(text, unicode.IsPunct)
}
