package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// beginUntilKilled begins attempts, ends one, forgets another, and leaves the first: all is in the file when the end is.
func beginUntilKilled(path string) {
	l := New(Options{Path: path, Written: func(written, _ int) { fmt.Println(writtenMark + strconv.Itoa(written)) }})
	l.Open()
	line := func(id string, outcome Outcome) Line {
		return Line{Time: noon, RequestID: id, Tenant: "shop", Provider: "alipay", Currency: "CNY", Amount: 7, Outcome: outcome}
	}
	l.Begin(line("left", Unknown))
	ended, forgotten := l.Begin(line("ended", Unknown)), l.Begin(line("forgotten", Unknown))
	ticks := 0
	for range time.Tick(50 * time.Millisecond) {
		if ticks++; ticks == 20 { // by now the file has them
			l.End(ended, line("ended", Known))
			l.Forget(forgotten)
		}
		fmt.Println(ticks)
	}
}

// An attempt that was under way when its process was killed has a line of unknown outcome, once: in a report that is made of
// the file before another process has it, and in that process. One that has ended has its own line alone.
func TestAttemptsInFlightWhenKilled(t *testing.T) {
	t.Setenv(childDoes, "begin")
	path := filepath.Join(t.TempDir(), "ledger.db")
	runUntilKilled(t, path, 2*time.Second)
	want := map[string]Outcome{"left": Unknown, "ended": Known}
	check := func(s Source) error {
		lines, err := s.Lines(t.Context(), Query{})
		for _, l := range lines {
			if l.Outcome != want[l.RequestID] || l.Amount != 7 {
				t.Errorf("%+v", l)
			}
		}
		totals, failed := s.Totals(t.Context(), Query{})
		if len(lines) != len(want) || len(totals) != 1 || totals[0].Attempts != 2 || totals[0].UnknownAttempts != 1 || totals[0].Unknown != 7 || totals[0].Amount != 7 {
			t.Errorf("lines %+v, totals %+v", lines, totals)
		}
		return errors.Join(err, failed)
	}
	for range 2 {
		if err := Read(path, time.UTC, check); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		var left []string
		l := New(Options{Path: path, Left: func(lines []Line) {
			for _, l := range lines {
				left = append(left, l.RequestID)
			}
		}})
		l.Open()
		if want := [][]string{{"left"}, nil}[i]; !slices.Equal(left, want) {
			t.Errorf("left are %v, want %v", left, want)
		}
		if err := errors.Join(check(l), l.Close(), Read(path, time.UTC, check)); err != nil {
			t.Fatal(err)
		}
	}
}

