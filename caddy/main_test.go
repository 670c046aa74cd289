package alipaycaddy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestMain keeps what Caddy stores out of the home of whoever runs the tests.
// Where a test has started this process as another gateway, it is that.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "alipaycaddy-")
	if err != nil {
		panic(err)
	}
	caddy.DefaultStorage.Path = dir
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	run := m.Run
	if file := os.Getenv(replicaConfig); file != "" {
		run = func() int { return runReplica(file) }
	}
	code := run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// replicaConfig names, in a process of these tests, the configuration that it
// is to run instead of tests.
const replicaConfig = "ALIPAYCADDY_REPLICA_CONFIG"

// runReplica runs a configuration until standard input ends.
func runReplica(file string) int {
	config, err := os.ReadFile(file)
	if err == nil {
		err = caddy.Load(config, true)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = caddy.Stop()
	return 0
}

var handedOut sync.Map // addresses of freeAddr: none twice, whoever closes first

// freeAddr is a loopback address that nothing listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if _, twice := handedOut.LoadOrStore(l.Addr().String(), true); !twice {
			return l.Addr().String()
		}
	}
}

// dialAgain dials until the connection is not reset before it is there. Caddy
// opens the listener of a new configuration beside the old one, which resets
// what it has not accepted when it is closed.
func dialAgain(ctx context.Context, network, addr string) (net.Conn, error) {
	for {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if !errors.Is(err, syscall.ECONNRESET) {
			return conn, err
		}
	}
}
