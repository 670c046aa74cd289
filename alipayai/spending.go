package alipayai

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Spending knows what calls cost, keeps a ledger of it, and holds tenants to budgets.
//
// Before each attempt the most that it may cost is reserved of the tenant's budgets;
// where they do not permit it, the next provider is asked. After the attempt what it has
// cost takes the place of that, and a line is left in the ledger: by the usage that the
// provider reports, or by an estimate where there is none; where it is not known whether
// the attempt was served, all that was reserved stays charged. An attempt that provably
// was not served costs nothing and leaves no line, nor does an answer that is given again.
type Spending struct {
	// Providers are the prices of each provider, by its name.
	Providers map[string]*Priced
	// Ledger takes the lines; nil for none.
	Ledger Ledger
	// Budgets count what tenants spend; nil for no budgets. Limits are those of tenants
	// by name, and DefaultLimits those of each of all others.
	Budgets       *budget.Budgets
	Limits        map[string][]budget.Limit
	DefaultLimits []budget.Limit
	// Exchange converts prices to the currencies of budgets.
	Exchange *price.Exchange
}

// Priced is what a provider's models cost.
type Priced struct {
	price.Book
	// Estimate knows how many tokens texts have there; it outlives configurations.
	Estimate *price.Estimate
	// Models are those that the configuration names, by the provider's names: a client
	// may choose others.
	Models map[string]bool
	// Others are those besides that have answered, which outlive configurations too; nil for none.
	Others *price.Models
	// Charges is the currency in which the provider says what calls have cost; empty where it does not. That comes before the
	// prices of a file, and of all models.
	Charges price.Currency
}

// Ledger takes lines. Its methods must not block.
type Ledger interface {
	// Begin notes an attempt that is about to leave, by the line that it leaves where the process ends before it. The
	// others take the number that it gives.
	Begin(l ledger.Line) (number uint64)
	// End takes the line of an attempt, and Forget notes that it needs none.
	End(number uint64, l ledger.Line)
	Forget(number uint64)
}

// otherModel stands for a model that a client has named and nothing else has, unless it is one of the first that
// answered: see price.Models.
const otherModel = "other"

// Cost is what one attempt has cost, or may have.
type Cost struct {
	ledger.Line
	// Label is the model, if the configuration names it, and "other" if not: a label of
	// metrics that no client chooses.
	Label string
}

// currencies are those of p's prices, sorted; none where it has none.
func (s *Spending) currencies(p *upstream.Provider) (names []string) {
	if s == nil || s.Providers[p.Name] == nil {
		return nil
	}
	for _, currency := range s.Providers[p.Name].Currencies() {
		names = append(names, string(currency))
	}
	return names
}

func (s *Spending) limitsOf(tenant string) []budget.Limit {
	if s.Budgets == nil {
		return nil
	}
	if limits, ok := s.Limits[tenant]; ok {
		return limits
	}
	return s.DefaultLimits
}

// account is what a call costs. It reserves what an attempt may cost, charges what it has cost, and adds it up in the call's
// outcome.
type account struct {
	spending *Spending // nil: nothing is known of costs
	observer Observer
	now      func() time.Time
	in       *Call
	out      *Outcome

	// payer is whom the ledger names in the place of the tenant, and who has no budget; empty for the tenant.
	payer string
	// prompt is what the call asks; see text.
	prompt prompt
	// charge is the attempt that is under way; nil for none.
	charge *charge
	// unaffordable is what the tenant's budget did not permit; nil for nothing.
	unaffordable *unaffordable
	// unbounded is the provider that the request goes to without its max_tokens; nil for none.
	unbounded *upstream.Provider
}

// begin makes a the account of a call at g.
func (a *account) begin(g *Gateway, in *Call, out *Outcome) {
	a.spending, a.observer, a.now, a.in, a.out = g.Spending, g.Observer, g.Now, in, out
}

// limited reports whether a budget holds the call.
func (a *account) limited() bool { return a.spending != nil && len(a.limits()) > 0 }

func (a *account) limits() []budget.Limit {
	if a.payer != "" {
		return nil
	}
	return a.spending.limitsOf(a.in.Tenant)
}

// prompt is what a call asks, counted once.
type prompt struct {
	counted bool
	text    price.Text
}

// text counts the call's texts.
func (a *account) text() price.Text {
	if !a.prompt.counted {
		a.prompt = prompt{true, textOf(a.in.Request)}
	}
	return a.prompt.text
}

// textOf counts the texts of a request.
func textOf(r wire.Request) (sum price.Text) {
	for _, text := range r.Texts() {
		sum.Add(text.Value)
	}
	return sum
}

// paidAttempt is attempt, with what it costs reserved before and charged after it. The body has chosen how it is served.
func (q at) paidAttempt(body []byte, chosen wire.Serving) (*Answer, *failure.Failure) {
	if q.g.Spending == nil || !q.Endpoint.Costs() {
		return q.attempt(body)
	}
	if g := q.packing.group; g != nil && !g.left {
		q.account.charge = q.account.quote(q.p) // until its calls are known, and what they have reserved: see cover
	} else if f := q.account.reserve(q.ctx, q.p, body, chosen); f != nil {
		return nil, f
	}
	a, f := q.attempt(body)
	switch {
	case f == nil && a.stream != nil: // when it ends
	case f == nil && a.Status < http.StatusBadRequest:
		q.account.used(a.usage, a.generated(q.Endpoint, q.taken.answered), ledger.Known)
	case f == nil, !f.Sent, !f.MayHaveExecuted(), f.RefusedUnread():
		q.account.nothing()
	case f.Used.OK && f.Used.Total > 0:
		q.account.used(f.Used, generated{}, ledger.Known)
	default:
		q.account.most()
	}
	return a, f
}

