package main

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// arrivals is what the upstream has counted.
type arrivals struct {
	Count int `json:"count"`
	// Most is the most in any sliding second, as the simulator counts them.
	Most int `json:"most"`
	// Tightest is the least time that perSecond+1 in a row took.
	Tightest time.Duration `json:"tightest"`
	// Mean a second, over whole windows: from one arrival to one a multiple of
	// perSecond later, since the pattern of a window repeats in the next.
	Mean float64 `json:"mean"`
}

// upstream is the simulated API, without a cap of its own: it counts.
type upstream struct {
	sim *sandbox.Server

	mu sync.Mutex
	at []time.Time
}

func serveUpstream() (u *upstream, addr string, err error) {
	u = new(upstream)
	if u.sim, err = sandbox.New(sandbox.Config{RequestsPerSecond: -1}); err != nil {
		return nil, "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	server := &http.Server{Handler: u, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // ends with the process
	return u, l.Addr().String(), nil
}

// ServeHTTP notes when a call arrives, before anything else is done for it.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		u.mu.Lock()
		u.at = append(u.at, time.Now())
		u.mu.Unlock()
	}
	u.sim.ServeHTTP(w, r)
}

func (u *upstream) arrivals() arrivals {
	u.mu.Lock()
	defer u.mu.Unlock()
	a := arrivals{Count: len(u.at)}
	for _, n := range u.sim.Stats().PeakPerSecond {
		a.Most = max(a.Most, n)
	}
	a.Tightest, a.Mean = spacing(u.at)
	return a
}

// spacing is the least time that perSecond+1 arrivals in a row took, and how
// many arrived a second; zero where there were fewer.
func spacing(at []time.Time) (tightest time.Duration, mean float64) {
	for i := perSecond; i < len(at); i++ {
		if d := at[i].Sub(at[i-perSecond]); tightest == 0 || d < tightest {
			tightest = d
		}
	}
	if whole := (len(at) - 1) / perSecond * perSecond; whole > 0 {
		mean = float64(whole) / at[whole].Sub(at[0]).Seconds()
	}
	return tightest, mean
}
