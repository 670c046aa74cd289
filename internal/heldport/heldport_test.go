//go:build unix

package heldport_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/caddy-alipayai/gateway/internal/heldport"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// A held port refuses connections until a server listens there, which it can again and again.
func TestHeldPortIsForItsServer(t *testing.T) {
	addr := heldport.Addr(t)
	for range 3 {
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("a port that nothing listens on: %v", err)
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
}

// The system gives a held port to no other that asks for any.
func TestHeldPortIsGivenToNoOther(t *testing.T) {
	held := heldport.Addr(t)
	for range 2000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if l.Addr().String() == held || heldport.Addr(t) == held {
			t.Fatal("it was given away")
		}
	}
}

// Servers that know SO_REUSEADDR alone can listen there as well.
func TestRedisListensAtAHeldPort(t *testing.T) {
	server := redistest.Start(t)
	for range 2 {
		if answer, err := server.Do("PING"); err != nil || answer != "+PONG" {
			t.Errorf("%q, %v", answer, err)
		}
		server.Kill()
		server.Restart()
	}
}
