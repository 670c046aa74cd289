package alipayai

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// What a pack has cost is settled by what each of its calls has reserved: no budget is charged more than was reserved of it where
// the whole is not.
func TestPartsAreSettledByWhatTheyReserved(t *testing.T) {
	budgets := budget.New(budget.Memory{}, time.Now)
	limits := []budget.Limit{{Amount: price.Unit, Currency: "CNY", Window: budget.Month(time.UTC)}}
	q := &charge{Offer: price.Offer{Price: &price.Price{Currency: "CNY"}}, limits: limits}
	for tenant, most := range map[string]price.Amount{"small": 100, "large": 300} {
		r, err := budgets.Reserve(t.Context(), tenant, limits, []price.Amount{most})
		if err != nil {
			t.Fatal(err)
		}
		q.reserved = append(q.reserved, reserved{r, most})
	}
	(&Spending{}).end(q, 200)
	for _, state := range budgets.States() {
		if want := map[string]price.Amount{"small": 50, "large": 150}[state.Tenant]; state.Used != want || state.Open != 0 {
			t.Errorf("%s has %+v, want %d used", state.Tenant, state, want)
		}
	}
}

// An attempt that needs no line may have no ledger either.
func TestAttemptsWithoutALedger(t *testing.T) {
	for name, end := range map[string]func(*account){"nothing": (*account).nothing, "begun": (*account).leaving} {
		a := &account{spending: new(Spending), charge: new(charge)}
		if end(a); a.charge != nil && a.charge.number != 0 {
			t.Errorf("%s: the attempt has number %d", name, a.charge.number)
		}
	}
}

// A usage is what prompt and answer can have taken, to the token, or an estimate by their bytes stands in its place.
func TestUsagesThatCanBe(t *testing.T) {
	const most = 40 + 80 + unseenTokens
	ok := wire.Usage{OK: true}
	for name, test := range map[string]struct {
		edit      func(*wire.Usage)
		estimated bool
	}{
		"nothing":                        {func(*wire.Usage) {}, false},
		"the most":                       {func(u *wire.Usage) { u.Prompt, u.Completion, u.Total = most, most, most }, false},
		"a longer prompt":                {func(u *wire.Usage) { u.Prompt = most + 1 }, true},
		"a longer answer":                {func(u *wire.Usage) { u.Completion = most + 1 }, true},
		"a larger total":                 {func(u *wire.Usage) { u.Total = most + 1 }, true},
		"a prompt of less than nothing":  {func(u *wire.Usage) { u.Prompt = -1 }, true},
		"an answer of less than nothing": {func(u *wire.Usage) { u.Completion = -1 }, true},
		"a total of less than nothing":   {func(u *wire.Usage) { u.Total = -1 }, true},
		"the most that is declined":      {func(u *wire.Usage) { u.Declined.Prompt, u.Declined.Completion = 3*most, 3*most }, false},
		"a longer prompt, declined":      {func(u *wire.Usage) { u.Declined.Prompt = 3*most + 1 }, true},
		"a longer answer, declined":      {func(u *wire.Usage) { u.Declined.Completion = 3*most + 1 }, true},
		"none":                           {func(u *wire.Usage) { u.OK, u.Prompt = false, most+1 }, false},
		"one that is none":               {func(u *wire.Usage) { u.OK, u.Implausible = false, true }, true},
	} {
		u := ok
		test.edit(&u)
		want := u
		if test.estimated {
			want = wire.Usage{Prompt: 10, Completion: 20, Total: 30, OK: true}
		}
		if got, estimated := plausible(u, wire.Request{Body: make([]byte, 40)}, 80); got != want || estimated != test.estimated {
			t.Errorf("%s: %+v, estimated %t", name, got, estimated)
		}
	}
}

