package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// The roles a child can have, and the variables that tell it of them.
const (
	roleUpstream   = "upstream"
	roleStock      = "stock"      // Caddy's reverse_proxy
	roleGateway    = "gateway"    // alipayai_proxy with its defaults and one provider
	roleProduction = "production" // the same with everything a production site has
	roleMatched    = "matched"    // roleGateway behind matchers that look at each call
	roleModerated  = "moderated"  // roleMatched behind moderation by rules
	roleDeclared   = "declared"   // roleGateway with all that roleModerated declares, and none of it used
	rolePooled     = "pooled"     // all that benchPool compares
	roleDirect     = "direct"     // the provider that answers, alone
	roleOpen       = "open"       // the same, behind one whose breaker is open

	roleVariable     = "GATEWAY_BENCH_ROLE"
	upstreamVariable = "GATEWAY_BENCH_UPSTREAM"
	profileVariable  = "GATEWAY_BENCH_PROFILE"
)

// A usage is what a child process has consumed since it started, and what it
// holds.
type usage struct {
	CPU      time.Duration `json:"cpu"`      // user and system time, by getrusage
	Mallocs  uint64        `json:"mallocs"`  // heap objects allocated
	Bytes    uint64        `json:"bytes"`    // heap bytes allocated
	Live     uint64        `json:"live"`     // heap and stack bytes in use
	Resident uint64        `json:"resident"` // bytes of the process in memory
}

// The questions that a child answers with its usage.
const (
	asItIs    = "usage"   // without disturbing it
	collected = "collect" // after a garbage collection
)

// A greeting is a child's first line: where it listens, and where it runs.
type greeting struct {
	Addr  string `json:"addr"`
	CPUs  []int  `json:"cpus"`  // that it may run on
	Procs int    `json:"procs"` // GOMAXPROCS
}

// A child is this binary, running again in one of the roles. Each line written to
// its standard input is a question that it answers with its usage, one line of
// JSON on its standard output; the end of the input ends it, so that it cannot
// outlive its parent.
type child struct {
	greeting
	role  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *json.Decoder
}

// start runs this binary in a role on the given CPUs, with env added to its
// environment, and returns when it listens.
func start(ctx context.Context, role string, cpus []int, env ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{role: role, cmd: exec.CommandContext(ctx, self)} //nolint:gosec // it is this very program
	c.cmd.Env = append(append(os.Environ(), roleVariable+"="+role), env...)
	if len(cpus) > 0 {
		c.cmd.Env = append(c.cmd.Env, "GOMAXPROCS="+strconv.Itoa(len(cpus)))
	}
	c.cmd.Stderr = os.Stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(stdout)
	if err := startOn(cpus, c.cmd.Start); err != nil {
		return nil, err
	}
	if err := c.out.Decode(&c.greeting); err != nil {
		c.stop()
		return nil, fmt.Errorf("%s did not start: %w", role, err)
	}
	// Nothing is measured on other terms than the report says.
	if len(cpus) > 0 && (!slices.Equal(c.CPUs, cpus) || c.Procs != len(cpus)) {
		c.stop()
		return nil, fmt.Errorf("%s runs on CPUs %v with GOMAXPROCS=%d, not on %v", role, c.CPUs, c.Procs, cpus)
	}
	return c, nil
}

// usage asks the child what it has consumed so far, and what it holds.
func (c *child) usage(question string) (usage, error) {
	if _, err := io.WriteString(c.stdin, question+"\n"); err != nil {
		return usage{}, err
	}
	var u usage
	return u, c.out.Decode(&u)
}

// stop ends the child and waits for it.
func (c *child) stop() {
	c.stdin.Close()
	_ = c.cmd.Wait() // how it ended changes no figure that was taken
}

// runChild is the whole life of a child process; it returns its exit code.
func runChild(role string) int {
	if role == roleLedger {
		recordUntilKilled(os.Getenv(fileVariable))
	}
	if err := serve(role, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", role, err)
		return 1
	}
	return 0
}

// serve runs a role until stdin ends.
func serve(role string, stdin io.Reader, stdout io.Writer) (err error) {
	if path := os.Getenv(profileVariable); path != "" {
		stop, err := profile(path)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}

	var addr string
	if role == roleUpstream {
		addr, err = serveUpstream()
	} else {
		addr, err = serveCaddy(role, os.Getenv(upstreamVariable))
	}
	if err != nil {
		return err
	}
	cpus, err := allowedCPUs()
	if err != nil {
		return err
	}

	answers := json.NewEncoder(stdout)
	if err := answers.Encode(greeting{Addr: addr, CPUs: cpus, Procs: runtime.GOMAXPROCS(0)}); err != nil {
		return err
	}
	for questions := bufio.NewScanner(stdin); questions.Scan(); {
		if questions.Text() == collected {
			runtime.GC()
		}
		u, err := readUsage()
		if err != nil {
			return err
		}
		if err := answers.Encode(u); err != nil {
			return err
		}
	}
	return nil
}

// readUsage reads this process's.
func readUsage() (u usage, err error) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	u = usage{Mallocs: mem.Mallocs, Bytes: mem.TotalAlloc, Live: mem.HeapAlloc + mem.StackInuse}
	if u.CPU, err = cpuTime(); err == nil {
		u.Resident, err = residentBytes()
	}
	return u, err
}
