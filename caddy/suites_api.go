package alipaycaddy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/suite"
)

// suitesPath is where suites are asked for.
const suitesPath = "/alipayai/suites"

// getSuites answers GET /alipayai/suites with the last run of each suite, by name.
func (a *adminAPI) getSuites(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed; use GET")}
	}
	if a.app == nil || len(a.app.suites) == 0 {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("no suite is configured")}
	}
	states := make(map[string]suite.State, len(a.app.suites))
	for name, s := range a.app.suites {
		states[name] = s.State()
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(states)
}

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
	flag := func(name string) string { return cmd.Flags().Lookup(name).Value.String() }
	if format := flag("format"); format != "table" && format != "json" {
		return fmt.Errorf("format %q is unknown; use table or json", format)
	}
	address, err := caddycmd.DetermineAdminAPIAddress(flag("address"), nil, flag("config"), flag("adapter"))
	if err != nil {
		return err
	}
	resp, err := caddycmd.AdminAPIRequest(address, http.MethodGet, suitesPath, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if flag("format") == "json" {
		_, err = io.Copy(cmd.OutOrStdout(), resp.Body)
		return err
	}
	var states map[string]suite.State
	if err := json.NewDecoder(resp.Body).Decode(&states); err != nil {
		return fmt.Errorf("reading the gateway's answer: %w", err)
	}
	out := cmd.OutOrStdout()
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
