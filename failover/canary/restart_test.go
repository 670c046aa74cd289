package canary

import (
	"errors"
	"path/filepath"
	"testing"
)

// After a restart what calls were before is of no trial: neither counts that were not sent yet, nor which conversations were
// bad. What this replica's calls are from then on is, and what those of others are from when they know.
func TestRestartForgets(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		a, b := New(s, "k", half), New(s, "k", half)
		exchange(t, a, b)
		broken := func(c *Canary, from int) {
			for i := range 50 {
				c.Record(Outcome{Arm: Candidate, Conversation: conversation(from + i), Failed: true})
			}
		}
		broken(a, 0)
		broken(b, 100)
		exchange(t, a, b)
		broken(a, 200) // not sent yet
		broken(b, 300)
		if err := a.Do(t.Context(), Restart); err != nil {
			t.Fatal(err)
		}
		want := func(when string, bad int64) {
			t.Helper()
			exchange(t, a, b)
			if got := b.state.Load().Evidence[Errors].Candidate; got.Trials != bad || got.Bad != bad {
				t.Errorf("%s: %+v, want %d bad calls", when, got, bad)
			}
		}
		want("at the beginning", 0)
		broken(a, 0)
		broken(b, 100)
		want("the same conversations", 100)
	})
}

// What a replica has made of its own calls while the store was away is of the trial that it knew.
func TestRestartWhileAway(t *testing.T) {
	s := File{Path: filepath.Join(t.TempDir(), "canary.db")}
	lonely := &fragile{Store: s}
	a, b := New(s, "k", half), New(lonely, "k", half)
	exchange(t, a, b)
	lonely.away = true
	record(b, Stable, 0, 3000, 0)
	record(b, Candidate, 5000, 1000, 900)
	if err := b.Exchange(t.Context()); !errors.Is(err, errAway) || b.state.Load().Phase != RolledBack {
		t.Fatalf("%v, phase %s", err, b.state.Load().Phase)
	}
	if err := a.Do(t.Context(), Restart); err != nil {
		t.Fatal(err)
	}
	lonely.away = false
	exchange(t, b)
	if now := b.state.Load(); now.Phase != Running || now.Evidence[ToolCalls].Candidate.Trials != 0 {
		t.Errorf("phase %s, %+v", now.Phase, now.Evidence[ToolCalls].Candidate)
	}
}
