package command

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/suite"
)

// suiteStatusCommand is `caddy alipayai suite status`.
func suiteStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Prints the last run of each suite, of the gateway that runs",
		Args:  cobra.NoArgs,
		RunE:  runSuiteStatus,
	}
	adminFlags(cmd)
	return cmd
}

func runSuiteStatus(cmd *cobra.Command, _ []string) error {
	return printAdmin(cmd, http.MethodGet, SuitesPath, writeSuites)
}

// writeSuites writes the last run of each suite.
func writeSuites(out io.Writer, states map[string]suite.State) error {
	for _, name := range slices.Sorted(maps.Keys(states)) {
		s := states[name]
		if s.Running != nil {
			fmt.Fprintf(out, "%s at %s: running since %s, %d prompts asked\n", name, s.Provider, s.Running.Began.Format(time.RFC3339), len(s.Running.Results))
		}
		if s.Last == nil {
			fmt.Fprintf(out, "%s at %s: has not run yet\n", name, s.Provider)
			continue
		}
		fmt.Fprintf(out, "%s\n", s.Last.Ended.Format(time.RFC3339))
		if err := printSuite(out, s.Last, nil, nil); err != nil {
			return err
		}
		for _, c := range s.Last.Changes {
			fmt.Fprintf(out, "  changed %s: %s -> %s\n", c.ID, c.From, c.To)
		}
	}
	return nil
}
