//go:build unix

package redisserver

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

func TestStart(t *testing.T) {
	addr, stop, err := Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := ping(t.Context(), addr); err != nil {
		t.Errorf("the server that was started: %v", err)
	}
	stop()
	if err := ping(t.Context(), addr); err == nil {
		t.Error("the server that was stopped answers")
	}
}

func TestStartWithoutRedis(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, _, err := Start(t.Context()); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("error %v, want %v", err, ErrNotInstalled)
	}
}

func TestAwait(t *testing.T) {
	tests := map[string]string{"nothing is said": "", "another protocol": "HTTP/1.1"}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte(answer))
					_ = conn.Close()
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := await(ctx, listener.Addr().String()); err == nil {
				t.Error("it counts as redis")
			}
		})
	}
}
