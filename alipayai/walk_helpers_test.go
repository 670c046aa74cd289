package alipayai_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire/anthropic"
	"github.com/caddy-alipayai/gateway/alipayai/wire/nextbuilder"
	"github.com/caddy-alipayai/gateway/signer"
)

// simulated is a simulator in one of the formats, and the provider that leads to it.
type simulated struct {
	*sandbox.Server
	provider *upstream.Provider
	arrived  *arrivals
	path     string
	// model is what it serves the models of the tests as.
	model string
}

// calls are the chat requests that reached it.
func (u *simulated) calls() []arrival { return u.arrived.at(u.path) }

// set arms faults of its chat endpoint.
func (u *simulated) set(t *testing.T, faults ...sandbox.Fault) {
	t.Helper()
	for i := range faults {
		if faults[i].Kind != sandbox.TokenError {
			faults[i].Path = u.path
		}
	}
	if err := u.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
}

// newUpstream starts a simulator without a rate cap.
func newUpstream(t *testing.T, name string, format sandbox.Format) *simulated {
	t.Helper()
	return newUpstreamOf(t, name, sandbox.Config{Format: format})
}

// newUpstreamOf starts a simulator of a format, and of a dialect.
func newUpstreamOf(t *testing.T, name string, cfg sandbox.Config) *simulated {
	t.Helper()
	u := &simulated{arrived: new(arrivals)}
	cfg.RequestsPerSecond, cfg.OnRequest = -1, u.arrived.note
	format := cfg.Format
	if format == sandbox.NextBuilder {
		public, err := x509.MarshalPKIXPublicKey(&agentKey().PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Apps = []sandbox.App{{ClientID: "2021000000000000", PublicKey: base64.StdEncoding.EncodeToString(public)}}
	}
	var err error
	if u.Server, err = sandbox.New(cfg); err != nil {
		t.Fatal(err)
	}
	url, _ := startServer(t, u.Server)
	switch format {
	case sandbox.OpenAI:
		u.provider, u.path, u.model = simProvider(t, url), "/v1/chat/completions", "alipay-fin-1"
	case sandbox.Anthropic:
		u.provider, u.path, u.model = claudeProvider(t, url), "/v1/messages", "claude-haiku-4-5"
	case sandbox.NextBuilder:
		u.provider, u.path, u.model = agentProvider(t, url), nextbuilder.Path, "sandbox-agent"
	}
	u.provider.Name = name
	return u
}

// claudeProvider is the demo app at a simulator of Anthropic's.
func claudeProvider(t testing.TB, base string) *upstream.Provider {
	t.Helper()
	keys, err := signer.NewRing(map[int]string{1: sandbox.DemoAPIKey})
	if err != nil {
		t.Fatal(err)
	}
	p := &upstream.Provider{Clock: new(upstream.Clock), Transport: newTransport(t), Format: new(anthropic.Format)}
	p.Profile = profile(t, "anthropic")
	p.BaseURL = parseURL(t, base+"/v1")
	p.Model = p.Profile.Model
	p.Header = map[string][]string{"Anthropic-Version": {p.Profile.Header["Anthropic-Version"]}}
	if p.Scheme, err = signer.NewHeader(signer.HeaderConfig{Name: p.Profile.KeyHeader, Keys: keys}); err != nil {
		t.Fatal(err)
	}
	return p
}

// agentKey signs for the agents' platform.
var agentKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// agentProvider is an app at a simulator of the agents' platform.
func agentProvider(t testing.TB, base string) *upstream.Provider {
	t.Helper()
	keys, err := signer.NewRing(map[int]*rsa.PrivateKey{1: agentKey()})
	if err != nil {
		t.Fatal(err)
	}
	p := &upstream.Provider{Clock: new(upstream.Clock), Transport: newTransport(t), Format: nextbuilder.Format{AgentID: "sandbox-agent"}}
	p.Profile = profile(t, "nextbuilder")
	p.BaseURL = parseURL(t, base)
	p.Model, p.Verify = "sandbox-agent", upstream.VerifyOff
	p.Scheme, err = signer.NewOpenAPIV3(signer.OpenAPIConfig{AppID: "2021000000000000", RSAKeys: signer.RSAKeys{Keys: keys}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ladder is a gateway before several simulators, which it asks in that order.
type ladder struct {
	*rig
	upstreams []*simulated
}

// newLadder starts simulators of these formats. Their names are first, second and third.
func newLadder(t *testing.T, formats []sandbox.Format, edits ...func(*alipayai.Gateway)) *ladder {
	t.Helper()
	upstreams := make([]*simulated, len(formats))
	for i, format := range formats {
		upstreams[i] = newUpstream(t, [...]string{"first", "second", "third"}[i], format)
	}
	return newLadderOf(t, upstreams, edits...)
}

// newLadderOf starts a gateway before these.
func newLadderOf(t *testing.T, upstreams []*simulated, edits ...func(*alipayai.Gateway)) *ladder {
	t.Helper()
	l := &ladder{upstreams: upstreams}
	edit := func(g *alipayai.Gateway) {
		for _, u := range l.upstreams[1:] {
			g.Providers = append(g.Providers, u.provider)
		}
		g.Deadline = 10 * time.Second
	}
	l.rig = startGateway(t, l.upstreams[0].provider, slices.Concat([]func(*alipayai.Gateway){edit}, edits)...)
	l.sim, l.arrived = l.upstreams[0].Server, l.upstreams[0].arrived
	return l
}

// alipays are two simulators of the Alipay AI API.
var alipays = []sandbox.Format{sandbox.OpenAI, sandbox.OpenAI}

// wantCalls checks how many chat requests reached each simulator.
func (l *ladder) wantCalls(want ...int) {
	l.t.Helper()
	got := make([]int, len(l.upstreams))
	for i, u := range l.upstreams {
		got[i] = len(u.calls())
		if n := u.Stats().RepeatedSignatures; n != 0 {
			l.t.Errorf("%d signatures were sent to the %s provider again", n, u.provider.Name)
		}
	}
	if !slices.Equal(got, want) {
		l.t.Errorf("%v requests reached the providers, want %v", got, want)
	}
}

// wantServed checks who served the call, in how many attempts, and why not those before.
func wantServed(t *testing.T, got reply, provider, attempts, reason string) {
	t.Helper()
	if got.status != 200 || got.err != nil {
		t.Errorf("%d %s (%v)", got.status, got.body, got.err)
	}
	wantHeader(t, got, "X-Alipayai-Provider", provider, "X-Alipayai-Attempts", attempts, "X-Alipayai-Reason", reason)
}

// wantHeader checks alternating names and values; "" is for a header that is not there.
func wantHeader(t *testing.T, got reply, header ...string) {
	t.Helper()
	for i := 0; i < len(header); i += 2 {
		if value := strings.Join(got.header[header[i]], "|"); value != header[i+1] {
			t.Errorf("%s is %q, want %q", header[i], value, header[i+1])
		}
	}
}

// closedCap is one whose window stays closed for longer than calls wait.
func closedCap() *upstream.Cap {
	k := newCap(50, time.Second)
	k.MaxWait = time.Second
	k.Throttled(time.Minute)
	return k
}

// brokenScheme cannot sign.
type brokenScheme struct{ signer.Scheme }

func (brokenScheme) Sign(signer.Message) (signer.Signed, error) {
	return signer.Signed{}, errors.New("no key")
}

// endless is a transport to an upstream that announces more than anybody takes.
type endless struct{}

func (endless) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/token") {
		return http.DefaultTransport.RoundTrip(req)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: make(http.Header), ContentLength: 1 << 40, Body: http.NoBody, Request: req,
	}, nil
}
