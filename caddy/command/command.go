// Package command has the commands of `caddy alipayai`, and what they and the admin API that some of them ask have in common:
// its paths, and questions to the ledger. What they need of the plugin's modules is in [Plugin] and [Gateway].
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/alipayai/suite"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Plugin is what commands need of the plugin's modules.
type Plugin interface {
	// Open gives the gateway of a configuration that was provisioned, and is never started.
	Open(ctx caddy.Context) (Gateway, error)
	// Intent says what a text is about, by the built-in examples; nothing where that is not certain.
	Intent(ctx context.Context, text string) string
	// Ledger gives the options of a ledger in a file, with the time zone of its days; the default for each that is empty.
	Ledger(file, zone string) Ledger
	// ReadSuite reads a file of prompts, or the built-in suite of a name.
	ReadSuite(file, builtin string) (*suite.Suite, error)
	// Conceal takes secrets of the configuration out of what is printed.
	Conceal(text string) string
}

// Gateway is a configuration of the app `alipayai`.
type Gateway interface {
	// Providers are the names of its providers, sorted.
	Providers() []string
	// Provider gives one by name, or an error that names those that there are.
	Provider(name string) (*upstream.Provider, error)
	// Build makes a provider of that name once more, of another configuration.
	Build(name string, configuration json.RawMessage) (*upstream.Provider, error)
	// UseKey has a provider sign with the key that a running gateway signs with, which need not be the newest.
	UseKey(ctx context.Context, provider string)
	// AskSuite gives what asks a provider for the prompts of a suite, of that model where they name none; or an error,
	// [ErrNoModel] where the configuration names none either.
	AskSuite(provider, model string, of *suite.Suite) (suite.Asked, error)
	// OpenLedger opens the ledger, which takes what calls cost, and gives its file, with an error where it cannot be opened; no
	// file where there is no ledger.
	OpenLedger() (file string, err error)
	// Intents gives what says what a text is about, once it has learned from the examples.
	Intents(ctx context.Context) (func(text string) string, error)
	// Close gives back what the configuration holds.
	Close()
}

// Ledger is the options of a ledger, which can be read from JSON.
type Ledger interface {
	// Resolve gives the file, and the time zone of its days.
	Resolve() (file string, zone *time.Location, err error)
	// Check refuses a file that is something else.
	Check(file string) error
}

// ErrNoModel is of a prompt that no model is named for.
var ErrNoModel = errors.New("name one with model")

// New makes the command `alipayai`, for [caddycmd.RegisterCommand].
func New(p Plugin) caddycmd.Command {
	c := commands{p}
	return caddycmd.Command{
		Name:      "alipayai",
		Short:     "Checks the Alipay AI gateway's providers, inspects its signatures, and manages its keys and evidence",
		CobraFunc: c.add,
	}
}

// commands are those that need the plugin.
type commands struct{ Plugin }

// add gives cmd its commands.
func (c commands) add(cmd *cobra.Command) {
	group(cmd)
	key := &cobra.Command{Use: "key", Short: "Manages the keys that clients authenticate with"}
	key.AddCommand(&cobra.Command{
		Use:   "new <tenant>",
		Short: "Makes a key, prints it once, and its hash for the configuration",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one tenant: caddy alipayai key new <tenant>")
			}
			return nil
		},
		RunE: newKey,
	})
	group(key)
	cmd.AddCommand(key)

	cmd.AddCommand(c.checkCommand(), c.intentsCommand(), c.ledgerCommand(), calendarCommand(), canaryCommand(), shadowCommand(), c.suiteCommand())

	sealed := &cobra.Command{Use: "evidence", Short: "Reads the sealed records of system errors"}
	open := &cobra.Command{
		Use:   "open --identity <file> <record>",
		Short: "Prints a record as JSON",
		Args:  cobra.ExactArgs(1),
		RunE:  openEvidence,
	}
	open.Flags().String("identity", "", "the file that age-keygen has made (required)")
	_ = open.MarkFlagRequired("identity") // the flag is there
	sealed.AddCommand(open)
	group(sealed)
	cmd.AddCommand(sealed)
	cmd.AddCommand(c.signCommands()...)
	refuseEmptyFlags(cmd)
}

// group makes cmd one that has commands and does nothing by itself: alone it
// shows them, and a command that it does not have is an error.
func group(cmd *cobra.Command) {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// refuseEmptyFlags has cmd and its commands refuse a flag that is given without a value, as by a shell's variable that is not
// set: it would be taken for one that is not given.
func refuseEmptyFlags(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		refuseEmptyFlags(sub)
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if err == nil && f.Value.Type() == "string" && f.Value.String() == "" {
				err = fmt.Errorf("--%s is empty; write its value, or leave it out", f.Name)
			}
		})
		if err != nil {
			err = cmd.FlagErrorFunc()(cmd, err)
		}
		return err
	}
}

func openEvidence(cmd *cobra.Command, args []string) error {
	identity, err := cmd.Flags().GetString("identity")
	if err != nil {
		return err
	}
	record, err := evidence.OpenFile(args[0], identity)
	if err != nil {
		return err
	}
	return evidence.WriteJSON(cmd.OutOrStdout(), record)
}

func newKey(cmd *cobra.Command, args []string) error {
	tenant := args[0]
	if err := tenants.Check(tenant); err != nil {
		return err
	}
	key, hash := tenants.NewKey()
	_, err := fmt.Fprintf(cmd.OutOrStdout(), `# The key, for the client. It is shown this once.
%[1]s

# Its hash, for the Caddyfile, inside alipayai_auth:
key %[2]s %[3]s

# Or for a file of keys:
%[2]s %[3]s
`, key, tenant, hash)
	return err
}
