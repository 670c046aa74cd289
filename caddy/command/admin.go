package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// What operators ask a running gateway at its admin API, by its paths.
const (
	UsagePath    = "/alipayai/usage"
	BudgetsPath  = "/alipayai/budgets"
	CalendarPath = "/alipayai/calendar"
	CanaryPath   = "/alipayai/canary"
	ShadowPath   = "/alipayai/shadow"
	SuitesPath   = "/alipayai/suites"
)

// adminFlags say which gateway a command asks, and how it prints the answer.
func adminFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("address", "", "the admin API's address (default: the configuration's, or "+caddy.DefaultAdminListen+")")
	f.StringP("config", "c", "", "the configuration that says where the admin API is")
	f.StringP("adapter", "a", "", "the configuration's adapter")
	f.String("format", "table", "table or json")
}

// errAdminOff means that the configuration's gateway cannot be asked.
var errAdminOff = errors.New("the configuration switches the admin API off (admin off), so its gateway cannot be asked; switch it on, or name another gateway's by --address")

// adminAddress gives where the admin API is: at address, or where the configuration says, whose file is read unless it is
// given as JSON as well. Without either it is Caddy's default. What listens there is not asked for a gateway that has none.
func adminAddress(address string, config []byte, file, adapter string) (string, error) {
	if address != "" {
		return address, nil
	}
	if config == nil && file != "" {
		var err error
		if config, _, _, err = caddycmd.LoadConfig(file, adapter); err != nil {
			return "", err
		}
	}
	if config != nil {
		var parsed struct{ Admin caddy.AdminConfig }
		if err := json.Unmarshal(config, &parsed); err != nil {
			return "", unreadable(file, err)
		}
		if parsed.Admin.Disabled {
			return "", errAdminOff
		}
	}
	return caddycmd.DetermineAdminAPIAddress("", config, file, adapter)
}

// printAdmin asks the admin API of the gateway that runs, by the command's adminFlags, and prints what it answers: as it
// came, or with table.
func printAdmin[T any](cmd *cobra.Command, method, path string, table func(to io.Writer, reports map[string]T) error) error {
	flag := func(name string) string { return cmd.Flags().Lookup(name).Value.String() }
	if format := flag("format"); format != "table" && format != "json" {
		return fmt.Errorf("format %q is unknown; use table or json", format)
	}
	address, err := adminAddress(flag("address"), nil, flag("config"), flag("adapter"))
	if err != nil {
		return err
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, path, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if flag("format") == "json" {
		_, err = io.Copy(cmd.OutOrStdout(), resp.Body)
		return err
	}
	var reports map[string]T
	if err := json.NewDecoder(resp.Body).Decode(&reports); err != nil {
		return fmt.Errorf("reading the gateway's answer: %w", err)
	}
	return table(cmd.OutOrStdout(), reports)
}
