package failover

import "sync/atomic"

// A budget is counted in fifths of a retry, so that it stays exact.
const (
	perCall   = 1
	perRetry  = 5
	mostSaved = 10 * perRetry
)

// Budget bounds the retries at one provider, for every kind of failure: attempts
// are never more than 1.2 times the calls, plus 10. Each call deposits a fifth of a
// retry, and at most 10 retries are saved. The zero value is full and ready, and
// safe for concurrent use.
type Budget struct {
	// spent is what is missing from mostSaved.
	spent atomic.Int64
}

// Deposit counts a call. It is called once for each, for any number of attempts.
func (b *Budget) Deposit() {
	for {
		spent := b.spent.Load()
		if spent == 0 || b.spent.CompareAndSwap(spent, spent-perCall) {
			return
		}
	}
}

// Withdraw takes one retry. It returns false if there is none left.
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
