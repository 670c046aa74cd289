package ledger

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// patience bounds every wait of a test for something that has to happen.
const patience = 10 * time.Second

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func lineAt(at time.Time, tenant string, amount price.Amount) Line {
	return Line{
		Time: at, RequestID: "req_1", Tenant: tenant, Provider: "alipay", Model: "alipay-fin-1",
		Prompt: 10, Cached: 4, Completion: 5, Characters: 5000, Currency: "CNY", Amount: amount, Floor: amount / 2, Outcome: Known,
	}
}

// opened is a ledger that runs, and what it has told.
type opened struct {
	*Ledger
	mu   sync.Mutex
	told []string
}

func openAt(t *testing.T, path string, edit ...func(*Options)) *opened {
	t.Helper()
	o := &opened{}
	options := Options{Path: path, Changed: func(err error, aside string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.told = append(o.told, fmt.Sprintf("%v %t", err != nil, aside != ""))
	}}
	for _, e := range edit {
		e(&options)
	}
	o.Ledger = New(options)
	o.Open()
	t.Cleanup(func() { _ = o.Close() })
	return o
}

func (o *opened) has(t *testing.T, lines int) {
	t.Helper()
	testwait.For(t, patience, fmt.Sprintf("%d lines", lines), func() bool {
		all, err := o.Lines(t.Context(), Query{Limit: lines + 1})
		return err == nil && len(all) == lines
	})
}

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

func TestReports(t *testing.T) {
	rows := Rows(Summarise([]GroupTotals{
		{Group{Day: "2026-11-28", Tenant: "shop", Provider: "alipay", Model: "a", Currency: "CNY"}, Totals{Attempts: 2, Amount: 30_048_000, Floor: 1, Prompt: 7}},
		{Group{Day: "2026-11-29", Tenant: "=shop", Provider: "alipay", Model: "a", Currency: "CNY"}, Totals{Attempts: 1, Amount: price.MaxAmount}},
		{Group{Day: "2026-11-29", Tenant: "shop", Provider: "b", Model: "a"}, Totals{Attempts: 1}},
	}, ByTenant))
	var b bytes.Buffer
	if err := WriteRows(&b, rows, ByTenant, FormatCSV); err != nil {
		t.Fatal(err)
	}
	const want = "tenant,currency,attempts,prompt_tokens,cached_tokens,completion_tokens,amount,floor,estimated,unknown_at_most,unknown_attempts\n" +
		"'=shop,CNY,1,0,0,0,9223372036.854775807,0,0,0,0\n" +
		"shop,unpriced,1,0,0,0,0,0,0,0,0\n" +
		"shop,CNY,2,7,0,0,0.030048,0.000000001,0,0,0\n"
	if b.String() != want {
		t.Errorf("\n got %s\nwant %s", &b, want)
	}
	b.Reset()
	models := Rows(Summarise([]GroupTotals{{Group{Provider: "b", Model: "a", Currency: "USD"}, Totals{Attempts: 1}}}, ByModel))
	if err := WriteRows(&b, models, ByModel, FormatCSV); err != nil || !strings.HasPrefix(b.String(), "provider,model,currency,attempts,") || !strings.Contains(b.String(), "\nb,a,USD,1,") {
		t.Errorf("%s, %v", &b, err)
	}
	b.Reset()
	if err := WriteRows(&b, nil, ByDay, FormatJSON); err != nil || strings.TrimSpace(b.String()) != "[]" {
		t.Errorf("nothing as JSON: %s, %v", &b, err)
	}
	b.Reset()
	if err := WriteLines(&b, []Line{lineAt(noon, "shop", 5)}, FormatTable); err != nil || !strings.Contains(b.String(), "2026-11-28T12:00:00.000Z  req_1") {
		t.Errorf("%s, %v", &b, err)
	}
	// Sums stop at the largest number.
	sum := Totals{Amount: price.MaxAmount}
	if sum.Add(Totals{Amount: 1}); sum.Amount != price.MaxAmount {
		t.Errorf("sum %d", sum.Amount)
	}
}

// A spreadsheet takes no name for a formula, and every cell for what it is.
func TestNamesInSpreadsheets(t *testing.T) {
	for _, name := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", " =1+1", "＝1+1", "＋1", "－1", "＠x", "a,\"b\"", "!x", "|x", "%0A", "", " "} {
		for what, write := range map[string]func(*bytes.Buffer) error{
			"rows": func(b *bytes.Buffer) error {
				return WriteRows(b, Rows(Summarise([]GroupTotals{{Group{Tenant: name, Currency: "CNY"}, Totals{Attempts: 1}}}, ByTenant)), ByTenant, FormatCSV)
			},
			"lines": func(b *bytes.Buffer) error { return WriteLines(b, []Line{lineAt(noon, name, 1)}, FormatCSV) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			records, err := csv.NewReader(&b).ReadAll()
			if err != nil || len(records) != 2 {
				t.Fatalf("%s of %q: %q, %v", what, name, records, err)
			}
			cell := records[1][slices.Index(records[0], "tenant")]
			plain := strings.ReplaceAll(name, "\r", "") // as the package reads it back
			if strings.IndexAny(strings.TrimSpace(name), "=+-@＝＋－＠") == 0 {
				if cell != "'"+plain && cell != "'"+name {
					t.Errorf("%s of %q: %q is a formula", what, name, cell)
				}
			} else if cell != name {
				t.Errorf("%s of %q: %q", what, name, cell)
			}
		}
	}
}

func TestGroupKeys(t *testing.T) {
	for _, g := range []Group{
		{Day: "2026-11-28", Tenant: "a", Provider: "bc", Model: "", Currency: "CNY"},
		{Day: "2026-11-28", Tenant: "ab", Provider: "c", Model: "\x00", Currency: ""},
	} {
		if got, ok := parseGroupKey(groupKey(g)); !ok || got != g {
			t.Errorf("%+v is read as %+v", g, got)
		}
	}
	long := Group{Day: "2026-11-28", Tenant: strings.Repeat("a", 1<<16), Model: "m"}
	if got, ok := parseGroupKey(groupKey(long)); !ok || got.Tenant != long.Tenant[:1<<16-1] || got.Model != "m" {
		t.Errorf("a name of %d bytes is read as one of %d, %t", len(long.Tenant), len(got.Tenant), ok)
	}
	for _, key := range []string{"", "2026-11-28", "2026-11-28\x00\x09a", "2026-11-28\x00\x00\x00\x00\x00\x00\x00\x00x"} {
		if g, ok := parseGroupKey([]byte(key)); ok {
			t.Errorf("%q is read as %+v", key, g)
		}
	}
}
