package e2e

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/caddy-alipayai/gateway/internal/heldport"
)

// toxic is one of toxiproxy's, downstream unless it says otherwise.
type toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream,omitempty"`
	Attributes map[string]int `json:"attributes"`
}

// relay stands between the gateway and an API, and spoils what passes.
type relay struct {
	// addr is a port that stays the relay's while it does not listen.
	addr, upstream string
	proxy          *toxiproxy.Proxy
}

// set breaks all connections, and spoils those to come.
func (r *relay) set(t *testing.T, toxics ...toxic) {
	t.Helper()
	r.stop()
	r.proxy = toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "relay", r.addr, r.upstream)
	for _, spoiled := range toxics {
		r.add(t, spoiled)
	}
	if err := r.proxy.Start(); err != nil {
		t.Fatal(err)
	}
}

// add spoils the connections that there are, too.
func (r *relay) add(t *testing.T, spoiled toxic) {
	t.Helper()
	if _, err := r.proxy.Toxics.AddToxicJson(bytes.NewReader(encode(t, spoiled))); err != nil {
		t.Fatal(err)
	}
}

func (r *relay) stop() {
	if r.proxy != nil {
		r.proxy.Stop()
	}
}

// startRelayed runs a gateway with a relay before each of its providers, which
// have been asked once and work. They are given up after the timeout, which is a
// part of the calls of most tests and outlasts any load of the machine in others.
func startRelayed(t *testing.T, timeout time.Duration) (g *gateway, c *client, alipay, claude *relay) {
	t.Helper()
	var relays []*relay
	patience := fmt.Sprintf("timeout %s\n", timeout) + newConnections
	g = startGateway(t, options{
		providers: bothProviders, provider: patience, claude: patience,
		between: func(addr string) string {
			r := &relay{addr: heldport.Addr(t), upstream: addr}
			r.set(t)
			t.Cleanup(r.stop)
			relays = append(relays, r)
			return r.addr
		},
	})
	c = g.client(t, protocols["tls-http2"])
	if _, err := c.complete(t.Context(), false, ask("Hello.")); err != nil {
		t.Fatal(err)
	}
	g.checkAsked(t, 1, 0)
	return g, c, relays[0], relays[1]
}
