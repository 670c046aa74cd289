package main

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// arrivals is what the upstream has counted.
type arrivals struct {
	Count int `json:"count"`
	// Most is the most in any sliding second.
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
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, "", err
	}
	stamping, err := stamps(l)
	if err != nil {
		return nil, "", err
	}
	server := &http.Server{Handler: u, ReadHeaderTimeout: time.Minute, ConnContext: withConn}
	go func() { _ = server.Serve(stamping) }() // ends with the process
	return u, l.Addr().String(), nil
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// arrivedAt is when the head of a request came.
func arrivedAt(r *http.Request) time.Time {
	return r.Context().Value(connKey{}).(*stampedConn).arrivedAt()
}

// ServeHTTP notes when a call arrived, before anything else is done for it.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		at := arrivedAt(r)
		u.mu.Lock()
		u.at = append(u.at, at)
		u.mu.Unlock()
	}
	u.sim.ServeHTTP(w, r)
}

func (u *upstream) arrivals() arrivals {
	u.mu.Lock()
	defer u.mu.Unlock()
	slices.SortFunc(u.at, time.Time.Compare)
	a := arrivals{Count: len(u.at), Most: most(u.at)}
	a.Tightest, a.Mean = spacing(u.at)
	return a
}

// most is how many arrivals a sliding second has at most.
func most(at []time.Time) (most int) {
	first := 0
	for i := range at {
		for at[i].Sub(at[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
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
