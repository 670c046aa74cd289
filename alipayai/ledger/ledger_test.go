package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// What was recorded is there after the process has ended, with the totals of each day.
func TestLinesAndTotals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "ledger.db")
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	inShanghai := func(o *Options) { o.Zone = shanghai }
	l := openAt(t, path, inShanghai)
	l.Record(lineAt(noon, "shop", 100))
	l.Record(lineAt(noon, "shop", 200))                    // at the same time
	evening := lineAt(noon.Add(5*time.Hour), "shop", 1000) // the next day in Shanghai
	evening.Outcome = Unknown
	l.Record(evening)
	estimated := lineAt(noon, "other", 50)
	estimated.Outcome = Estimated
	l.Record(estimated)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openAt(t, path, inShanghai)
	l.Record(lineAt(noon, "shop", 1))
	l.has(t, 5)
	totals, err := l.Totals(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	days := Summarise(totals, ByDay)
	if len(days) != 2 || days[0].Day != "2026-11-28" || days[1].Day != "2026-11-29" {
		t.Fatalf("days %+v", days)
	}
	want := Totals{Attempts: 4, Prompt: 40, Cached: 16, Completion: 20, Amount: 351, Floor: 175, Estimated: 50}
	if days[0].Totals != want {
		t.Errorf("totals %+v, want %+v", days[0].Totals, want)
	}
	if want := (Totals{Attempts: 1, Unknown: 1000, UnknownAttempts: 1}); days[1].Totals != want {
		t.Errorf("totals %+v, want %+v", days[1].Totals, want)
	}
	for name, tt := range map[string]struct {
		query Query
		lines int
	}{
		"all": {Query{}, 5}, "a day": {Query{From: "2026-11-29", To: "2026-11-29"}, 1}, "until": {Query{To: "2026-11-28"}, 4},
		"a tenant": {Query{Tenant: "other"}, 1}, "a model": {Query{Model: "m"}, 0}, "a few": {Query{Limit: 2}, 2}, "later": {Query{From: "2026-12-01"}, 0},
	} {
		lines, err := l.Lines(t.Context(), tt.query)
		if err != nil || len(lines) != tt.lines {
			t.Errorf("%s: %d lines, %v; want %d", name, len(lines), err, tt.lines)
		}
		totals, err := l.Totals(t.Context(), tt.query)
		attempts := int64(0)
		for _, row := range totals {
			attempts += row.Attempts
		}
		if err != nil || tt.query.Limit == 0 && attempts != int64(tt.lines) {
			t.Errorf("%s: totals of %d attempts, %v; want %d", name, attempts, err, tt.lines)
		}
	}
}

// Old lines go; the totals of their days stay, and so do budgets whose windows go on.
func TestKeep(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		l := New(Options{Path: filepath.Join(t.TempDir(), "ledger.db")})
		l.Keep(time.Hour)
		l.Open()
		defer l.Close()
		for day := range 5 {
			l.Record(lineAt(time.Now(), fmt.Sprint("tenant", day), 1))
			if err := l.PutBudget(t.Context(), fmt.Sprint("budget", day), 7, time.Now().Add(30*time.Minute)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour + time.Minute)
			synctest.Wait()
		}
		lines, err := l.Lines(t.Context(), Query{})
		if err != nil || len(lines) != 1 {
			t.Errorf("%d lines are kept, %v", len(lines), err)
		}
		totals, err := l.Totals(t.Context(), Query{})
		if err != nil || len(totals) != 5 {
			t.Errorf("totals %+v, %v", totals, err)
		}
		for day, want := range map[int]price.Amount{0: 0, 3: 0, 4: 0} {
			if got, err := l.Budget(fmt.Sprint("budget", day)); err != nil || got != want {
				t.Errorf("budget of day %d: %d, %v", day, got, err)
			}
		}
		if err := l.PutBudget(t.Context(), "on", 9, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		if got, err := l.Budget("on"); err != nil || got != 9 {
			t.Errorf("a budget that goes on: %d, %v", got, err)
		}
	})
}

