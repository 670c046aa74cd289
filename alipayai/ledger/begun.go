package ledger

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// bucketBegun has the lines of attempts that are under way, by their numbers.
var bucketBegun = []byte("begun")

// begunAfter is how old an attempt is when its line is stored before its end: with what is written then anyway, and at the
// latest when the ledger is closed. Of a process that is killed younger ones are lost, as younger lines are.
const begunAfter = 500 * time.Millisecond

// begun is an attempt that is under way.
type begun struct {
	line   Line
	since  time.Time
	stored bool // it is in the file, or on its way there
}

// Begin notes an attempt that may be billed from here on, by the line that it leaves where the process ends before it: of
// unknown outcome. It does not wait. End and Forget take the number that it gives; 0 is that of none.
func (l *Ledger) Begin(line Line) (number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.begun) >= l.room {
		return 0
	}
	l.number++
	l.begun[l.number] = &begun{line: line, since: l.options.Now()}
	return l.number
}

// End takes the line of an attempt that has begun, as Record does: it is written with the same batch that forgets the
// other.
func (l *Ledger) End(number uint64, line Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(number)
	l.take(line)
}

// Forget notes that an attempt needs no line.
func (l *Ledger) Forget(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(number)
}

// forget is Forget. l.mu is held.
func (l *Ledger) forget(number uint64) {
	b := l.begun[number]
	if b == nil {
		return
	}
	delete(l.begun, number)
	if b.stored {
		l.over = append(l.over, number)
	}
}

// takeBegun takes what there is to be written of attempts. l.mu is held.
func (l *Ledger) takeBegun(b *batch, now time.Time) {
	b.over, l.over = l.over, nil
	ends := false
	select {
	case <-l.closing:
		ends = true
	default:
	}
	for number, attempt := range l.begun {
		if !attempt.stored && (ends || now.Sub(attempt.since) >= begunAfter) {
			attempt.stored = true
			if b.begun == nil {
				b.begun = make(map[uint64]Line)
			}
			b.begun[number] = attempt.line
		}
	}
}

// restoreBegun takes back what could not be written. l.mu is held.
func (l *Ledger) restoreBegun(b batch) {
	l.over = append(b.over, l.over...)
	for number := range b.begun {
		if attempt := l.begun[number]; attempt != nil {
			attempt.stored = false
		}
	}
}

// writeBegun writes what takeBegun has taken.
func writeBegun(tx *bolt.Tx, b batch) error {
	bucket := tx.Bucket(bucketBegun)
	for number, line := range b.begun {
		if err := bucket.Put(binary.BigEndian.AppendUint64(nil, number), encode(line)); err != nil {
			return err
		}
	}
	for _, number := range b.over {
		if err := bucket.Delete(binary.BigEndian.AppendUint64(nil, number)); err != nil {
			return err
		}
	}
	return nil
}

// endBegun makes lines of the attempts that a process before this one has not ended.
func endBegun(tx *bolt.Tx, zone *time.Location) ([]Line, error) {
	lines, err := begunIn(tx)
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	if err := writeLines(tx, batch{lines: lines}, zone); err != nil {
		return nil, err
	}
	if err := tx.DeleteBucket(bucketBegun); err != nil {
		return nil, err
	}
	_, err = tx.CreateBucket(bucketBegun)
	return lines, err
}

// begunIn gives the lines of attempts that are stored as under way, the oldest first.
func begunIn(tx *bolt.Tx) (lines []Line, err error) {
	bucket := tx.Bucket(bucketBegun)
	if bucket == nil { // of a version without
		return nil, nil
	}
	err = bucket.ForEach(func(_, v []byte) error {
		var l Line
		if json.Unmarshal(v, &l) != nil {
			return errCorrupt
		}
		lines = append(lines, l)
		return nil
	})
	slices.SortStableFunc(lines, func(a, b Line) int { return a.Time.Compare(b.Time) })
	return lines, err
}

// readBegun gives those of a file that no process has open: none of them is under way any more.
func readBegun(db *bolt.DB, q Query, zone *time.Location) (found []Line, err error) {
	err = guarded(func() error {
		return db.View(func(tx *bolt.Tx) error {
			lines, err := begunIn(tx)
			for i := range lines {
				if q.takes(lines[i].group(zone)) {
					found = append(found, lines[i])
				}
			}
			return err
		})
	})
	return found, err
}
