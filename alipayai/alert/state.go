package alert

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// State is what is wrong, since when, and what the detectors have counted. It
// holds nothing of a configuration, so that it can outlive them all: one that
// follows continues with it, and what was sent before is not sent again. It is safe
// for concurrent use.
type State struct {
	// firing is replaced, never changed, so that calls read it without a lock.
	firing atomic.Pointer[map[subject]*firing]

	mu      sync.Mutex // held to change anything
	errors  map[string][]time.Time
	until   map[subject]time.Time // when a detector's alert is over
	sending map[delivery]*place
	lanes   atomic.Int64 // how many there were
}

// subject is what can be wrong once.
type subject struct {
	kind     Kind
	provider string
}

// delivery is the way of a subject's notifications to one sink.
type delivery struct {
	sink string
	subject
}

// place is that of a notification on its way, in the lane of that id. done is closed when it has arrived or never will.
type place struct {
	lane int64
	done chan struct{}
}

type firing struct {
	summary string
	since   time.Time
	repeats atomic.Int64
	// unsent are the sinks that its last trigger has not reached, with the lane that gave up and when; the state is locked.
	// missing says without a lock that there are any.
	unsent  map[string]gaveUp
	missing atomic.Bool
}

type gaveUp struct {
	lane int64
	at   time.Time
}

// Firing is one thing that is wrong.
type Firing struct {
	Kind     Kind
	Provider string
	Summary  string
	Since    time.Time
	Repeats  int64 // how often it was reported again
}

// NewState returns a State in which all is well.
func NewState() *State {
	s := &State{
		errors: map[string][]time.Time{},
		until:  map[subject]time.Time{}, sending: map[delivery]*place{},
	}
	s.firing.Store(&map[subject]*firing{})
	return s
}

// Firing lists what is wrong, by kind and provider.
func (s *State) Firing() []Firing {
	var list []Firing
	for sub, f := range *s.firing.Load() {
		list = append(list, Firing{sub.kind, sub.provider, f.summary, f.since, f.repeats.Load()})
	}
	slices.SortFunc(list, func(a, b Firing) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Provider, b.Provider))
	})
	return list
}

// get is what is known of the subject; nil while all is well with it. It takes
// no lock.
func (s *State) get(sub subject) *firing { return (*s.firing.Load())[sub] }

// raise makes the subject fire, unless it does already. The state is locked.
func (s *State) raise(sub subject, summary string) (Notification, bool) {
	if f := s.get(sub); f != nil {
		f.repeats.Add(1)
		return Notification{}, false
	}
	now := time.Now()
	next := maps.Clone(*s.firing.Load())
	next[sub] = &firing{summary: summary, since: now}
	s.firing.Store(&next)
	return Notification{
		Action: Trigger, Kind: sub.kind, Provider: sub.provider, Summary: summary, Time: now, Since: now,
	}, true
}

// update makes the subject fire, and again where it does with another summary. The
// state is locked.
func (s *State) update(sub subject, summary string) (Notification, bool) {
	f := s.get(sub)
	if f == nil || f.summary == summary {
		return s.raise(sub, summary)
	}
	next := maps.Clone(*s.firing.Load())
	again := &firing{summary: summary, since: f.since}
	again.repeats.Store(f.repeats.Load() + 1)
	next[sub] = again
	s.firing.Store(&next)
	return Notification{
		Action: Trigger, Kind: sub.kind, Provider: sub.provider, Summary: summary,
		Time: time.Now(), Since: f.since, Repeats: again.repeats.Load(),
	}, true
}

// resolve ends the subject's firing, if it does. The state is locked.
func (s *State) resolve(sub subject, summary string) (Notification, bool) {
	f := s.get(sub)
	if f == nil {
		return Notification{}, false
	}
	next := maps.Clone(*s.firing.Load())
	delete(next, sub)
	s.firing.Store(&next)
	return Notification{
		Action: Resolve, Kind: sub.kind, Provider: sub.provider, Summary: summary,
		Time: time.Now(), Since: f.since, Repeats: f.repeats.Load(),
	}, true
}

// again gives the trigger that a lane has to send again: one that the sink was not sent, where this is the lane of another
// configuration than gave up, or has not tried for as long as it then tries. The state is locked.
func (s *State) again(sub subject, l *lane) (Notification, bool) {
	f, now := s.get(sub), time.Now()
	if f == nil {
		return Notification{}, false
	}
	last, ok := f.unsent[l.name]
	if !ok || last.lane == l.id && now.Sub(last.at) < sendFor {
		return Notification{}, false
	}
	delete(f.unsent, l.name)
	f.missing.Store(len(f.unsent) > 0)
	return Notification{
		Action: Trigger, Kind: sub.kind, Provider: sub.provider, Summary: f.summary, Time: now, Since: f.since, Repeats: f.repeats.Load(),
	}, true
}

// outcome notes whether a trigger has reached a lane's sink. The state is locked.
func (s *State) outcome(l *lane, n Notification, sent bool) {
	f := s.get(n.subject())
	if n.Action != Trigger || f == nil || !f.since.Equal(n.Since) {
		return
	}
	if sent {
		delete(f.unsent, l.name)
	} else {
		if f.unsent == nil {
			f.unsent = make(map[string]gaveUp)
		}
		f.unsent[l.name] = gaveUp{l.id, time.Now()}
	}
	f.missing.Store(len(f.unsent) > 0)
}

// follow takes the next place on a way for the lane of that id, and gives the one before;
// nil if there is none. The state is locked.
func (s *State) follow(way delivery, lane int64) (before, last *place) {
	before, last = s.sending[way], &place{lane, make(chan struct{})}
	s.sending[way] = last
	return before, last
}

// arrived ends a place on a way.
func (s *State) arrived(way delivery, p *place) {
	close(p.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending[way] == p {
		delete(s.sending, way)
	}
}
