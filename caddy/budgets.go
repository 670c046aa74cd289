package alipaycaddy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/asked"
	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Budget is the most that a tenant may spend in a window of time.
type Budget struct {
	// The tenant; `*` stands for each of all that have no budget of their own. Required.
	Tenant string `json:"tenant,omitempty"`

	// The most that may be spent in a window, as a decimal; at most nine million. Required.
	Amount string `json:"amount,omitempty"`

	// The currency's code. Prices in others need a `rate`. Required.
	Currency string `json:"currency,omitempty"`

	// `day` or `month`, of the calendar, or a duration of a minute or more such as `1d`,
	// whose windows follow each other since 1970-01-01 in UTC. Required.
	Window string `json:"window,omitempty"`

	// The time zone of a calendar window, such as `Asia/Shanghai`. Default: `UTC`
	Zone string `json:"zone,omitempty"`
}

// limit makes the domain's limit.
func (c *Budget) limit() (l budget.Limit, err error) {
	if c.Tenant == "" {
		return l, errors.New("tenant is missing")
	}
	if l.Amount, err = price.ParseAmount(c.Amount); err != nil {
		return l, fmt.Errorf("amount %q %w", c.Amount, err)
	}
	if l.Amount == 0 {
		return l, errors.New("an amount of 0 permits nothing; write the most that may be spent, or give the tenant no key")
	}
	if l.Amount > budget.MaxAmount {
		return l, fmt.Errorf("amount %s is more than %s, the most that is counted exactly", c.Amount, budget.MaxAmount)
	}
	if l.Currency, err = price.ParseCurrency(c.Currency); err != nil {
		return l, err
	}
	zone, err := parseZone(c.Zone)
	if err != nil {
		return l, err
	}
	switch c.Window {
	case "day":
		l.Window = budget.Day(zone)
	case "month":
		l.Window = budget.Month(zone)
	default:
		d, err := caddy.ParseDuration(c.Window)
		if err != nil || d <= 0 {
			return l, fmt.Errorf("window %q is neither day nor month nor a duration like 1d", c.Window)
		}
		if c.Zone != "" {
			return l, fmt.Errorf("window %s has no time zone; only day and month have one", c.Window)
		}
		if l.Window, err = budget.Every(d); err != nil {
			return l, err
		}
	}
	return l, nil
}

// provisionSpending says what calls cost, and what tenants may spend; nil where it is not kept account of.
func (h *Proxy) provisionSpending(app *App) (*alipayai.Spending, error) {
	if app.priced == nil {
		if len(h.Budgets) > 0 {
			return nil, errors.New("budget: no provider has a price; give each a price, or name a prices file")
		}
		return nil, nil
	}
	s := app.spending(&h.acquired)
	if len(h.Budgets) == 0 {
		return s, nil
	}
	s.Limits = make(map[string][]budget.Limit)
	for _, b := range h.Budgets {
		l, err := b.limit()
		if err != nil {
			return nil, fmt.Errorf("budget of tenant %s: %w", b.Tenant, err)
		}
		if err := h.checkPrices(app, l.Currency); err != nil {
			return nil, fmt.Errorf("budget of tenant %s: %w", b.Tenant, err)
		}
		app.warnings.tenant("budget", b.Tenant)
		if slices.ContainsFunc(s.Limits[b.Tenant], func(o budget.Limit) bool { return o.Window.String() == l.Window.String() }) {
			return nil, fmt.Errorf("budget of tenant %s for window %s is given twice", b.Tenant, l.Window)
		}
		s.Limits[b.Tenant] = append(s.Limits[b.Tenant], l)
	}
	s.DefaultLimits = s.Limits[anyTenant]
	state, release := app.acquireBudgets()
	h.acquired.add(release)
	s.Budgets = state.Budgets
	app.boundAsked(s)
	return s, nil
}

// asks gives what keeps account of models of p that are asked on tenants' behalf before their calls are sent; who asks
// them. They are paid by the tenants, within the budgets that the handlers give them: see boundAsked.
func (a *accounts) asks(p *upstream.Provider, who string) *alipayai.Spending {
	if a.priced == nil {
		return nil
	}
	if a.asked == nil {
		a.asked = a.spending(&a.acquired)
	}
	a.askedBy[p.Name] = who
	return a.asked
}

// models makes what asks p for the gateway itself, each time for as long as deadline at most. who asks is what alerts call
// it; spending keeps account of it.
func (a *accounts) models(p *upstream.Provider, who string, deadline time.Duration, spending *alipayai.Spending) (asked.Models, error) {
	a.sites[who] = true
	g := &alipayai.Gateway{
		Providers: []*upstream.Provider{p}, Breakers: a.breakers, Deadline: deadline, Spending: spending,
		AllowCrossRegion: true, // the directives behind it permit or refuse
		Observer:         observer{metrics: a.metrics, monitor: a.monitor, logger: a.logger, site: who},
	}
	return asked.Models{Gateway: g}, g.Prepare()
}

// boundAsked holds the models that are asked on tenants' behalf to the budgets of s as well. Which handler serves a call
// is not known yet when a matcher or a moderator asks for it: of the budgets that handlers give a tenant for the same
// windows the smallest holds, so that none is exceeded. Handlers are provisioned one after the other, before any serves.
func (a *accounts) boundAsked(s *alipayai.Spending) {
	if a.asked == nil {
		return
	}
	if a.asked.Budgets == nil {
		state, release := a.acquireBudgets()
		a.acquired.add(release)
		a.asked.Budgets = state.Budgets
	}
	a.budgeted = append(a.budgeted, s)
	limits := make(map[string][]budget.Limit)
	for _, each := range a.budgeted {
		for tenant := range each.Limits {
			limits[tenant] = nil
		}
	}
	for tenant := range limits {
		limits[tenant] = leastLimits(a.budgeted, tenant)
	}
	a.asked.Limits, a.asked.DefaultLimits = limits, limits[anyTenant]
}

