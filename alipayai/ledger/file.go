package ledger

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// The buckets of the file.
var (
	bucketLines   = []byte("lines")
	bucketDays    = []byte("days")
	bucketBudgets = []byte("budgets")
)

// ErrLocked means that another process has the file open: bbolt permits one.
var ErrLocked = errors.New("another process has the file open; give each gateway a file of its own, by ledger <path>, and ask the one that has it for its reports, by --address")

// errCorrupt means that the file is no ledger, or a broken one.
var errCorrupt = errors.New("the file is broken")

// LockWait is how long a ledger that begins waits for another process, which may be ending, to close the file, and lockWait
// how long one does that reads, or opens it anew.
const LockWait, lockWait = 2 * time.Second, 250 * time.Millisecond

// open opens the file, which is made if it is not there. left are the attempts that a process before has not ended, which
// have their lines now; there are none where this process has had the file before: those in it are its own.
func open(path string, zone *time.Location, wait time.Duration, before bool) (db *bolt.DB, left []Line, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, err
	}
	if db, err = openFile(path, false, wait); err != nil {
		return nil, nil, err
	}
	err = guarded(func() error {
		return db.Update(func(tx *bolt.Tx) (err error) {
			for _, name := range [][]byte{bucketLines, bucketDays, bucketBudgets, bucketBegun} {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			if !before {
				left, err = endBegun(tx, zone)
			}
			return err
		})
	})
	if err != nil {
		abandon(db)
		return nil, nil, err
	}
	return db, left, nil
}

func openFile(path string, readOnly bool, wait time.Duration) (db *bolt.DB, err error) {
	err = guarded(func() (err error) {
		db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: wait, ReadOnly: readOnly, FreelistType: bolt.FreelistMapType})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return nil, fmt.Errorf("%w: %w", errCorrupt, err)
	case err != nil && isCutShort(path, err):
		return nil, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return db, err
}

// isCutShort reports whether a file that could not be opened has less than what bbolt begins one with, which is what a full disk
// or a crash leaves of the beginning: bbolt refuses such a file, and does not mend it when there is room again. What the file
// system itself refuses says nothing of the file.
func isCutShort(path string, err error) bool {
	const pages = 4
	if _, refused := errors.AsType[syscall.Errno](err); refused {
		return false
	}
	info, statErr := os.Stat(path)
	return statErr == nil && info.Size() > 0 && info.Size() < int64(pages*os.Getpagesize())
}

// guarded runs what reads or writes the file. bbolt panics where a page is not what it
// should be, and a file that has been cut short faults where it is mapped.
func guarded(do func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errCorrupt, p)
		}
	}()
	return do()
}

// abandon closes a file that may be broken. A panic in the middle of a transaction may
// have left a lock of bbolt's, so that closing could wait for ever.
func abandon(db *bolt.DB) {
	go func() { _ = guarded(db.Close) }()
}

// setAside gives a broken file another name, so that a new one can be begun.
func setAside(path string, now time.Time) (string, error) {
	to := path + ".broken-" + now.UTC().Format("20060102T150405.000")
	return to, os.Rename(path, to)
}

// batch is what is written together.
type batch struct {
	lines   []Line
	sums    sums // of lines that were dropped
	budgets map[string]taken
	// begun are attempts that are stored before their end, and over those that were, and have ended.
	begun map[uint64]Line
	over  []uint64
	// before is the time before which lines are no longer kept; zero for none.
	before time.Time
	// ended is the time before which the windows of budgets ended that are no longer
	// kept; zero for none.
	ended time.Time
}

// taken is how much of a budget is taken, until the end of its window.
type taken struct {
	amount price.Amount
	end    time.Time
}

// encode writes it as it is stored: two numbers of eight bytes, the end in Unix seconds.
func (t taken) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(t.amount)), uint64(t.end.Unix()))
}

func decodeTaken(v []byte) (taken, bool) {
	if len(v) != 16 {
		return taken{}, false
	}
	return taken{price.Amount(binary.BigEndian.Uint64(v)), time.Unix(int64(binary.BigEndian.Uint64(v[8:])), 0)}, true
}

// maxDeleted bounds how many lines one batch deletes.
const maxDeleted = 10_000

// write writes a batch, all of it or nothing.
func write(db *bolt.DB, b batch, zone *time.Location) error {
	return guarded(func() error {
		return db.Update(func(tx *bolt.Tx) error {
			if err := errors.Join(writeLines(tx, b, zone), writeBegun(tx, b)); err != nil {
				return err
			}
			for key, t := range b.budgets {
				if err := tx.Bucket(bucketBudgets).Put([]byte(key), t.encode()); err != nil {
					return err
				}
			}
			if err := deleteEnded(tx.Bucket(bucketBudgets), b.ended); err != nil {
				return err
			}
			return deleteBefore(tx.Bucket(bucketLines), b.before)
		})
	})
}

