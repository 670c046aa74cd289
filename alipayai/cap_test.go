package alipayai

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// A burst far over the cap is served whole, and the upstream, which refuses the 51st of a second, refuses none of it.
func TestBurstIsKeptWithinTheCap(t *testing.T) {
	r := newRig(t, sandbox.Config{RequestsPerSecond: 50}, capped(newCap(50, time.Second)))
	began := time.Now()
	for i, got := range r.burst(200) {
		if got.status != http.StatusOK {
			t.Errorf("call %d: %d %s %v", i, got.status, got.body, got.err)
		}
	}
	took := time.Since(began)
	if took < 3*time.Second || took > 4*time.Second {
		t.Errorf("200 calls took %v, want a little more than 3s", took)
	}
	stats := r.sim.Stats()
	if n := stats.PeakPerSecond[sandbox.DemoClientID]; n != 50 {
		t.Errorf("%d arrivals in a second, want 50", n)
	}
	t.Log(took, stats.Codes, stats.PeakPerSecond)
}
