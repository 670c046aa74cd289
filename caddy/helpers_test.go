package alipaycaddy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/heldport"
)

// rig is a running Caddy with the plugin in it, and a simulated API outside of
// it. Caddy runs once in a process, so tests with a rig are not parallel.
type rig struct {
	t    *testing.T
	api  *sandbox.Server
	http *http.Client
	// vars are what ${name} stands for in Caddyfiles: gateway, admin, api and gone are
	// addresses (nothing listens at gone), log is the file of all logs and dir an empty folder.
	vars map[string]string

	mu      sync.Mutex
	arrived []time.Time // when the API got chat calls
}

// oneProvider is a global option that declares the rig's API.
const oneProvider = `
alipayai {
	provider alipay {
		profile sandbox
		base_url http://${api}
	}
}`

// proxySite is a site that serves it.
const proxySite = `
http://${gateway} {
	log
	alipayai_proxy alipay
}`

func newRig(t *testing.T, config sandbox.Config) *rig {
	t.Helper()
	g := &rig{t: t}
	onRequest := config.OnRequest
	config.OnRequest = func(r *http.Request, body []byte) {
		if strings.HasSuffix(r.URL.Path, chatPath) {
			g.mu.Lock()
			g.arrived = append(g.arrived, time.Now())
			g.mu.Unlock()
		}
		if onRequest != nil {
			onRequest(r, body)
		}
	}
	api, err := sandbox.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	transport := new(clientTransport)
	transport.renew()
	t.Cleanup(transport.CloseIdleConnections)
	dir := t.TempDir()
	g.api, g.http = api, &http.Client{Transport: transport, Timeout: time.Minute}
	g.vars = map[string]string{
		"gateway": heldport.Addr(t), "admin": heldport.Addr(t), "gone": heldport.Addr(t), "api": server.Listener.Addr().String(),
		"log": filepath.Join(t.TempDir(), "caddy.log"), "dir": dir,
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
		if t.Failed() {
			logs := g.logs()
			t.Logf("end of the logs:\n%s", logs[max(0, len(logs)-4<<10):])
		}
	})
	return g
}

// config adapts a Caddyfile of these global options and sites.
func (g *rig) config(global, sites string) []byte {
	g.t.Helper()
	text := os.Expand(`{
	admin ${admin}
	default_bind 127.0.0.1
	skip_install_trust
	log {
		output file ${log} {
			roll_disabled
		}
		level DEBUG
	}
	`+global+"\n}\n"+sites, func(name string) string {
		value, ok := g.vars[name]
		if !ok {
			g.t.Fatalf("the Caddyfile names ${%s}, which is not set", name)
		}
		return value
	})
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err != nil {
		g.t.Fatalf("adapting: %v\n%s", err, text)
	}
	return config
}

// load runs a configuration; called again, it is a reload.
func (g *rig) load(global, sites string) {
	g.t.Helper()
	if err := g.reload(global, sites); err != nil {
		g.t.Fatal(err)
	}
}

// reload is load for a configuration that may be refused.
func (g *rig) reload(global, sites string) error {
	g.t.Helper()
	return g.loadJSON(g.config(global, sites))
}

// loadJSON is reload for a configuration in JSON; calls that come after it meet no server of the one before.
func (g *rig) loadJSON(config []byte) error {
	g.t.Helper()
	defer g.http.Transport.(*clientTransport).renew()
	err := caddy.Load(config, true)
	g.eventually("the old configuration to listen no more", func() bool {
		listening := listeners()
		for _, addr := range g.vars {
			if listening[addr] > 1 {
				return false
			}
		}
		return true
	})
	return err
}

// clientTransport is the transport of a rig's client.
type clientTransport struct{ atomic.Pointer[http.Transport] }

// renew has the calls to come on connections of their own: Caddy closes those of an old configuration, perhaps just as one is used,
// and one that a call has ended on may become idle after the others were closed.
func (c *clientTransport) renew() {
	if old := c.Swap(&http.Transport{MaxIdleConnsPerHost: 64, DialContext: dialAgain}); old != nil {
		old.CloseIdleConnections()
	}
}

func (c *clientTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return c.Load().RoundTrip(r)
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] asks for.
func (c *clientTransport) CloseIdleConnections() { c.Load().CloseIdleConnections() }

// provision builds a configuration's modules and starts nothing, as `caddy
// validate` does.
func (g *rig) provision(global, sites string) error {
	g.t.Helper()
	var config *caddy.Config
	if err := json.Unmarshal(g.config(global, sites), &config); err != nil {
		g.t.Fatal(err)
	}
	return caddy.Validate(config)
}

// logs gives all that was logged so far.
func (g *rig) logs() string {
	content, err := os.ReadFile(g.vars["log"])
	if err != nil && !os.IsNotExist(err) {
		g.t.Error(err)
	}
	return string(content)
}

// eventually waits for a condition, which must come true soon: what fails on a busy
// machine, such as a record that Redis has 250 ms to take, is tried again every few seconds.
func (g *rig) eventually(what string, condition func() bool) {
	g.t.Helper()
	deadline := time.After(time.Minute)
	for pause := 2 * time.Millisecond; !condition(); pause = min(2*pause, 16*time.Millisecond) {
		select {
		case <-deadline:
			g.t.Fatalf("waited in vain for %s", what)
		case <-time.After(pause): // longer and longer: to ask takes time from what is waited for
		}
	}
}

// file writes a file below dir and gives its path.
func (g *rig) file(name, content string) string {
	g.t.Helper()
	path := filepath.Join(g.vars["dir"], name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
