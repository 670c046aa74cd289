package alipaycaddy

import (
	"net"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

// pooledRig is a rig whose ${upstream} is before the simulator, and counts connections.
func pooledRig(t *testing.T) (*rig, *badupstream.Relay) {
	g := newRig(t, sandbox.Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	relay := badupstream.NewRelay(l, g.vars["api"])
	t.Cleanup(relay.Close)
	g.vars["upstream"] = l.Addr().String()
	return g, relay
}

const pooledProvider = `
alipayai {
	provider alipay {
		profile sandbox
		base_url http://${upstream}
		pool ${pool}
	}
}`

// TestPoolOutlivesReloads counts at the upstream: connections are there before a call, from Start on and not from
// Provision; they stay where provider, address and transport do; a rejected configuration changes nothing; and they are
// closed when no configuration has the pool.
func TestPoolOutlivesReloads(t *testing.T) {
	g, relay := pooledRig(t)
	open := func(n int) {
		t.Helper()
		defer func() {
			if t.Failed() {
				t.Errorf("%d connections are open, want %d", relay.Open(), n)
			}
		}()
		g.eventually("as many connections as the pool has", func() bool { return relay.Open() == n })
	}
	dials := func(want string) {
		t.Helper()
		g.eventually("as many connections to be made", func() bool {
			return g.scrape()[`caddy_alipayai_pool_dials_total{provider="alipay",result="ok"}`] == want
		})
	}
	g.vars["pool"] = "3 5"
	if err := g.provision(pooledProvider, metricsSite); err != nil {
		t.Fatal(err)
	}
	if n := relay.Open(); n != 0 {
		t.Errorf("%d connections were made by checking a configuration", n)
	}
	g.load(pooledProvider, metricsSite)
	dials("3") // a token was asked for by a connection of its own, until the reload
	for range 5 {
		if a := g.chat("hello"); a.status != 200 {
			t.Fatalf("%d: %s", a.status, a.body)
		}
	}
	open(3 + 1)
	dials("3")
	g.load(pooledProvider, metricsSite+"\n# changed\n")
	g.chat("hello")
	open(3)
	dials("3")
	g.vars["pool"] = "4 5"
	g.load(pooledProvider, metricsSite)
	open(4)
	g.vars["pool"] = "2 1"
	if err := g.provision(pooledProvider, proxySite); err == nil || !strings.Contains(err.Error(), "pool 2 1: write the fewest and the most connections") {
		t.Errorf("a minimum above the maximum: %v", err)
	}
	g.vars["pool"] = "4 5"
	g.chat("hello")
	open(4)
	dials("4")
	g.load("", "http://${gateway} {\nrespond new\n}")
	open(0)
}

// TestPoolRefused holds that what does not go with a pool is refused at load, by name.
func TestPoolRefused(t *testing.T) {
	for name, tt := range map[string]struct{ options, want string }{
		"its own maximum":  {"pool 1 2\ntransport http {\nmax_conns_per_host 10\n}", "max_conns_per_host"},
		"no keep-alive":    {"pool 1 2\ntransport http {\nkeepalive off\n}", "keepalive off"},
		"a timeout":        {"pool 1 2\ntransport http {\nresponse_header_timeout 1s\n}", "response_header_timeout"},
		"HTTP/3":           {"pool 1 2\ntransport http {\nversions 3\ntls\n}", "versions 1.1, 2 and h2c"},
		"too many":         {"pool 1 2000", "at most 1000"},
		"the wrong way":    {"pool 30 10", "such as pool 10 30"},
		"too short a time": {"pool 1 2 {\nidle 10ms\n}", "pool's idle is 10ms"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			err := g.provision("alipayai {\nprovider alipay {\nprofile sandbox\nbase_url http://${api}\n"+tt.options+"\n}\n}", proxySite)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
}
