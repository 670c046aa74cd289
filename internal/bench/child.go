package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"time"
)

// The roles a child can have, and the variables that tell it of them.
const (
	roleUpstream = "upstream"
	roleStock    = "stock"
	roleGateway  = "gateway"

	roleVariable     = "GATEWAY_BENCH_ROLE"
	upstreamVariable = "GATEWAY_BENCH_UPSTREAM"
	idleVariable     = "GATEWAY_BENCH_IDLE"
	profileVariable  = "GATEWAY_BENCH_PROFILE"
)

// A usage is what a child process has consumed since it started.
type usage struct {
	CPU     time.Duration `json:"cpu"`     // user and system time, by getrusage
	Mallocs uint64        `json:"mallocs"` // heap objects allocated
	Bytes   uint64        `json:"bytes"`   // heap bytes allocated
}

// A greeting is a child's first line: where it listens.
type greeting struct {
	Addr string `json:"addr"`
}

// A child is this binary, running again in one of the roles. Each line written to
// its standard input is a question that it answers with its usage, one line of
// JSON on its standard output; the end of the input ends it, so that it cannot
// outlive its parent.
type child struct {
	role  string
	addr  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *json.Decoder
}

// start runs this binary in a role, with env added to its environment, and
// returns when it listens.
func start(ctx context.Context, role string, env ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{role: role, cmd: exec.CommandContext(ctx, self)} //nolint:gosec // it is this very program
	c.cmd.Env = append(append(os.Environ(), roleVariable+"="+role), env...)
	c.cmd.Stderr = os.Stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(stdout)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	var hello greeting
	if err := c.out.Decode(&hello); err != nil {
		c.stop()
		return nil, fmt.Errorf("%s did not start: %w", role, err)
	}
	c.addr = hello.Addr
	return c, nil
}

// usage asks the child what it has consumed so far.
func (c *child) usage() (usage, error) {
	if _, err := io.WriteString(c.stdin, "\n"); err != nil {
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
	if err := serve(role, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bench %s: %v\n", role, err)
		return 1
	}
	return 0
}

// serve runs a role until stdin ends.
func serve(role string, stdin io.Reader, stdout io.Writer) error {
	if path := os.Getenv(profileVariable); path != "" {
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}

	var addr string
	var err error
	switch role {
	case roleUpstream:
		addr, err = serveUpstream()
	case roleStock, roleGateway, rolePlain, roleFailover, roleDirect, roleOpen:
		addr, err = serveCaddy(role, os.Getenv(upstreamVariable), os.Getenv(idleVariable))
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		return err
	}

	answers := json.NewEncoder(stdout)
	if err := answers.Encode(greeting{Addr: addr}); err != nil {
		return err
	}
	for questions := bufio.NewScanner(stdin); questions.Scan(); {
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		cpu, err := cpuTime()
		if err != nil {
			return err
		}
		if err := answers.Encode(usage{CPU: cpu, Mallocs: mem.Mallocs, Bytes: mem.TotalAlloc}); err != nil {
			return err
		}
	}
	return nil
}

// freeAddr is a loopback address that nothing listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
