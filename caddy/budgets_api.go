package alipaycaddy

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// budgetsPath is where it is asked what is left of budgets.
const budgetsPath = "/alipayai/budgets"

// budgetRow is a tenant's budget in the window that is now. Amounts are decimals in the budget's currency.
type budgetRow struct {
	Tenant   string    `json:"tenant"`
	Currency string    `json:"currency"`
	Window   string    `json:"window"`
	Begins   time.Time `json:"begins"`
	Ends     time.Time `json:"ends"`
	Limit    string    `json:"limit"`
	// Left is what calls may still reserve.
	Left string `json:"left"`
	// Used is what this process has counted as spent, InFlight what its calls under way may cost, and Elsewhere what
	// other processes have taken, those before a restart included.
	Used      string `json:"used"`
	InFlight  string `json:"in_flight"`
	Elsewhere string `json:"elsewhere"`
}

// getBudgets answers GET /alipayai/budgets with the budgets that calls have asked since the process began.
func (a *adminAPI) getBudgets(w http.ResponseWriter, r *http.Request) error {
	switch {
	case r.Method != http.MethodGet:
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed; use GET")}
	case a.app == nil || a.app.budgets == nil:
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("no budget is configured")}
	}
	rows := []budgetRow{}
	for _, s := range a.app.budgets.States() {
		rows = append(rows, budgetRow{
			Tenant: s.Tenant, Currency: string(s.Currency), Window: s.Window,
			Begins: time.Unix(s.Begin, 0).UTC(), Ends: s.End.UTC(),
			Limit: s.Limit.String(), Left: s.Left.String(),
			Used: s.Used.String(), InFlight: s.Open.String(), Elsewhere: s.Others.String(),
		})
	}
	slices.SortFunc(rows, func(a, b budgetRow) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Window, b.Window), a.Begins.Compare(b.Begins))
	})
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(rows)
}
