package alipaycaddy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddy-alipayai/gateway/alipayai/suite"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// suiteCommand is `caddy alipayai suite`.
func suiteCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "suite", Short: "Asks a provider a file of prompts, and holds its answers against what is expected"}
	group(cmd)
	run := &cobra.Command{
		Use:   "run [<file>]",
		Short: "Runs a suite at a provider of the configuration, and says what failed and what has changed",
		Long: `
Asks a provider of the configuration each prompt of a file, or of a built-in suite, and holds
the answers against what the file expects. It runs in a process of its own, within the
provider's rate cap and behind all clients. What it prints and writes names prompts by their
ids, and quotes neither prompts nor answers, unless --excerpts is given.

The exit status is 0 if all is as expected, 1 if it is not, and 2 if a prompt, or the
suite, could not be run.`,
		RunE: runSuite,
	}
	configFlags(run)
	f := run.Flags()
	f.String("builtin", "", "the name of a built-in suite, in place of a file: "+strings.Join(suite.Builtins(), ", "))
	f.String("provider", "", "the provider; the configuration's only one unless set")
	f.String("model", "", "the model, where the file names none; the provider's own, or the first of its models, unless set")
	f.Bool("production", false, "permits a provider of environment production, where calls cost money")
	f.Int("concurrency", suite.DefaultConcurrency, fmt.Sprintf("how many prompts are asked at once, up to %d", mostSuiteConcurrent))
	f.Float64("rate", 5, "how many prompts are begun a second at most; another process knows the rate cap of the gateway only through redis")
	f.String("json", "", "write the report as JSON to this file, or to standard output for -")
	f.String("junit", "", "write the report as JUnit's XML to this file")
	f.String("compare", "", "say what has changed since the report of this file, which --json has written")
	f.Bool("excerpts", false, "print the beginning of the answers of prompts that failed")
	run.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return exitWith(cmd, suiteUnrun, err) })

	show := &cobra.Command{
		Use:   "show <name>",
		Short: "Prints the file of a built-in suite: " + strings.Join(suite.Builtins(), ", "),
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			content, err := suite.Builtin(args[0])
			if err == nil {
				_, err = cmd.OutOrStdout().Write(content)
			}
			return err
		},
	}
	cmd.AddCommand(run, show, suiteStatusCommand())
	return cmd
}

// Exit statuses of suite run.
const (
	suitePassed = iota
	suiteFailed
	suiteUnrun
)

// exitWith ends the command with a status, and prints err unless it is nil.
func exitWith(cmd *cobra.Command, status int, err error) error {
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	if status == suitePassed {
		return nil
	}
	if err != nil {
		cmd.PrintErrln("Error:", err)
	}
	if status == suiteFailed {
		return errCheck
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return status, nil })(cmd, nil)
}

func runSuite(cmd *cobra.Command, args []string) error {
	report, err := suiteReport(cmd, args)
	switch {
	case err != nil:
		return exitWith(cmd, suiteUnrun, err)
	case report.Count(suite.Fail) > 0:
		return exitWith(cmd, suiteFailed, nil)
	case len(report.Results) == report.Count(suite.Pass):
		return exitWith(cmd, suitePassed, nil)
	}
	return exitWith(cmd, suiteUnrun, nil)
}

