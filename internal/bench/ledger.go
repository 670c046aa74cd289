package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
)

const (
	// roleLedger is a child that records lines in the file that fileVariable names, until
	// it is killed.
	roleLedger   = "ledger"
	fileVariable = "GATEWAY_BENCH_FILE"
	// ledgerKills is how often that child is killed, and ledgerRuns for how long it runs.
	ledgerKills = 20
	ledgerRuns  = 1500 * time.Millisecond
)

// benchLedger measures how many lines a second are written, and how old the oldest line is
// that is lost when the process is killed.
func benchLedger(ctx context.Context, s settings) (string, error) {
	dir, err := os.MkdirTemp("", "gateway-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	perSecond, err := ledgerThroughput(ctx, filepath.Join(dir, "lines.db"), min(s.duration, 5*time.Second))
	if err != nil {
		return "", err
	}
	kills := ledgerKills
	if s.onlyRuns() {
		kills = 1
	}
	var said, lost int
	var oldest time.Duration
	for range kills {
		n, gone, age, err := killLedger(ctx, filepath.Join(dir, "killed.db"))
		if err != nil {
			return "", err
		}
		said, lost, oldest = said+n, lost+gone, max(oldest, age)
	}
	return fmt.Sprintf("\n| Ledger | |\n|---|---:|\n"+
		"| lines written per second | %s |\n"+
		"| lines recorded before %d kill -9 | %s |\n"+
		"| lines lost | %d |\n"+
		"| oldest line lost, before the kill | %v |\n",
		grouped(perSecond), kills, grouped(said), lost, oldest.Round(time.Millisecond)), nil
}

// grouped writes a number with its thousands apart.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func benchLine(at time.Time, id string) ledger.Line {
	return ledger.Line{
		Time: at, RequestID: id, Tenant: "acme", Provider: "alipay", Model: "alipay-fin-1", Prompt: 120, Completion: 80,
		Characters: 5000, Currency: "CNY", Amount: 35_760_000, Floor: 27_120_000, Outcome: ledger.Known,
	}
}

// ledgerThroughput records lines as fast as they are written, for that long.
func ledgerThroughput(ctx context.Context, path string, long time.Duration) (perSecond int, err error) {
	written := make(chan int, 1)
	l := ledger.New(ledger.Options{Path: path, Written: func(n, dropped int) {
		if dropped > 0 {
			err = errors.New("lines were dropped")
		}
		written <- n
	}})
	l.Open()
	const batch = 10_000
	began, total := time.Now(), 0
	for ctx.Err() == nil && (total == 0 || time.Since(began) < long) {
		for range batch {
			l.Record(benchLine(time.Now(), "req_0123456789abcdef0123456789abcdef"))
		}
		for n := 0; n < batch; {
			n += <-written
		}
		total += batch
	}
	took := time.Since(began)
	return int(float64(total) / took.Seconds()), errors.Join(err, l.Close(), ctx.Err())
}

// killLedger runs a child that records lines, kills it, and looks for them in the file.
func killLedger(ctx context.Context, path string) (said, lost int, oldest time.Duration, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, 0, 0, err
	}
	cmd := exec.CommandContext(ctx, self) //nolint:gosec // it is this program
	cmd.Env = append(os.Environ(), roleVariable+"="+roleLedger, fileVariable+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, 0, 0, err
	}
	var ids []string
	var began, killed time.Time
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if began.IsZero() { // a busy machine takes long to start it
			began = time.Now()
		}
		ids = append(ids, strings.TrimSpace(lines.Text()))
		if killed.IsZero() && time.Since(began) > ledgerRuns {
			killed = time.Now()
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // an error tells of the signal
	if killed.IsZero() || len(ids) < 2 {
		return 0, 0, 0, errors.New("the ledger's process ended by itself")
	}
	stored := make(map[string]bool)
	err = ledger.Read(path, time.UTC, func(source ledger.Source) error {
		lines, err := source.Lines(ctx, ledger.Query{Limit: 1 << 30})
		for _, line := range lines {
			stored[line.RequestID] = true
		}
		return err
	})
	ids = ids[:len(ids)-1] // which may be cut
	for _, id := range ids {
		if nanos, _ := strconv.ParseInt(id, 10, 64); !stored[id] {
			lost++
			oldest = max(oldest, killed.Sub(time.Unix(0, nanos)))
		}
	}
	return len(ids), lost, oldest, err
}

// recordUntilKilled is the life of such a child.
func recordUntilKilled(path string) {
	l := ledger.New(ledger.Options{Path: path})
	l.Open()
	for at := range time.Tick(200 * time.Microsecond) {
		id := strconv.FormatInt(at.UnixNano(), 10)
		l.Record(benchLine(at, id))
		fmt.Println(id)
	}
}
