package budget

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// Store knows how much of each budget every process has taken. It is safe for
// concurrent use.
type Store interface {
	// Take says that this process has taken amount of the key's budget altogether, more
	// or less than before; others is what all others have. It is not taken, and what was
	// taken before stays, where ok is false: amount is more than before, and more than
	// others leave of limit. An error that wraps ErrUnavailable says the same, with
	// others not known; whatever came of it, the next Take replaces it.
	Take(ctx context.Context, key Key, amount, limit price.Amount, end time.Time) (others price.Amount, ok bool, err error)
	// Share is into how many parts what is left of a budget is divided.
	Share() price.Amount
	// Forget says that this process takes no more of the key's budget, whose window has ended keepAfter ago: should a clock
	// go back by more than that, it takes as another process would.
	Forget(key Key)
	// Recall asks the other processes to give back what they have taken and do not use,
	// and returns when they have had the time to do so: false where there are none.
	Recall(ctx context.Context, key Key) bool
}

// ErrUnavailable means that the store is away, and this process's part is used up.
var ErrUnavailable = errors.New("the budget cannot be asked now")

// ExceededError is the error for what a budget does not permit.
type ExceededError struct {
	Tenant string
	Limit  Limit
	// Asked is the most that the call may cost, and Left what calls may still reserve of the window, as far as this process
	// knows: neither spent, nor reserved for calls in flight, nor taken by other processes.
	Asked, Left price.Amount
	// End is when the window ends, and RetryAfter the time until then.
	End        time.Time
	RetryAfter time.Duration
}

// Error implements error. It is for operators: it names the tenant.
func (e *ExceededError) Error() string {
	return fmt.Sprintf("tenant %s has %s left of its budget of %s %s for window %s, which ends at %s, and the call may cost %s",
		e.Tenant, e.Left, e.Limit.Amount, e.Limit.Currency, e.Limit.Window, e.End.UTC().Format(time.RFC3339), e.Asked)
}

// Budgets counts what tenants spend. It outlives configurations: each call brings the
// limits of its own. It is safe for concurrent use.
type Budgets struct {
	store Store
	now   func() time.Time

	mu       sync.Mutex
	accounts map[Key]*account
	swept    time.Time
}

// New makes budgets that are counted in a store.
func New(store Store, now func() time.Time) *Budgets {
	return &Budgets{store: store, now: now, accounts: make(map[Key]*account)}
}

// account is what this process knows of a key.
type account struct {
	key        Key
	begin, end time.Time

	// exchange is held by whoever exchanges with the store.
	exchange sync.Mutex

	mu sync.Mutex
	// used was spent, and open may be: used + open is at most taken, unless something
	// has cost more than the most that it could.
	used, open, taken price.Amount
	// others is what the others had taken when they were last heard of.
	others price.Amount
	// full is until when a budget of limit is known to have no room for as much as least.
	full         time.Time
	least, limit price.Amount
	// last is by which limit it was asked for last.
	last Limit
	// ahead says that nothing more is taken ahead for the window after this.
	ahead bool
}

const (
	// sweepEvery is the time between two looks for windows that have ended.
	sweepEvery = time.Minute
	// keepAfter is how long what was taken is known after the window's end: a clock that is set back into the window by
	// less than that gives nothing out again.
	keepAfter = time.Hour
)

// account gives the account of a tenant for the window that t is in, and forgets those that are over.
func (b *Budgets) account(tenant string, l Limit, t time.Time) *account {
	begin, end := l.Window.Bounds(t)
	key := Key{Tenant: tenant, Currency: l.Currency, Window: l.Window.String(), Begin: begin.Unix()}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.now(); now.Sub(b.swept) > sweepEvery {
		b.swept = now
		for key, a := range b.accounts {
			if now.After(a.end.Add(keepAfter)) {
				delete(b.accounts, key) // reservations keep their own
				b.store.Forget(key)
			}
		}
	}
	a, ok := b.accounts[key]
	if !ok {
		a = &account{key: key, begin: begin, end: end}
		b.accounts[key] = a
	}
	return a
}

// Reservation is what may be spent, of several budgets at once.
type Reservation struct {
	b     *Budgets
	parts []part
	once  sync.Once
}

type part struct {
	a      *account
	amount price.Amount
}

// Reserve reserves of each limit what amounts has at its place. It fails with an
// [*ExceededError], or with one that wraps ErrUnavailable, and then nothing is reserved.
func (b *Budgets) Reserve(ctx context.Context, tenant string, limits []Limit, amounts []price.Amount) (*Reservation, error) {
	r := &Reservation{b: b, parts: make([]part, 0, len(limits))}
	now := b.now()
	for i, l := range limits {
		a := b.account(tenant, l, now)
		amount := max(amounts[i], 0)
		if err := b.reserve(ctx, a, l, amount); err != nil {
			r.Release()
			if _, ok := errors.AsType[*ExceededError](err); ok {
				return nil, &ExceededError{Tenant: tenant, Limit: l, Asked: amount, Left: a.left(l), End: a.end, RetryAfter: a.end.Sub(now)}
			}
			return nil, err
		}
		r.parts = append(r.parts, part{a, amount})
	}
	return r, nil
}

func (a *account) left(l Limit) price.Amount {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leftOf(l.Amount)
}

// leftOf is what calls may still reserve of a limit; a.mu is held.
func (a *account) leftOf(limit price.Amount) price.Amount {
	return limit - min(a.used.Plus(a.open).Plus(a.others), limit)
}

// Release ends the reservation: nothing was spent.
func (r *Reservation) Release() { r.Settle(nil) }

