package command

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
func (c commands) ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ledger", Short: "Reports what calls have cost"}
	group(cmd)
	report := &cobra.Command{
		Use:   "report --by tenant|provider|model|day",
		Short: "Prints totals of tokens and cost, of the days asked for",
		Long: "Prints totals of tokens and cost, of the days asked for. It asks the admin API of the gateway that runs,\n" +
			"and reads the ledger's file when none does. Which of them it was, and why there is no row, goes to standard error.",
		Args: cobra.NoArgs, RunE: c.runLedger,
	}
	report.Flags().String("by", "day", "what there is a row for: tenant, provider, model or day")
	lines := &cobra.Command{
		Use:   "lines",
		Short: "Prints the lines of attempts, the oldest first: why something cost what it did",
		Args:  cobra.NoArgs, RunE: c.runLedger,
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
		f.StringP("config", "c", "", "the configuration that says where admin API and ledger are (default: ./Caddyfile, where there is one)")
		f.StringP("adapter", "a", "", "the configuration's adapter")
		f.String("file", "", "the ledger's file, to be read without asking a gateway")
		f.String("zone", "", "with --file: the time zone of its days (default UTC)")
		cmd.AddCommand(c)
	}
	return cmd
}

// ledgerFlags are the flags of a report.
type ledgerFlags struct {
	Usage
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
	if cmd.Flags().Changed("zone") && !cmd.Flags().Changed("file") {
		return f, errors.New("--zone is that of the days of --file; a gateway, and its configuration, have their own")
	}
	for _, name := range []string{"by", "from", "to", "tenant", "provider", "model", "format", "limit"} {
		if value := flag(name); value != "" {
			query[name] = []string{value}
		}
	}
	f.address, f.config, f.adapter, f.file, f.zone = flag("address"), flag("config"), flag("adapter"), flag("file"), flag("zone")
	if f.file != "" && (f.address != "" || f.config != "") {
		return f, errors.New("--file reads a file by itself; leave out --address and --config, or --file")
	}
	f.Usage, err = ParseUsage(query)
	return f, err
}

// runLedger asks the gateway that runs, and reads the file where none does.
func (c commands) runLedger(cmd *cobra.Command, _ []string) error {
	f, err := parseLedgerFlags(cmd)
	if err != nil {
		return err
	}
	if f.file != "" {
		return f.read(cmd, c.Ledger(f.file, f.zone), "the ledger cannot be read", false)
	}
	l := c.Ledger("", "")
	var config []byte
	var unused error // of a configuration that was not named: it can be that of something else
	if f.config != "" || f.address == "" {
		adapted, path, err := configuredLedger(l, f.config, f.adapter)
		switch {
		case err == nil:
			config, f.config = adapted, path
		case f.config != "" || f.adapter != "":
			return err
		default:
			unused = err
		}
	}
	address, err := adminAddress(f.address, config, f.config, f.adapter)
	adminOff := errors.Is(err, errAdminOff)
	unread := "the configuration switches the admin API off (admin off), and its ledger cannot be read"
	if !adminOff {
		if err != nil {
			return err
		}
		if answered, err := f.ask(cmd, address); answered || err != nil {
			return err
		}
		unread = "no gateway answers, and its ledger cannot be read; name one with --address, --config or --file"
	}
	switch {
	case unused != nil:
		return fmt.Errorf("no gateway answers at %s, and the configuration cannot be read: %w", address, unused)
	case f.address != "":
		return fmt.Errorf("no gateway answers at %s", f.address)
	}
	return f.read(cmd, l, unread, adminOff)
}

// read reports of the ledger's file. unread is the error where there is none, and adminOff says that no gateway can be asked
// which may have it open.
func (f ledgerFlags) read(cmd *cobra.Command, l Ledger, unread string, adminOff bool) error {
	path, zone, err := l.Resolve()
	if err != nil {
		return err
	}
	switch info, err := os.Stat(path); {
	case err != nil:
		return fmt.Errorf("%s: %w", unread, err)
	case info.Size() == 0:
		return fmt.Errorf("%s: %s is empty", unread, path)
	}
	if err := l.Check(path); err != nil {
		return fmt.Errorf("%s: %s: %w", unread, path, err)
	}
	err = ledger.Read(path, zone, func(source ledger.Source) error {
		cmd.PrintErrln("from the file " + path)
		var rows int
		err := f.Report(cmd.Context(), cmd.OutOrStdout(), source, func(n int, more bool) {
			rows = n
			tellMore(cmd, more)
		})
		if err != nil || rows > 0 {
			return err
		}
		return f.tellEmpty(cmd, func(by ledger.By) ([]ledger.Row, error) {
			return Usage{by: by}.rows(cmd.Context(), source)
		})
	})
	switch {
	case adminOff && errors.Is(err, ledger.ErrLocked):
		return fmt.Errorf("ledger %s: another process has the file open, and the configuration switches the admin API off (admin off), so it cannot be asked; switch it on, or read the file when that process has ended", path)
	case err != nil:
		return fmt.Errorf("ledger %s: %w", path, err)
	}
	return nil
}

// moreLines is said beside the lines, which a limit must not cut silently: they may be summed.
const moreLines = "there are more lines: take a greater --limit, or fewer days"

func tellMore(cmd *cobra.Command, more bool) {
	if more {
		cmd.PrintErrln(moreLines)
	}
}

// ask asks a gateway's admin API; it has not answered where nothing listens there.
func (f ledgerFlags) ask(cmd *cobra.Command, address string) (answered bool, err error) {
	get := func(q Usage) (*http.Response, error) {
		return caddycmd.AdminAPIRequest(address, http.MethodGet, UsagePath+"?"+q.values().Encode(), nil, nil)
	}
	resp, err := get(f.Usage)
	if err != nil {
		if strings.HasPrefix(err.Error(), "performing request: ") {
			return false, nil
		}
		return false, err
	}
	defer resp.Body.Close()
	cmd.PrintErrln("from the gateway at " + address)
	tellMore(cmd, resp.Header.Get(MoreHeader) != "")
	if _, err = io.Copy(cmd.OutOrStdout(), resp.Body); err != nil || resp.Header.Get(RowsHeader) != "0" {
		return true, err
	}
	return true, f.tellEmpty(cmd, func(by ledger.By) (rows []ledger.Row, err error) {
		resp, err := get(Usage{by: by, format: ledger.FormatJSON, Query: ledger.Query{Limit: defaultLimit}})
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		return rows, json.NewDecoder(resp.Body).Decode(&rows)
	})
}

// configuredLedger reads the ledger's options of a configuration into l, and gives it as JSON, with the file that it is in:
// ./Caddyfile where none is named, if there is one.
func configuredLedger(l Ledger, file, adapter string) (config []byte, used string, err error) {
	if config, used, _, err = caddycmd.LoadConfig(file, adapter); err != nil || used == "" {
		return nil, "", err
	}
	var parsed struct {
		Apps struct {
			Alipayai struct {
				Ledger Ledger `json:"ledger"`
			} `json:"alipayai"`
		} `json:"apps"`
	}
	parsed.Apps.Alipayai.Ledger = l
	if err := json.Unmarshal(config, &parsed); err != nil {
		return nil, "", unreadable(used, err)
	}
	return config, used, nil
}
