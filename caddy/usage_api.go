package alipaycaddy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/caddy/command"
)

// usage answers GET /alipayai/usage with what calls have cost, as [command.ParseUsage] reads the query.
func (*adminAPI) usage(w http.ResponseWriter, r *http.Request) error {
	app := running()
	if app == nil || app.ledger == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("this gateway keeps no ledger; configure ledger, price or prices file")}
	}
	q, err := command.ParseUsage(r.URL.Query())
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	w.Header().Set("Content-Type", contentTypes[q.Format()])
	counted := func(rows int, more bool) {
		w.Header().Set(command.RowsHeader, strconv.Itoa(rows))
		if more {
			w.Header().Set(command.MoreHeader, "true")
		}
	}
	if err := q.Report(r.Context(), w, app.ledger, counted); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: fmt.Errorf("reading the ledger: %w", err)}
	}
	return nil
}

var contentTypes = map[ledger.Format]string{
	ledger.FormatJSON: "application/json", ledger.FormatCSV: "text/csv; charset=utf-8", ledger.FormatTable: "text/plain; charset=utf-8",
}

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
