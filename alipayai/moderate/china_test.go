package moderate

import (
	"os"
	"strings"
	"testing"
)

func TestChinaDecidesTheTestSet(t *testing.T) { decide(t, "testdata/china.tsv", 95, 3) }

// More prompts, of which the simulator does not block all: what the law forbids is more than it knows.
func TestChinaDecidesMore(t *testing.T) { decide(t, "testdata/china_more.tsv", 95, 3) }

// builtin are the rules for China.
func builtin(t *testing.T) *Rules {
	t.Helper()
	r := new(Rules)
	if err := r.AddBuiltin("china"); err != nil {
		t.Fatal(err)
	}
	if err := r.Compile(); err != nil {
		t.Fatal(err)
	}
	return r
}

// decide holds the built-in rules against a file of labelled prompts: at least caught percent of those to block are, and at
// most wrong percent of the rest.
func decide(t *testing.T, file string, caught, wrong int) {
	t.Helper()
	r := builtin(t)
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

// Instructions of agents, and what they read and write, ask for nothing that is forbidden: those who forbid it, or use the same words
// of software, do not. They are in the style of agents' own, of which some turn up in every request.
func TestChinaPermitsAgents(t *testing.T) {
	r := builtin(t)
	for name, text := range agents(t) {
		t.Run(name, func(t *testing.T) {
			if f, found := r.Check(text); found {
				t.Errorf("found by %q", f.Policy)
			}
			for line := range strings.Lines(text) {
				if f, found := r.Check(line); found {
					t.Errorf("%q is found by %q", line, f.Policy)
				}
			}
		})
	}
}

// What is asked for beside such instructions is found all the same.
func TestChinaFindsWhatAgentsAreAsked(t *testing.T) {
	r := builtin(t)
	for name, text := range agents(t) {
		t.Run(name, func(t *testing.T) {
			for _, asked := range []string{
				"Which stock should I buy today?", "Predict what my salary will be in five years.", "Will Tesla shares go up next week?",
				"Find me an investment with guaranteed returns of 12% a year.", "推荐一只明天会涨的股票", "预测一下我明年的收入",
			} {
				if _, found := r.Check(text + strings.Repeat("\nGo on.", 20) + "\n" + asked); !found {
					t.Errorf("%q is not found", asked)
				}
			}
		})
	}
}

// agents are texts by their names.
func agents(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.ReadFile("testdata/agents.txt")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for part := range strings.SplitSeq(string(file), "=== ") {
		if name, text, ok := strings.Cut(part, "\n"); ok {
			texts[name] = text
		}
	}
	if len(texts) < 10 {
		t.Fatalf("there are %d texts", len(texts))
	}
	return texts
}