// A tenant counts with what was reported, with an estimate where nothing was, and with more of both of a stream that was cut.
func TestTokensThatATenantCountsWith(t *testing.T) {
	declined := wire.Attempt{Prompt: 3, Completion: 4}
	for name, test := range map[string]struct {
		taken    taken
		reported wire.Usage
		want     int64
	}{
		"nothing reported":             {taken{estimated: 50}, wire.Usage{Total: 9, Declined: declined}, 50},
		"reported":                     {taken{estimated: 50}, wire.Usage{OK: true, Total: 9}, 9},
		"others have declined":         {taken{estimated: 50}, wire.Usage{OK: true, Total: 9, Declined: declined}, 16},
		"cut":                          {taken{estimated: 50, cut: true}, wire.Usage{OK: true, Total: 9, Declined: declined}, 57},
		"cut, and more was reported":   {taken{estimated: 50, cut: true}, wire.Usage{OK: true, Total: 90, Declined: declined}, 97},
		"cut, without what is counted": {taken{cut: true}, wire.Usage{OK: true}, 0},
	} {
		if got := test.taken.tokens(test.reported); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// A usage of nothing but zeros is none where an answer was given out, and one where none was.
func TestCountsOfNothing(t *testing.T) {
	zeros := wire.Usage{OK: true}
	for answered, estimated := range map[int64]bool{0: false, 1: true, 80: true} {
		own := taken{answered: answered}
		if u, was := own.check(zeros, wire.Request{Body: make([]byte, 40)}); was != estimated || estimated != (u.Prompt == 10) {
			t.Errorf("%d bytes answered: %+v, estimated %t", answered, u, was)
		}
	}
}

// A tenant has its own budgets, and those of all others where it has none.
func TestBudgetsOfTenants(t *testing.T) {
	all, own := []budget.Limit{{Amount: 1}}, []budget.Limit{{Amount: 2}, {Amount: 3}}
	s := &Spending{Budgets: new(budget.Budgets), DefaultLimits: all, Limits: map[string][]budget.Limit{"own": own, "none": nil}}
	for tenant, want := range map[string][]budget.Limit{"own": own, "none": nil, "other": all} {
		if got := s.limitsOf(tenant); len(got) != len(want) || len(got) > 0 && got[0].Amount != want[0].Amount {
			t.Errorf("%s has %+v, want %+v", tenant, got, want)
		}
	}
	if s.Budgets = nil; s.limitsOf("own") != nil {
		t.Error("there are limits without anything that counts")
	}
	priced := &Priced{Book: price.Book{ByModel: map[string]*price.Price{"a": {Currency: "USD"}, "b": {Currency: "CNY"}}}}
	s.Providers = map[string]*Priced{"priced": priced}
	for name, want := range map[string][]string{"priced": {"CNY", "USD"}, "other": nil} {
		if got := s.currencies(&upstream.Provider{Name: name}); !slices.Equal(got, want) {
			t.Errorf("%s has prices in %v, want %v", name, got, want)
		}
	}
}

// Over its budget a client is told until when, and to try again where it could wait for that; where the budget cannot be asked it is
// not told that it is used up.
func TestFailuresOfBudgets(t *testing.T) {
	exceeded := func(wait time.Duration) error {
		return fmt.Errorf("asked: %w", &budget.ExceededError{RetryAfter: wait})
	}
	for name, test := range map[string]struct {
		err     error
		code    string
		noRetry bool
	}{
		"soon":            {exceeded(time.Minute), failure.CodeTenantBudget, false},
		"later":           {exceeded(time.Minute + 1), failure.CodeTenantBudget, true},
		"cannot be asked": {errors.New("down"), failure.CodeBudgetUnavailable, false},
	} {
		if f := overBudget(t.Context(), test.err); f.Code != test.code || f.NoRetry != test.noRetry || !errors.Is(f.Cause, test.err) || f.ClientGone {
			t.Errorf("%s: %+v", name, f)
		}
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if f := overBudget(gone, exceeded(time.Second)); !f.ClientGone || f.Sent {
		t.Errorf("the client has left: %+v", f)
	}
}

// marks is a claim that counts what it is told.
type marks struct {
	replay.Claim
	left, extended int
}

func (m *marks) Leave(context.Context, time.Duration, time.Duration) error {
	m.left++
	return nil
}

func (m *marks) Extend(context.Context, time.Duration, time.Duration) error {
	m.extended++
	return nil
}

// A call whose lease is over does not leave, whatever its store would say; one that has left is not marked again, and a lease is
// renewed when it ends soon.
func TestLeasesOfClaims(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		lease time.Duration
		left  int
	}{"over": {-time.Second, 0}, "just over": {0, 0}, "not over": {1, 1}} {
		m := new(marks)
		c := &claim{Claim: m, until: now.Add(test.lease)}
		for range 2 {
			if err := c.leave(t.Context(), time.Hour, now); errors.Is(err, replay.ErrLost) == (test.left > 0) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if m.left != test.left {
			t.Errorf("%s: the claim has left %d times, want %d", name, m.left, test.left)
		}
	}
	const silence = time.Minute
	for before, extended := range map[time.Duration]int{silence + leaseMargin + 1: 0, silence + leaseMargin: 1} {
		m := new(marks)
		c := &call{g: &Gateway{Now: func() time.Time { return now }, Deadline: time.Second, Claims: new(Claims)}, ctx: t.Context()}
		c.once.claim = claim{Claim: m, until: now.Add(before)}
		c.extendClaim(silence)
		c.extendClaim(silence)
		if m.extended != extended {
			t.Errorf("a lease of %s is renewed %d times, want %d", before, m.extended, extended)
		}
	}
}
