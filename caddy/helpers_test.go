package alipaycaddy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

// answer is a whole answer.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the code of an error in OpenAI's form; there must be exactly one.
func (a answer) code() string {
	var body struct {
		Error struct{ Message, Type, Code string }
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	if err := d.Decode(&body); err != nil || body.Error.Message == "" || body.Error.Type == "" {
		return "no error in OpenAI's form: " + a.body
	}
	if rest, _ := io.ReadAll(d.Buffered()); len(bytes.TrimSpace(rest)) > 0 {
		return "a second body: " + a.body
	}
	return body.Error.Code
}

// send sends a request with header fields as "Name: value", in that order, to
// the address that name stands for.
func (g *rig) send(name, method, target, body string, fields ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.vars[name]+target, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, field := range fields {
		key, value, _ := strings.Cut(field, ": ")
		// As it is spelt: some spellings are what a test is about.
		req.Header[key] = append(req.Header[key], value)
	}
	return g.http.Do(req)
}

// do sends a request to the gateway and reads the answer.
func (g *rig) do(method, target, body string, fields ...string) answer {
	g.t.Helper()
	return g.read(g.send("gateway", method, target, body, fields...))
}

func (g *rig) read(resp *http.Response, err error) answer {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// keyed makes a call with the Idempotency-Key "once" at a gateway, whose key may be another call's.
func (g *rig) keyed(name, prompt string, fields ...string) answer {
	g.t.Helper()
	a, _ := g.claiming(name, "POST", chatPath, chatBody(prompt, false), append(slices.Clip(fields), "Idempotency-Key: once")...)
	return a
}

// once makes a call with an Idempotency-Key that no other call has: where it is under way, a claim that came too late is
// not released yet.
func (g *rig) once(name, method, target, body string, fields ...string) (a answer) {
	g.t.Helper()
	again := false
	g.eventually("the key to be free again", func() bool {
		var repeated bool
		a, repeated = g.claiming(name, method, target, body, fields...)
		again = again || repeated
		return !again || a.code() != "idempotency_in_flight"
	})
	return a
}

// claiming makes a call with an Idempotency-Key, as a client would: again while the key
// cannot be claimed, since Redis has 50 ms for that and this machine may be busy, and
// when the connection ends instead, since a reload of Caddy closes what the old server
// has accepted last. Neither repeat may reach an API twice, which the tests count.
func (g *rig) claiming(name, method, target, body string, fields ...string) (a answer, repeated bool) {
	g.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		resp, err := g.send(name, method, target, body, fields...)
		over := time.Now().After(deadline)
		if !over && closedByReload(err) {
			continue
		}
		if a = g.read(resp, err); over || a.status != http.StatusServiceUnavailable || a.code() != "idempotency_unavailable" {
			return a, repeated
		}
		repeated = true
	}
}

// closedByReload says whether a connection has ended as those do that the old server
// was about to accept.
func closedByReload(err error) bool {
	return err != nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET))
}

// keyedInBackground makes such a call, and waits for its answer.
func (g *rig) keyedInBackground(prompt string, fields ...string) (wait func() answer) {
	answers := make(chan answer, 1)
	go func() {
		defer close(answers) // where reading it has failed
		answers <- g.keyed("gateway", prompt, fields...)
	}()
	return func() answer { return <-answers }
}

const chatPath = "/v1/chat/completions"

func chatBody(prompt string, stream bool) string {
	return fmt.Sprintf(`{"model":"alipay-fin-1","messages":[{"role":"user","content":%q}],"stream":%v}`, prompt, stream)
}

// chat makes a call that must be answered, and gives its answer.
func (g *rig) chat(prompt string, fields ...string) answer {
	g.t.Helper()
	a := g.do("POST", chatPath, chatBody(prompt, false), fields...)
	if a.status != http.StatusOK || !strings.Contains(a.body, prompt) {
		g.t.Fatalf("status %d: %s", a.status, a.body)
	}
	return a
}

// openStream begins a stream and gives it with its first event read.
func (g *rig) openStream(prompt string, fields ...string) (events *bufio.Reader, closeStream func()) {
	g.t.Helper()
	resp, err := g.send("gateway", "POST", chatPath, chatBody(prompt, true), fields...)
	if err != nil {
		g.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		g.t.Fatalf("status %d: %s", resp.StatusCode, g.read(resp, nil).body)
	}
	events = bufio.NewReader(resp.Body)
	if line, err := events.ReadString('\n'); err != nil || !strings.HasPrefix(line, "data: ") {
		g.t.Fatalf("first line %q: %v", line, err)
	}
	return events, func() { resp.Body.Close() }
}

// tokenFetches is how often the API was asked for a token.
func (g *rig) tokenFetches() (n int64) {
	for _, fetches := range g.api.Stats().TokenFetches {
		n += fetches
	}
	return n
}

// chats is how many chat calls reached the API.
func (g *rig) chats() int64 { return g.api.Stats().Paths[chatPath] }

// outcome gives the "alipayai" fields that the access log has of an answer.
func (g *rig) outcome(a answer) map[string]any {
	g.t.Helper()
	id := a.header.Get("X-Request-Id")
	if id == "" {
		g.t.Fatalf("an answer without X-Request-Id: %v", a.header)
	}
	var found map[string]any
	g.eventually("the access log to have "+id, func() bool {
		for line := range strings.SplitSeq(g.logs(), "\n") {
			var entry struct {
				Logger   string
				Alipayai map[string]any
			}
			if json.Unmarshal([]byte(line), &entry) == nil && strings.HasPrefix(entry.Logger, "http.log.access") &&
				entry.Alipayai["request_id"] == id {
				found = entry.Alipayai
			}
		}
		return found != nil
	})
	return found
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
