package main

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

// http2Storm sends requests over HTTP/2, by the gateway's way out, to an upstream
// that breaks off each of them, and over connections that go silent.
type http2Storm struct {
	stop    context.CancelFunc
	running sync.WaitGroup

	sent, arrived int // requests that were broken off
	silenced      int // connections that went silent
	late          int // requests lost although one before them had timed out
	err           error
}

// http2Timeout is how long a request waits there for its answer.
const http2Timeout = 300 * time.Millisecond

// beginHTTP2 starts it.
func beginHTTP2(ctx context.Context, s settings) *http2Storm {
	ctx, stop := context.WithCancel(ctx)
	w := &http2Storm{stop: stop}
	var replayed, silent error
	var each sync.WaitGroup
	each.Go(func() { replayed = w.breakOff(ctx, s.draws(drawHTTP2)) })
	each.Go(func() { silent = w.silence(ctx) })
	w.running.Go(func() {
		each.Wait()
		if w.err = replayed; w.err == nil {
			w.err = silent
		}
	})
	return w
}

// end stops it, and waits for it.
func (w *http2Storm) end() error {
	w.stop()
	w.running.Wait()
	return w.err
}

// drawHTTP2 is far from the streams of the clients.
const drawHTTP2 = 1 << 20

// breakOff sends requests without a body, whose connection or stream is ended as
// soon as their HEADERS have come: what net/http repeats by itself, if it may.
func (w *http2Storm) breakOff(ctx context.Context, r *rand.Rand) error {
	l, base, err := badupstream.HTTP2.Listen()
	if err != nil {
		return err
	}
	var drawing sync.Mutex // by connections
	upstream := &badupstream.Server{Head: func(c *badupstream.Conn, stream uint32) {
		drawing.Lock()
		way, code := r.IntN(4), uint32(r.IntN(14))
		drawing.Unlock()
		switch way {
		case 0:
			c.GoAway(0, 0)
		case 1:
			c.GoAway(0, code)
			c.Hangup()
		case 2:
			c.ResetStream(stream, badupstream.RefusedStream)
		default:
			c.ResetStream(stream, code)
		}
	}}
	var serving sync.WaitGroup
	serving.Go(func() { upstream.Serve(l) })
	transport := outgoing.NewTransport(base)
	methods := []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodGet}
	pace := time.NewTicker(10 * time.Millisecond) // the others need the machine as well
	defer pace.Stop()
	for ctx.Err() == nil {
		w.sent++
		_ = send2(ctx, transport, methods[w.sent%len(methods)], "http://"+l.Addr().String())
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
	transport.CloseIdleConnections()
	_ = l.Close()
	serving.Wait()
	upstream.Close()
	w.arrived = int(upstream.Arrived())
	return nil
}

// silence sends requests one by one over connections that go silent again and again.
func (w *http2Storm) silence(ctx context.Context) error {
	upstream, base, err := badupstream.HTTP2.Listen()
	if err != nil {
		return err
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		_ = upstream.Close()
		return err
	}
	const all = 1 << 40
	server := &badupstream.Server{Good: all}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(upstream) })
	relay := badupstream.NewRelay(front, upstream.Addr().String())
	transport := outgoing.NewTransport(base)
	ask := func(timeout time.Duration) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return send2(ctx, transport, http.MethodPost, "http://"+front.Addr().String())
	}
	for ctx.Err() == nil {
		if ask(10*http2Timeout) != nil {
			continue
		}
		relay.Silence()
		w.silenced++
		_ = ask(http2Timeout) // lost
		for range 5 {
			if err := ask(10 * http2Timeout); err != nil && ctx.Err() == nil {
				w.late++
			}
		}
	}
	transport.CloseIdleConnections()
	relay.Close()
	_ = upstream.Close()
	serving.Wait()
	server.Close()
	return nil
}

// send2 sends a request without a body.
func send2(ctx context.Context, transport http.RoundTripper, method, url string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	resp, err := outgoing.Send(transport, req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// lines say what was seen, and what it had to be.
func (w *http2Storm) lines() []line {
	return []line{
		{what: "requests broken off over HTTP/2 that arrived again", count: w.arrived - w.sent},
		{what: "requests lost after a silent connection's first timeout", count: w.late},
		{what: "requests broken off over HTTP/2", count: w.arrived, least: 1},
		{what: "HTTP/2 connections that went silent", count: w.silenced, least: 1},
	}
}
