package ledger

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childFile names, in a process of these tests, the ledger that it is to write to instead, and childDoes how.
const childFile, childDoes = "LEDGER_TEST_FILE", "LEDGER_TEST_DOES"

// children are the ways.
var children = map[string]func(path string){"": writeUntilKilled, "begin": beginUntilKilled}

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		children[os.Getenv(childDoes)](path)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// writeUntilKilled records a line each millisecond, says so afterwards, and spends a
// budget besides.
func writeUntilKilled(path string) {
	l := New(Options{Path: path})
	l.Open()
	for at := range time.Tick(time.Millisecond) {
		id := strconv.FormatInt(at.UnixNano(), 10)
		l.Record(Line{Time: at, RequestID: id, Tenant: "shop", Provider: "alipay", Currency: "CNY", Amount: 1, Outcome: Known})
		fmt.Println(id)
	}
}

// Of a process that is killed no line is lost but those of the last second; the file is
// whole, and its totals are those of its lines.
func TestKilled(t *testing.T) {
	for file := range 4 {
		t.Run(strconv.Itoa(file), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "ledger.db")
			kept := make(map[string]bool)
			for range 5 {
				said, killed := runUntilKilled(t, path, time.Second+time.Duration(rand.Int64N(int64(500*time.Millisecond))))
				stored := storedIDs(t, path)
				for id := range kept {
					if !stored[id] {
						t.Fatalf("a line that was there is lost: %s", id)
					}
				}
				lost := 0
				for _, id := range said {
					nanos, err := strconv.ParseInt(id, 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					if !stored[id] {
						lost++
						if age := killed.Sub(time.Unix(0, nanos)); age > time.Second {
							t.Errorf("a line is lost that was %s old", age)
						}
					}
				}
				if lost == len(said) {
					t.Errorf("all of %d lines are lost", lost)
				}
				kept = stored
			}
		})
	}
}

// runUntilKilled runs a process that writes for that long, and kills it.
func runUntilKilled(t *testing.T, path string, after time.Duration) (said []string, killed time.Time) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFile+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var first time.Time
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, strings.TrimSpace(lines.Text()))
		if first.IsZero() {
			first = time.Now()
		}
		if killed.IsZero() && time.Since(first) > after {
			killed = time.Now()
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	if killed.IsZero() {
		t.Fatal("the process ended by itself")
	}
	return said[:len(said)-1], killed // the last may be cut
}

// storedIDs gives the lines of a file, which must be whole.
func storedIDs(t *testing.T, path string) map[string]bool {
	t.Helper()
	stored := make(map[string]bool)
	err := Read(path, time.UTC, func(s Source) error {
		lines, err := s.Lines(t.Context(), Query{Limit: 1 << 30})
		if err != nil {
			return err
		}
		for _, l := range lines {
			stored[l.RequestID] = true
		}
		totals, err := s.Totals(t.Context(), Query{})
		attempts := int64(0)
		for _, row := range totals {
			attempts += row.Attempts
		}
		if len(stored) != len(lines) || attempts != int64(len(lines)) {
			t.Errorf("%d lines, %d of them different, and totals of %d", len(lines), len(stored), attempts)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}
