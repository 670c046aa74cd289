//go:build unix

// Package redisserver runs a real redis-server for commands that measure. Tests
// have redistest, which also breaks them.
package redisserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/caddy-alipayai/gateway/internal/heldport"
)

// ErrNotInstalled says that there is no redis-server on the PATH.
var ErrNotInstalled = errors.New("redis-server is not installed")

// startTimeout is how long the server may take to start and answer.
const startTimeout = 10 * time.Second

// Start runs a server that keeps nothing on disk, on a port of loopback that is
// its own until it is stopped, and returns its host:port when it answers. Stop ends
// it and removes what it has left behind; it is to be called once.
func Start(ctx context.Context) (addr string, stop func(), err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", nil, ErrNotInstalled
	}
	port, release, err := heldport.Hold()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "gateway-redis-")
	if err != nil {
		release()
		return "", nil, err
	}
	server := exec.Command(path, //nolint:gosec // the arguments are this package's own
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", dir)
	if err := server.Start(); err != nil {
		release()
		_ = os.RemoveAll(dir)
		return "", nil, err
	}
	stop = func() {
		_ = server.Process.Kill()
		_ = server.Wait() // the error tells of the kill
		release()
		_ = os.RemoveAll(dir)
	}
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if err := await(ctx, addr); err != nil {
		stop()
		return "", nil, fmt.Errorf("redis-server does not answer: %w", err)
	}
	return addr, stop, nil
}

// await returns when the server answers a PING.
func await(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := ping(ctx, addr)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}

func ping(ctx context.Context, addr string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer := make([]byte, len("+PONG\r\n"))
	if _, err := conn.Read(answer); err != nil {
		return err
	}
	if !bytes.HasPrefix(answer, []byte("+PONG")) {
		return fmt.Errorf("it says %q", answer)
	}
	return nil
}
