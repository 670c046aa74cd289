package redistest

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// slots is how many hash slots a Cluster has.
const slots = 16384

// Cluster is a Redis Cluster of three masters with one replica each.
type Cluster struct {
	Masters  [3]*Server
	Replicas [3]*Server // by the number of their master
}

// StartCluster starts a Cluster and returns when all its nodes agree that it is
// complete. A master that is gone is replaced after about a second.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	c := &Cluster{}
	ids := make(map[*Server]string)
	bus := make(map[*Server]string)
	start := func() *Server {
		port := heldPort(tb)
		s := Start(tb,
			"--cluster-enabled", "yes", "--cluster-port", port,
			"--cluster-node-timeout", "500", "--cluster-replica-validity-factor", "0",
			"--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb")
		id, err := s.Do("CLUSTER", "MYID")
		if err != nil {
			tb.Fatal(err)
		}
		ids[s], bus[s] = id, port
		return s
	}
	for i := range c.Masters {
		c.Masters[i], c.Replicas[i] = start(), start()
		c.Masters[i].must("CLUSTER", "ADDSLOTSRANGE",
			strconv.Itoa(i*slots/3), strconv.Itoa((i+1)*slots/3-1))
		// Without different epochs the first votes would be about these.
		c.Masters[i].must("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
	}
	first := c.Masters[0]
	for _, s := range c.Nodes()[1:] {
		host, port, _ := net.SplitHostPort(s.Addr)
		first.must("CLUSTER", "MEET", host, port, bus[s])
	}
	for i, replica := range c.Replicas {
		testwait.For(tb, patience, "replica knows its master", func() bool {
			answer, err := replica.Do("CLUSTER", "REPLICATE", ids[c.Masters[i]])
			return err == nil && answer == "+OK"
		})
	}
	testwait.For(tb, patience, "cluster complete", c.complete)
	return c
}

// Nodes are all servers, the first master first.
func (c *Cluster) Nodes() []*Server { return append(c.Masters[:], c.Replicas[:]...) }

// Addrs are the addresses of all servers.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, s := range c.Nodes() {
		addrs = append(addrs, s.Addr)
	}
	return addrs
}

// Owner is the number of the master that a key belongs to.
func (c *Cluster) Owner(key string) int {
	answer, err := c.Masters[0].Do("CLUSTER", "KEYSLOT", key)
	slot, notNumber := strconv.Atoi(strings.TrimPrefix(answer, ":"))
	if err != nil || notNumber != nil {
		c.Masters[0].tb.Fatalf("slot of the key: %q, %v", answer, err)
	}
	for i := range c.Masters {
		if slot < (i+1)*slots/3 {
			return i
		}
	}
	panic("a slot beyond the last")
}

// complete says whether every node sees all slots served and its partner.
func (c *Cluster) complete() bool {
	for _, s := range c.Nodes() {
		info, err := s.Do("CLUSTER", "INFO")
		if err != nil || !strings.Contains(info, "cluster_state:ok") ||
			!strings.Contains(info, "cluster_known_nodes:6") {
			return false
		}
	}
	return linked(c.Replicas[:]...)
}

// linked says whether replicas have a copy of their master's data.
func linked(replicas ...*Server) bool {
	for _, s := range replicas {
		info, err := s.Do("INFO", "replication")
		if err != nil || !strings.Contains(info, "master_link_status:up") {
			return false
		}
	}
	return true
}