// Settle ends the reservation: of each limit was spent what amounts has at its place, and
// nothing where amounts is nil. A second time changes nothing.
func (r *Reservation) Settle(amounts []price.Amount) {
	if r == nil {
		return
	}
	r.once.Do(func() {
		for i, p := range r.parts {
			p.a.mu.Lock()
			p.a.open -= p.amount
			if amounts != nil {
				p.a.used = p.a.used.Plus(max(amounts[i], 0))
			}
			if amounts == nil || amounts[i] < p.amount {
				p.a.full = time.Time{} // there is room again
			}
			p.a.mu.Unlock()
		}
	})
}

// Keep ends the reservation as spent altogether: what came of it is not known.
func (r *Reservation) Keep() {
	if r == nil {
		return
	}
	amounts := make([]price.Amount, len(r.parts))
	for i, p := range r.parts {
		amounts[i] = p.amount
	}
	r.Settle(amounts)
}

// tryReserve reserves within what this process has taken.
func (a *account) tryReserve(amount price.Amount, l Limit, now time.Time) (ok, full bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = l
	limit := l.Amount
	need := a.used.Plus(a.open).Plus(amount)
	if need <= a.taken && need.Plus(a.others) <= limit {
		a.open += amount
		return true, false
	}
	return false, now.Before(a.full) && amount >= a.least && limit <= a.limit
}

// recallPause is how long a budget counts as used up after all processes were asked for
// what they do not use.
const recallPause = time.Second

// reserve reserves of one account.
func (b *Budgets) reserve(ctx context.Context, a *account, l Limit, amount price.Amount) error {
	if amount > l.Amount {
		a.mu.Lock()
		a.last = l
		a.mu.Unlock()
		return &ExceededError{Limit: l}
	}
	if ok, full := a.tryReserve(amount, l, b.now()); ok {
		return nil
	} else if full {
		return &ExceededError{Limit: l}
	}
	a.exchange.Lock()
	defer a.exchange.Unlock()
	if ok, full := a.tryReserve(amount, l, b.now()); ok { // another has taken enough
		return nil
	} else if full {
		return &ExceededError{Limit: l}
	}
	err := b.grow(ctx, a, l, amount)
	if _, exceeded := errors.AsType[*ExceededError](err); exceeded && a.othersHave() && b.store.Recall(ctx, a.key) {
		err = b.grow(ctx, a, l, amount)
	}
	if _, exceeded := errors.AsType[*ExceededError](err); exceeded {
		a.mu.Lock()
		a.full, a.least, a.limit = b.now().Add(recallPause), amount, l.Amount
		a.mu.Unlock()
	}
	return err
}

// othersHave reports whether another process has taken something.
func (a *account) othersHave() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.others > 0
}

// grow takes more from the store: enough for amount, and where that leaves something, a
// part of it for the calls that follow.
func (b *Budgets) grow(ctx context.Context, a *account, l Limit, amount price.Amount) error {
	extra := true
	for range 3 { // others take from the same
		a.mu.Lock()
		need, left := a.used.Plus(a.open).Plus(amount), l.Amount-min(a.others, l.Amount)
		want := need
		if extra && left > need {
			want += (left - need) / b.store.Share()
		}
		want = max(want, min(a.taken, left)) // what was taken is given back by Trim
		a.mu.Unlock()
		others, ok, err := b.store.Take(ctx, a.key, want, l.Amount, a.end)
		if err != nil {
			return err
		}
		a.mu.Lock()
		a.others = others
		if ok {
			a.taken = want
			// Meanwhile calls have settled, which makes room, and none has reserved
			// beyond what was taken before.
			if a.used.Plus(a.open).Plus(amount) <= a.taken {
				a.open += amount
				a.mu.Unlock()
				return nil
			}
		}
		fits := a.used.Plus(a.open).Plus(amount).Plus(others) <= l.Amount
		a.mu.Unlock()
		if !fits {
			return &ExceededError{Limit: l}
		}
		extra = extra && ok
	}
	return &ExceededError{Limit: l}
}

// Trim gives back to the store what is taken and not used of the budgets that want
// selects. Stores that are shared call it when another process asks, and processes
// before they end.
func (b *Budgets) Trim(ctx context.Context, want func(Key) bool) {
	for _, a := range b.selected(want) {
		a.state(ctx, b.store, true)
	}
}

// Restate says to the store again what is taken: it may have forgotten.
func (b *Budgets) Restate(ctx context.Context) {
	for _, a := range b.selected(func(Key) bool { return true }) {
		a.state(ctx, b.store, false)
	}
}

// selected gives the accounts that want selects of windows that are not over.
func (b *Budgets) selected(want func(Key) bool) (accounts []*account) {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, a := range b.accounts {
		if !now.After(a.end.Add(sweepEvery)) && want(key) {
			accounts = append(accounts, a)
		}
	}
	return accounts
}

// state says what is taken: no more than is used, where that is to be given back. It
// lowers taken first, so that nothing is reserved of what the store gives to others.
func (a *account) state(ctx context.Context, store Store, giveBack bool) {
	a.exchange.Lock()
	defer a.exchange.Unlock()
	a.mu.Lock()
	if used := a.used.Plus(a.open); giveBack || used > a.taken {
		a.taken = used
	}
	taken := a.taken
	a.mu.Unlock()
	if others, _, err := store.Take(ctx, a.key, taken, price.MaxAmount, a.end); err == nil {
		a.mu.Lock()
		a.others = others
		a.mu.Unlock()
	}
}
