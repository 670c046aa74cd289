package alipaycaddy

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/budget"
)

// budgetsPath is where it is asked what is left of budgets.
const budgetsPath = "/alipayai/budgets"

// getBudgets answers GET /alipayai/budgets with the budgets that calls have asked since the process began.
func (*adminAPI) getBudgets(w http.ResponseWriter, r *http.Request) error {
	app := running()
	switch {
	case r.Method != http.MethodGet:
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed; use GET")}
	case app == nil || app.budgets == nil:
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("no budget is configured")}
	}
	states := app.budgets.States()
	if states == nil {
		states = []budget.State{}
	}
	slices.SortFunc(states, func(a, b budget.State) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Window, b.Window), cmp.Compare(a.Begin, b.Begin))
	})
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(states)
}
