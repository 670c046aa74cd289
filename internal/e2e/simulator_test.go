package e2e

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// simulator is one of the simulated APIs, and what has reached it.
type simulator struct {
	*sandbox.Server
	close func()

	mu       sync.Mutex
	arrivals []arrival
}

// arrival is a request that reached the API.
type arrival struct {
	path string
	body []byte
}

// startSimulator gives a simulator and its address.
func startSimulator(t *testing.T, config sandbox.Config) (*simulator, string) {
	t.Helper()
	s := new(simulator)
	config.OnRequest = s.arrived
	server, err := sandbox.New(config)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	s.Server, s.close = server, listener.Close
	return s, listener.Listener.Addr().String()
}

func (s *simulator) arrived(r *http.Request, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrivals = append(s.arrivals, arrival{r.URL.Path, slices.Clone(body)})
}

// take gives the bodies that have reached the API under path since the last
// take, and forgets all others too.
func (s *simulator) take(path string) (bodies []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.arrivals {
		if a.path == path {
			bodies = append(bodies, string(a.body))
		}
	}
	s.arrivals = nil
	return bodies
}

// setFaults sets the faults of the calls to come, until the test ends.
func (s *simulator) setFaults(t *testing.T, faults ...sandbox.Fault) {
	t.Helper()
	if err := s.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.SetFaults() }) // no fault is a good list
}
