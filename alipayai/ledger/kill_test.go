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

	"github.com/caddy-alipayai/gateway/internal/testwait"
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

// writtenMark begins what a process says of how many lines are in its file.
const writtenMark = "written "

// writeUntilKilled records a line each millisecond and says so afterwards, and how many
// have been written.
func writeUntilKilled(path string) {
	l := New(Options{Path: path, Written: func(written, _ int) { fmt.Println(writtenMark + strconv.Itoa(written)) }})
	l.Open()
	for at := range time.Tick(time.Millisecond) {
		id := strconv.FormatInt(at.UnixNano(), 10)
		l.Record(Line{Time: at, RequestID: id, Tenant: "shop", Provider: "alipay", Currency: "CNY", Amount: 1, Outcome: Known})
		fmt.Println(id)
	}
}

// Of a process that is killed no line is lost but those that had yet to be written: how soon
// that is done, TestLinesDoNotWait judges. The file is whole, and its totals are those of its lines.
func TestKilled(t *testing.T) {
	for file := range 4 {
		t.Run(strconv.Itoa(file), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "ledger.db")
			kept := make(map[string]bool)
			for range 5 {
				said, written := runUntilKilled(t, path, 4*writeEvery+rand.N(2*writeEvery))
				stored := storedIDs(t, path)
				for id := range kept {
					if !stored[id] {
						t.Fatalf("a line that was there is lost: %s", id)
					}
				}
				for _, id := range said[:min(written, len(said))] {
					if !stored[id] {
						t.Errorf("a line is lost that was written, as %d of %d", written, len(said))
						break
					}
				}
				kept = stored
			}
		})
	}
}

// runUntilKilled runs a process that writes for at least that long, and some lines, and kills it. It gives
// the lines that were recorded, and how many of them were written.
func runUntilKilled(t *testing.T, path string, after time.Duration) (said []string, written int) {
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
	killed := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), writtenMark); ok {
			more, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			written += more
		} else {
			said = append(said, lines.Text())
		}
		if first.IsZero() {
			first = time.Now()
		}
		if !killed && written > 0 && time.Since(first) > after {
			killed = true
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	if !killed {
		t.Fatal("the process ended by itself")
	}
	return said, written
}

// A line waits for no longer than from one write to the next, so that a process which is killed loses those of the last
// second at most.
func TestLinesDoNotWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	testwait.Bubble(t, func(t *testing.T) {
		written := make(chan int, 100)
		l := openAt(t, path, func(o *Options) { o.Written = func(n, _ int) { written <- n } })
		testwait.Pass(writeEvery / 3)
		for range 3 {
			began := time.Now()
			l.Record(lineAt(noon, "shop", 1))
			if n, took := <-written, time.Since(began); n != 1 || took > writeEvery {
				t.Errorf("%d written after %v", n, took)
			}
		}
	})
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
