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
	sending map[delivery]chan struct{}
}

// subject is what can be wrong once.
type subject struct {
	kind     Kind
	provider string
}

// delivery is the way of a subject's notifications to one sink. The channel of the
// last one is closed when it has arrived or never will.
type delivery struct {
	sink string
	subject
}

type firing struct {
	summary string
	since   time.Time
	repeats atomic.Int64
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
		until:  map[subject]time.Time{}, sending: map[delivery]chan struct{}{},
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

// follow takes the next place on a way, and gives the end of the one before;
// nil if there is none. The state is locked.
func (s *State) follow(way delivery) (before, done chan struct{}) {
	before, done = s.sending[way], make(chan struct{})
	s.sending[way] = done
	return before, done
}

// arrived ends a place on a way.
func (s *State) arrived(way delivery, done chan struct{}) {
	close(done)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending[way] == done {
		delete(s.sending, way)
	}
}
