package token

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// simulator is a token endpoint on a real listener.
type simulator struct {
	*sandbox.Server
	t   *testing.T
	url string
}

func newSimulator(t *testing.T, cfg sandbox.Config) *simulator {
	t.Helper()
	sim, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return &simulator{Server: sim, t: t, url: server.URL}
}

// grant asks for tokens with the demo app's secret.
func (s *simulator) grant() *Grant {
	return &Grant{
		URL: s.url + "/oauth2/token", ClientID: sandbox.DemoClientID, Secret: sandbox.DemoOAuthSecret,
		Transport: newTransportOfToken(s.t), Now: time.Now,
	}
}

func (s *simulator) set(faults ...sandbox.Fault) {
	s.t.Helper()
	if err := s.SetFaults(faults...); err != nil {
		s.t.Fatal(err)
	}
}

func newTransportOfToken(t testing.TB) *http.Transport {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// testTimeout bounds what a test waits for, where only a fault would make it wait.
const testTimeout = 10 * time.Second
