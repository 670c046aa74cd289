package alipaycaddy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
)

// usagePath is where usage is asked for.
const usagePath = "/alipayai/usage"

// usage answers GET /alipayai/usage. Its query has by (tenant, provider, model or day;
// or lines), from and to (days, as 2026-11-28), tenant, provider and model, limit (of
// lines), and format (json, csv or table).
func (*adminAPI) usage(w http.ResponseWriter, r *http.Request) error {
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

// usageSource is where reports are made from.
func (a *accounts) usageSource() ledger.Source { return a.ledger }

// budgetsPath is where it is asked what is left of budgets.
const budgetsPath = "/alipayai/budgets"

// budgets answers GET /alipayai/budgets with the budgets that calls have asked since the process began.
func (*adminAPI) budgets(w http.ResponseWriter, _ *http.Request) error {
	app := running()
	if app == nil || app.budgets == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("no budget is configured")}
	}
	states := app.budgets.States()
	if states == nil {
		states = []budget.State{}
	}
	slices.SortFunc(states, func(a, b budget.State) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Window, b.Window), cmp.Compare(a.Begin, b.Begin))
	})
	return writeJSON(w, states)
}
