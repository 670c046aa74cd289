package failover

import "sync/atomic"

// A budget is counted in fifths of a repeat, so that it stays exact.
const (
	perCall   = 1
	perRetry  = 5
	mostSaved = 10 * perRetry
)

// Budget bounds the repeats at one provider, whatever fails there: attempts are
// never more than 1.2 times the calls, plus 10. Each call deposits a fifth of a
// repeat, and at most 10 repeats are saved. The zero value is full and ready, and
// safe for concurrent use.
type Budget struct {
	// spent is what is missing from mostSaved.
	spent atomic.Int64
}

// Deposit takes note of a call: once for each, however often it is attempted.
func (b *Budget) Deposit() {
	for {
		spent := b.spent.Load()
		if spent == 0 || b.spent.CompareAndSwap(spent, spent-perCall) {
			return
		}
	}
}

// Withdraw takes one repeat, or says that there is none left.
func (b *Budget) Withdraw() bool {
	for {
		spent := b.spent.Load()
		if spent+perRetry > mostSaved {
			return false
		}
		if b.spent.CompareAndSwap(spent, spent+perRetry) {
			return true
		}
	}
}
