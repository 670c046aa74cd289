package intent

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// Report is what a classifier makes of labelled texts.
type Report struct {
	// Labels are the intents of the texts, and Given those that the classifier gave; "" stands for none. Both sorted.
	Labels, Given []string
	// Confusion counts the texts by their label, and by what was given.
	Confusion map[string]map[string]int
}

// Evaluate asks guess, which gives "" for none, about each text.
func Evaluate(texts []Example, guess func(text string) string) *Report {
	r := &Report{Confusion: make(map[string]map[string]int)}
	for _, e := range texts {
		given := guess(e.Text)
		if r.Confusion[e.Intent] == nil {
			r.Confusion[e.Intent] = make(map[string]int)
			r.Labels = append(r.Labels, e.Intent)
		}
		r.Confusion[e.Intent][given]++
		if !slices.Contains(r.Given, given) {
			r.Given = append(r.Given, given)
		}
	}
	slices.Sort(r.Labels)
	slices.Sort(r.Given)
	return r
}

// Accuracy is the share of the texts that were given their label.
func (r *Report) Accuracy() float64 {
	right, all := 0, 0
	for _, label := range r.Labels {
		right += r.Confusion[label][label]
		all += r.texts(label)
	}
	return share(right, all)
}

// Recall is the share of a label's texts that were given it.
func (r *Report) Recall(label string) float64 {
	return share(r.Confusion[label][label], r.texts(label))
}

// Precision is the share of the texts given a label that have it.
func (r *Report) Precision(label string) float64 {
	given := 0
	for _, row := range r.Confusion {
		given += row[label]
	}
	return share(r.Confusion[label][label], given)
}

func (r *Report) texts(label string) (n int) {
	for _, count := range r.Confusion[label] {
		n += count
	}
	return n
}

func share(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}

// Write prints the report as text.
func (r *Report) Write(w io.Writer) error {
	all := 0
	for _, label := range r.Labels {
		all += r.texts(label)
	}
	fmt.Fprintf(w, "texts     %d\naccuracy  %.4f\n\n", all, r.Accuracy())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "intent\ttexts\trecall\tprecision\t\n")
	for _, label := range r.Labels {
		fmt.Fprintf(t, "%s\t%d\t%.4f\t%.4f\t\n", label, r.texts(label), r.Recall(label), r.Precision(label))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprint(w, "\nRows are what the texts are, columns what they were taken for.\n\n")
	fmt.Fprint(t, "\t")
	for _, given := range r.Given {
		fmt.Fprint(t, nameOf(given), "\t")
	}
	fmt.Fprintln(t)
	for _, label := range r.Labels {
		fmt.Fprint(t, label, "\t")
		for _, given := range r.Given {
			fmt.Fprint(t, r.Confusion[label][given], "\t")
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func nameOf(given string) string {
	if given == "" {
		return "(none)"
	}
	return given
}

// ReadLabelled reads texts with their labels: a line for each, the label, a tab and the text. Empty lines, and those that
// begin with #, are none.
func ReadLabelled(from io.Reader) ([]Example, error) {
	var texts []Example
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimPrefix(lines.Text(), "\ufeff")
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		label, text, found := strings.Cut(line, "\t")
		label, text = strings.TrimSpace(label), strings.TrimSpace(text)
		if !found || label == "" || text == "" {
			return nil, fmt.Errorf("line %d: write an intent, a tab and a text", n)
		}
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("line %d is not UTF-8", n)
		}
		texts = append(texts, Example{Intent: label, Text: text})
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("there is no text: write a line for each, an intent, a tab and a text")
	}
	return texts, nil
}
