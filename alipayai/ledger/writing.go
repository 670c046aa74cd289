package ledger

import (
	"errors"
	"maps"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	// writeEvery is the time between writes.
	writeEvery = 250 * time.Millisecond
	// retryEvery is the time between tries while the file cannot be written.
	retryEvery = time.Second
	// sweepEvery is the time between two deletions of what is no longer kept.
	sweepEvery = 10 * time.Minute
)

// run writes until Close.
func (l *Ledger) run() {
	defer close(l.done)
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.closing:
			l.flush()
			l.mu.Lock()
			db := l.db
			l.db, l.err, l.closed = nil, errNotOpen, true
			l.drop(l.pending)
			dropped, lost := l.dropped, l.sums
			l.pending, l.sums, l.dropped = nil, nil, 0
			l.mu.Unlock()
			if len(lost) > 0 {
				l.options.Written(0, dropped)
				l.options.Lost(lost.byCurrency())
			}
			if db != nil {
				_ = guarded(db.Close)
			}
			return
		case <-tick.C:
		case <-l.wake:
		}
		if l.flush() == nil {
			continue
		}
		select {
		case <-l.closing:
		case <-time.After(retryEvery):
		}
	}
}

// flush writes what is pending. What could not be written stays pending.
func (l *Ledger) flush() error {
	if l.file() == nil {
		l.reopen(lockWait)
	}
	l.mu.Lock()
	db, now := l.db, l.options.Now()
	b := batch{lines: l.pending, sums: l.sums, budgets: l.budgets}
	l.takeBegun(&b, now)
	waiting, dropped, keep := l.waiting, l.dropped, l.keep
	l.pending, l.sums, l.budgets, l.waiting, l.dropped = nil, nil, make(map[string]taken), nil, 0
	l.mu.Unlock()
	if now.Sub(l.swept) >= sweepEvery {
		l.swept, b.ended = now, now.Add(-sweepEvery)
		if keep > 0 {
			b.before = now.Add(-keep)
		}
	}
	err := l.Err()
	if db != nil && (len(b.lines) > 0 || len(b.sums) > 0 || len(b.budgets) > 0 || len(b.begun) > 0 || len(b.over) > 0 || !b.ended.IsZero()) {
		err = write(db, b, l.options.Zone)
	}
	l.wrote(b, waiting, dropped, err)
	if errors.Is(err, errCorrupt) {
		l.abandonFile(db)
	}
	return err
}

// wrote tells what came of a batch, and takes it back where it could not be written.
func (l *Ledger) wrote(b batch, waiting []chan error, dropped int, err error) {
	for _, w := range waiting {
		w <- err // buffered
	}
	l.mu.Lock()
	was := l.err
	l.err = err
	if err != nil {
		for g, t := range b.sums {
			l.sums.add(g, t)
		}
		fit := min(len(l.pending), max(l.room-len(b.lines), 0))
		l.drop(l.pending[fit:])
		dropped, l.dropped = dropped+l.dropped, 0
		l.pending = append(b.lines, l.pending[:fit]...)
		for key, amount := range b.budgets {
			if _, newer := l.budgets[key]; !newer {
				l.budgets[key] = amount
			}
		}
		l.restoreBegun(b)
		b.lines = nil
	} else {
		l.keepStored(b)
	}
	l.mu.Unlock()
	if len(b.lines) > 0 || dropped > 0 {
		l.options.Written(len(b.lines), dropped)
	}
	if (err == nil) != (was == nil) || err != nil && errors.Is(was, errNotOpen) {
		l.options.Changed(err, "")
	}
}

// keepStored notes which budgets have been written, and forgets those that are over. l.mu is held.
func (l *Ledger) keepStored(b batch) {
	maps.Copy(l.stored, b.budgets)
	if !b.ended.IsZero() {
		maps.DeleteFunc(l.stored, func(_ string, t taken) bool { return t.end.Before(b.ended) })
	}
}

// reopen opens the file, and begins a new one where it is broken.
func (l *Ledger) reopen(wait time.Duration) {
	db, left, err := open(l.options.Path, l.options.Zone, wait, l.had)
	if errors.Is(err, errCorrupt) && l.setAside(err) {
		db, left, err = open(l.options.Path, l.options.Zone, wait, l.had)
	}
	l.mu.Lock()
	was := l.err
	l.db, l.err = db, err
	l.mu.Unlock()
	l.had = l.had || err == nil
	if len(left) > 0 {
		l.options.Left(left)
	}
	if (err == nil) != (was == nil || errors.Is(was, errNotOpen)) {
		l.options.Changed(err, "")
	}
}

// abandonFile gives up a broken file; the next write begins a new one.
func (l *Ledger) abandonFile(db *bolt.DB) {
	l.mu.Lock()
	l.db = nil
	l.mu.Unlock()
	if db != nil {
		abandon(db)
	}
	l.setAside(errCorrupt)
}

// setAside sets a broken file aside. What this process has written of budgets is written
// again, to the file that is begun.
func (l *Ledger) setAside(err error) bool {
	aside, failed := setAside(l.options.Path, l.options.Now())
	if failed != nil {
		return false
	}
	l.mu.Lock()
	l.brokeAt, l.over = l.options.Now(), nil
	for _, b := range l.begun {
		b.stored = false
	}
	for key, t := range l.stored {
		if _, newer := l.budgets[key]; !newer {
			l.budgets[key] = t
		}
	}
	l.mu.Unlock()
	l.options.Changed(err, aside)
	return true
}
