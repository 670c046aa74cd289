package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

func init() {
	children["room for a little"] = writeWithoutRoom
	children["no permission"] = writeWithoutPermission
}

// A disk without room is an error like others, and no end of anything.
func TestAFullDisk(t *testing.T) {
	l := openAt(t, "/dev/full")
	l.Record(lineAt(noon, "shop", 1))
	if err := l.Err(); err == nil {
		t.Error("the disk is full, and nothing is wrong")
	}
	if err := l.PutBudget(t.Context(), "a", 1, time.Now()); err == nil {
		t.Error("a budget is stored")
	}
}

// unwritableLines is how many lines a process records, which is more than wait in memory.
const unwritableLines = 3000

// record records them, some of which are still to come when the file fails, and says what the ledger tells of it.
func (l *Ledger) record(failing func()) {
	for i := range unwritableLines {
		l.Record(lineAt(noon, fmt.Sprint("tenant", i%7), 1))
		if i%100 == 0 {
			_ = l.flushed()
		}
	}
	for l.Err() == nil {
		_ = l.flushed()
	}
	fmt.Println("failing")
	failing()
	for l.Err() != nil {
		_ = l.flushed()
	}
	_ = l.Close()
	fmt.Println("closed")
}

// flushed waits until what is pending has been tried.
func (l *Ledger) flushed() error {
	return l.PutBudget(context.Background(), "b", 1, time.Now().Add(time.Hour))
}

// writeWithoutRoom writes where a file has room for some of the lines, as where a disk becomes full, and then for all.
func writeWithoutRoom(path string) {
	signal.Ignore(syscall.SIGXFSZ) // a file that is too large is an error then, as EFBIG
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
	small := limit
	small.Cur = 96 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		panic(err)
	}
	l := New(Options{Path: path})
	l.room = unwritableLines / 3
	l.Open()
	l.record(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			panic(err)
		}
	})
}

// writeWithoutPermission writes into a folder that it may not write to, until its parent permits it.
func writeWithoutPermission(path string) {
	if err := os.Chdir(filepath.Dir(path)); err != nil {
		panic(err)
	}
	if os.Geteuid() == 0 { // who may write anywhere
		if err := syscall.Setuid(65534); err != nil {
			panic(err)
		}
	}
	l := New(Options{Path: filepath.Base(path)}) // whoever may not write here may not even come by the folders above
	l.room = unwritableLines / 3
	l.Open()
	l.record(func() { _, _ = io.ReadAll(os.Stdin) })
}

// Of what cannot be written, in the middle or at all, nothing is lost but lines beyond those that memory has room for;
// their totals are kept, and all is written when it can be.
func TestWhatCannotBeWritten(t *testing.T) {
	for does := range children {
		if does == "" || does == "begin" {
			continue
		}
		t.Run(does, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "folder")
			if err := os.Mkdir(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			if does == "no permission" {
				if err := os.Chmod(folder, 0o555); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(folder, "ledger.db")
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childFile+"="+path, childDoes+"="+does)
			var problems strings.Builder
			cmd.Stderr = &problems
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
			var said []string
			for lines := bufio.NewScanner(out); lines.Scan(); {
				said = append(said, lines.Text())
				if lines.Text() == "failing" {
					if err := os.Chmod(folder, 0o777); err != nil {
						t.Error(err)
					}
					_ = in.Close()
				}
			}
			if err := cmd.Wait(); err != nil || strings.Join(said, " ") != "failing closed" {
				t.Fatalf("%v, said %q\n%s", err, said, &problems)
			}
			err = Read(path, time.UTC, func(s Source) error {
				totals, err := s.Totals(t.Context(), Query{})
				sum := Totals{}
				for _, row := range totals {
					sum.Add(row.Totals)
				}
				if sum.Attempts != unwritableLines || sum.Amount != price.Amount(unwritableLines) || len(totals) != 7 {
					t.Errorf("totals %+v of %d tenants", sum, len(totals))
				}
				lines, err2 := s.Lines(t.Context(), Query{Limit: unwritableLines})
				if len(lines) < unwritableLines/3 || len(lines) > unwritableLines {
					t.Errorf("%d lines", len(lines))
				}
				return errors.Join(err, err2)
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
