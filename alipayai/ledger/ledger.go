package ledger

import (
	"context"
	"errors"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// maxPending bounds the lines that wait to be written: some 20 MB.
const maxPending = 50_000

// Options are a Ledger's. They do not change while it is open.
type Options struct {
	// Path is the file's. Its folder is made if it is not there.
	Path string
	// Zone is where the days of totals begin and end; UTC when nil.
	Zone *time.Location
	// LockWait is how long Open waits for another process to close the file; [LockWait] when 0.
	LockWait time.Duration
	// Now is the local time; time.Now when nil.
	Now func() time.Time
	// Changed, if set, is called with nil once the file is written again, with the
	// error once it cannot be, and with the name of a broken file that was set aside.
	Changed func(err error, aside string)
	// Left, if set, is called with the lines of attempts that a process before this one has not ended.
	Left func(lines []Line)
	// Written, if set, is called with how many lines were written and dropped.
	Written func(written, dropped int)
	// Lost, if set, is called by Close with what could not be written before it: how many attempts, and their totals by
	// currency; and with each attempt whose line comes after it.
	Lost func(attempts int64, totals map[price.Currency]Totals)
}

// Ledger is a ledger's file. It is safe for concurrent use. Open begins its work and
// Close ends it.
type Ledger struct {
	options Options
	room    int // for lines that wait: maxPending

	start, end sync.Once
	closing    chan struct{}
	done       chan struct{}
	wake       chan struct{}

	mu      sync.Mutex
	keep    time.Duration
	pending []Line
	dropped int
	sums    sums // of lines that were dropped
	budgets map[string]taken
	// begun are the attempts that are under way, by number; over are those in the file that have ended. number is the last.
	begun  map[uint64]*begun
	over   []uint64
	number uint64
	// stored are the budgets that have been written, which a file that is broken takes along.
	stored  map[string]taken
	brokeAt time.Time    // when such a file was set aside last
	waiting []chan error // for the budgets that are pending
	db      *bolt.DB     // nil while the file is not open
	err     error        // why the file cannot be written; nil while it can
	closed  bool         // what comes is lost

	// Those below belong to the goroutine of run.
	swept time.Time
	had   bool // the file has been open
}

// New makes a ledger; nothing is opened yet.
func New(o Options) *Ledger {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.LockWait == 0 {
		o.LockWait = LockWait
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Changed == nil {
		o.Changed = func(error, string) {}
	}
	if o.Written == nil {
		o.Written = func(int, int) {}
	}
	if o.Left == nil {
		o.Left = func([]Line) {}
	}
	if o.Lost == nil {
		o.Lost = func(int64, map[price.Currency]Totals) {}
	}
	return &Ledger{
		options: o, room: maxPending, closing: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1),
		budgets: make(map[string]taken), stored: make(map[string]taken), begun: make(map[uint64]*begun), err: errNotOpen,
	}
}

var errNotOpen = errors.New("the ledger is not open")

// Open opens the file and begins the writing; a second time changes nothing. A file
// that cannot be opened now is tried again: calls do not depend on it. It waits for
// another process to close it, as one that ends does.
func (l *Ledger) Open() {
	l.start.Do(func() {
		l.reopen(l.options.LockWait)
		go l.run()
	})
}

// Close writes what is pending and closes the file.
func (l *Ledger) Close() error {
	l.end.Do(func() { close(l.closing) })
	l.start.Do(func() { close(l.done) }) // it was never opened
	<-l.done
	return nil
}

// Keep says how long lines are kept; 0 for ever. The totals of days stay.
func (l *Ledger) Keep(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep = d
}

// Record takes a line. It does not wait. While too many wait to be written it keeps the
// totals of those that come, without the lines themselves.
func (l *Ledger) Record(line Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.take(line)
}

// take is Record. l.mu is held.
func (l *Ledger) take(line Line) {
	if l.closed {
		var lost sums
		lost.add(line.group(l.options.Zone), line.totals())
		l.options.Written(0, 1)
		l.options.Lost(lost.byCurrency())
		return
	}
	if len(l.pending) >= l.room {
		l.drop([]Line{line})
		return
	}
	l.pending = append(l.pending, line)
}

// drop drops lines, and keeps their totals. l.mu is held.
func (l *Ledger) drop(lines []Line) {
	for i := range lines {
		l.sums.add(lines[i].group(l.options.Zone), lines[i].totals())
	}
	l.dropped += len(lines)
}

// Err is why lines cannot be written at present; nil while they can.
func (l *Ledger) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// BrokeAt is when a broken file was set aside last; zero for never.
func (l *Ledger) BrokeAt() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.brokeAt
}

func (l *Ledger) file() *bolt.DB {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.db
}

// PutBudget stores how much of a budget is taken, and returns when that is written. It is
// forgotten some time after end.
func (l *Ledger) PutBudget(ctx context.Context, key string, amount price.Amount, end time.Time) error {
	wait := make(chan error, 1)
	l.mu.Lock()
	if l.err != nil {
		l.budgets[key] = taken{amount, end} // when it can be
		err := l.err
		l.mu.Unlock()
		return err
	}
	l.budgets[key] = taken{amount, end}
	l.waiting = append(l.waiting, wait)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	select {
	case err := <-wait:
		return err
	case <-l.done:
		return errNotOpen
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Budget gives what is stored of a budget; 0 for nothing.
func (l *Ledger) Budget(key string) (price.Amount, error) {
	l.Open() // a call may come before the configuration has started altogether
	l.mu.Lock()
	put, pending := l.budgets[key]
	db, err := l.db, l.err
	l.mu.Unlock()
	switch {
	case pending:
		return put.amount, nil
	case db == nil:
		return 0, err
	}
	return readBudget(db, key)
}

// Totals gives the totals of days, by all that they are kept by. Lines of the last
// moment may be missing.
func (l *Ledger) Totals(_ context.Context, q Query) ([]GroupTotals, error) {
	db := l.file()
	if db == nil {
		return nil, l.Err()
	}
	return readTotals(db, q)
}

// Lines gives lines, the oldest first.
func (l *Ledger) Lines(ctx context.Context, q Query) ([]Line, error) {
	db := l.file()
	if db == nil {
		return nil, l.Err()
	}
	return readLines(ctx, db, q, l.options.Zone)
}

// Interface guards
var _ Source = (*Ledger)(nil)
