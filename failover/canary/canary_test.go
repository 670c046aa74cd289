package canary

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// fragile is a store that can be away, and that can lose replies.
type fragile struct {
	Store
	away, deaf bool
}

var errAway = errors.New("away")

func (f *fragile) Update(ctx context.Context, key string, change func([]byte, time.Time) ([]byte, error)) error {
	if f.away {
		return errAway
	}
	err := f.Store.Update(ctx, key, change)
	if f.deaf {
		return errAway
	}
	return err
}

// stores runs a test with each store.
func stores(t *testing.T, test func(t *testing.T, s Store)) {
	t.Run("file", func(t *testing.T) { test(t, File{Path: filepath.Join(t.TempDir(), "folder", "canary.db")}) })
	t.Run("redis", func(t *testing.T) {
		client := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr, MaxRetries: -1, ContextTimeoutEnabled: true})
		t.Cleanup(func() { _ = client.Close() })
		test(t, NewRedis(client))
	})
}

func conversation(i int) []byte {
	return Conversation("acme", string(binary.BigEndian.AppendUint32(nil, uint32(i))))
}

// record records n calls of as many conversations, of which so many are bad at the candidate.
func record(c *Canary, arm Arm, from, n, bad int) {
	for i := range n {
		c.Record(Outcome{Arm: arm, Conversation: conversation(from + i), HasToolCalls: true, BrokenToolCall: i < bad})
	}
}

func exchange(t *testing.T, replicas ...*Canary) {
	t.Helper()
	for _, c := range replicas {
		if err := c.Exchange(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

var half = Plan{Steps: []Step{{0.1, time.Hour}, {0.5, time.Hour}}, Guards: []Guard{Errors, ToolCalls}}

// Replicas give each conversation the same arm, and a larger share has those of a smaller.
func TestArms(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		a, b := New(s, "k", half), New(s, "k", half)
		if a.Arm(conversation(1)) != Stable {
			t.Error("the candidate gets calls before anything is known")
		}
		exchange(t, a, b)
		const n = 5000
		first := make(map[int]bool)
		for i := range n {
			if a.Arm(conversation(i)) != b.Arm(conversation(i)) {
				t.Fatal("two replicas differ")
			}
			first[i] = a.Arm(conversation(i)) == Candidate
		}
		grown := a.state.Load().clone()
		grown.Step = 1
		a.state.Store(grown)
		small, large := 0, 0
		for i := range n {
			candidate := a.Arm(conversation(i)) == Candidate
			if first[i] && !candidate {
				t.Fatal("a share that grows takes a conversation back")
			}
			if first[i] {
				small++
			}
			if candidate {
				large++
			}
		}
		if small < n*7/100 || small > n*13/100 || large < n*45/100 || large > n*55/100 {
			t.Errorf("%d and %d of %d", small, large, n)
		}
		if err := a.Do(t.Context(), Rollback); err != nil {
			t.Fatal(err)
		}
		exchange(t, b)
		for i := range n {
			if a.Arm(conversation(i)) != Stable || b.Arm(conversation(i)) != Stable {
				t.Fatal("rolled back, a conversation is with the candidate")
			}
		}
	})
}

// The counts of replicas add up, also when replies are lost, and another process goes on
// from there.
func TestCountsAddUp(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		lost := &fragile{Store: s}
		a, b := New(lost, "k", half), New(s, "k", half)
		exchange(t, a, b)
		record(a, Stable, 0, 100, 1)
		lost.deaf = true
		for range 3 {
			if err := a.Exchange(t.Context()); !errors.Is(err, errAway) {
				t.Fatal(err)
			}
			record(a, Stable, 1000, 10, 0)
		}
		lost.deaf = false
		record(b, Candidate, 2000, 20, 0)
		exchange(t, a, a, b)
		for _, c := range []*Canary{b, New(s, "k", half)} {
			exchange(t, c)
			for _, g := range c.Status().Guards {
				if want := map[string]Tally{"errors": {130, 0}, "tool_calls": {130, 1}}[g.Guard]; g.Stable != want || g.Candidate.Trials != 20 {
					t.Errorf("%+v, want %+v of the stable arm", g, want)
				}
			}
		}
	})
}

// What an operator does holds for all replicas, and not what makes no sense.
func TestActions(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		a, b := New(s, "k", half), New(s, "k", half)
		for _, step := range []struct {
			do    Action
			wrong bool
			phase Phase
			share float64
		}{
			{Pause, false, Paused, 0.1}, {Pause, false, Paused, 0.1}, {Resume, false, Running, 0.1}, {Promote, false, Promoted, 1},
			{Pause, true, Promoted, 1}, {Rollback, false, RolledBack, 0}, {Resume, true, RolledBack, 0}, {Restart, false, Running, 0.1}, {"stop", true, Running, 0.1},
		} {
			if err := a.Do(t.Context(), step.do); errors.Is(err, ErrAction) != step.wrong || err != nil && !step.wrong {
				t.Errorf("%s: %v", step.do, err)
			}
			exchange(t, b)
			for _, c := range []*Canary{a, b} {
				if got := c.Status(); got.Phase != step.phase || got.Share != step.share {
					t.Errorf("after %s: %s with %v", step.do, got.Phase, got.Share)
				}
			}
		}
	})
}

