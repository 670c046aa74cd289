package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
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

// running is the app of the configuration that runs; nil where there is none. Routes ask for it at each request: Caddy
// begins to serve those of a new configuration before its apps are provisioned, and goes on with them where it is rejected
// (provisionContext and unsyncedDecodeAndRun in caddy.go of v2.11.9).
func running() *App {
	if app, err := caddy.ActiveContext().AppIfConfigured("alipayai"); err == nil {
		return app.(*App)
	}
	return nil
}

// usagePath is where usage is asked for.
const usagePath = "/alipayai/usage"

// Routes implements caddy.AdminRouter.
func (a *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: usagePath, Handler: taking(a.usage, "by", "from", "to", "tenant", "provider", "model", "limit", "format")},
		{Pattern: budgetsPath, Handler: taking(a.getBudgets)},
		{Pattern: calendarPath, Handler: taking(a.calendar)},
		{Pattern: canaryPath, Handler: taking(a.canary, "action", "name")},
		{Pattern: shadowPath, Handler: taking(a.shadow)},
		{Pattern: suitesPath, Handler: taking(a.getSuites)},
	}
}

// taking refuses a query with other names than these, or with one of them twice: what was asked for would not be what is
// answered.
func taking(serve caddy.AdminHandlerFunc, names ...string) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := checkQuery(r.URL.RawQuery, names); err != nil {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
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

// usage answers GET /alipayai/usage. Its query has by (tenant, provider, model or day;
// or lines), from and to (days, as 2026-11-28), tenant, provider and model, limit (of
// lines), and format (json, csv or table).
func (*adminAPI) usage(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed; use GET")}
	}
	app := running()
	if app == nil || app.ledger == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("this gateway keeps no ledger; configure ledger, price or prices file")}
	}
	q, err := parseUsage(r.URL.Query())
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	w.Header().Set("Content-Type", contentTypes[q.format])
	counted := func(rows int, more bool) {
		w.Header().Set(rowsHeader, strconv.Itoa(rows))
		if more {
			w.Header().Set(moreHeader, "true")
		}
	}
	if err := q.report(r.Context(), w, app.usageSource(), counted); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: fmt.Errorf("reading the ledger: %w", err)}
	}
	return nil
}

var contentTypes = map[ledger.Format]string{
	ledger.FormatJSON: "application/json", ledger.FormatCSV: "text/csv; charset=utf-8", ledger.FormatTable: "text/plain; charset=utf-8",
}

// usageQuery is what of the ledger is asked for.
type usageQuery struct {
	ledger.Query
	by     ledger.By
	lines  bool
	format ledger.Format
}

// byLines asks for the lines themselves, of which there are defaultLimit at most where the query does not say, and never more
// than mostLines: an answer is in memory.
const (
	byLines      = "lines"
	defaultLimit = 1000
	mostLines    = 1_000_000
)

// moreHeader is the field of an answer that has fewer lines than were asked for, by its limit, and rowsHeader says how many
// rows or lines it has.
const (
	moreHeader = "X-Alipayai-More"
	rowsHeader = "X-Alipayai-Rows"
)

// parseUsage reads a query of the admin API, which is the command's as well.
func parseUsage(v url.Values) (q usageQuery, err error) {
	q.Tenant, q.Provider, q.Model = v.Get("tenant"), v.Get("provider"), v.Get("model")
	q.From, q.To = v.Get("from"), v.Get("to")
	for name, day := range map[string]string{"from": q.From, "to": q.To} {
		if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
			return q, fmt.Errorf("%s %q is no day; write it like 2026-11-28", name, day)
		}
	}
	if q.From > q.To && q.To != "" {
		return q, fmt.Errorf("from %q is after to %q; swap them", q.From, q.To)
	}
	q.Limit = defaultLimit
	if limit := v.Get("limit"); limit != "" {
		if q.Limit, err = strconv.Atoi(limit); err != nil || q.Limit < 1 || q.Limit > mostLines {
			return q, fmt.Errorf("limit %q is not a number from 1 to %d", limit, mostLines)
		}
	}
	q.format = ledger.FormatJSON
	if format := v.Get("format"); format != "" {
		if q.format, err = ledger.ParseFormat(format); err != nil {
			return q, err
		}
	}
	switch by := v.Get("by"); by {
	case byLines:
		q.lines = true
	case "":
		q.by = ledger.ByDay
	default:
		q.by, err = ledger.ParseBy(by)
	}
	return q, err
}

// values writes the query as parseUsage reads it.
func (q usageQuery) values() url.Values {
	v := url.Values{"format": {string(q.format)}, "by": {string(q.by)}}
	if q.lines {
		v.Set("by", byLines)
	}
	for name, value := range map[string]string{"from": q.From, "to": q.To, "tenant": q.Tenant, "provider": q.Provider, "model": q.Model} {
		if value != "" {
			v.Set(name, value)
		}
	}
	v.Set("limit", strconv.Itoa(q.Limit))
	return v
}

// report writes what is asked for. Before that it says to counted how many rows or lines there are, and whether there are
// more lines beyond the limit.
func (q usageQuery) report(ctx context.Context, w io.Writer, source ledger.Source, counted func(rows int, more bool)) error {
	if q.lines {
		limit := q.Limit
		q.Limit++
		lines, err := source.Lines(ctx, q.Query)
		if err != nil {
			return err
		}
		more := len(lines) > limit
		lines = lines[:min(len(lines), limit)]
		counted(len(lines), more)
		return ledger.WriteLines(w, lines, q.format)
	}
	rows, err := q.rows(ctx, source)
	if err != nil {
		return err
	}
	counted(len(rows), false)
	return ledger.WriteRows(w, rows, q.by, q.format)
}

// rows are those of a report.
func (q usageQuery) rows(ctx context.Context, source ledger.Source) ([]ledger.Row, error) {
	totals, err := source.Totals(ctx, q.Query)
	if err != nil {
		return nil, err
	}
	return ledger.Rows(ledger.Summarise(totals, q.by)), nil
}

// Interface guards
var (
	_ caddy.AdminRouter = (*adminAPI)(nil)
)

// usageSource is where reports are made from.
func (a *App) usageSource() ledger.Source { return a.ledger }
