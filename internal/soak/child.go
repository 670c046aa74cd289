package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// The roles a child can have, and the variables that tell it of them.
const (
	roleUpstream = "upstream"
	roleGateway  = "gateway"

	roleVariable   = "GATEWAY_SOAK_ROLE"
	configVariable = "GATEWAY_SOAK_CADDYFILE"
)

// A child is this binary, running again in one of the roles. Its first line says
// where it listens; the upstream answers each line on its standard input with
// the arrivals so far. The end of the input ends it, so that it cannot outlive
// its parent.
type child struct {
	addr  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *json.Decoder
}

// start runs this binary in a role, and returns when it listens.
func start(ctx context.Context, role, config string, env ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, self)} //nolint:gosec // it is this very program
	c.cmd.Env = append(append(os.Environ(), roleVariable+"="+role, configVariable+"="+config), env...)
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
	if err := c.out.Decode(&c.addr); err != nil {
		c.stop()
		return nil, fmt.Errorf("%s did not start: %w", role, err)
	}
	return c, nil
}

// arrivals asks the upstream what has arrived so far.
func (c *child) arrivals() (arrivals, error) {
	if _, err := io.WriteString(c.stdin, "\n"); err != nil {
		return arrivals{}, err
	}
	var a arrivals
	return a, c.out.Decode(&a)
}

// stop ends the child and waits for it.
func (c *child) stop() {
	_ = c.stdin.Close()
	_ = c.cmd.Wait() // what was to be seen has been
}

// runChild is the whole life of a child process; it returns its exit code.
func runChild(role string) int {
	if err := serve(role, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "soak %s: %v\n", role, err)
		return 1
	}
	return 0
}

// serve runs a role until stdin ends.
func serve(role string, stdin io.Reader, stdout io.Writer) error {
	out := json.NewEncoder(stdout)
	questions := bufio.NewScanner(stdin)
	switch role {
	case roleGateway:
		addr, err := serveGateway(os.Getenv(configVariable))
		if err != nil {
			return err
		}
		if err := out.Encode(addr); err != nil {
			return err
		}
		for questions.Scan() { // there are none
		}
		return nil
	case roleUpstream:
		u, addr, err := serveUpstream()
		if err != nil {
			return err
		}
		if err := out.Encode(addr); err != nil {
			return err
		}
		for questions.Scan() {
			if err := out.Encode(u.arrivals()); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("unknown role %q", role)
}
