package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unwanted are words of a narrator, and those for which the repository has another one. Each is looked for by a regular
// expression only where its stem is.
var unwanted = []struct {
	stem  string
	words *regexp.Regexp
	write string
}{
	{"no", regexp.MustCompile(`\b[Nn]o(body| one)\b`), "who it is that does not"},
	{"amount", regexp.MustCompile(`\bamounts? to\b`), "is"},
	{"told ", regexp.MustCompile(`\b(be|is|are|was|were) told that\b|\btold of\b`), "what is read, logged or answered"},
	{" alone", regexp.MustCompile(`\b[Ll](eft|eaves?) alone\b`), "is throttling, skipped"},
	{" through", regexp.MustCompile(`\blet(ting)? through\b`), "rejected, served"},
	{"run", regexp.MustCompile(`\b[Rr]un(g|gs)\b`), "skipped, failedProviders"},
	{"doubtful", regexp.MustCompile(`\b[Dd]oubtful\b`), "mayHaveExecuted, outcome unknown"},
	{"perhaps served", regexp.MustCompile(`perhaps served`), "mayHaveExecuted, outcome unknown"},
	{"may have been", regexp.MustCompile(`\b[Mm]ay have been (served|executed|done)\b`), "may have executed"},
	{"departure", regexp.MustCompile(`\b[Dd]epartures?\b`), "permit"},
	{"easing", regexp.MustCompile(`\b[Ee]asing\b`), "recovery"},
	{"unstored", regexp.MustCompile(`\b[Uu]nstored\b`), "pending"},
	{"letgo", regexp.MustCompile(`\bletGo\b`), "clearPending"},
	{"underway", regexp.MustCompile(`\bunderWay|UnderWay`), "inFlight"},
	{"latewindow", regexp.MustCompile(`\blateWindow`), "lazyWindow"},
}

// said are the places in a text with unwanted words, with what to write in their place.
func said(text string) (places []string) {
	lower := strings.ToLower(text)
	for _, u := range unwanted {
		if !strings.Contains(lower, u.stem) {
			continue
		}
		for _, at := range u.words.FindAllStringIndex(text, -1) {
			line := 1 + strings.Count(text[:at[0]], "\n")
			places = append(places, fmt.Sprintf("%d: %s: write %s", line, text[at[0]:at[1]], u.write))
		}
	}
	return places
}

// TestWords holds that code and documents are in plain words, and have one word for one thing. What stands in for a
// client's or a vendor's words, as prompts do, is in folders testdata or in the files that are skipped here.
func TestWords(t *testing.T) {
	for text, want := range map[string]int{
		"No one has it, and no one reads it": 2, "r.Body = http.NoBody": 0, "clients are told of it": 1, "calls amount to ten": 1,
		"func (c *call) underWay()": 1, "TestCallsUnderWay": 1, "what is under way": 0, "wrung": 0,
	} {
		if got := said(text); len(got) != want {
			t.Errorf("%q has %q, want %d", text, got, want)
		}
	}
	skipped := []string{"internal/docs/words_test.go", "alipayai/sandbox/compliance.go"}
	read := 0
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		folder := err == nil && entry.IsDir()
		switch {
		case err != nil:
			return err
		case folder && name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || entry.Name() == "testdata"):
			return fs.SkipDir
		case folder || !slices.Contains([]string{".go", ".md", ".lua"}, filepath.Ext(name)):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		at, err := filepath.Rel(root, name)
		if err != nil || slices.Contains(skipped, filepath.ToSlash(at)) {
			return err
		}
		read++
		for _, place := range said(string(text)) {
			t.Errorf("%s:%s", at, place)
		}
		return nil
	})
	if err != nil || read < 500 {
		t.Errorf("%d files were read: %v", read, err)
	}
}