// chargeRefused ends the attempt of a whole answer that a guard refuses: it was generated, and is paid for.
func (c *call) chargeRefused(a *Answer) {
	c.outcome.Usage, c.taken.answered = a.usage, int64(a.body.Len())
	answer := a.generated(c.Endpoint, c.taken.answered)
	if !a.usage.OK {
		c.taken.estimate(c.Request, answer.textTokens())
	}
	c.account.used(a.usage, answer, ledger.Known)
}

// reserve reserves what an attempt may cost at most.
func (a *account) reserve(ctx context.Context, p *upstream.Provider, body []byte, chosen wire.Serving) *failure.Failure {
	q := a.quoteOf(p, body, chosen)
	a.out.Quoted = q.quotedText()
	f := a.hold(ctx, q)
	switch {
	case f == nil:
		a.charge = q
	case !f.ClientGone:
		a.observer.Rejected(p.Name, f.Code)
		if f.OverBudget() && a.unaffordable == nil {
			to, first := q.limits[0].Currency, *f
			a.unaffordable = &unaffordable{a.spending.Exchange.Convert(q.quoted, q.Price.Currency, to), to, &first}
		}
	}
	return f
}

// hold reserves the most that q may cost of the tenant's budgets.
func (a *account) hold(ctx context.Context, q *charge) *failure.Failure {
	s, p := a.spending, q.provider
	if len(q.limits) > 0 && !q.isFree() {
		switch {
		case q.Price == nil:
			return failure.Misconfigured(failure.CodePriceUnknown, "the model has no price at provider "+p.Name+", so that no budget can be kept for it", nil)
		case q.Dearer:
			return failure.Misconfigured(failure.CodePriceUnknown, "a service tier or another model that the request lets the provider choose has no price at provider "+p.Name+", so that no budget can be kept for it", nil)
		}
		r, err := s.Budgets.Reserve(ctx, a.in.Tenant, q.limits, s.inBudgets(q, q.Most))
		if err != nil {
			return overBudget(ctx, err)
		}
		q.reserved = []reserved{{r, q.Most}}
	}
	return nil
}

// inBudgets converts an amount of the price's currency to those of the budgets.
func (s *Spending) inBudgets(q *charge, a price.Amount) []price.Amount {
	amounts := make([]price.Amount, len(q.limits))
	for i, l := range q.limits {
		amounts[i] = s.Exchange.Convert(a, q.Price.Currency, l.Currency)
	}
	return amounts
}

// unaffordable is the first attempt of a call that its tenant's budget did not permit.
type unaffordable struct {
	quoted   price.Amount
	currency price.Currency
	f        *failure.Failure
}

// dearer gives the failure of a provider that the call is not sent to: once the budget has not permitted a
// provider, only those are asked that should cost less, in the order of the directive. A provider whose price is
// not known says so by itself.
func (a *account) dearer(p *upstream.Provider) *failure.Failure {
	if a.unaffordable == nil {
		return nil
	}
	q := a.quote(p)
	if q.Price == nil || a.spending.Exchange.Convert(q.quoted, q.Price.Currency, a.unaffordable.currency) < a.unaffordable.quoted {
		return nil
	}
	own := *a.unaffordable.f
	a.observer.Rejected(p.Name, own.Code)
	return &own
}

// overBudget makes the failure of an attempt that the tenant's budget does not permit.
func overBudget(ctx context.Context, err error) *failure.Failure {
	if ctx.Err() != nil {
		return failure.OfTransport(ctx, ctx, err, false)
	}
	f := failure.Unavailable(failure.CodeBudgetUnavailable, "your budget at this gateway cannot be asked just now, so that nothing is sent")
	if exceeded, ok := errors.AsType[*budget.ExceededError](err); ok {
		f = failure.Limited(failure.CodeTenantBudget, "your budget at this gateway does not cover what this call may cost", exceeded.RetryAfter)
		f.Message += fmt.Sprintf(": up to %s %s, and %s is left until %s; a smaller max_tokens may cost less",
			exceeded.Asked, exceeded.Limit.Currency, exceeded.Left, exceeded.End.UTC().Format(time.RFC3339))
		f.NoRetry = exceeded.RetryAfter > time.Minute // which no client waits
	}
	f.Cause = err
	return f
}

// Tenants of the ledger that stand for the operator, who pays for what is asked to compare answers of packs, to embed
// the examples of intents, of a shadow, and for suites. A user is not likely to have such a name; one that has shares those
// lines, and no budget.
const (
	ComparisonTenant = "(comparisons)"
	ExamplesTenant   = "(examples)"
	ShadowTenant     = "(shadow)"
	SuitesTenant     = "(suites)"
)

// line is what the ledger has of every attempt.
func (a *account) line(q *charge, outcome ledger.Outcome) ledger.Line {
	model := q.ServingModel()
	l := ledger.Line{
		Time: q.began, RequestID: a.out.RequestID, Tenant: cmp.Or(a.payer, a.in.Tenant), Provider: q.provider.Name, Model: otherModel,
		PackedWith: a.in.PackedWith, Outcome: outcome,
	}
	if q.Price != nil {
		l.Currency = q.Price.Currency
	}
	named := q.priced.Names(model) || q.priced.Models[model] || q.priced.Others.Has(model)
	if named || outcome == ledger.Known && q.priced.Others.Answered(model) {
		l.Model = model
	}
	return l
}

// note passes a line on.
func (a *account) note(q *charge, l ledger.Line) {
	label := otherModel
	if q.priced.Models[l.Model] {
		label = l.Model
	}
	cost := Cost{Line: l, Label: label}
	a.out.Costs = append(a.out.Costs, cost)
	a.observer.Charged(cost)
	if a.spending.Ledger != nil {
		a.spending.Ledger.End(q.number, l)
	}
}
