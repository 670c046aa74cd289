package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/calendar"
	"github.com/caddy-alipayai/gateway/alipayai/shadow"
	"github.com/caddy-alipayai/gateway/alipayai/suite"
	"github.com/caddy-alipayai/gateway/caddy/command"
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
		{Pattern: command.UsagePath, Handler: taking(a.usage, "GET", "by", "from", "to", "tenant", "provider", "model", "limit", "format")},
		{Pattern: command.BudgetsPath, Handler: taking(a.budgets, "GET")},
		{Pattern: command.CalendarPath, Handler: taking(a.calendar, "GET")},
		{Pattern: command.CanaryPath, Handler: taking(a.canary, "GET or POST", "action", "name")},
		{Pattern: command.ShadowPath, Handler: taking(a.shadow, "GET")},
		{Pattern: command.SuitesPath, Handler: taking(a.suites, "GET")},
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

// calendar answers GET /alipayai/calendar with how the keys of each provider are that has a calendar, by name.
func (*adminAPI) calendar(w http.ResponseWriter, _ *http.Request) error {
	reports := make(map[string]calendar.Status)
	if app := running(); app != nil {
		for name, keeper := range app.keepers {
			reports[name] = keeper.Status()
		}
	}
	return writeReports(w, "calendar of keys", reports)
}

// shadow answers GET /alipayai/shadow with what came of all shadows' copies, by name.
func (*adminAPI) shadow(w http.ResponseWriter, _ *http.Request) error {
	reports := make(map[string]shadow.Report)
	if app := running(); app != nil {
		for name, s := range app.shadows {
			reports[name] = s.Report()
		}
	}
	return writeReports(w, "shadow", reports)
}

// suites answers GET /alipayai/suites with the last run of each suite, by name.
func (*adminAPI) suites(w http.ResponseWriter, _ *http.Request) error {
	states := make(map[string]suite.State)
	if app := running(); app != nil {
		for name, s := range app.suites {
			states[name] = s.State()
		}
	}
	return writeReports(w, "suite", states)
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

// Interface guards
var (
	_ caddy.AdminRouter = (*adminAPI)(nil)
	_ caddy.Provisioner = (*adminAPI)(nil)
)
