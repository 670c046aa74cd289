package intent

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Vectors are asked for once, over restarts, and what a file has that is damaged, or no longer used, is not.
func TestRemembered(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vectors", "a")
	var asked []string
	embed := func(_ context.Context, _ string, texts []string) ([][]float32, error) {
		if slices.Contains(texts, "gone") {
			return nil, errors.New("gone")
		}
		asked = append(asked, texts...)
		vectors := make([][]float32, len(texts))
		for i, text := range texts {
			vectors[i] = []float32{float32(len(text)), 0.5}
		}
		return vectors, nil
	}
	for _, step := range []struct {
		name, before string // what happens before the restart
		batches      []string
		asks         string
	}{
		{"first", "", []string{"a bb", "ccc"}, "a bb ccc"},
		{"again", "", []string{"a bb", "ccc"}, ""},
		{"in other batches", "", []string{"ccc", "bb", "a"}, ""},
		{"one more", "", []string{"a bb ccc dddd"}, "dddd"},
		{"one less", "", []string{"a bb"}, ""}, // which is nothing to write
		{"more, without it", "", []string{"a eeeee"}, "eeeee"},
		{"what was not used is forgotten", "", []string{"bb eeeee"}, "bb"},
		{"one fails", "", []string{"ff", "gone"}, "ff"},
		{"and what came before is kept", "", []string{"ff"}, ""},
		{"damaged", "damage", []string{"ff"}, "ff"},
		{"cut", "cut", []string{"ff"}, "ff"},
		{"empty", "empty", []string{"ff"}, "ff"},
		{"dimensions changed", "forget", []string{"ff"}, "ff"},
	} {
		if b, err := os.ReadFile(file); err == nil && step.before != "" {
			switch step.before {
			case "damage":
				b = bytes.Replace(b, []byte{0x3f}, []byte{0x40}, 1) // of 0.5
			case "cut":
				b = b[:len(b)-1]
			case "empty":
				b = nil
			}
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := Remember(file)
		if step.before == "forget" {
			r.Forget()
		}
		asked = nil
		for _, texts := range step.batches {
			vectors, err := r.Embed(embed)(t.Context(), "", strings.Fields(texts))
			if err != nil && !strings.Contains(texts, "gone") {
				t.Fatalf("%s: %v", step.name, err)
			}
			for i, v := range vectors {
				if text := strings.Fields(texts)[i]; !slices.Equal(v, []float32{float32(len(text)), 0.5}) {
					t.Errorf("%s: %q has the vector %v", step.name, text, v)
				}
			}
		}
		if err := r.Save(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(asked, " "); got != step.asks {
			t.Errorf("%s: asked for %q, want %q", step.name, got, step.asks)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
