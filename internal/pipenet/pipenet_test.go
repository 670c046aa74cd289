package pipenet_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-alipayai/gateway/internal/pipenet"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// client connects by a network, until the test ends.
func client(t *testing.T, n *pipenet.Network) *http.Client {
	transport := &http.Transport{DialContext: n.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// An exchange takes the time that its server takes, to the nanosecond.
func TestExchange(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		n, due := new(pipenet.Network), time.After(time.Hour)
		url := n.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-due
			_, _ = io.Copy(w, r.Body)
		}))
		began := time.Now()
		resp, err := client(t, n).Post(url, "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" || time.Since(began) != time.Hour {
			t.Errorf("%q, %v after %v", body, err, time.Since(began))
		}
	})
}

// A server sees that its client has left.
func TestClientLeaves(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		n, left := new(pipenet.Network), make(chan time.Time, 1)
		url := n.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			left <- time.Now()
		}))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client(t, n).Do(req); err == nil {
			resp.Body.Close()
			t.Error("answered")
		}
		if took := (<-left).Sub(began); took != time.Minute {
			t.Errorf("the server sees it after %v", took)
		}
	})
}

// What does not listen, or no longer, refuses connections.
func TestRefused(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		n := new(pipenet.Network)
		l := n.Listen()
		at := l.Addr().String()
		dialled := make(chan error)
		go func() {
			_, err := n.DialContext(t.Context(), "tcp", at)
			dialled <- err
		}()
		synctest.Wait() // it waits to be accepted
		_ = l.Close()
		if err := <-dialled; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("while it closes: %v", err)
		}
		if _, err := n.DialContext(t.Context(), "tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("closed: %v", err)
		}
		if other := n.Listen(); other.Addr().String() == at {
			t.Error("a port was given again")
		}
	})
}
