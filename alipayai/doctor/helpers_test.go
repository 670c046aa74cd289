package doctor

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

// simulator is a simulated API on a real listener.
type simulator struct {
	*sandbox.Server
	t   *testing.T
	url string
}

func newSimulator(t *testing.T, config sandbox.Config) *simulator {
	t.Helper()
	api, err := sandbox.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return &simulator{api, t, server.URL}
}

// provider is one that is right for a simulator without variants, but for what change changes before it is prepared.
func newProvider(t *testing.T, base string, change func(*upstream.Provider)) *upstream.Provider {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	profile, err := upstream.LookupProfile("alipay")
	if err != nil {
		t.Fatal(err)
	}
	key, err := signer.ParseHMACKey(sandbox.DemoKeys()[1])
	if err != nil {
		t.Fatal(err)
	}
	keys, err := signer.NewRing(map[int]*signer.HMACKey{1: key})
	if err != nil {
		t.Fatal(err)
	}
	scheme, err := signer.NewHMAC(signer.HMACConfig{ClientID: sandbox.DemoClientID, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	p := &upstream.Provider{
		Name: "alipay", Profile: profile, BaseURL: u, ClientID: sandbox.DemoClientID, Environment: upstream.Sandbox,
		Scheme: scheme, Clock: new(upstream.Clock), Transport: transport,
		Tokens: &token.Source{Cell: new(token.Cell), Now: time.Now, Fetcher: &token.Grant{
			URL: base + "/oauth2/token", ClientID: sandbox.DemoClientID, Secret: sandbox.DemoOAuthSecret, Transport: transport, Now: time.Now,
		}},
	}
	if change != nil {
		change(p)
	}
	if err := p.Prepare(); err != nil {
		t.Fatal(err)
	}
	return p
}

// stepOf gives a step of a report.
func stepOf(t *testing.T, r *Report, name string) Step {
	t.Helper()
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no step %q in %+v", name, r)
	return Step{}
}
