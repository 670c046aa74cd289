package calendar

import (
	"slices"
	"time"
)

// Key is one version of a provider's key.
type Key struct {
	Version int
	// ID tells the key from another one of the same version, and does not give it away.
	ID string
	// Since is from when the key has been there; zero where that is not known.
	Since time.Time
}

// Level is how near the end of a key is.
type Level int

// The levels.
const (
	// Fine: there is time.
	Fine Level = iota
	// Expiring: one of the times to warn before the end has come.
	Expiring
	// Overdue: the end has passed.
	Overdue
)

// String gives the level's name.
func (l Level) String() string {
	switch l {
	case Expiring:
		return "expiring"
	case Overdue:
		return "overdue"
	}
	return "fine"
}

// Due is when something has to be replaced.
type Due struct {
	// What is the thing, as "key 3".
	What string
	// At is its end; zero where there is none.
	At time.Time
	// Level is how near that is.
	Level Level
	// Warned is the shortest of the times to warn that has come; 0 before the first. It changes each time when
	// operators are to be told again.
	Warned time.Duration
}

// DefaultWarnings are the times before an end at which operators are told.
func DefaultWarnings() []time.Duration { return []time.Duration{7 * 24 * time.Hour, 24 * time.Hour} }

// DueAt says how near the end of what is, of which operators are warned that long before.
func DueAt(what string, end, now time.Time, warnings []time.Duration) Due {
	d := Due{What: what, At: end}
	if end.IsZero() {
		return d
	}
	left := end.Sub(now)
	if left <= 0 {
		d.Level = Overdue
		return d
	}
	for _, before := range slices.Backward(slices.Sorted(slices.Values(warnings))) {
		if left <= before {
			d.Level, d.Warned = Expiring, before
		}
	}
	return d
}
