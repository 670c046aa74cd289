package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// TestMain keeps what Caddy stores out of the home directory of the user who runs the tests.
// Where a test has started this process as another gateway, it is that.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "alipaycaddy-")
	if err != nil {
		panic(err)
	}
	caddy.DefaultStorage.Path = dir
	pace.watch, pace.back, pace.keys, pace.ledger = 50*time.Millisecond, 200*time.Millisecond, 50*time.Millisecond, 200*time.Millisecond
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	run := m.Run
	if file := os.Getenv(replicaConfig); file != "" {
		pace.canaries = 200 * time.Millisecond // tests look at those of their own process when it suits them
		run = func() int { return runReplica(file) }
	} else if err := os.Setenv("XDG_DATA_HOME", dir); err != nil { // of a replica it is that of its test
		panic(err)
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

// listeners counts the sockets that listen at each address of IPv4, where Linux says it. Of those at one address the
// system gives a connection to any, and a reload of Caddy is over before the old servers have closed theirs.
func listeners() map[string]int {
	found := map[string]int{}
	table, _ := os.ReadFile("/proc/net/tcp")
	for line := range strings.Lines(string(table)) {
		const listening = "0A"
		var address [4]byte
		var port int
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != listening {
			continue
		}
		if _, err := fmt.Sscanf(fields[1], "%02X%02X%02X%02X:%X", &address[3], &address[2], &address[1], &address[0], &port); err == nil {
			found[net.JoinHostPort(net.IP(address[:]).String(), strconv.Itoa(port))]++
		}
	}
	return found
}
