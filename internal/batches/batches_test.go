package batches

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// A batch counts once, whichever come between, and a replica is remembered within bounds.
func TestTake(t *testing.T) {
	type step struct {
		replica string
		number  int64
		after   time.Duration // since the step before
		taken   bool
	}
	for name, test := range map[string]struct {
		steps []step
		known string
	}{
		"each once":                 {[]step{{"a", 1, 0, true}, {"a", 1, 0, false}, {"a", 2, 0, true}, {"a", 1, 0, false}}, "a"},
		"replicas apart":            {[]step{{"a", 5, 0, true}, {"b", 1, 0, true}, {"a", 5, 0, false}}, "a b"},
		"numbers may be left out":   {[]step{{"a", 1, 0, true}, {"a", 9, 0, true}, {"a", 8, 0, false}}, "a"},
		"kept for the time":         {[]step{{"a", 1, 0, true}, {"b", 1, time.Hour, true}, {"a", 1, 0, false}}, "a b"},
		"forgotten after it":        {[]step{{"a", 1, 0, true}, {"b", 1, time.Hour + 1, true}, {"a", 1, 0, true}}, "a b"},
		"the longest silent goes":   {[]step{{"a", 1, 0, true}, {"b", 1, 1, true}, {"a", 2, 1, true}, {"c", 1, 1, true}, {"d", 1, 1, true}}, "a c d"},
		"what is no news stays old": {[]step{{"a", 1, 0, true}, {"b", 1, 1, true}, {"c", 1, 1, true}, {"a", 1, 1, false}, {"d", 1, 1, true}}, "b c d"},
	} {
		t.Run(name, func(t *testing.T) {
			var last Last
			now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
			for i, s := range test.steps {
				now = now.Add(s.after)
				if taken := last.Take(s.replica, s.number, now, time.Hour, 3); taken != s.taken {
					t.Errorf("step %d: %s's batch %d is taken: %t, want %t", i, s.replica, s.number, taken, s.taken)
				}
			}
			if known := strings.Join(slices.Sorted(maps.Keys(last)), " "); known != test.known {
				t.Errorf("known are %s, want %s", known, test.known)
			}
		})
	}
}
