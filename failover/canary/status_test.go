package canary

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// held is a store in memory.
type held struct {
	state []byte
	fails bool
}

func (h *held) Update(_ context.Context, _ string, change func([]byte, time.Time) ([]byte, error)) error {
	if h.fails {
		return errors.New("away")
	}
	next, err := change(h.state, time.Now())
	if err == nil {
		h.state = next
	}
	return err
}

// The status names the last bad calls of the candidate, of all replicas and not more than ten of each guard, and how far the
// evidence is from what rolls back. Those of the stable arm are not named, and beginning anew forgets all.
func TestStatusNamesBadCalls(t *testing.T) {
	store := new(held)
	plan := Plan{Steps: []Step{{Share: 0.5, For: time.Hour}}, Guards: []Guard{Errors, Blocked}}
	a, b := New(store, "k", plan), New(store, "k", plan)
	exchange := func() {
		t.Helper()
		for _, c := range []*Canary{a, b, a} {
			if err := c.Exchange(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	exchange()
	record := func(c *Canary, arm Arm, name string, failed bool) {
		c.Record(Outcome{Arm: arm, ID: name, Failed: failed, Conversation: Conversation(name)})
	}
	for i := range 20 {
		record(a, Stable, "stable-"+strconv.Itoa(i), i < 3)
		record(a, Candidate, "good-"+strconv.Itoa(i), false)
	}
	record(a, Candidate, "a-1", true)
	record(a, Candidate, "a-1", true) // the conversation counts once
	record(b, Candidate, "", true)
	record(b, Candidate, "b-1", true)
	exchange()
	if s := a.Status(); s.Steps != 1 || s.Step != 1 || s.Share != 0.5 || s.For != 3600 || !s.Known || s.Away {
		t.Errorf("status %+v", s)
	}
	g := a.Status().Guards
	if !slices.Equal(g[0].BadCalls, []string{"a-1", "b-1"}) || g[1].BadCalls != nil || g[0].Verdict != Inconclusive {
		t.Errorf("guards %+v", g)
	}
	if g[0].Threshold != 500 || g[0].Evidence <= 0 || g[0].Evidence >= g[0].Threshold {
		t.Errorf("evidence %v of %v", g[0].Evidence, g[0].Threshold)
	}
	var want []string
	for i := range 60 {
		name := fmt.Sprint("more-", i)
		record(b, Candidate, name, true)
		want = append(want, name)
	}
	for i := range 400 {
		record(b, Stable, "fine-"+strconv.Itoa(i), false)
	}
	exchange()
	s := a.Status()
	g = s.Guards
	if !slices.Equal(g[0].BadCalls, want[50:]) || g[0].Verdict != Fail || g[0].Evidence < g[0].Threshold || s.Phase != RolledBack || s.Warning != "" {
		t.Errorf("status %+v", s)
	}
	if err := a.Do(t.Context(), Promote); err != nil {
		t.Fatal(err)
	}
	if s := a.Status(); s.Phase != Promoted || !strings.HasPrefix(s.Warning, "promoted against guard errors: 63 of its ") || strings.Contains(s.Warning, "blocked") {
		t.Errorf("promoted: %+v", s)
	}
	if err := a.Do(t.Context(), Restart); err != nil {
		t.Fatal(err)
	}
	if s := a.Status(); s.Guards[0].BadCalls != nil || s.Warning != "" {
		t.Errorf("begun anew: %+v", s)
	}
	if err := a.Do(t.Context(), Promote); err != nil {
		t.Fatal(err)
	}
	if s := a.Status(); s.Warning != "" {
		t.Errorf("promoted while no guard fails: %q", s.Warning)
	}
}

// What a replica counts while the store is away is named when it is back.
func TestBadCallsOutliveTheStore(t *testing.T) {
	store := new(held)
	c := New(store, "k", Plan{Steps: []Step{{Share: 0.5, For: time.Hour}}, Guards: []Guard{Errors}})
	if err := c.Exchange(t.Context()); err != nil {
		t.Fatal(err)
	}
	store.fails = true
	for i := range 3 {
		c.Record(Outcome{Arm: Candidate, ID: strconv.Itoa(i), Failed: true, Conversation: Conversation(strconv.Itoa(i))})
		if c.Exchange(t.Context()) == nil {
			t.Fatal("the store is not away")
		}
	}
	store.fails = false
	for range 2 {
		if err := c.Exchange(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Status().Guards[0].BadCalls; !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("named are %v", got)
	}
}

// Before there is a call there is no evidence for either side.
func TestEvidenceBeginsAtOne(t *testing.T) {
	if got := new(Evidence).logWorseAll(); got != 0 {
		t.Errorf("the logarithm of the evidence is %v", got)
	}
}
