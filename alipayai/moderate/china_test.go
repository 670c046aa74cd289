package moderate

import (
	"os"
	"strings"
	"testing"
)

func TestChinaDecidesTheTestSet(t *testing.T) { decide(t, "testdata/china.tsv", 95, 3) }

// More prompts, of which the simulator does not block all: what the law forbids is more than it knows.
func TestChinaDecidesMore(t *testing.T) { decide(t, "testdata/china_more.tsv", 95, 3) }

// decide holds the built-in rules against a file of labelled prompts: at least caught percent of those to block are, and at
// most wrong percent of the rest.
func decide(t *testing.T, file string, caught, wrong int) {
	t.Helper()
	r := new(Rules)
	if err := r.AddBuiltin("china"); err != nil {
		t.Fatal(err)
	}
	if err := r.Compile(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found, of := map[string]int{}, map[string]int{}
	for line := range strings.Lines(string(text)) {
		label, prompt, _ := strings.Cut(strings.TrimSpace(line), "\t")
		of[label]++
		f, ok := r.Check(prompt)
		if ok {
			found[label]++
		}
		if ok != (label == "block") {
			t.Logf("%s: %q is found by %q", label, prompt, f.Policy)
		}
	}
	t.Logf("%d of %d caught, %d of %d of the rest", found["block"], of["block"], found["allow"], of["allow"])
	if 100*found["block"] < caught*of["block"] || 100*found["allow"] > wrong*of["allow"] {
		t.Errorf("want %d %% and %d %% at most", caught, wrong)
	}
}

// Prompts that were written from the kinds of what is forbidden before the rules were changed, and that no rule was
// changed for.
func TestChinaDecidesKeptBack(t *testing.T) { decide(t, "testdata/china_kept.tsv", 95, 3) }

// Prompts of the same kinds that the rules were changed for.
func TestChinaDecidesTuning(t *testing.T) { decide(t, "testdata/china_tuning.tsv", 95, 3) }

// Prompts in wordings of their own that the rules were changed for. At first sight they caught 37 of the 50 to block, and 1
// of the other 50.
func TestChinaDecidesUnseen(t *testing.T) { decide(t, "testdata/china_unseen.tsv", 95, 3) }
