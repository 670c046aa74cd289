package command

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/failover/canary"
)

// canaryCommand makes `alipayai canary`.
func canaryCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "canary", Short: "Shows where canaries are, promotes their candidates and rolls them back"}
	group(cmd)
	for _, c := range []struct{ use, short string }{
		{"status", "Prints where the canaries are, and what their guards say"},
		{"promote", "Sends all conversations to the candidate"},
		{"rollback", "Sends none to the candidate"},
		{"pause", "Keeps the share as it is; guards still roll back"},
		{"resume", "Goes on with the step of a canary that was paused"},
		{"restart", "Begins with the first step again, and forgets what calls were"},
	} {
		sub := &cobra.Command{Use: c.use + " [<stable>:<candidate>]", Short: c.short, Args: cobra.MaximumNArgs(1), RunE: runCanary}
		adminFlags(sub)
		cmd.AddCommand(sub)
	}
	return cmd
}

// runCanary asks the gateway that runs.
func runCanary(cmd *cobra.Command, args []string) error {
	query, method := make(url.Values), http.MethodGet
	if action := cmd.Name(); action != "status" {
		method = http.MethodPost
		query.Set("action", action)
	}
	if len(args) > 0 {
		query.Set("name", args[0])
	}
	return printAdmin(cmd, method, CanaryPath+"?"+query.Encode(), writeCanaries)
}

// writeCanaries writes the canaries as tables.
func writeCanaries(to io.Writer, reports map[string]canary.Status) error {
	seconds := func(n int64) time.Duration { return time.Duration(n) * time.Second }
	for _, name := range slices.Sorted(maps.Keys(reports)) {
		r := reports[name]
		if !r.Known {
			if _, err := fmt.Fprintf(to, "%s: its state is not known: the store does not answer\n", name); err != nil {
				return err
			}
			continue
		}
		line := fmt.Sprintf("%s: %s since %s, share %s, step %d of %d (%s of %s)", name, r.Phase, r.Since.UTC().Format(time.RFC3339), fmt.Sprintf("%g%%", 100*r.Share), r.Step, r.Steps, seconds(r.Ran), seconds(r.For))
		if r.Reason != "" {
			line += ", by " + r.Reason
		}
		if r.Holding {
			line += ", held: not every guard has passed"
		}
		if r.Away {
			line += ", the store does not answer"
		}
		if _, err := fmt.Fprintln(to, line); err != nil {
			return err
		}
		if r.Warning != "" {
			if _, err := fmt.Fprintf(to, "  warning: %s\n", r.Warning); err != nil {
				return err
			}
		}
		table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "  GUARD\tVERDICT\tSTABLE BAD\tOF\tCANDIDATE BAD\tOF\tEVIDENCE\tROLLS BACK AT")
		for _, g := range r.Guards {
			_, _ = fmt.Fprintf(table, "  %s\t%s\t%d\t%d\t%d\t%d\t%.3g\t%g\n", g.Guard, cmp.Or(g.Verdict, "-"), g.Stable.Bad, g.Stable.Trials, g.Candidate.Bad, g.Candidate.Trials, g.Evidence, g.Threshold)
		}
		if err := table.Flush(); err != nil {
			return err
		}
		for _, g := range r.Guards {
			if len(g.BadCalls) == 0 {
				continue
			}
			if _, err := fmt.Fprintf(to, "  bad by %s at the candidate, the last: %s\n", g.Guard, strings.Join(g.BadCalls, ", ")); err != nil {
				return err
			}
		}
	}
	return nil
}
