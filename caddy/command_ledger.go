package alipaycaddy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
)

// ledgerCommand makes `alipayai ledger`.
func ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ledger", Short: "Reports what calls have cost"}
	group(cmd)
	report := &cobra.Command{
		Use:   "report --by tenant|provider|model|day",
		Short: "Prints totals of tokens and cost, of the days asked for",
		Long: "Prints totals of tokens and cost, of the days asked for. It asks the admin API of the gateway that runs,\n" +
			"and reads the ledger's file when none does.",
		Args: cobra.NoArgs, RunE: runLedger,
	}
	report.Flags().String("by", "day", "what there is a row for: tenant, provider, model or day")
	lines := &cobra.Command{
		Use:   "lines",
		Short: "Prints the lines of attempts, the oldest first: why something cost what it did",
		Args:  cobra.NoArgs, RunE: runLedger,
	}
	lines.Flags().Int("limit", defaultLimit, "the most lines")
	for _, c := range []*cobra.Command{report, lines} {
		f := c.Flags()
		f.String("from", "", "the first day, as 2026-11-28 (default: the first there is)")
		f.String("to", "", "the last day (default: the last there is)")
		f.String("tenant", "", "this tenant alone")
		f.String("provider", "", "this provider alone")
		f.String("model", "", "this model alone, by the provider's name")
		f.String("format", "table", "table, csv or json")
		f.String("address", "", "the admin API's address (default: the configuration's, or "+caddy.DefaultAdminListen+")")
		f.String("config", "", "the configuration that says where admin API and ledger are")
		f.String("adapter", "", "the configuration's adapter")
		f.String("file", "", "the ledger's file, to be read without asking a gateway")
		f.String("zone", "", "with --file: the time zone of its days (default UTC)")
		cmd.AddCommand(c)
	}
	return cmd
}

// ledgerFlags are the flags of a report.
type ledgerFlags struct {
	usageQuery
	address, config, adapter, file, zone string
}

func parseLedgerFlags(cmd *cobra.Command) (f ledgerFlags, err error) {
	flag := func(name string) string {
		if cmd.Flags().Lookup(name) == nil {
			return ""
		}
		return cmd.Flags().Lookup(name).Value.String()
	}
	query := map[string][]string{"by": {byLines}}
	for _, name := range []string{"by", "from", "to", "tenant", "provider", "model", "format", "limit"} {
		if value := flag(name); value != "" {
			query[name] = []string{value}
		}
	}
	f.address, f.config, f.adapter, f.file, f.zone = flag("address"), flag("config"), flag("adapter"), flag("file"), flag("zone")
	if f.file != "" && (f.address != "" || f.config != "") {
		return f, errors.New("--file reads a file by itself; leave out --address and --config, or --file")
	}
	f.usageQuery, err = parseUsage(query)
	return f, err
}

// runLedger asks the gateway that runs, and reads the file where none does.
func runLedger(cmd *cobra.Command, _ []string) error {
	f, err := parseLedgerFlags(cmd)
	if err != nil {
		return err
	}
	l, unread := &Ledger{Path: f.file, Zone: f.zone}, "the ledger cannot be read"
	if f.file == "" {
		unread = "no gateway answers, and its ledger cannot be read; name one with --address, --config or --file"
		var config []byte
		if f.config != "" {
			if l, config, err = configuredLedger(f.config, f.adapter); err != nil {
				return err
			}
		}
		address, err := caddycmd.DetermineAdminAPIAddress(f.address, config, f.config, f.adapter)
		if err != nil {
			return err
		}
		answered, err := f.ask(cmd, address)
		if answered || err != nil {
			return err
		}
		if f.address != "" {
			return fmt.Errorf("no gateway answers at %s", f.address)
		}
	}
	path, zone, err := l.resolve(newSecrets(true))
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%s: %w", unread, err)
	}
	return ledger.Read(path, zone, func(source ledger.Source) error {
		return f.report(cmd.Context(), cmd.OutOrStdout(), source, func() { cmd.PrintErrln(moreLines) })
	})
}

// moreLines is said beside the lines, which a limit must not cut silently: they may be summed.
const moreLines = "there are more lines: take a greater --limit, or fewer days"

// ask asks a gateway's admin API; it has not answered where nothing listens there.
func (f ledgerFlags) ask(cmd *cobra.Command, address string) (answered bool, err error) {
	resp, err := caddycmd.AdminAPIRequest(address, http.MethodGet, usagePath+"?"+f.values().Encode(), nil, nil)
	if err != nil {
		if strings.HasPrefix(err.Error(), "performing request: ") {
			return false, nil
		}
		return false, err
	}
	defer resp.Body.Close()
	if resp.Header.Get(moreHeader) != "" {
		cmd.PrintErrln(moreLines)
	}
	_, err = io.Copy(cmd.OutOrStdout(), resp.Body)
	return true, err
}

// configuredLedger reads the ledger's options of a configuration, which it also gives as JSON.
func configuredLedger(file, adapter string) (l *Ledger, config []byte, err error) {
	if config, _, _, err = caddycmd.LoadConfig(file, adapter); err != nil {
		return nil, nil, err
	}
	var parsed struct {
		Apps struct {
			Alipayai struct {
				Ledger *Ledger `json:"ledger"`
			} `json:"alipayai"`
		} `json:"apps"`
	}
	err = json.Unmarshal(config, &parsed)
	return parsed.Apps.Alipayai.Ledger, config, err
}
