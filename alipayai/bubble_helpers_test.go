package alipayai_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/pipenet"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// networks has the networks of tests that run in bubbles.
var networks sync.Map // of *pipenet.Network by testing.TB

// inBubble runs a test in a bubble, where its rigs listen and connect in memory. Only what waits takes time there, so that it
// can be judged to the nanosecond, however busy the machine is.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	testwait.Bubble(t, func(t *testing.T) {
		networks.Store(t, new(pipenet.Network))
		t.Cleanup(func() {
			networks.Delete(t)
			testwait.Pass(time.Hour) // what still runs ends
		})
		test(t)
	})
}

// inBubbleIf runs a test in a bubble if it waits for time to pass, and over sockets if it does not.
func inBubbleIf(t *testing.T, waits bool, test func(t *testing.T)) {
	t.Helper()
	if waits {
		inBubble(t, test)
	} else {
		test(t)
	}
}

// networkOf gives a bubble's network; nil outside of bubbles.
func networkOf(t testing.TB) *pipenet.Network {
	if n, ok := networks.Load(t); ok {
		return n.(*pipenet.Network)
	}
	return nil
}

// startServer serves until the test ends, and gives where, and a client.
func startServer(t testing.TB, h http.Handler) (url string, client *http.Client) {
	t.Helper()
	if n := networkOf(t); n != nil {
		return n.Serve(t, h), &http.Client{Transport: newTransport(t)}
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL, server.Client()
}
