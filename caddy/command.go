package alipaycaddy

import (
	"errors"
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/evidence"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "alipayai",
		Short: "Checks the Alipay AI gateway's providers, inspects its signatures, and manages its keys and evidence",
		CobraFunc: func(cmd *cobra.Command) {
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

			cmd.AddCommand(checkCommand(), intentsCommand(), ledgerCommand(), calendarCommand(), canaryCommand(), shadowCommand(), suiteCommand())

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
			cmd.AddCommand(signCommands()...)
			refuseEmptyFlags(cmd)
		},
	})
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
	if err := alipayai.CheckTenant(tenant); err != nil {
		return err
	}
	key, hash := alipayai.NewKey()
	_, err := fmt.Fprintf(cmd.OutOrStdout(), `# The key, for the client. It is shown this once.
%[1]s

# Its hash, for the Caddyfile, inside alipayai_auth:
key %[2]s %[3]s

# Or for a file of keys:
%[2]s %[3]s
`, key, tenant, hash)
	return err
}
