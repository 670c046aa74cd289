package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// Lines that cannot be written are bounded, and counted when they are dropped. Their totals are kept.
func TestPendingLinesAreBounded(t *testing.T) {
	var mu sync.Mutex
	written, dropped := 0, 0
	path := filepath.Join(t.TempDir(), "folder")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := New(Options{Path: filepath.Join(path, "ledger.db"), Written: func(w, d int) {
		mu.Lock()
		defer mu.Unlock()
		written, dropped = written+w, dropped+d
	}})
	l.room = 500
	l.Open()
	defer l.Close()
	for range l.room + 100 {
		l.Record(lineAt(noon, "shop", 1))
	}
	l.mu.Lock()
	if n := len(l.pending); n > l.room {
		t.Errorf("%d lines wait", n)
	}
	l.mu.Unlock()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	testwait.For(t, 3*patience, "the lines", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return written+dropped == l.room+100
	})
	if dropped != 100 {
		t.Errorf("%d lines were dropped", dropped)
	}
	testwait.For(t, patience, "the totals", func() bool {
		totals, err := l.Totals(t.Context(), Query{})
		return err == nil && len(totals) == 1 && totals[0].Attempts == int64(l.room+100) && totals[0].Amount == price.Amount(l.room+100)
	})
}

// What a ledger could not write when it ends goes to the log, with the sum of each currency, and is counted.
func TestWhatIsLostIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var attempts int64
	var totals map[price.Currency]Totals
	dropped := 0
	l := New(Options{
		Path: filepath.Join(path, "ledger.db"), Written: func(_, d int) { dropped += d },
		Lost: func(n int64, of map[price.Currency]Totals) { attempts, totals = n, of },
	})
	l.room = 3
	l.Open()
	for i := range 5 {
		line := lineAt(noon, "shop", price.Amount(i))
		if i == 4 {
			line.Currency = "USD"
		}
		l.Record(line)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if attempts != 5 || dropped != 5 || len(totals) != 2 || totals["CNY"].Amount != 6 || totals["USD"].Amount != 4 {
		t.Errorf("%d attempts are lost, %d lines dropped: %+v", attempts, dropped, totals)
	}
}

// So does what comes once it has ended.
func TestWhatComesTooLateIsTold(t *testing.T) {
	var attempts int64
	totals := make(map[price.Currency]Totals)
	l := New(Options{Path: filepath.Join(t.TempDir(), "ledger.db"), Lost: func(n int64, of map[price.Currency]Totals) {
		attempts += n
		for currency, sum := range of {
			sum.Add(totals[currency])
			totals[currency] = sum
		}
	}})
	l.Open()
	begun := l.Begin(lineAt(noon, "shop", 2))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if attempts != 0 {
		t.Errorf("%d attempts are lost of none", attempts)
	}
	l.End(begun, lineAt(noon, "shop", 2))
	l.Record(lineAt(noon, "shop", 5))
	if attempts != 2 || totals["CNY"].Amount != 7 {
		t.Errorf("%d attempts are lost: %+v", attempts, totals)
	}
}

// The totals of lines that are dropped are bounded too, and none of what was spent is lost by that.
func TestTotalsOfDroppedLinesAreBounded(t *testing.T) {
	var all sums
	for i := range 2 * maxSums {
		l := lineAt(noon, fmt.Sprint("tenant", i), 1)
		all.add(l.group(time.UTC), l.totals())
	}
	if attempts, totals := all.byCurrency(); len(all) != maxSums+1 || attempts != 2*maxSums || totals["CNY"].Amount != 2*maxSums {
		t.Errorf("%d groups of %d attempts: %+v", len(all), attempts, totals)
	}
}

// A file that breaks while a process has it takes none of that process's budgets along.
func TestBudgetsOverABrokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := openAt(t, path)
	if !l.BrokeAt().IsZero() {
		t.Error("a new file was broken")
	}
	end := time.Now().Add(time.Hour)
	if err := l.PutBudget(t.Context(), "a", 7, end); err != nil {
		t.Fatal(err)
	}
	testwait.For(t, patience, "the budget", func() bool {
		l.Ledger.mu.Lock()
		defer l.Ledger.mu.Unlock()
		return len(l.stored) == 1
	})
	l.abandonFile(l.file())
	if l.BrokeAt().IsZero() {
		t.Error("the file is not known to have been broken")
	}
	l.Record(lineAt(noon, "shop", 1))
	l.has(t, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := openAt(t, path).Budget("a"); err != nil || got != 7 {
		t.Errorf("%d, %v", got, err)
	}
}
