package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/doctor"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// checkCommand is `caddy alipayai check`.
func (c commands) checkCommand() *cobra.Command {
	check := &cobra.Command{
		Use:   "check [<provider>]",
		Short: "Asks a provider's endpoint whether it is what the configuration takes it to be",
		Long: `
Asks the real endpoint of a provider, or of each, for an access token and for the
list of models, which costs nothing, and says step by step what was sent, what came
back and what to do. Where the endpoint wants something else, the option that says
so is found by trying, with at most ` + fmt.Sprint(doctor.MaxRequests) + ` requests for each provider, within its rate cap.

The exit status is 0 if all is well, and 1 if a step has failed.`,
		Args: cobra.MaximumNArgs(1),
		RunE: c.runCheck,
	}
	configFlags(check)
	check.Flags().Bool("json", false, "print the report as JSON")
	check.Flags().Bool("chat", false, "permit one streamed chat, which costs the smallest charge")
	check.Flags().String("model", "", "the model of that chat")
	check.Flags().Bool("probe-signature", false, "permit requests with wrong signatures, times and tokens, which may count against the app")
	return check
}

// errCheck ends the command with status 1.
var errCheck = errors.New("a step has failed")

func (c commands) runCheck(cmd *cobra.Command, args []string) error {
	flags := cmd.Flags()
	asJSON, _ := flags.GetBool("json") // the flags are there
	chat, _ := flags.GetBool("chat")
	model, _ := flags.GetString("model")
	probe, _ := flags.GetBool("probe-signature")
	config, err := c.loadConfigured(cmd)
	if err != nil {
		return err
	}
	defer config.Close()
	names := config.Providers()
	if len(args) == 1 {
		names = args
	}
	if len(names) == 0 {
		return errors.New("the configuration declares no provider")
	}
	var reports []*doctor.Report
	for _, name := range names {
		p, err := config.Provider(name)
		if err != nil {
			return err
		}
		config.UseKey(cmd.Context(), name)
		reports = append(reports, doctor.Check(cmd.Context(), p, doctor.Options{
			Chat: chat, Model: model, ProbeSignature: probe,
			With: func(patches []string) (*upstream.Provider, error) { return config.with(name, patches) },
		}))
	}
	if err := printReports(cmd, reports, asJSON); err != nil {
		return err
	}
	if slices.ContainsFunc(reports, func(r *doctor.Report) bool { return !r.OK() }) {
		cmd.SilenceUsage, cmd.SilenceErrors = true, true // the report has said it
		return errCheck
	}
	return nil
}

// printReports writes the reports, as one JSON array or as tables.
func printReports(cmd *cobra.Command, reports []*doctor.Report, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(reports)
	}
	for i, r := range reports {
		if i > 0 {
			if _, err := fmt.Fprintln(out); err != nil {
				return err
			}
		}
		if err := r.WriteText(out); err != nil {
			return err
		}
	}
	return nil
}
