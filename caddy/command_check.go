package alipaycaddy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-alipayai/gateway/alipayai/doctor"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// checkCommand is `caddy alipayai check`.
func checkCommand() *cobra.Command {
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
		RunE: runCheck,
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

func runCheck(cmd *cobra.Command, args []string) error {
	flags := cmd.Flags()
	asJSON, _ := flags.GetBool("json") // the flags are there
	chat, _ := flags.GetBool("chat")
	model, _ := flags.GetString("model")
	probe, _ := flags.GetBool("probe-signature")
	config, err := loadConfigured(cmd)
	if err != nil {
		return err
	}
	defer config.close()
	names := slices.Sorted(maps.Keys(config.app.providers))
	if len(args) == 1 {
		names = args
	}
	if len(names) == 0 {
		return errors.New("the configuration declares no provider")
	}
	var reports []*doctor.Report
	for _, name := range names {
		p, err := config.app.provider(name)
		if err != nil {
			return err
		}
		if keeper := config.app.keepers[name]; keeper != nil {
			keeper.Begin(cmd.Context()) // the key that a running gateway signs with, which need not be the newest
		}
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

// configFlags say which configuration a command reads.
func configFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("config", "c", "", "the configuration file; ./Caddyfile unless set")
	cmd.Flags().StringP("adapter", "a", "", "the config adapter of that file, if it is no Caddyfile")
}

// configured is a configuration that was provisioned, and never started.
type configured struct {
	ctx caddy.Context
	app *App
	// providers are as they were configured: provisioning takes modules out.
	providers map[string]json.RawMessage
}

// loadConfigured reads a configuration as `caddy run` does, and provisions of it
// what providers need: no listener, no site.
func loadConfigured(cmd *cobra.Command) (*configured, error) {
	file, _ := cmd.Flags().GetString("config") // the flags are there
	adapter, _ := cmd.Flags().GetString("adapter")
	config, used, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, err
	}
	if used == "" {
		return nil, errors.New("there is no ./Caddyfile; name the configuration with --config")
	}
	var all struct {
		Apps struct {
			Gateway struct {
				Providers map[string]json.RawMessage `json:"providers"`
			} `json:"alipayai"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &all); err != nil {
		return nil, unreadable(used, err)
	}
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(config), &parsed); err != nil {
		return nil, unreadable(used, err)
	}
	// The sites need not be right, nor their certificates be there.
	maps.DeleteFunc(parsed.AppsRaw, func(name string, _ json.RawMessage) bool { return name != "alipayai" && name != "pki" })
	parsed.Admin = &caddy.AdminConfig{Disabled: true}
	ctx, err := caddy.ProvisionContext(&parsed)
	if err != nil {
		return nil, err
	}
	app, err := loadApp(ctx)
	if err != nil {
		return nil, err
	}
	return &configured{ctx: ctx, app: app, providers: all.Apps.Gateway.Providers}, nil
}

// unreadable is the error for a configuration whose JSON is not that of one, without what it would be in Go.
func unreadable(file string, err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		err = fmt.Errorf("%s is %s, and has to be of another type", cmp.Or(strings.TrimPrefix(wrong.Field, "."), "all of it"), wrong.Value)
	}
	return fmt.Errorf("reading the configuration %s: %w", file, err)
}

// close gives back what the configuration holds.
func (c *configured) close() { _ = c.app.Cleanup() }

// with builds a provider once more, with JSON merge patches of its configuration.
func (c *configured) with(name string, patches []string) (*upstream.Provider, error) {
	var config any
	if err := json.Unmarshal(c.providers[name], &config); err != nil {
		return nil, err
	}
	for _, text := range patches {
		var patch any
		if err := json.Unmarshal([]byte(text), &patch); err != nil {
			return nil, err
		}
		config = mergePatch(config, patch)
	}
	merged, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	changed := new(Provider)
	if err := caddy.StrictUnmarshalJSON(merged, changed); err != nil {
		return nil, err
	}
	p, err := c.app.buildProvider(c.ctx, name, changed, newCredentialUses())
	if err != nil {
		return nil, fmt.Errorf("provider %s with %s: %w", name, strings.Join(patches, ", "), err)
	}
	return p, nil
}

// mergePatch applies a JSON merge patch (RFC 7396, section 2).
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = make(map[string]any)
	}
	for name, value := range changes {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = mergePatch(object[name], value)
		}
	}
	return object
}
