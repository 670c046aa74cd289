package budget

import (
	"context"
	"time"
)

// aheadTime is how long before a window ends parts of the next are taken.
const aheadTime = time.Hour

// TakeAhead takes a part, one of as many as the store's Share says, of the next window of each budget that this process
// has met in a window that ends soon: at most that many, so that all of them are spread over some time. A window that
// begins while the store is away then has what every process has taken of it before. A process that is killed in that
// hour leaves its part of the next window behind, as it leaves that of the current one.
func (b *Budgets) TakeAhead(ctx context.Context, most int) {
	now := b.now()
	for _, a := range b.selected(func(Key) bool { return true }) {
		if a.end.Sub(now) > aheadTime || now.After(a.end) {
			continue
		}
		a.mu.Lock()
		l, done := a.last, a.ahead
		a.mu.Unlock()
		if done || l.Amount < b.store.Share() {
			continue
		}
		if most--; most < 0 {
			return
		}
		done = b.takeAhead(ctx, b.account(a.key.Tenant, l, a.end), l)
		a.mu.Lock()
		a.ahead = done
		a.mu.Unlock()
		if !done {
			return // the store is away
		}
	}
}

// takeAhead takes a part of a window that has not begun, and reports whether the store has said anything to that.
func (b *Budgets) takeAhead(ctx context.Context, next *account, l Limit) bool {
	next.exchange.Lock()
	defer next.exchange.Unlock()
	next.mu.Lock()
	part, had := l.Amount/b.store.Share(), next.taken
	next.mu.Unlock()
	if had >= part { // the window has begun meanwhile
		return true
	}
	others, ok, err := b.store.Take(ctx, next.key, part, l.Amount, next.end)
	if err != nil {
		return false
	}
	next.mu.Lock()
	defer next.mu.Unlock()
	if next.others = others; ok {
		next.taken = part
	}
	return true
}