// suiteReport runs the suite and writes what came of it.
func suiteReport(cmd *cobra.Command, args []string) (*suite.Report, error) {
	flag := func(name string) string { return cmd.Flags().Lookup(name).Value.String() }
	concurrency, _ := cmd.Flags().GetInt("concurrency") // the flags are there
	rate, _ := cmd.Flags().GetFloat64("rate")
	name, path := flag("builtin"), ""
	switch {
	case len(args) > 1 || len(args) == 1 == (name != ""):
		return nil, errors.New("name one file, or a built-in suite with --builtin " + strings.Join(suite.Builtins(), "|"))
	case concurrency < 1 || concurrency > mostSuiteConcurrent:
		return nil, fmt.Errorf("--concurrency %d is not a number from 1 to %d", concurrency, mostSuiteConcurrent)
	case !(rate > 0):
		return nil, fmt.Errorf("--rate %v is not a number above 0", rate)
	case len(args) == 1:
		path, name = args[0], suiteName(args[0])
	}
	prompts, err := readSuite(path, flag("builtin"))
	if err != nil {
		return nil, err
	}
	before, err := readReport(flag("compare"))
	if err != nil {
		return nil, err
	}
	config, err := loadConfigured(cmd)
	if err != nil {
		return nil, err
	}
	defer config.close()
	p, err := config.suiteProvider(cmd, flag("provider"))
	if err != nil {
		return nil, err
	}
	config.startLedger(cmd)
	ask, err := config.app.askSuite(p.Name, flag("model"), prompts, nil)
	if errors.Is(err, errNoSuiteModel) {
		err = fmt.Errorf("%w, or with --model", err)
	}
	if err != nil {
		return nil, err
	}
	for _, file := range []string{"json", "junit"} {
		if err := checkWritable(file, flag(file)); err != nil {
			return nil, err
		}
	}
	report := &suite.Report{Suite: name, Version: prompts.Version, Provider: p.Name, Began: time.Now().UTC()}
	bar := progress{to: terminal(cmd.ErrOrStderr()), of: len(prompts.Prompts)}
	excerpts := make(map[string]string)
	run := suite.Run{Suite: prompts, Ask: ask, Concurrency: concurrency, Rate: rate, Now: time.Now, Done: func(r suite.Result) {
		bar.step(r.Status)
		if r.Status == suite.Fail {
			excerpts[r.ID] = excerpt(r.Answer.Text)
		}
	}}
	var whole bool
	report.Results, whole = run.Do(cmd.Context(), nil)
	bar.end()
	if !whole {
		return nil, errors.New("the run was broken off")
	}
	report.Ended = time.Now().UTC()
	if before != nil {
		known := before.Verdicts(nil)
		report.Changes = report.Compare(known)
		if !slices.ContainsFunc(report.Results, func(r suite.Result) bool { _, ok := known[r.ID]; return ok }) {
			cmd.PrintErrf("warning: --compare %s, of suite %s, has no prompt of suite %s: nothing is compared\n", flag("compare"), before.Suite, name)
		}
	}
	if print, _ := cmd.Flags().GetBool("excerpts"); !print {
		clear(excerpts)
	}
	return report, writeSuite(cmd, report, before, excerpts)
}

// suiteName is what a report calls the suite of that file.
func suiteName(path string) string {
	name := path[strings.LastIndexAny(path, `/\`)+1:]
	return strings.TrimSuffix(strings.TrimSuffix(name, ".yaml"), ".yml")
}

// suiteProvider gives the provider to ask: that of the name, or the only one.
func (c *configured) suiteProvider(cmd *cobra.Command, name string) (*upstream.Provider, error) {
	if names := slices.Sorted(maps.Keys(c.app.providers)); name == "" {
		if len(names) != 1 {
			return nil, fmt.Errorf("name the provider with --provider; the configuration declares %s", strings.Join(names, ", "))
		}
		name = names[0]
	}
	p, err := c.app.provider(name)
	if err != nil {
		return nil, err
	}
	if production, _ := cmd.Flags().GetBool("production"); p.Environment == upstream.Production && !production {
		return nil, fmt.Errorf("provider %s is of environment production: calls cost money there; add --production if that is meant", name)
	}
	return p, nil
}

// checkWritable refuses a report that could not be written when all has been asked, and paid for.
func checkWritable(flag, file string) error {
	if file == "" || file == "-" {
		return nil
	}
	_, missing := os.Stat(file)
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600) // as it is written
	if err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	err = f.Close()
	if errors.Is(missing, os.ErrNotExist) { // a run that is broken off leaves no report
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// startLedger opens the ledger, which takes what the run costs. The gateway that runs may have its file.
func (c *configured) startLedger(cmd *cobra.Command) {
	if c.app.ledger == nil {
		return
	}
	c.app.ledger.start()
	if err := c.app.ledger.Err(); err != nil {
		cmd.PrintErrf("note: what this run costs is not in the ledger's file %s: %v\n", c.app.ledger.path, err)
	}
}

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
	return live.Text(fmt.Sprintf("%q", string(line)))
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
