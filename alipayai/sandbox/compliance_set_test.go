package sandbox

import (
	"os"
	"strings"
	"testing"
)

// The prompts of the moderators' test set are half of them what production blocks.
func TestProductionJudgesTheTestSet(t *testing.T) {
	text, err := os.ReadFile("../moderate/testdata/china.tsv")
	if err != nil {
		t.Fatal(err)
	}
	blocked, n := 0, 0
	for line := range strings.Lines(string(text)) {
		want, prompt, _ := strings.Cut(strings.TrimSpace(line), "\t")
		n++
		got := violated(prompt)
		if got != "" {
			blocked++
		}
		if (got != "") != (want == "block") {
			t.Errorf("%s: %q breaks policy %q", want, prompt, got)
		}
	}
	if n != 200 || blocked != 100 {
		t.Errorf("%d of %d prompts are blocked, want 100 of 200", blocked, n)
	}
}
