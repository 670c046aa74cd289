package main

import (
	"net"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// What is passed on comes late by half a round trip, the first piece by the whole of one more, and many pieces at the same
// time are no later than one.
func TestPassDelays(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		const trip = 80 * time.Millisecond
		near, in := net.Pipe()
		out, server := net.Pipe()
		began := time.Now()
		go pass(in, out, trip/2, began.Add(trip))
		go func() {
			for range 3 {
				_, _ = near.Write([]byte("x"))
			}
			time.Sleep(time.Second)
			for range 100 {
				_, _ = near.Write([]byte("y"))
			}
			_ = near.Close()
		}()
		for n := range 103 {
			if _, err := server.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			want := trip + trip/2
			if n >= 3 {
				want = time.Second + trip/2
			}
			if took := time.Since(began); took != want {
				t.Fatalf("piece %d after %v, want %v", n, took, want)
			}
		}
		if _, err := server.Read(make([]byte, 1)); err == nil {
			t.Error("not closed")
		}
	})
}
