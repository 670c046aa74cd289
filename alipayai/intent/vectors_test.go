package intent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a provider answers wrongly is an error, whatever it is.
func TestReadVectors(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"good":              {`{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}]}`, ""},
		"no JSON":           {`<html>`, "no list of vectors"},
		"words":             {`{"data":[{"index":0,"embedding":"AAAA"},{"index":1,"embedding":"AAAA"}]}`, "no list of vectors"},
		"too few":           {`{"data":[{"index":0,"embedding":[1]}]}`, "1 vectors for 2 texts"},
		"same index":        {`{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}`, "not those of the texts"},
		"index beyond":      {`{"data":[{"index":0,"embedding":[1]},{"index":2,"embedding":[1]}]}`, "not those of the texts"},
		"other dimensions":  {`{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]}`, "2 dimensions"},
		"no dimensions":     {`{"data":[{"index":0,"embedding":[]},{"index":1,"embedding":[]}]}`, "0 dimensions"},
		"no direction":      {`{"data":[{"index":0,"embedding":[0]},{"index":1,"embedding":[1]}]}`, "no direction"},
		"numbers too large": {`{"data":[{"index":0,"embedding":[1e400]},{"index":1,"embedding":[1]}]}`, "no list of vectors"},
	} {
		vectors, err := ReadVectors([]byte(c.answer), 2)
		if c.want == "" {
			if err != nil || !slices.Equal(vectors[0], []float32{0.6, 0.8}) || !slices.Equal(vectors[1], []float32{0, 1}) {
				t.Errorf("%s: %v, %v", name, vectors, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", name, err, c.want)
		}
	}
}

// A text has the intent whose examples it is nearest to, is remembered by tenant and for a time, and no more are than that.
func TestCentroids(t *testing.T) {
	asked := 0
	embed := func(_ context.Context, _ string, texts []string) ([][]float32, error) {
		asked++
		vectors := make([][]float32, len(texts))
		for i, text := range texts {
			vectors[i] = []float32{1, float32(strings.Count(text, "a")), float32(strings.Count(text, "b"))}
			scale(vectors[i])
		}
		return vectors, nil
	}
	broken := func(context.Context, string, []string) ([][]float32, error) { return nil, errors.New("gone") }
	var examples []Example
	for i := range 2 * batch {
		examples = append(examples, Example{"as", strings.Repeat("a", i%3+1)}, Example{"bs", strings.Repeat("b", i%3+1)})
	}
	var c Centroids
	kept, now := Kept{TTL: time.Minute, Entries: 2}, time.Unix(0, 0)
	guess := func(tenant, text, want string, asks int) {
		t.Helper()
		before := asked
		g, err := c.Classify(t.Context(), embed, tenant, text, kept, now)
		if err != nil || g.Intent != want || asked != before+asks {
			t.Errorf("%s of %s: %+v, %v, asked %d times, want %s and %d", text, tenant, g, err, asked-before, want, asks)
		}
	}
	if err := c.Learn(t.Context(), broken, examples); err == nil || c.Ready() {
		t.Errorf("learnt from a provider that is gone: %v", err)
	}
	if _, err := c.Classify(t.Context(), embed, "acme", "a", kept, now); !errors.Is(err, errNotReady) || asked != 0 {
		t.Errorf("before it has learnt: %v", err)
	}
	for range 2 {
		if err := c.Learn(t.Context(), embed, examples); err != nil || asked != 4 {
			t.Fatalf("%v, asked %d times for %d examples", err, asked, len(examples))
		}
	}
	guess("acme", "aab", "as", 1)
	guess("acme", "aab", "as", 0)
	guess("zeta", "aab", "as", 1)
	guess("acmea", "ab", "as", 1) // acme's aab under another split
	guess("acme", "aab", "as", 1) // two are kept
	now = now.Add(time.Minute)
	guess("acme", "aab", "as", 1)
	kept.Entries = 0
	guess("acme", "bbb", "bs", 1)
	guess("acme", "bbb", "bs", 1)
	if _, err := c.Classify(t.Context(), broken, "acme", "abc", kept, now); err == nil {
		t.Error("a provider that is gone gave an intent")
	}
	other := func(context.Context, string, []string) ([][]float32, error) { return [][]float32{{1}}, nil }
	if _, err := c.Classify(t.Context(), other, "acme", "abc", kept, now); err == nil || !strings.Contains(err.Error(), "dimensions") {
		t.Errorf("another model's vector: %v", err)
	}
}
