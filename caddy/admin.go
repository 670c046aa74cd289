package alipaycaddy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddy.RegisterModule(new(adminAPI))
}

// adminAPI serves what operators ask a running gateway, at Caddy's admin endpoint.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.alipayai",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Provision implements caddy.Provisioner: the metrics are seen at this endpoint, whatever becomes of the configuration's apps.
func (*adminAPI) Provision(ctx caddy.Context) error { return (runningMetrics{}).register(ctx) }

// running is the app of the configuration that runs; nil where there is none. Routes ask for it at each request: Caddy
// begins to serve those of a new configuration before its apps are provisioned, and goes on with them where it is rejected
// (provisionContext and unsyncedDecodeAndRun in caddy.go of v2.11.9).
func running() *App {
	if app, err := caddy.ActiveContext().AppIfConfigured("alipayai"); err == nil {
		return app.(*App)
	}
	return nil
}

// Routes implements caddy.AdminRouter.
func (a *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: usagePath, Handler: taking(a.usage, "GET", "by", "from", "to", "tenant", "provider", "model", "limit", "format")},
		{Pattern: budgetsPath, Handler: taking(a.budgets, "GET")},
		{Pattern: calendarPath, Handler: taking(a.calendar, "GET")},
		{Pattern: canaryPath, Handler: taking(a.canary, "GET or POST", "action", "name")},
		{Pattern: shadowPath, Handler: taking(a.shadow, "GET")},
		{Pattern: suitesPath, Handler: taking(a.suites, "GET")},
	}
}

// taking refuses other methods than these, and a query with other names, or with one of them twice: what was asked for
// would not be what is answered.
func taking(serve caddy.AdminHandlerFunc, methods string, names ...string) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := checkQuery(r.URL.RawQuery, names); err != nil {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
		}
		if !slices.Contains(strings.Split(methods, " or "), r.Method) {
			return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("method not allowed; use %s", methods)}
		}
		return serve(w, r)
	}
}

func checkQuery(raw string, names []string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return fmt.Errorf("the query cannot be read: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case len(names) == 0:
			return fmt.Errorf("unknown parameter %q: this takes none", name)
		case !slices.Contains(names, name):
			return fmt.Errorf("unknown parameter %q; use %s", name, strings.Join(names, ", "))
		case len(query[name]) > 1:
			return fmt.Errorf("parameter %s is given twice", name)
		}
	}
	return nil
}

// writeReports answers with reports by name. Where there are none, no such thing is configured.
func writeReports[T any](w http.ResponseWriter, what string, reports map[string]T) error {
	if len(reports) == 0 {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("no %s is configured", what)}
	}
	return writeJSON(w, reports)
}

// writeJSON answers with what it is given, as JSON.
func writeJSON(w http.ResponseWriter, answer any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}

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

// Interface guards
var (
	_ caddy.AdminRouter = (*adminAPI)(nil)
	_ caddy.Provisioner = (*adminAPI)(nil)
)
