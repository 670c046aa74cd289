package budget

import (
	"encoding/json"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// State is how much of a budget is spent and may be, for operators.
type State struct {
	Key
	// End is when the window ends.
	End time.Time
	// Limit is the most that may be spent, as it was asked for last, and Left what calls may still reserve of it, as far
	// as this process knows.
	Limit, Left price.Amount
	// Used is what this process has counted as spent, Open what calls in flight may
	// cost, and Taken what this process has taken of the budget; Others what others
	// had taken when they were last heard of.
	Used, Open, Taken, Others price.Amount
}

// MarshalJSON gives it as operators read it: amounts are decimals in the budget's currency, and times in UTC.
func (s State) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Tenant    string    `json:"tenant"`
		Currency  string    `json:"currency"`
		Window    string    `json:"window"`
		Begins    time.Time `json:"begins"`
		Ends      time.Time `json:"ends"`
		Limit     string    `json:"limit"`
		Left      string    `json:"left"`
		Used      string    `json:"used"`
		InFlight  string    `json:"in_flight"`
		Elsewhere string    `json:"elsewhere"`
	}{
		s.Tenant, string(s.Currency), s.Window, time.Unix(s.Begin, 0).UTC(), s.End.UTC(),
		s.Limit.String(), s.Left.String(), s.Used.String(), s.Open.String(), s.Others.String(),
	})
}

// States gives the budgets of the windows that are now.
func (b *Budgets) States() []State {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	var states []State
	for key, a := range b.accounts {
		if now.After(a.end) || now.Before(a.begin) {
			continue
		}
		a.mu.Lock()
		states = append(states, State{Key: key, End: a.end, Limit: a.last.Amount, Left: a.leftOf(a.last.Amount), Used: a.used, Open: a.open, Taken: a.taken, Others: a.others})
		a.mu.Unlock()
	}
	return states
}
