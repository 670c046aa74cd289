//go:build !race

// Under the race detector sync.Pool drops items at random, so allocations mean nothing there.

package wire

import (
	"bytes"
	"testing"
)

// TestAllocations holds what the hot path may allocate.
func TestAllocations(t *testing.T) {
	stream := bytes.NewReader(nil)
	for name, tt := range map[string]struct {
		max float64
		run func()
	}{
		"request": {0, func() { _, _ = ParseChatRequest(benchRequest, Limits{}) }},
		"body":    {0, func() { _, _ = ParseBody(benchBody, Limits{}) }},
		"chunk":   {0, func() { _, _ = ParseChunk(benchChunk) }},
		"stream":  {1, func() { stream.Reset(benchStream); readStream(t, stream) }},
	} {
		t.Run(name, func(t *testing.T) {
			if n := testing.AllocsPerRun(200, tt.run); n > tt.max {
				t.Errorf("%v allocations, at most %v wanted", n, tt.max)
			}
		})
	}
}