// A file that cannot be used stops nothing: it is told, and used as soon as it can be.
func TestFilesThatCannotBeUsed(t *testing.T) {
	broken := func(t *testing.T, path string, change func(whole []byte) []byte) {
		t.Helper()
		l := openAt(t, path)
		for i := range 2000 {
			l.Record(lineAt(noon, fmt.Sprint("tenant", i), 1))
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, change(whole), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, path string)
		mend    func(t *testing.T, path string)
		aside   bool
	}{
		"a file in place of its folder": {
			prepare: func(t *testing.T, path string) {
				if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			mend: func(t *testing.T, path string) {
				if err := os.Remove(filepath.Dir(path)); err != nil {
					t.Fatal(err)
				}
			},
		},
		"a folder in its place": {
			prepare: func(t *testing.T, path string) {
				if err := os.MkdirAll(path, 0o700); err != nil {
					t.Fatal(err)
				}
			},
			mend: func(t *testing.T, path string) {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			},
		},
		"another file": {prepare: func(t *testing.T, path string) {
			broken(t, path, func([]byte) []byte {
				return []byte("no database, but longer than nothing: " + strings.Repeat("x", 1<<16))
			})
		}, aside: true},
		"zeros at its beginning": {prepare: func(t *testing.T, path string) {
			broken(t, path, func(whole []byte) []byte { clear(whole[:1<<14]); return whole })
		}, aside: true},
		"cut short": {prepare: func(t *testing.T, path string) {
			broken(t, path, func(whole []byte) []byte { return whole[:len(whole)/2] })
		}, aside: true},
		"a page alone, as a full disk leaves of its beginning": {prepare: func(t *testing.T, path string) {
			broken(t, path, func(whole []byte) []byte { return whole[:os.Getpagesize()] })
		}, aside: true},
		"a page and a part": {prepare: func(t *testing.T, path string) {
			broken(t, path, func(whole []byte) []byte { return whole[:os.Getpagesize()+100] })
		}, aside: true},
		"few zeros": {prepare: func(t *testing.T, path string) {
			broken(t, path, func([]byte) []byte { return make([]byte, 5000) })
		}, aside: true},
		"zeros in its middle": {prepare: func(t *testing.T, path string) {
			broken(t, path, func(whole []byte) []byte { clear(whole[1<<14:]); return whole })
		}, aside: true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "folder", "ledger.db")
			tt.prepare(t, path)
			l := openAt(t, path)
			l.Record(lineAt(noon, "shop", 1))
			if tt.mend != nil {
				testwait.For(t, patience, "the error", func() bool { return l.Err() != nil })
				if _, err := l.Totals(t.Context(), Query{}); err == nil {
					t.Error("a report is given")
				}
				tt.mend(t, path)
			}
			testwait.For(t, patience, "the line", func() bool {
				all, err := l.Lines(t.Context(), Query{})
				return err == nil && len(all) == 1 && l.Err() == nil
			})
			aside, err := filepath.Glob(path + ".broken-*")
			if err != nil || (len(aside) > 0) != tt.aside {
				t.Errorf("set aside: %v, %v", aside, err)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if len(l.told) == 0 {
				t.Error("nothing was told")
			}
		})
	}
}

// Another process that has the file is told from a broken file, and waited for.
func TestAFileThatAnotherHas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	first := openAt(t, path)
	second := openAt(t, path)
	second.Record(lineAt(noon, "shop", 1))
	if err := second.Err(); !errors.Is(err, ErrLocked) {
		t.Fatalf("%v", err)
	}
	if err := Read(path, time.UTC, func(Source) error { return nil }); !errors.Is(err, ErrLocked) {
		t.Errorf("a report of a file in use: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second.has(t, 1)
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	err := Read(path, time.UTC, func(s Source) error {
		totals, err := s.Totals(t.Context(), Query{})
		if err == nil && len(totals) != 1 {
			t.Errorf("totals %+v", totals)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A budget that was put is there for the next process.
func TestBudgetsAreStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := openAt(t, path)
	end := time.Now().Add(time.Hour)
	for i := range price.Amount(50) {
		if err := l.PutBudget(t.Context(), "a", i, end); err != nil {
			t.Fatal(err)
		}
		if got, err := l.Budget("a"); err != nil || got != i {
			t.Fatalf("%d, %v", got, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.PutBudget(t.Context(), "a", 1, end); err == nil {
		t.Error("a closed ledger takes budgets")
	}
	if got, err := openAt(t, path).Budget("a"); err != nil || got != 49 {
		t.Errorf("%d, %v", got, err)
	}
	// A call may come before its configuration has started altogether.
	early := New(Options{Path: path + "2"})
	if got, err := early.Budget("a"); got != 0 || err != nil {
		t.Errorf("a new file: %d, %v", got, err)
	}
	if err := early.Close(); err != nil {
		t.Error(err)
	}
}