// leastLimits gives the smallest of a tenant's budgets for each currency and window.
func leastLimits(of []*alipayai.Spending, tenant string) (least []budget.Limit) {
	for _, s := range of {
		own, ok := s.Limits[tenant]
		if !ok {
			own = s.DefaultLimits
		}
		for _, l := range own {
			i := slices.IndexFunc(least, func(o budget.Limit) bool { return o.Currency == l.Currency && o.Window.String() == l.Window.String() })
			if i < 0 {
				least = append(least, l)
				continue
			}
			least[i].Amount = min(least[i].Amount, l.Amount)
		}
	}
	return least
}

// spending keeps account of what calls cost; nil where that is not wanted. Calls outlive
// their configuration, and so must what takes their lines, which to is to give back.
func (a *accounts) spending(to *acquired) *alipayai.Spending {
	if a.priced == nil {
		return nil
	}
	s := &alipayai.Spending{Providers: a.priced, Exchange: a.exchange}
	if a.ledger != nil {
		state, release := a.acquireLedger()
		to.add(release)
		s.Ledger = state
	}
	return s
}

// checkPrices refuses a budget that cannot be kept at each provider that may be asked on a tenant's behalf: by the
// handler, by its canary, by a moderator or for intents.
func (h *Proxy) checkPrices(app *App, to price.Currency) error {
	for _, name := range h.names() {
		if err := app.checkPrice(name, "", to); err != nil {
			return err
		}
	}
	if h.Canary != nil {
		if err := app.checkPrice(h.Canary.Candidate, "", to); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(app.askedBy)) {
		if err := app.checkPrice(name, ", which "+app.askedBy[name]+" asks,", to); err != nil {
			return err
		}
	}
	return nil
}

// checkPrice refuses a provider without a price, and one whose price cannot be converted.
func (a *accounts) checkPrice(name, asked string, to price.Currency) error {
	book := &a.priced[name].Book
	if book.Empty() {
		return fmt.Errorf("provider %s%s has no price; give it one, or price * for all of its models", name, asked)
	}
	for _, from := range book.Currencies() {
		if !a.exchange.Converts(from, to) {
			return fmt.Errorf("provider %s%s has prices in %s; write rate %s %s <number> into the alipayai global option", name, asked, from, from, to)
		}
	}
	return nil
}

// budgetState is the pooled state of budgets.
type budgetState struct {
	once sync.Once
	*budget.Budgets
	shared sharedBudgets // nil where replicas share nothing
	// release gives back what the state is kept in.
	release func()
}

// giveBackTime is how long the end of a process waits for what it gives back.
const giveBackTime = time.Second

// Destruct gives back what was taken and not spent, when no configuration uses it.
func (s *budgetState) Destruct() error {
	if s.Budgets == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), giveBackTime)
	defer cancel()
	if s.shared != nil {
		_ = s.shared.Close()
	}
	s.Trim(ctx, func(budget.Key) bool { return true })
	s.release()
	return nil
}

// acquireBudgets gives the budgets, which survive reloads. They are counted in
// what replicas share, and else in the ledger's file.
func (a *accounts) acquireBudgets() (*budgetState, func()) {
	where := ""
	if a.ledger != nil {
		where = a.ledger.path
	}
	state, release := acquire[budgetState]("budgets", a.store.identity, where)
	state.once.Do(func() {
		state.release = func() {}
		if state.shared = a.store.budgets(); state.shared != nil {
			state.release = a.store.hold()
			state.Budgets = budget.New(state.shared, time.Now)
			return
		}
		if a.ledger == nil {
			state.Budgets = budget.New(budget.Memory{}, time.Now)
			return
		}
		kept, releaseLedger := a.acquireLedger()
		state.release = releaseLedger
		state.Budgets = budget.New(budget.NewFile(kept), time.Now)
	})
	a.budgets = state.Budgets
	if state.shared != nil {
		a.opens = append(a.opens, func() { state.shared.Start(state.Budgets) })
	}
	return state, release
}

// unmarshalBudget reads `budget <tenant>|* <amount> <currency> <window> [<zone>]`.
func (h *Proxy) unmarshalBudget(d *caddyfile.Dispenser) error {
	given := d.RemainingArgs()
	if len(given) != 4 && len(given) != 5 || slices.Contains(given, "") {
		return errArguments
	}
	b := &Budget{Tenant: given[0], Amount: given[1], Currency: given[2], Window: given[3]}
	if len(given) == 5 {
		b.Zone = given[4]
	}
	l, err := b.limit()
	if err != nil {
		return d.Errf("budget of tenant %s: %v", b.Tenant, err)
	}
	for _, other := range h.Budgets {
		if o, err := other.limit(); err == nil && other.Tenant == b.Tenant && o.Window.String() == l.Window.String() {
			return d.Errf("budget of tenant %s for window %s is given twice", b.Tenant, strings.Join(given[3:], " "))
		}
	}
	h.Budgets = append(h.Budgets, b)
	return nil
}
