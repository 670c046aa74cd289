package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/caddy-alipayai/gateway/internal/heldport"
	"github.com/caddy-alipayai/gateway/limiter"
)

// errNoRedis says that there is no redis-server on the PATH.
var errNoRedis = errors.New("redis-server is not installed")

// maxWait bounds every wait for something that has to happen.
const maxWait = 20 * time.Second

// redisServer is a real redis-server on loopback that is stopped and killed. It
// writes to disk before it answers, since a server that forgets frees the keys of
// calls that were served, and kept claims are what is examined here.
type redisServer struct {
	addr string

	args    []string
	dir     string
	process *exec.Cmd
	release func() // of its port
}

// startRedis starts a server on a free port, and returns when it answers.
func startRedis(ctx context.Context) (*redisServer, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errNoRedis
	}
	port, release, err := heldport.Hold()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gateway-chaos-")
	if err != nil {
		release()
		return nil, err
	}
	s := &redisServer{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: dir, release: release}
	s.args = []string{
		path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--logfile", "log",
		// Written in time to outlive the process, if not the machine.
		"--save", "", "--appendonly", "yes", "--appendfsync", "no",
	}
	if err := s.restart(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// pause stops the process: connections stay open, nothing answers.
func (s *redisServer) pause() error { return s.process.Process.Signal(syscall.SIGSTOP) }

// resume lets a paused process go on.
func (s *redisServer) resume() error { return s.process.Process.Signal(syscall.SIGCONT) }

// kill ends the process at once.
func (s *redisServer) kill() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait() // the error tells of the kill
		s.process = nil
	}
}

// restart starts it again at the same port, without its scripts.
func (s *redisServer) restart(ctx context.Context) error {
	s.process = exec.Command(s.args[0], s.args[1:]...) //nolint:gosec // the arguments are this package's own
	if err := s.process.Start(); err != nil {
		s.process = nil
		return err
	}
	client, err := limiter.NewRedisClient(limiter.RedisOptions{Addresses: []string{s.addr}})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("redis-server does not answer: %w", err)
		}
	}
}

// close ends it and removes what it has left behind.
func (s *redisServer) close() {
	s.kill()
	s.release()
	_ = os.RemoveAll(s.dir)
}
