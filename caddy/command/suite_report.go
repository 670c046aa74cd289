package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddy-alipayai/gateway/alipayai/suite"
)

// readReport reads a report that --json has written; nil for no file.
func readReport(file string) (*suite.Report, error) {
	if file == "" {
		return nil, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--compare: %w", err)
	}
	r := new(suite.Report)
	if err := json.Unmarshal(content, r); err != nil {
		return nil, fmt.Errorf("--compare %s is no report: %w", file, err)
	}
	return r, nil
}

// writeSuite writes the report wherever it is wanted.
func writeSuite(cmd *cobra.Command, r, before *suite.Report, excerpts map[string]string) error {
	flag := func(name string) string { return cmd.Flags().Lookup(name).Value.String() }
	var content bytes.Buffer
	e := json.NewEncoder(&content)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return err
	}
	switch file := flag("json"); file {
	case "":
	case "-":
		if _, err := io.Copy(cmd.OutOrStdout(), &content); err != nil {
			return err
		}
	default:
		if err := os.WriteFile(file, content.Bytes(), 0o600); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if file := flag("junit"); file != "" {
		content.Reset()
		if err := r.WriteJUnit(&content); err != nil {
			return err
		}
		if err := os.WriteFile(file, content.Bytes(), 0o600); err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
	}
	if flag("json") == "-" {
		return nil
	}
	return printSuite(cmd.OutOrStdout(), r, before, excerpts)
}

// printSuite prints what failed and what has changed.
func printSuite(to io.Writer, r, before *suite.Report, excerpts map[string]string) error {
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, result := range r.Results {
		switch result.Status {
		case suite.Fail:
			for _, f := range result.Failed {
				fmt.Fprintf(table, "fail\t%s\t%s\t%s\n", result.ID, f.Expectation, f.Why)
			}
			if text, ok := excerpts[result.ID]; ok {
				fmt.Fprintf(table, "\t\t\t%s\n", text)
			}
		case suite.Unknown:
			fmt.Fprintf(table, "unknown\t%s\t\tthere is no answer: %s\n", result.ID, result.Code)
		}
	}
	_ = table.Flush() // into memory
	if before != nil {
		fmt.Fprintf(&out, "since the run of %s at %s, %d prompts have changed\n", before.Began.Format(time.RFC3339), before.Provider, len(r.Changes))
		for _, c := range r.Changes {
			fmt.Fprintf(&out, "  %s: %s -> %s\n", c.ID, c.From, c.To)
		}
	}
	fmt.Fprintf(&out, "%s at %s: %d passed, %d failed, %d unknown, of %d, in %s\n", r.Suite, r.Provider,
		r.Count(suite.Pass), r.Count(suite.Fail), r.Count(suite.Unknown), len(r.Results), r.Ended.Sub(r.Began).Round(time.Millisecond))
	_, err := io.WriteString(to, out.String())
	return err
}

// excerptLength is how many characters of an answer are printed.
const excerptLength = 80

// excerpt is the beginning of a text, in one line.
func excerpt(text string) string {
	line := []rune(strings.Join(strings.Fields(text), " "))
	if len(line) > excerptLength {
		line = append(line[:excerptLength], '…')
	}
	return fmt.Sprintf("%q", string(line))
}

// progress draws a bar on a terminal; on none without one.
type progress struct {
	to             io.Writer
	of, done, fail int
}

// terminal gives w where it is one.
func terminal(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// barWidth is that of the bar, in characters.
const barWidth = 40

func (p *progress) step(s suite.Status) {
	p.done++
	if s == suite.Fail {
		p.fail++
	}
	if p.to != nil {
		full := barWidth * p.done / p.of
		fmt.Fprintf(p.to, "\r[%s%s] %d/%d, %d failed", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), p.done, p.of, p.fail)
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.to != nil {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
