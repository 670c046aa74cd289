package replay

import (
	"errors"
	"strconv"
	"testing"
	"time"
)

// noRoom is what comes of a claim that there is no room for.
var noRoom = errFull.Error()

// Answers make room, the oldest first, but their keys are not free before their time.
func TestOldestAnswersMakeRoomForClaims(t *testing.T) {
	c := newClock()
	answer := longAnswer(1000)
	one := entryOverhead + answer.size()
	m := NewMemoryClaims(c.now)
	claims := m.Within(10 * one)
	finish := func(n int) {
		t.Helper()
		claim := mustClaim(t, claims, keyOf(n), requestOf(n), time.Minute)
		if err := claim.Finish(t.Context(), answer, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	open := mustClaim(t, claims, keyOf(100), requestOf(100), time.Hour)
	unclear := mustClaim(t, claims, keyOf(101), requestOf(101), time.Hour)
	if err := unclear.Hold(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	for n := range 12 {
		finish(n)
		checkBooks(t, claims, len(m.records))
		if m.bytes > 10*one {
			t.Fatalf("%d bytes, more than %d", m.bytes, 10*one)
		}
	}
	oldest := m.finished.next("", 0)
	for n, want := range map[int]string{
		0: ErrNotKept.Error(), 11: "answer " + string(answer.Body), 100: ErrInFlight.Error(), 101: ErrHeld.Error(),
	} {
		wantClaim(t, claims, keyOf(n), requestOf(n), want)
	}
	wantClaim(t, claims, keyOf(0), requestOf(1), ErrMismatch.Error())
	wantClaim(t, claims, oldest.key, oldest.request, "answer "+string(answer.Body))
	if err := open.Release(t.Context()); err != nil {
		t.Error(err)
	}
	c.time = c.time.Add(time.Hour - time.Millisecond)
	wantClaim(t, claims, keyOf(0), requestOf(0), ErrNotKept.Error())
	c.time = c.time.Add(time.Millisecond)
	wantClaim(t, claims, keyOf(0), requestOf(0), "claimed")
	checkBooks(t, claims, 1)
}

// Keys that have lost their answers fill the memory like others.
func TestKeysWithoutAnswersMakeNoRoom(t *testing.T) {
	c := newClock()
	const n = 20
	claims := NewMemoryClaims(c.now).Within(n * entryOverhead)
	for i := range n {
		err := mustClaim(t, claims, keyOf(i), requestOf(i), time.Minute).Finish(t.Context(), answerOf("it"), time.Duration(1+i)*time.Hour)
		if err != nil && !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
	}
	for i := range n {
		wantClaim(t, claims, keyOf(i), requestOf(i), ErrNotKept.Error())
	}
	wantClaim(t, claims, keyOf(n), requestOf(n), noRoom)
	c.time = c.time.Add(time.Hour) // and the first is free
	wantClaim(t, claims, keyOf(n), requestOf(n), "claimed")
	wantClaim(t, claims, keyOf(0), requestOf(0), noRoom)
	checkBooks(t, claims, n)
}

func TestOpenClaimsMakeNoRoom(t *testing.T) {
	c := newClock()
	const n = 10
	m := NewMemoryClaims(c.now)
	claims := m.Within(n*entryOverhead + entryOverhead/2)
	var open []Claim
	for i := range n {
		open = append(open, mustClaim(t, claims, keyOf(i), requestOf(i), time.Duration(1+i)*time.Minute))
	}
	if err := open[n-1].Hold(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	wantClaim(t, claims, keyOf(n), requestOf(n), noRoom)
	if !errors.Is(errFull, ErrUnavailable) {
		t.Error("a full memory is not an unavailable store")
	}
	// What is there is still known, and can be ended.
	wantClaim(t, claims, keyOf(0), requestOf(0), ErrInFlight.Error())
	wantClaim(t, claims, keyOf(n-1), requestOf(n-1), ErrHeld.Error())
	wantClaim(t, claims, keyOf(0), requestOf(1), ErrMismatch.Error())
	if err := open[1].Finish(t.Context(), answerOf(""), time.Hour); !errors.Is(err, ErrTooLarge) {
		t.Errorf("finished without room for the answer: %v", err)
	}
	wantClaim(t, claims, keyOf(1), requestOf(1), ErrNotKept.Error())
	if err := open[2].Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustClaim(t, claims, keyOf(n), requestOf(n), time.Hour)
	wantClaim(t, claims, keyOf(n+1), requestOf(n+1), noRoom)
	// A lease that has ended frees its room to others, not to its owner.
	c.time = c.time.Add(time.Minute)
	wantClaim(t, claims, keyOf(n+1), requestOf(n+1), "claimed")
	if err := open[0].Finish(t.Context(), answerOf(""), time.Hour); !errors.Is(err, ErrUnavailable) {
		t.Errorf("finished after its place was taken: %v", err)
	}
	wantClaim(t, claims, keyOf(0), requestOf(0), noRoom)
	checkBooks(t, claims, len(m.records))
}

// However many keys one tenant leaves whose calls may have executed, others can claim theirs; and what a tenant has given back it can have again.
func TestTenantsLeaveRoomForKeysOfOthers(t *testing.T) {
	c := newClock()
	m := NewMemoryClaims(c.now)
	claims := m.Within(60 * entryOverhead)
	next := 0
	claimAll := func(tenant string) (open []Claim) {
		for {
			claim, _, err := claims.Claim(t.Context(), tenant, keyOf(next), requestOf(next), time.Minute)
			next++
			if err != nil {
				if !errors.Is(err, ErrUnavailable) {
					t.Fatal(err)
				}
				return open
			}
			open = append(open, claim)
		}
	}
	greedy := claimAll("greedy")
	if len(greedy) != 30 {
		t.Errorf("alone, a tenant has %d of 60, want half", len(greedy))
	}
	for i, want := range []int{15, 8, 4} {
		if got := len(claimAll(strconv.Itoa(i))); got != want {
			t.Errorf("the tenant after %d others has %d, want %d", i+1, got, want)
		}
	}
	for _, claim := range greedy[:20] {
		if err := claim.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(claimAll("greedy")); got != 7 {
		t.Errorf("a tenant that has 10 left gets %d more of the 23 that are free, want 7", got)
	}
	if got := len(claimAll("late")); got != 8 {
		t.Errorf("a late tenant has %d, want 8", got)
	}
	c.time = c.time.Add(time.Minute)
	wantClaim(t, claims, keyOf(next), requestOf(next), "claimed")
	if len(m.keys) != 1 || len(m.records) != 1 {
		t.Errorf("with one key there are %v and %d records", m.keys, len(m.records))
	}
}

func TestAnswerWithoutRoomLetsNoOthersGo(t *testing.T) {
	answer := longAnswer(1000)
	one := entryOverhead + answer.size()
	m := NewMemoryClaims(newClock().now)
	claims := m.Within(10 * one)
	for n := range 3 {
		if err := mustClaim(t, claims, keyOf(n), requestOf(n), time.Minute).Finish(t.Context(), answer, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	large := mustClaim(t, claims, keyOf(9), requestOf(9), time.Minute)
	if err := large.Finish(t.Context(), longAnswer(int(one)*10/8), time.Hour); !errors.Is(err, ErrTooLarge) {
		t.Errorf("an answer of more than an eighth: %v", err)
	}
	for n := range 3 {
		wantClaim(t, claims, keyOf(n), requestOf(n), "answer "+string(answer.Body))
	}
	wantClaim(t, claims, keyOf(9), requestOf(9), ErrNotKept.Error())
}

func TestSmallerBudgetLosesNoOpenClaim(t *testing.T) {
	m := NewMemoryClaims(newClock().now)
	var open []Claim
	for n := range 10 {
		open = append(open, mustClaim(t, m.Within(1<<20), keyOf(n), requestOf(n), time.Minute))
	}
	small := m.Within(5 * entryOverhead)
	wantClaim(t, small, keyOf(10), requestOf(10), noRoom)
	for n := range 10 {
		wantClaim(t, small, keyOf(n), requestOf(n), ErrInFlight.Error())
	}
	// Claims made under the larger budget end under it.
	if err := open[0].Finish(t.Context(), answerOf("it"), time.Minute); err != nil {
		t.Error(err)
	}
	wantClaim(t, small, keyOf(0), requestOf(0), "answer it")
	checkBooks(t, small, 10)
}
