package main

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A request arrives when it comes, and not when the upstream gets to it.
func TestStamps(t *testing.T) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	stamping, err := stamps(l)
	if err != nil {
		t.Fatal(err)
	}
	arrived, goOn := make(chan time.Time), make(chan struct{})
	server := &http.Server{ReadHeaderTimeout: time.Minute, ConnContext: withConn, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- arrivedAt(r)
		<-goOn
	})}
	defer server.Close()
	go server.Serve(stamping)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func() (sent time.Time) {
		if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		return time.Now()
	}

	send()
	testwait.Receive(t, 5*time.Second, arrived, "the first request")
	testwait.For(t, 5*time.Second, "a request that waits to be stamped when it comes", func() bool {
		before := time.Now()
		sent := send() // while the one before is served
		testwait.For(t, 5*time.Second, "it to have waited", func() bool { return time.Since(sent) > 20*time.Millisecond })
		goOn <- struct{}{}
		at := testwait.Receive(t, 5*time.Second, arrived, "the next request")
		if at.Before(before) {
			t.Fatalf("sent after %v, arrived at %v", before, at)
		}
		return !at.After(sent) || !stampedByKernel
	})
	goOn <- struct{}{}
}
