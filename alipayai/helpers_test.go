package alipayai_test

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/door/all"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
	"github.com/caddy-alipayai/gateway/signer"
)

// patience bounds every wait of a test for something that has to happen.
const patience = 10 * time.Second

var dialects = all.Dialects()

// tenantHeader says whose call it is, where that is not acme's.
const tenantHeader = "Test-Tenant"

// rig is a gateway on a real listener, before an upstream on another: the
// simulator, unless a test brings its own. Those of bubbles listen in memory.
type rig struct {
	t        *testing.T
	sim      *sandbox.Server
	gateway  *alipayai.Gateway
	provider *upstream.Provider
	url      string
	client   *http.Client
	seen     *recorder
	arrived  *arrivals
}

// newRig starts a simulator without a rate cap, unless cfg sets one, and a
// gateway before it. The edits come before the gateway is prepared.
func newRig(t *testing.T, cfg sandbox.Config, edits ...func(*alipayai.Gateway)) *rig {
	t.Helper()
	if cfg.RequestsPerSecond == 0 {
		cfg.RequestsPerSecond = -1
	}
	arrived := &arrivals{}
	cfg.OnRequest = arrived.note
	sim, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := startRig(t, sim, simProvider, edits...)
	r.sim, r.arrived = sim, arrived
	return r
}

// newPlainRig starts a gateway before an upstream that wants no credentials.
func newPlainRig(t *testing.T, upstream http.HandlerFunc, edits ...func(*alipayai.Gateway)) *rig {
	t.Helper()
	return startRig(t, upstream, plainProvider, edits...)
}

func startRig(t *testing.T, upstream http.Handler, provider func(testing.TB, string) *upstream.Provider, edits ...func(*alipayai.Gateway)) *rig {
	t.Helper()
	url, _ := startServer(t, upstream)
	return startGateway(t, provider(t, url), edits...)
}

// startGateway starts a gateway before p.
func startGateway(t *testing.T, p *upstream.Provider, edits ...func(*alipayai.Gateway)) *rig {
	t.Helper()
	seen := &recorder{settled: make(chan alipayai.Outcome, 1024)}
	g := &alipayai.Gateway{Providers: []*upstream.Provider{p}, Observer: seen}
	for _, edit := range edits {
		edit(g)
	}
	for _, p := range g.Providers {
		if err := p.Prepare(); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Prepare(); err != nil {
		t.Fatal(err)
	}
	url, client := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serve(g, w, r, cmp.Or(r.Header.Get(tenantHeader), "acme"))
	}))
	return &rig{t: t, gateway: g, provider: p, url: url, client: client, seen: seen}
}

// simProvider is the demo app at a simulator.
func simProvider(t testing.TB, base string) *upstream.Provider {
	t.Helper()
	p := &upstream.Provider{Name: "alipay", ClientID: sandbox.DemoClientID, Scheme: demoScheme(t), Clock: new(upstream.Clock), Transport: newTransport(t)}
	p.Profile = profile(t, "alipay")
	p.BaseURL = parseURL(t, base)
	p.Tokens = &token.Source{Cell: new(token.Cell), Now: time.Now, Fetcher: demoGrant(p)}
	return p
}

// fetch is a Fetcher made of a function.
type fetch func(ctx context.Context, refreshToken string) (token.Token, error)

func (f fetch) Fetch(ctx context.Context, refreshToken string) (token.Token, error) {
	return f(ctx, refreshToken)
}

// tokensFrom gives a source with an empty cell.
func tokensFrom(f fetch) *token.Source {
	return &token.Source{Cell: new(token.Cell), Fetcher: f, Now: time.Now}
}

// demoGrant asks for tokens where p is, with the demo app's secret.
func demoGrant(p *upstream.Provider) *token.Grant {
	return &token.Grant{
		URL: p.BaseURL.String() + "/oauth2/token", ClientID: sandbox.DemoClientID, Secret: sandbox.DemoOAuthSecret,
		Transport: p.Transport, Clock: p.Clock, Now: time.Now,
	}
}

// plainProvider wants no credentials.
func plainProvider(t testing.TB, base string) *upstream.Provider {
	t.Helper()
	p := &upstream.Provider{Name: "plain", Clock: new(upstream.Clock), Transport: newTransport(t)}
	p.Profile = profile(t, "ollama")
	p.Profile.Paths = profile(t, "alipay").Paths
	p.BaseURL = parseURL(t, base)
	return p
}

