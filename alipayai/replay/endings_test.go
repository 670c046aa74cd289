package replay

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// len gives the number of things.
func (e *endings[T]) len() int { return e.list.Len() + len(e.rest.items) }

// at gives the thing at the place that a thing says it has; nil for a place in another list.
func (e *endings[T]) at(thing T) (there T) {
	end := e.of(thing)
	if end.index != listed {
		return e.rest.items[end.index]
	}
	first := &end.node
	for first.Prev() != nil {
		first = first.Prev()
	}
	if first == e.list.Front() {
		there = end.node.Value
	}
	return there
}

// TestEndings holds endings against a list of times, with things of one time to live, of any, and removed at any time.
func TestEndings(t *testing.T) {
	type thing struct{ ending ending[*thing] }
	for name, ttl := range map[string]func(r *rand.Rand) time.Duration{
		"one time to live":  func(*rand.Rand) time.Duration { return 40 },
		"two times to live": func(r *rand.Rand) time.Duration { return 10 + 80*time.Duration(r.IntN(2)) },
		"any":               func(r *rand.Rand) time.Duration { return time.Duration(r.IntN(100)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			e := newEndings(func(t *thing) *ending[*thing] { return &t.ending })
			var there []*thing
			drop := func(of *thing) {
				if e.at(of) != of {
					t.Fatal("a thing is not in its place")
				}
				e.remove(of)
				there = slices.DeleteFunc(there, func(other *thing) bool { return other == of })
			}
			now := time.Unix(0, 0)
			for range 5000 {
				now = now.Add(time.Duration(r.IntN(3)))
				of := new(thing)
				e.put(of, now.Add(ttl(r)))
				if there = append(there, of); r.IntN(4) == 0 {
					drop(there[r.IntN(len(there))])
				}
				for of, ok := e.ended(now); ok; of, ok = e.ended(now) {
					if now.Before(of.ending.at) {
						t.Fatal("a thing has ended before its time")
					}
					drop(of)
				}
				if slices.ContainsFunc(there, func(of *thing) bool { return !now.Before(of.ending.at) }) || e.len() != len(there) {
					t.Fatalf("%d things, of which one has ended, or %d", e.len(), len(there))
				}
			}
		})
	}
}

// TestEndingsOfOneTimeToLiveAreNoHeap holds what makes them fast, after others have ended as well.
func TestEndingsOfOneTimeToLiveAreNoHeap(t *testing.T) {
	type thing struct{ ending ending[*thing] }
	e := newEndings(func(t *thing) *ending[*thing] { return &t.ending })
	now := time.Unix(0, 0)
	for range 100 {
		e.put(new(thing), now.Add(time.Hour))
		now = now.Add(time.Second)
	}
	if n := len(e.rest.items); n > 0 {
		t.Fatalf("%d of 100 are in the heap", n)
	}
	e.put(new(thing), now.Add(time.Minute))
	if n := len(e.rest.items); n != 1 {
		t.Fatalf("%d are in the heap, where one ends before others", n)
	}
	now = now.Add(2 * time.Hour)
	for of, ok := e.ended(now); ok; of, ok = e.ended(now) {
		e.remove(of)
	}
	e.put(new(thing), now.Add(time.Minute))
	if n := len(e.rest.items); n > 0 || e.len() != 1 {
		t.Errorf("%d of %d are in the heap", n, e.len())
	}
}
