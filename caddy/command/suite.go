package command

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/suite"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// suiteCommand is `caddy alipayai suite`.
func (c commands) suiteCommand() *cobra.Command {
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
		RunE: c.runSuite,
	}
	configFlags(run)
	f := run.Flags()
	f.String("builtin", "", "the name of a built-in suite, in place of a file: "+strings.Join(suite.Builtins(), ", "))
	f.String("provider", "", "the provider; the configuration's only one unless set")
	f.String("model", "", "the model, where the file names none; the provider's own, or the first of its models, unless set")
	f.Bool("production", false, "permits a provider of environment production, where calls cost money")
	f.Int("concurrency", suite.DefaultConcurrency, fmt.Sprintf("how many prompts are asked at once, up to %d", suite.MaxConcurrency))
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

func (c commands) runSuite(cmd *cobra.Command, args []string) error {
	report, err := c.suiteReport(cmd, args)
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
func (c commands) suiteReport(cmd *cobra.Command, args []string) (*suite.Report, error) {
	flag := func(name string) string { return cmd.Flags().Lookup(name).Value.String() }
	run, name, err := c.readRun(cmd, args)
	if err != nil {
		return nil, err
	}
	before, err := readReport(flag("compare"))
	if err != nil {
		return nil, err
	}
	config, err := c.loadConfigured(cmd)
	if err != nil {
		return nil, err
	}
	defer config.Close()
	p, err := config.suiteProvider(cmd, flag("provider"))
	if err != nil {
		return nil, err
	}
	config.startLedger(cmd)
	run.Ask, err = config.AskSuite(p.Name, flag("model"), run.Suite)
	if errors.Is(err, ErrNoModel) {
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
	report := &suite.Report{Suite: name, Version: run.Suite.Version, Provider: p.Name, Began: time.Now().UTC()}
	bar := progress{to: terminal(cmd.ErrOrStderr()), of: len(run.Suite.Prompts)}
	excerpts := make(map[string]string)
	run.Done = func(r suite.Result) {
		bar.step(r.Status)
		if r.Status == suite.Fail {
			excerpts[r.ID] = c.Conceal(excerpt(r.Answer.Text))
		}
	}
	var whole bool
	report.Results, whole = run.Do(cmd.Context(), nil)
	bar.end()
	if !whole {
		return nil, errors.New("the run was broken off")
	}
	report.Ended = time.Now().UTC()
	if before != nil {
		compare(cmd, report, before)
	}
	if print, _ := cmd.Flags().GetBool("excerpts"); !print {
		clear(excerpts)
	}
	return report, writeSuite(cmd, report, before, excerpts)
}

// readRun reads what is to be run, and how; name is what a report calls it. It does not say yet who is asked.
func (c commands) readRun(cmd *cobra.Command, args []string) (run *suite.Run, name string, err error) {
	builtin, _ := cmd.Flags().GetString("builtin") // the flags are there
	concurrency, _ := cmd.Flags().GetInt("concurrency")
	rate, _ := cmd.Flags().GetFloat64("rate")
	path, name := "", builtin
	switch {
	case len(args) > 1 || len(args) == 1 == (name != ""):
		return nil, "", errors.New("name one file, or a built-in suite with --builtin " + strings.Join(suite.Builtins(), "|"))
	case concurrency < 1 || concurrency > suite.MaxConcurrency:
		return nil, "", fmt.Errorf("--concurrency %d is not a number from 1 to %d", concurrency, suite.MaxConcurrency)
	case !(rate > 0):
		return nil, "", fmt.Errorf("--rate %v is not a number above 0", rate)
	case len(args) == 1:
		path, name = args[0], suiteName(args[0])
	}
	prompts, err := c.ReadSuite(path, builtin)
	return &suite.Run{Suite: prompts, Concurrency: concurrency, Rate: rate, Now: time.Now}, name, err
}

// compare says in report what has changed since the run before.
func compare(cmd *cobra.Command, report, before *suite.Report) {
	known := before.Verdicts(nil)
	report.Changes = report.Compare(known)
	if !slices.ContainsFunc(report.Results, func(r suite.Result) bool { _, ok := known[r.ID]; return ok }) {
		file, _ := cmd.Flags().GetString("compare") // the flag is there
		cmd.PrintErrf("warning: --compare %s, of suite %s, has no prompt of suite %s: nothing is compared\n", file, before.Suite, report.Suite)
	}
}

// suiteName is what a report calls the suite of that file.
func suiteName(path string) string {
	name := path[strings.LastIndexAny(path, `/\`)+1:]
	return strings.TrimSuffix(strings.TrimSuffix(name, ".yaml"), ".yml")
}

// suiteProvider gives the provider to ask: that of the name, or the only one.
func (c *configured) suiteProvider(cmd *cobra.Command, name string) (*upstream.Provider, error) {
	if names := c.Providers(); name == "" {
		if len(names) != 1 {
			return nil, fmt.Errorf("name the provider with --provider; the configuration declares %s", strings.Join(names, ", "))
		}
		name = names[0]
	}
	p, err := c.Provider(name)
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
	if file, err := c.OpenLedger(); err != nil {
		cmd.PrintErrf("note: what this run costs is not in the ledger's file %s: %v\n", file, err)
	}
}