// While the store is away replicas keep what they know and count; the share never grows, and
// a replica that sees the candidate fail takes it back by itself, for all when the store is
// there again.
func TestStoreAway(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		lost := &fragile{Store: s}
		plan := half
		plan.Steps = []Step{{0.1, time.Nanosecond}, {0.5, time.Hour}} // the first one is over at once
		a, b := New(lost, "k", plan), New(s, "k", plan)
		exchange(t, a, b)
		lost.away = true
		for i := range 20 { // as good as can be
			record(a, Stable, 10_000*i, 2000, 0)
			record(a, Candidate, 10_000*i+5000, 2000, 0)
			if err := a.Exchange(t.Context()); !errors.Is(err, errAway) {
				t.Fatal(err)
			}
		}
		if got := a.Status(); got.Share != 0.1 || got.Phase != Running || !got.Away {
			t.Errorf("while the store is away: %+v", got)
		}
		lost.away = false
		exchange(t, a, a, b)
		if got := b.Status(); got.Guards[1].Stable.Trials != 40_000 || got.Guards[1].Candidate.Trials != 40_000 || got.Share != 0.5 {
			t.Errorf("when the store is there again: %+v", got)
		}
		lost.away = true
		record(a, Stable, 1_000_000, 2000, 1)
		record(a, Candidate, 1_100_000, 300, 200)
		_ = a.Exchange(t.Context())
		if got := a.Status(); got.Phase != RolledBack || got.Share != 0 || b.Status().Share != 0.5 {
			t.Errorf("alone with a broken candidate: %+v", got)
		}
		lost.away = false
		exchange(t, a, b)
		if got := b.Status(); got.Phase != RolledBack || got.Reason != "tool_calls" || got.Away {
			t.Errorf("afterwards: %+v", got)
		}
	})
}

// A store that has lost its data is told what was known; one whose data cannot be read is
// left as it is, and all conversations stay where they are.
func TestLostAndBrokenStates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "canary.db")
	c := New(File{path}, "k", half)
	exchange(t, c)
	if err := c.Do(t.Context(), Rollback); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	exchange(t, c)
	other := New(File{path}, "k", half)
	exchange(t, other)
	if got := other.Status(); got.Phase != RolledBack {
		t.Errorf("after its data was lost: %+v", got)
	}
	for name, content := range map[string][]byte{"no database": []byte("this is not a database"), "cut": make([]byte, 8192)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		fresh := New(File{path}, "k", half)
		if err := fresh.Exchange(t.Context()); err == nil {
			t.Errorf("%s: it is read", name)
		}
		if got := fresh.Status(); got.Known || got.Share != 0 || fresh.Arm(conversation(1)) != Stable {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	of := func(change func(*State)) string {
		s := newState(time.Now())
		change(s)
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, state := range map[string]string{
		"no JSON": "{", "no state": "{}", "no key": of(func(s *State) { s.Key = nil }), "another phase": of(func(s *State) { s.Phase = "odd" }),
		"no step": of(func(s *State) { s.Step = -1 }), "a step beyond the last": of(func(s *State) { s.Step = len(half.Steps) }),
		"fewer calls than none": of(func(s *State) { s.Evidence[Errors].Stable.Trials = -1 }),
		"more bad than all":     of(func(s *State) { s.Evidence[Errors].Candidate = Tally{Trials: 1, Bad: 2} }),
	} {
		err := File{path}.Update(t.Context(), "k", func([]byte, time.Time) ([]byte, error) { return []byte(state), nil })
		if err != nil {
			t.Fatal(err)
		}
		if err := New(File{path}, "k", half).Exchange(t.Context()); !errors.Is(err, ErrState) || strings.Contains(err.Error(), "%!") || strings.Contains(err.Error(), "index") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// One broken conversation is not counted again and again.
func TestABrokenConversationCountsOnce(t *testing.T) {
	c := New(File{filepath.Join(t.TempDir(), "canary.db")}, "k", half)
	for range 1000 {
		c.Record(Outcome{Arm: Candidate, Conversation: conversation(1), HasToolCalls: true, BrokenToolCall: true, Failed: true})
	}
	record(c, Candidate, 10, 50, 0)
	if got := c.Totals(); got[ToolCalls][Candidate] != (Tally{51, 1}) || got[Errors][Candidate] != (Tally{51, 1}) {
		t.Errorf("%+v", got)
	}
}

// Calls, exchanges and commands of several goroutines lose nothing.
func TestConcurrently(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		replicas := []*Canary{New(s, "k", half), New(s, "k", half), New(s, "k", half)}
		var wait sync.WaitGroup
		for n, c := range replicas {
			wait.Go(func() {
				for i := range 40 {
					record(c, Arm(i%2), 100_000*n+1000*i, 25, 0)
					c.Arm(conversation(i))
					c.Status()
				}
			})
			wait.Go(func() {
				for range 8 {
					if err := c.Exchange(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		exchange(t, replicas...)
		exchange(t, replicas...)
		for _, c := range replicas {
			if got := c.Status().Guards[0]; got.Stable.Trials != 1500 || got.Candidate.Trials != 1500 {
				t.Errorf("%+v, want 1500 of each", got)
			}
		}
	})
}

// asked is a store that notes when it is asked.
type asked struct {
	Store
	at chan time.Time
}

func (a asked) Update(ctx context.Context, key string, change func([]byte, time.Time) ([]byte, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a.at <- time.Now()
	_, err := change(nil, time.Now())
	return err
}

// A replica looks at once, then every few seconds, and once more when it ends.
func TestRun(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		store := asked{at: make(chan time.Time, 9)}
		c := New(store, "k", half)
		ctx, end := context.WithCancel(t.Context())
		began := time.Now()
		ended := make(chan struct{})
		go func() { defer close(ended); c.Run(ctx, LookEvery) }()
		testwait.Pass(2*LookEvery + LookEvery/2)
		end()
		<-ended
		close(store.at)
		var at []time.Duration
		for looked := range store.at {
			at = append(at, looked.Sub(began))
		}
		if want := []time.Duration{0, LookEvery, 2 * LookEvery, 2*LookEvery + LookEvery/2}; !slices.Equal(at, want) {
			t.Errorf("looked after %v, want %v", at, want)
		}
	})
}
