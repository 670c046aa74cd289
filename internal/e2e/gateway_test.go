// Package e2e drives the gateway with the clients that people use: vendors' own
// SDKs, against a whole Caddy and the simulated Alipay AI API behind it.
package e2e

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	_ "github.com/caddy-alipayai/gateway/caddy"
)

// TestMain keeps what Caddy stores out of the home of whoever runs the tests.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gateway-e2e-")
	if err != nil {
		panic(err)
	}
	caddy.DefaultStorage.Path = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// A gateway is a running Caddy with the plugin in it, and the API behind it. Caddy
// runs once in a process, so tests that start one do not run in parallel.
type gateway struct {
	addr     string          // of the site, on loopback
	upstream string          // of the simulator, on loopback
	sandbox  *sandbox.Server // what reached the upstream, and its faults
}

// startGateway runs a gateway for a site that holds alipayai_proxy alone.
func startGateway(t *testing.T, cfg sandbox.Config) *gateway {
	t.Helper()
	api, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(api)
	t.Cleanup(upstream.Close)
	g := &gateway{addr: freeAddr(t), upstream: upstream.Listener.Addr().String(), sandbox: api}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	g.load(t, "http://"+g.addr, "")
	return g
}

// load runs the gateway with a site of the given address and directives besides
// alipayai_proxy; called again, it is a reload.
func (g *gateway) load(t *testing.T, site, directives string) {
	t.Helper()
	config := strings.NewReplacer("UPSTREAM", g.upstream, "SITE", site, "DIRECTIVES", directives).Replace(`{
	admin off
	persist_config off
	skip_install_trust
	metrics
	log {
		level ERROR
	}
	alipayai {
		insecure_literals
		provider alipay {
			profile sandbox
			base_url http://UPSTREAM
		}
	}
}
SITE {
	bind 127.0.0.1
	DIRECTIVES
	alipayai_proxy alipay
}
`)
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), nil)
	if err != nil {
		t.Fatalf("adapting the Caddyfile: %v", err)
	}
	for _, w := range warnings {
		t.Logf("Caddyfile: %s", w)
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatalf("loading the configuration: %v", err)
	}
}

// client is the official OpenAI SDK, pointed at the gateway. It does not retry
// unless an option says so: a test counts the calls it makes.
func (g *gateway) client(t *testing.T, opts ...option.RequestOption) openai.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return openai.NewClient(append([]option.RequestOption{
		option.WithBaseURL("http://" + g.addr + "/v1"),
		option.WithAPIKey("e2e-client"),
		option.WithHTTPClient(&http.Client{Transport: transport}),
		option.WithMaxRetries(0),
	}, opts...)...)
}

// freeAddr is a loopback address that nothing listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
