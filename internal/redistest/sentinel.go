package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// Watched is a master with a replica that one Sentinel watches.
type Watched struct {
	// Name is the master's name at the Sentinel.
	Name                      string
	Master, Replica, Sentinel *Server
}

// StartWatched starts all three and returns when the Sentinel knows the replica.
// A master that is gone is replaced after about a second.
func StartWatched(tb testing.TB) *Watched {
	tb.Helper()
	w := &Watched{Name: "gateway"}
	w.Master = Start(tb, "--repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(w.Master.Addr)
	w.Replica = Start(tb, "--replicaof", host+" "+port, "--repl-diskless-load", "swapdb")

	// A Sentinel writes into its configuration, so that it needs a file.
	sentinelPort := heldPort(tb)
	s := &Server{Addr: net.JoinHostPort(host, sentinelPort), tb: tb, dir: tb.TempDir()}
	file := filepath.Join(s.dir, "sentinel.conf")
	config := fmt.Sprintf(`port %s
bind 127.0.0.1
sentinel monitor %[2]s %s %s 1
sentinel down-after-milliseconds %[2]s 500
sentinel failover-timeout %[2]s 2000
`, sentinelPort, w.Name, host, port)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	s.args = []string{file, "--sentinel"}
	tb.Cleanup(s.Kill)
	s.launch()
	w.Sentinel = s

	testwait.For(tb, patience, "replica has its copy", func() bool { return linked(w.Replica) })
	testwait.For(tb, patience, "sentinel knows the replica", func() bool {
		info, err := s.Do("INFO", "sentinel")
		return err == nil && strings.Contains(info, "status=ok") && strings.Contains(info, "slaves=1")
	})
	return w
}
