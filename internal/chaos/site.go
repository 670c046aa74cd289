package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"
)

// site is a server on loopback that knows how many connections it has.
type site struct {
	url    string
	open   atomic.Int64
	server *http.Server
	ended  chan struct{}
}

func newSite(ctx context.Context, handler http.Handler) (*site, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &site{url: "http://" + listener.Addr().String(), ended: make(chan struct{})}
	s.server = &http.Server{
		Handler: handler, ReadHeaderTimeout: time.Minute,
		ErrorLog: log.New(io.Discard, "", 0), // answers that break off are what this is about
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.open.Add(1)
			case http.StateClosed, http.StateHijacked:
				s.open.Add(-1)
			}
		},
	}
	go func() {
		defer close(s.ended)
		_ = s.server.Serve(listener) // until it is closed
	}()
	return s, nil
}

func (s *site) close() {
	_ = s.server.Close()
	<-s.ended
}

func goroutines() int { return runtime.NumGoroutine() }

// settled is what count comes to in the end: at most want, or what it still is
// after maxWait.
func settled(want int, count func() int) int {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(maxWait); ; <-look.C {
		if n := count(); n <= want || time.Now().After(deadline) {
			return max(n, want)
		}
	}
}
