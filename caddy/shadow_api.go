package alipaycaddy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/shadow"
)

// shadowPath is where shadows are asked for.
const shadowPath = "/alipayai/shadow"

// shadow answers GET /alipayai/shadow with what came of all shadows' copies, by name.
func (a *adminAPI) shadow(w http.ResponseWriter, r *http.Request) error {
	switch {
	case r.Method != http.MethodGet:
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed; use GET")}
	case a.app == nil || len(a.app.shadows) == 0:
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("no shadow is configured")}
	}
	reports := make(map[string]shadow.Report)
	for name, s := range a.app.shadows {
		reports[name] = s.State().Report()
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(reports)
}

// shadowCommand makes `alipayai shadow`.
func shadowCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "shadow", Short: "Prints in what the answers of shadows differ", Args: cobra.NoArgs, RunE: runShadow}
	f := cmd.Flags()
	f.String("address", "", "the admin API's address (default: the configuration's, or "+caddy.DefaultAdminListen+")")
	f.String("config", "", "the configuration that says where the admin API is")
	f.String("adapter", "", "the configuration's adapter")
	f.String("format", "table", "table or json")
	return cmd
}

// runShadow asks the gateway that runs.
func runShadow(cmd *cobra.Command, _ []string) error {
	flag := func(name string) string { return cmd.Flags().Lookup(name).Value.String() }
	if format := flag("format"); format != "table" && format != "json" {
		return fmt.Errorf("format %q is unknown; use table or json", format)
	}
	address, err := caddycmd.DetermineAdminAPIAddress(flag("address"), nil, flag("config"), flag("adapter"))
	if err != nil {
		return err
	}
	resp, err := caddycmd.AdminAPIRequest(address, http.MethodGet, shadowPath, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if flag("format") == "json" {
		_, err = io.Copy(cmd.OutOrStdout(), resp.Body)
		return err
	}
	var reports map[string]shadow.Report
	if err := json.NewDecoder(resp.Body).Decode(&reports); err != nil {
		return fmt.Errorf("reading the gateway's answer: %w", err)
	}
	return writeShadows(cmd.OutOrStdout(), reports)
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