// writeLines writes the lines of a batch, and adds them and its sums to the totals.
func writeLines(tx *bolt.Tx, b batch, zone *time.Location) error {
	lines, days := tx.Bucket(bucketLines), tx.Bucket(bucketDays)
	lines.FillPercent = 0.95  // they come in order
	all := maps.Clone(b.sums) // what is not written is to be tried again
	for i := range b.lines {
		l := &b.lines[i]
		seq, err := lines.NextSequence()
		if err != nil {
			return err
		}
		if err := lines.Put(lineKey(l.Time, seq), encode(l)); err != nil {
			return err
		}
		all.add(l.group(zone), l.totals())
	}
	for g, sum := range all {
		key := groupKey(g)
		var stored Totals
		if v := days.Get(key); v != nil && json.Unmarshal(v, &stored) != nil {
			return errCorrupt
		}
		stored.Add(sum)
		if err := days.Put(key, encode(stored)); err != nil {
			return err
		}
	}
	return nil
}

// deleteBefore deletes old lines, the oldest first.
func deleteBefore(lines *bolt.Bucket, before time.Time) error {
	if before.IsZero() {
		return nil
	}
	limit := uint64(max(before.UnixNano(), 0))
	cursor := lines.Cursor()
	for range maxDeleted {
		key, _ := cursor.First()
		if key == nil || binary.BigEndian.Uint64(key) >= limit {
			return nil
		}
		if err := cursor.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// deleteEnded deletes the budgets of windows that are over.
func deleteEnded(budgets *bolt.Bucket, before time.Time) error {
	if before.IsZero() {
		return nil
	}
	var ended [][]byte
	cursor := budgets.Cursor()
	for key, v := cursor.First(); key != nil; key, v = cursor.Next() {
		if t, ok := decodeTaken(v); !ok || t.end.Before(before) {
			ended = append(ended, key)
		}
	}
	for _, key := range ended {
		if err := budgets.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// readBudget gives what is stored of a budget; 0 for nothing.
func readBudget(db *bolt.DB, key string) (amount price.Amount, err error) {
	err = guarded(func() error {
		return db.View(func(tx *bolt.Tx) error {
			if t, ok := decodeTaken(tx.Bucket(bucketBudgets).Get([]byte(key))); ok {
				amount = t.amount
			}
			return nil
		})
	})
	return amount, err
}

// Query selects totals, or lines.
type Query struct {
	// From and To are days, as 2026-11-28; all from the first, to the last, where they
	// are empty. To is within.
	From, To string
	// Tenant, Provider and Model, where they are not empty, are the only ones.
	Tenant, Provider, Model string
	// Limit is the most lines; 1000 when 0.
	Limit int
}

// defaultLimit is the most lines where a query does not say.
const defaultLimit = 1000

func (q Query) takes(g Group) bool {
	return g.Day >= q.From && (q.To == "" || g.Day <= q.To) &&
		(q.Tenant == "" || g.Tenant == q.Tenant) && (q.Provider == "" || g.Provider == q.Provider) && (q.Model == "" || g.Model == q.Model)
}

// readTotals gives the totals that q selects.
func readTotals(db *bolt.DB, q Query) (found []GroupTotals, err error) {
	err = guarded(func() error {
		return db.View(func(tx *bolt.Tx) error {
			bucket := tx.Bucket(bucketDays)
			if bucket == nil {
				return nil
			}
			cursor := bucket.Cursor()
			for key, v := cursor.Seek([]byte(q.From)); key != nil; key, v = cursor.Next() {
				g, ok := parseGroupKey(key)
				var t Totals
				if !ok || json.Unmarshal(v, &t) != nil {
					return errCorrupt
				}
				if q.To != "" && g.Day > q.To {
					return nil
				}
				if q.takes(g) {
					found = append(found, GroupTotals{g, t})
				}
			}
			return nil
		})
	})
	return found, err
}

// readLines gives the lines that q selects, the oldest first.
func readLines(ctx context.Context, db *bolt.DB, q Query, zone *time.Location) (found []Line, err error) {
	limit := cmp.Or(max(q.Limit, 0), defaultLimit)
	var from []byte
	if day, err := time.ParseInLocation(time.DateOnly, q.From, zone); err == nil {
		from = lineKey(day, 0)
	}
	err = guarded(func() error {
		return db.View(func(tx *bolt.Tx) error {
			bucket := tx.Bucket(bucketLines)
			if bucket == nil {
				return nil
			}
			cursor := bucket.Cursor()
			for key, v := cursor.Seek(from); key != nil && len(found) < limit && ctx.Err() == nil; key, v = cursor.Next() {
				var l Line
				if json.Unmarshal(v, &l) != nil {
					return errCorrupt
				}
				g := l.group(zone)
				if q.To != "" && g.Day > q.To {
					return nil
				}
				if q.takes(g) {
					found = append(found, l)
				}
			}
			return nil
		})
	})
	if err == nil {
		err = ctx.Err()
	}
	return found, err
}
