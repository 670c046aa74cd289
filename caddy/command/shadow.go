package command

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/shadow"
)

// shadowCommand makes `alipayai shadow`.
func shadowCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "shadow", Short: "Prints in what the answers of shadows differ", Args: cobra.NoArgs, RunE: runShadow}
	adminFlags(cmd)
	return cmd
}

// runShadow asks the gateway that runs.
func runShadow(cmd *cobra.Command, _ []string) error {
	return printAdmin(cmd, http.MethodGet, ShadowPath, writeShadows)
}

// writeShadows writes the shadows as tables.
func writeShadows(to io.Writer, reports map[string]shadow.Report) error {
	for _, name := range slices.Sorted(maps.Keys(reports)) {
		r := reports[name]
		table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintf(table, "%s: %d of %d pairs differ, %d new compliance blocks", name, r.Different, r.Pairs, r.NewBlocks)
		for _, reason := range slices.Sorted(maps.Keys(r.Dropped)) {
			_, _ = fmt.Fprintf(table, ", %d dropped (%s)", r.Dropped[reason], reason)
		}
		if r.Away {
			_, _ = fmt.Fprint(table, ", the store does not answer")
		}
		_, _ = fmt.Fprintln(table)
		_, _ = fmt.Fprintln(table, "  ASPECT\tDIFFER\tOF\tALERT")
		for _, aspect := range slices.Sorted(maps.Keys(r.Compared)) {
			fires := "-"
			if slices.Contains(r.Firing, aspect) {
				fires = "firing"
			}
			_, _ = fmt.Fprintf(table, "  %s\t%d\t%d\t%s\n", aspect, r.Differ[aspect], r.Compared[aspect], fires)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}
