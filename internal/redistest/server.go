// Package redistest starts real Redis servers for tests: one, a Cluster, or a
// master that Sentinel watches, and breaks them in the ways in which they break.
//
// Where redis-server is not installed the test is skipped and says so; where the
// environment has CI=true it fails instead.
package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/heldport"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// patience is how long a server may take for anything.
const patience = time.Minute

// Server is a redis-server on a port of its own on loopback. It keeps nothing on
// disk, and ends with its test.
type Server struct {
	// Addr is its host:port.
	Addr string

	tb      testing.TB
	args    []string
	dir     string
	process *exec.Cmd
}

// Start starts a server with more arguments for its command line, and returns
// when it answers.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	port := heldPort(tb)
	s := &Server{
		Addr: net.JoinHostPort("127.0.0.1", port),
		tb:   tb,
		dir:  tb.TempDir(),
	}
	s.args = append([]string{
		"--port", port, "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", s.dir,
	}, args...)
	tb.Cleanup(s.Kill)
	s.launch()
	return s
}

// Pause stops the process (SIGSTOP): connections stay open, nothing answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on (SIGCONT).
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Kill ends the process at once (SIGKILL), with all its data. It may be repeated.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	s.signal(syscall.SIGKILL)
	_ = s.process.Wait() // an error tells of the signal
	s.process = nil
}

// Restart starts the server again at the same port after Kill, without data and
// without scripts.
func (s *Server) Restart() {
	s.tb.Helper()
	s.launch()
}

func (s *Server) signal(signal syscall.Signal) {
	s.tb.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		s.tb.Errorf("signal %s to redis-server: %v", signal, err)
	}
}

func (s *Server) launch() {
	s.tb.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			s.tb.Fatal("redis-server is not installed, and CI=true asks for it")
		}
		s.tb.Skip("redis-server is not installed: the tests with a real Redis are skipped")
	}
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		s.tb.Fatal(err)
	}
	defer log.Close()
	s.process = exec.Command(path, s.args...) //nolint:gosec // the arguments are this package's own
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		s.tb.Fatal(err)
	}
	testwait.For(s.tb, patience, "redis-server answers", func() bool {
		answer, err := s.Do("PING")
		return err == nil && (answer == "+PONG" || strings.HasPrefix(answer, "-NOAUTH"))
	})
}

// At is the server as it is reached at another address.
func (s *Server) At(addr string) *Server { return &Server{Addr: addr, tb: s.tb} }

// Do sends one command on a connection of its own and returns the first line of
// the answer, as the protocol has it.
func (s *Server) Do(words ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	var command strings.Builder
	fmt.Fprintf(&command, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&command, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := conn.Write([]byte(command.String())); err != nil {
		return "", err
	}
	answer := bufio.NewReader(conn)
	line, err := answer.ReadString('\n')
	line = strings.TrimSuffix(line, "\r\n")
	if err == nil && strings.HasPrefix(line, "$") && line != "$-1" {
		// A text: its lines follow the length.
		n, _ := strconv.Atoi(line[1:])
		text := make([]byte, n)
		_, err = io.ReadFull(answer, text)
		line = string(text)
	}
	return line, err
}

// IsMaster says whether the server is a master, which a replica becomes when its
// master is gone.
func (s *Server) IsMaster() bool {
	info, err := s.Do("INFO", "replication")
	return err == nil && strings.Contains(info, "role:master")
}

// must is Do for commands whose answer is OK.
func (s *Server) must(words ...string) {
	s.tb.Helper()
	if answer, err := s.Do(words...); err != nil || answer != "+OK" {
		s.tb.Fatalf("redis at %s: %s: %q, %v", s.Addr, strings.Join(words, " "), answer, err)
	}
}

// heldPort is a port that stays the test's.
func heldPort(tb testing.TB) string {
	tb.Helper()
	_, port, err := net.SplitHostPort(heldport.Addr(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return port
}
