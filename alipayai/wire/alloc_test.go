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
	asked, err := ParseChatRequest(benchRequest, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		max float64
		run func()
	}{
		"request": {0, func() { _, _ = ParseChatRequest(benchRequest, Limits{}) }},
		"body":    {0, func() { _, _ = ParseBody(benchBody, Limits{}) }},
		"chunk":   {0, func() { _, _ = ParseChunk(benchChunk) }},
		"stream":  {1, func() { stream.Reset(benchStream); readStream(t, stream) }},
		// Of what an API and a schema name nothing is copied: there are the list of texts as it grows, and five of them.
		"texts": {7, func() { asked.Texts() }},
		// Paths take none.
		"texts of an answer": {2, func() { _ = AnswerTexts(benchBody, func(AnswerText) {}) }},
	} {
		t.Run(name, func(t *testing.T) {
			if n := testing.AllocsPerRun(200, tt.run); n > tt.max {
				t.Errorf("%v allocations, at most %v wanted", n, tt.max)
			}
		})
	}
}
