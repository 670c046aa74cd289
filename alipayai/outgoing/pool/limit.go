package pool

import (
	"math/rand/v2"
	"time"
)

const (
	// DefaultIdle is after how long upstreams are taken to close a connection that is not
	// used, where nothing is known; most wait for a minute or longer.
	DefaultIdle = time.Minute
	// MinIdle is the least that is believed of it.
	MinIdle = 2 * time.Second
	// MaxIdle is the most.
	MaxIdle = 10 * time.Minute
	// minLearned is the least that closed connections teach: an upstream that closes sooner is
	// in trouble, and not to be given handshakes all the time.
	minLearned = 5 * time.Second
	// learnedFor is how long what was learned counts.
	learnedFor = time.Hour
	// atOnce is how close in time connections break that one event has broken.
	atOnce = 2 * time.Second
)

// limit is what is known of how long the upstream keeps a connection that is not used. It
// is learned from what answers say, and from connections that the upstream has closed.
type limit struct {
	said    time.Duration // by answers
	learned time.Duration
	at      time.Time // when it was learned

	// The last event that has closed connections: when it began, how long the first of them had
	// idled, and what was known before.
	event         time.Time
	first, before time.Duration
}

// idle gives it.
func (l *limit) idle(now time.Time, s *Settings) time.Duration {
	d := DefaultIdle
	switch {
	case s != nil && s.Idle > 0:
		d = s.Idle
	case l.said > 0:
		d = l.said
	}
	if l.learned > 0 && now.Sub(l.at) < learnedFor {
		d = min(d, l.learned)
	}
	return d
}

// renewAt is when a connection that is not used from then on is replaced: at half to four
// fifths of its time, so that not all are replaced at once.
func (l *limit) renewAt(used time.Time, s *Settings) time.Time {
	idle := l.idle(used, s)
	return used.Add(idle/2 + rand.N(idle*3/10))
}

// usable is how long one may be used: what is written to it later may meet its closing.
func (l *limit) usable(now time.Time, s *Settings) time.Duration {
	idle := l.idle(now, s)
	return idle - max(idle/10, MinIdle/4)
}

// closed takes that the upstream has closed a connection which was alive when it had idled for so
// long. A restart closes those that have idled for different times all at once, and
// teaches nothing.
func (l *limit) closed(now time.Time, idled time.Duration) {
	if now.Sub(l.event) < atOnce {
		if (idled - l.first).Abs() > atOnce {
			l.learned = l.before
		}
		return
	}
	l.event, l.first, l.before = now, idled, 0
	if now.Sub(l.at) < learnedFor {
		l.before = l.learned
	}
	if idled >= minLearned {
		l.learned, l.at = min(idled, MaxIdle), now
	}
}