// Attempts are in the file as long as they are under way, also over times in which it cannot be written, and over one that is
// broken; none of them is a line.
func TestAttemptsInFlightAreStored(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := New(Options{Path: filepath.Join(folder, "ledger.db")})
	l.room = 3
	l.Open()
	defer l.Close()
	var numbers []uint64
	for range 5 {
		numbers = append(numbers, l.Begin(lineAt(noon, "shop", 1)))
	}
	if !slices.Equal(numbers, []uint64{1, 2, 3, 0, 0}) {
		t.Errorf("numbers are %v", numbers)
	}
	stored := func(n int) func() bool {
		return func() bool {
			db := l.file()
			if db == nil {
				return false
			}
			begun, err := readBegun(db, Query{}, time.UTC)
			return err == nil && len(begun) == n
		}
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	testwait.For(t, 3*patience, "the attempts", stored(3))
	l.Forget(numbers[0])
	l.Forget(numbers[0])
	l.Forget(numbers[4])
	testwait.For(t, patience, "one less", stored(2))
	l.abandonFile(l.file())
	testwait.For(t, 3*patience, "them in a new file", stored(2))
	db := l.file()
	l.mu.Lock()
	l.db = nil
	l.mu.Unlock()
	abandon(db)
	testwait.For(t, 3*patience, "them in the file that is opened again", stored(2))
	l.End(numbers[1], lineAt(noon, "shop", 1))
	l.End(numbers[2], lineAt(noon, "shop", 1))
	testwait.For(t, patience, "none", stored(0))
	if lines, err := l.Lines(t.Context(), Query{}); err != nil || len(lines) != 2 {
		t.Errorf("%v, %v", lines, err)
	}
}

// That an attempt is under way is written once the file can be written again.
func TestAttemptsInFlightThatCouldNotBeWritten(t *testing.T) {
	o := openAt(t, filepath.Join(t.TempDir(), "ledger.db"))
	o.Begin(lineAt(noon, "shop", 1))
	var refused batch
	o.mu.Lock()
	o.takeBegun(&refused, time.Now().Add(time.Hour))
	o.mu.Unlock()
	if len(refused.begun) != 1 {
		t.Fatalf("%d attempts are to be written", len(refused.begun))
	}
	o.wrote(refused, nil, 0, errors.New("no space left on device"))
	testwait.For(t, patience, "the attempt", func() bool {
		begun, err := readBegun(o.file(), Query{}, time.UTC)
		return err == nil && len(begun) == 1
	})
}

// An attempt that is still under way when its ledger is closed has a line, however young it is; one that ends later changes
// nothing.
func TestAttemptsInFlightAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := New(Options{Path: path})
	l.Open()
	number := l.Begin(lineAt(noon, "shop", 1))
	l.Forget(l.Begin(lineAt(noon, "shop", 1)))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.End(number, lineAt(noon, "shop", 1))
	err := Read(path, time.UTC, func(s Source) error {
		lines, err := s.Lines(t.Context(), Query{})
		if len(lines) != 1 {
			t.Errorf("%+v", lines)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An attempt is stored once it is so old, and once alone; what has ended since is forgotten in the file where it was stored, also
// where the file could not be written in between.
func TestWhenAttemptsAreStored(t *testing.T) {
	now := noon
	l := New(Options{Now: func() time.Time { return now }}) // which nothing writes
	take := func() batch {
		var b batch
		l.takeBegun(&b, now)
		return b
	}
	first := l.Begin(lineAt(noon, "shop", 1))
	now = noon.Add(begunAfter - 1)
	if b := take(); len(b.begun) > 0 {
		t.Errorf("a young attempt is stored: %+v", b)
	}
	young := l.Begin(lineAt(now, "shop", 2))
	now = noon.Add(begunAfter)
	b := take()
	if len(b.begun) != 1 || b.begun[first].Amount != 1 {
		t.Errorf("an old attempt is not stored: %+v", b)
	}
	if again := take(); len(again.begun) > 0 {
		t.Errorf("it is stored twice: %+v", again)
	}
	if l.Forget(young); len(take().over) > 0 {
		t.Error("an attempt that was never stored is forgotten in the file")
	}
	l.restoreBegun(b) // the file could not be written
	b = take()
	if len(b.begun) != 1 {
		t.Errorf("what could not be written is not stored: %+v", b)
	}
	l.Forget(first)
	gone := take()
	if !slices.Equal(gone.over, []uint64{first}) {
		t.Errorf("%d are over", gone.over)
	}
	second := l.Begin(lineAt(now, "shop", 3))
	now = now.Add(begunAfter)
	take()
	l.Forget(second)
	l.restoreBegun(batch{begun: map[uint64]Line{first: {}}, over: gone.over})
	if got := take().over; !slices.Equal(got, []uint64{first, second}) {
		t.Errorf("%d are over once the file can be written, want both", got)
	}
	close(l.closing)
	last := l.Begin(lineAt(now, "shop", 4))
	if b := take(); len(b.begun) != 1 || b.begun[last].Amount != 4 {
		t.Errorf("at the end a young attempt is not stored: %+v", b)
	}
}

// Attempts that a process has left are reported with the oldest first, and by what a query selects, and those of the process that
// finds them are stored as those of any other.
func TestAttemptsThatWereLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := New(Options{Path: path})
	l.Open()
	for i, tenant := range []string{"shop", "bank", "shop"} {
		l.Begin(lineAt(noon.Add(-time.Duration(i)*time.Hour), tenant, 1))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err := Read(path, time.UTC, func(s Source) error {
		lines, err := s.Lines(t.Context(), Query{Tenant: "shop"})
		if len(lines) != 2 {
			t.Errorf("of one tenant %+v", lines)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var left []Line
	o := openAt(t, path, func(options *Options) { options.Left = func(lines []Line) { left = lines } })
	if len(left) != 3 || !slices.IsSortedFunc(left, func(a, b Line) int { return a.Time.Compare(b.Time) }) {
		t.Errorf("left are %+v", left)
	}
	o.Begin(lineAt(noon, "shop", 1))
	testwait.For(t, patience, "an attempt", func() bool {
		begun, err := readBegun(o.file(), Query{}, time.UTC)
		return err == nil && len(begun) == 1
	})
	o.has(t, 3) // it is the same file
}
