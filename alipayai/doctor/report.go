package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Status is how a step ended.
type Status string

// The ends of a step.
const (
	// OK: what came back is what the configuration takes it to be.
	OK Status = "ok"
	// Warn: calls are served, but there is something to do.
	Warn Status = "warn"
	// Fail: calls are not served, or not as the configuration says.
	Fail Status = "fail"
	// Skipped: it was not permitted, or an earlier step has to succeed first.
	Skipped Status = "skipped"
)

// Step is one thing that was looked at. None of its texts holds a secret, a
// token or a signature.
type Step struct {
	Name   string `json:"step"`
	Status Status `json:"status"`
	// Sent and Received say what was asked and what came back.
	Sent     string `json:"sent,omitempty"`
	Received string `json:"received,omitempty"`
	// Advice says what to do.
	Advice string `json:"advice,omitempty"`
	// Options are those of the provider, as a Caddyfile has them, with which the
	// upstream has taken the request.
	Options []string `json:"options,omitempty"`
	// Suspects are those that were not tried, or in vain, the likeliest first.
	Suspects []string `json:"suspects,omitempty"`
}

// Report is what [Check] has found out of a provider.
type Report struct {
	Provider    string `json:"provider"`
	Profile     string `json:"profile"`
	Environment string `json:"environment,omitempty"`
	Host        string `json:"host"`
	// Requests is how many were sent, to the upstream and its token endpoint.
	Requests int    `json:"requests"`
	Steps    []Step `json:"steps"`
}

// OK reports whether no step has failed.
func (r *Report) OK() bool {
	for _, s := range r.Steps {
		if s.Status == Fail {
			return false
		}
	}
	return true
}

// Options are those that have been found, of all steps.
func (r *Report) Options() []string {
	var all []string
	for _, s := range r.Steps {
		all = append(all, s.Options...)
	}
	return all
}

// width is how many columns WriteText takes.
const width = 100

// WriteText writes the report for a terminal, in lines of at most 100 columns
// unless a single word is longer, or a line of an option.
func (r *Report) WriteText(w io.Writer) error {
	t := &table{w: w}
	environment := ""
	if r.Environment != "" {
		environment = ", " + r.Environment
	}
	t.printf("provider %s (profile %s%s) at %s, %s\n", r.Provider, r.Profile, environment, r.Host, count(r.Requests, "request"))
	for _, s := range r.Steps {
		t.step(s)
	}
	return t.err
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// table writes steps, until an error.
type table struct {
	w   io.Writer
	err error
}

func (t *table) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format, args...)
	}
}

// step writes a row of several lines: the name, the end, and what is said of it.
func (t *table) step(s Step) {
	status := string(s.Status)
	if s.Status == Fail {
		status = "FAIL" // it has to be seen
	}
	head := fmt.Sprintf("%-12s %-8s", s.Name, status)
	say := func(label, text string) {
		whole := label == "set" // options have to stand as they are
		for line := range strings.SplitSeq(text, "\n") {
			pieces := []string{line}
			if !whole {
				pieces = wrap(line, width-34)
			}
			for _, piece := range pieces {
				t.printf("%s\n", strings.TrimRight(fmt.Sprintf("%-21s %-11s %s", head, label, piece), " "))
				head, label = "", ""
			}
		}
	}
	for _, part := range []struct{ label, text string }{
		{"sent", s.Sent}, {"came back", s.Received}, {"what to do", s.Advice},
		{"set", strings.Join(s.Options, "\n")}, {"suspected", strings.Join(s.Suspects, "\n")},
	} {
		if part.text != "" {
			say(part.label, part.text)
		}
	}
	if head != "" {
		t.printf("%s\n", strings.TrimRight(head, " "))
	}
}

// wrap breaks a line between words.
func wrap(line string, most int) []string {
	var lines []string
	for word := range strings.SplitSeq(line, " ") {
		last := len(lines) - 1
		if last >= 0 && utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= most {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}