func demoScheme(t testing.TB) signer.Scheme {
	t.Helper()
	keys := make(map[int]*signer.HMACKey)
	for version, secret := range sandbox.DemoKeys() {
		keys[version] = signer.NewHMACKey(secret)
	}
	ring, err := signer.NewRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	scheme, err := signer.NewHMAC(signer.HMACConfig{ClientID: sandbox.DemoClientID, Keys: ring})
	if err != nil {
		t.Fatal(err)
	}
	return scheme
}

func newTransport(t testing.TB) *http.Transport {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
	if n := networkOf(t); n != nil {
		transport.DialContext = n.DialContext
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func profile(t testing.TB, name string) upstream.Profile {
	t.Helper()
	p, err := upstream.LookupProfile(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parseURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// first edits the gateway's first provider.
func first(edit func(*upstream.Provider)) func(*alipayai.Gateway) {
	return func(g *alipayai.Gateway) { edit(g.Providers[0]) }
}

// reply is an answer as a client saw it; err is what reading its body ended with.
type reply struct {
	status int
	header http.Header
	body   string
	err    error
	// trailer is there after the whole body.
	trailer http.Header
}

// do sends a request of alternating header names and values, and reads the whole answer.
func (r *rig) do(ctx context.Context, method, path, body string, header ...string) reply {
	r.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header[header[i]] = append(req.Header[header[i]], header[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return reply{status: resp.StatusCode, header: resp.Header, body: string(all), err: err, trailer: resp.Trailer}
}

// post is do for a POST, which has to be answered at all.
func (r *rig) post(path, body string, header ...string) reply {
	r.t.Helper()
	got := r.do(r.t.Context(), http.MethodPost, path, body, header...)
	if got.status == 0 {
		r.t.Fatal(got.err)
	}
	return got
}

func (r *rig) chat(prompt string, header ...string) reply {
	r.t.Helper()
	return r.post("/v1/chat/completions", chatBody(prompt), header...)
}

func (r *rig) stream(prompt string, header ...string) reply {
	r.t.Helper()
	return r.post("/v1/chat/completions", streamBody(prompt), header...)
}

func (r *rig) set(faults ...sandbox.Fault) {
	r.t.Helper()
	if err := r.sim.SetFaults(faults...); err != nil {
		r.t.Fatal(err)
	}
}

// outcome is what the next call came to.
func (r *rig) outcome() alipayai.Outcome {
	r.t.Helper()
	return receive(r.t, r.seen.settled, "a settled call")
}

func chatBody(prompt string) string {
	text, _ := json.Marshal(prompt)
	return `{"model":"alipay-fin-1","messages":[{"role":"user","content":` + string(text) + `}]}`
}

func streamBody(prompt string) string {
	return strings.Replace(chatBody(prompt), `{`, `{"stream":true,`, 1)
}

// wantError checks that got is an error in OpenAI's form and gives its message.
func wantError(t *testing.T, got reply, status int, code string) (message string) {
	t.Helper()
	var body struct {
		Error *struct {
			Message, Type string
			Code          *string
			RequestID     string `json:"request_id"`
		}
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || body.Error == nil {
		t.Fatalf("status %d, body %q: want an error in OpenAI's form (%v)", got.status, got.body, err)
	}
	gotCode := ""
	if body.Error.Code != nil {
		gotCode = *body.Error.Code
	}
	if got.status != status || gotCode != code {
		t.Errorf("got %d %q, want %d %q: %s", got.status, gotCode, status, code, body.Error.Message)
	}
	if body.Error.Message == "" || body.Error.Type == "" {
		t.Errorf("an error without message or type: %s", got.body)
	}
	id := got.header.Get("X-Request-Id")
	if !strings.HasPrefix(id, "req_") || body.Error.RequestID != id {
		t.Errorf("request id %q in the body and %q in the header", body.Error.RequestID, id)
	}
	if kind := got.header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("Content-Type %q", kind)
	}
	return body.Error.Message
}

// receive takes a value from c, for which it does not wait for ever.
func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	return testwait.Receive(t, patience, c, what)
}

// waitFor waits for something that has to become true.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	testwait.For(t, patience, what, done)
}

// keptBy has what gateways keep of conversations, where they do.
var keptBy sync.Map

// serve serves one request through OpenAI's door.
func serve(g *alipayai.Gateway, w http.ResponseWriter, r *http.Request, tenant string) {
	d := &door.Door{Gateway: g, Dialects: dialects}
	if kept, ok := keptBy.Load(g); ok {
		d.Conversations = kept.(*door.Conversations)
	}
	d.Serve(w, r, tenant, d.Read(r))
}

// newRedis is a client of a Redis.
func newRedis(t *testing.T, options limiter.RedisOptions) redis.UniversalClient {
	t.Helper()
	client, err := limiter.NewRedisClient(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}
