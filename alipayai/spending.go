package alipayai

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
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
}

// Ledger takes lines. Record must not block.
type Ledger interface {
	Record(l ledger.Line)
}

// otherModel stands for a model that a client has named and nothing else has.
const otherModel = "other"

// Cost is what one attempt has cost, or may have.
type Cost struct {
	ledger.Line
	// Label is the model, if the configuration names it, and "other" if not: a label of
	// metrics that no client chooses.
	Label string
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

// prompt is what a call asks, counted once.
type prompt struct {
	counted bool
	text    price.Text
}

// promptText counts the call's texts.
func (c *call) promptText() price.Text {
	if !c.prompt.counted {
		c.prompt.counted = true
		for _, text := range c.Request.Texts() {
			c.prompt.text.Add(text.Value)
		}
	}
	return c.prompt.text
}

// charge is an attempt that is under way.
type charge struct {
	provider *upstream.Provider
	priced   *Priced
	price    *price.Price // nil where it is not known
	began    time.Time
	// quoted is what the attempt should cost, by an estimate.
	quoted price.Amount
	// bytes bound the tokens of the prompt, without its images, and most is the most
	// that the attempt may cost.
	bytes    int64
	most     price.Amount
	limits   []budget.Limit
	reserved []reserved
}

// reserved is what is reserved for an attempt: one part, or that of each call of a pack.
type reserved struct {
	*budget.Reservation
	most price.Amount // in the price's currency
}

// end ends the reservations: spent is what the attempt has cost, in the price's currency. Each has a part by what
// it reserved, so that no part is more than that where the whole is not: they may be of different windows.
func (s *Spending) end(q *charge, spent price.Amount) {
	if len(q.reserved) == 0 {
		return
	}
	weights := make([]int64, len(q.reserved))
	for i, r := range q.reserved {
		weights[i] = int64(min(r.most, budget.MaxAmount))
	}
	for i, part := range pack.Divide(int64(spent), weights) {
		q.reserved[i].Settle(s.inBudgets(q, price.Amount(part)))
	}
}

// release ends the reservations of what was not sent.
func (q *charge) release() {
	for _, r := range q.reserved {
		r.Release()
	}
}

// paidAttempt is attempt, with what it costs reserved before and charged after it.
func (c *call) paidAttempt(p *upstream.Provider, body []byte) (*Answer, *failure.Failure) {
	if c.g.Spending == nil || c.Endpoint == upstream.EndpointModels {
		return c.attempt(p, body)
	}
	if c.pack != nil && !c.pack.left {
		c.charge = c.quote(p, body) // until its calls are known, and what they have reserved: see cover
	} else if f := c.reserve(p, body); f != nil {
		return nil, f
	}
	a, f := c.attempt(p, body)
	switch {
	case f == nil && a.stream != nil: // when it ends
	case f == nil && a.Status < http.StatusBadRequest:
		c.chargeUsage(a.usage, int64(a.body.Len())/bytesPerToken, ledger.Known)
	case f == nil, !f.Sent, !f.MayHaveExecuted():
		c.chargeNothing()
	default:
		c.chargeMost()
	}
	return a, f
}

// quote makes the charge of an attempt with that body, of which nothing is reserved yet.
func (c *call) quote(p *upstream.Provider, body []byte) *charge {
	s := c.g.Spending
	priced := s.Providers[p.Name]
	q := &charge{provider: p, priced: priced, price: priced.Of(p.UpstreamModel(c.Request.Model)), began: c.g.Now()}
	if !c.comparison {
		q.limits = s.limitsOf(c.Tenant)
	}
	// The request has more bytes than the prompt has tokens, in whichever form it goes:
	// what stands around the texts is more than what a model's template puts there.
	q.bytes = int64(max(len(body), len(c.Request.Body)) - c.Request.ImageBytes)
	if q.price == nil {
		return q
	}
	text := c.promptText()
	q.most = q.price.Bound(price.Asked{
		Bytes: q.bytes, Images: int64(c.Request.Images), Characters: text.Characters(),
		MaxTokens: c.Request.MaxTokens, N: c.Request.N,
	})
	q.quoted = q.price.Of(price.Used{
		Prompt: priced.Estimate.Tokens(text), Characters: text.Characters(),
		Completion: max(c.Request.N, 1) * cmp.Or(c.Request.MaxTokens, priced.Estimate.Answer()),
	}).Amount
	return q
}

// quoteInPack is quote for the call's part of a pack, whatever other calls are in it.
func (c *call) quoteInPack(p *upstream.Provider) *charge {
	q := c.quote(p, nil)
	if q.price == nil {
		return q
	}
	bytes, tokens := c.packable.Added()
	asked := price.Asked{Bytes: q.bytes + bytes, Characters: c.promptText().Characters(), MaxTokens: c.Request.MaxTokens}
	if asked.MaxTokens > 0 {
		asked.MaxTokens += tokens
	}
	q.most = q.price.Bound(asked)
	return q
}

// cover makes what the calls of a pack have reserved the pack's. Together that covers the most that it may cost,
// or the pack does not leave: a dearer rate of long prompts, say, may hold for it alone.
func (g *group) cover() *failure.Failure {
	c := g.call
	if c.charge == nil {
		return nil
	}
	q := c.quote(g.p, g.body)
	q.began, c.charge = c.charge.began, q
	c.outcome.Quoted = c.charge.quotedText()
	if len(q.limits) == 0 {
		return nil
	}
	var most price.Amount
	for _, m := range g.members {
		most = most.Plus(m.charge.most)
	}
	if q.most > most {
		g.alone = aloneBudget
		return failure.Limited(failure.CodeTenantBudget, "the calls of a pack have not reserved as much as it may cost", 0)
	}
	for _, m := range g.members {
		q.reserved = append(q.reserved, m.charge.reserved...)
		m.charge = nil
	}
	return nil
}

func (q *charge) quotedText() string {
	if q.price == nil {
		return ""
	}
	return q.quoted.String() + " " + string(q.price.Currency)
}

// reserve reserves what an attempt may cost at most.
func (c *call) reserve(p *upstream.Provider, body []byte) *failure.Failure {
	q := c.quote(p, body)
	c.outcome.Quoted = q.quotedText()
	f := c.hold(q)
	switch {
	case f == nil:
		c.charge = q
	case !f.ClientGone:
		c.g.Observer.Rejected(p.Name, f.Code)
		if f.OverBudget() && c.unaffordable == nil {
			to, first := q.limits[0].Currency, *f
			c.unaffordable = &unaffordable{c.g.Spending.Exchange.Convert(q.quoted, q.price.Currency, to), to, &first}
		}
	}
	return f
}

// hold reserves the most that q may cost of the tenant's budgets.
func (c *call) hold(q *charge) *failure.Failure {
	s, p := c.g.Spending, q.provider
	if len(q.limits) > 0 {
		if q.price == nil {
			return failure.Misconfigured(failure.CodePriceUnknown, "the model has no price at provider "+p.Name+", so that no budget can be kept for it", nil)
		}
		r, err := s.Budgets.Reserve(c.ctx, c.Tenant, q.limits, s.inBudgets(q, q.most))
		if err != nil {
			return c.overBudget(err)
		}
		q.reserved = []reserved{{r, q.most}}
	}
	return nil
}

// inBudgets converts an amount of the price's currency to those of the budgets.
func (s *Spending) inBudgets(q *charge, a price.Amount) []price.Amount {
	amounts := make([]price.Amount, len(q.limits))
	for i, l := range q.limits {
		amounts[i] = s.Exchange.Convert(a, q.price.Currency, l.Currency)
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
func (c *call) dearer(p *upstream.Provider) *failure.Failure {
	if c.unaffordable == nil {
		return nil
	}
	q := c.quote(p, nil)
	if q.price == nil || c.g.Spending.Exchange.Convert(q.quoted, q.price.Currency, c.unaffordable.currency) < c.unaffordable.quoted {
		return nil
	}
	own := *c.unaffordable.f
	c.g.Observer.Rejected(p.Name, own.Code)
	return &own
}

// overBudget makes the failure of an attempt that the tenant's budget does not permit.
func (c *call) overBudget(err error) *failure.Failure {
	if c.ctx.Err() != nil {
		return failure.OfTransport(c.ctx, c.ctx, err, false)
	}
	f := failure.Unavailable(failure.CodeBudgetUnavailable, "your budget at this gateway cannot be asked just now, so that nothing is sent")
	f.Cause = err
	if exceeded, ok := errors.AsType[*budget.ExceededError](err); ok {
		f = failure.Limited(failure.CodeTenantBudget, "your budget at this gateway does not cover what this call may cost", exceeded.RetryAfter)
		f.NoRetry = exceeded.RetryAfter > time.Minute // which no client waits
	}
	return f
}

// chargeNothing ends an attempt that was not served.
func (c *call) chargeNothing() {
	q := c.charge
	if c.charge = nil; q != nil {
		q.release()
	}
}

// chargeMost ends an attempt of which it is not known whether it was served: all that it
// may cost stays charged.
func (c *call) chargeMost() {
	q := c.charge
	if c.charge = nil; q == nil {
		return
	}
	c.g.Spending.end(q, q.most)
	line := c.line(q, ledger.Unknown)
	if q.price != nil {
		line.Amount = q.most
	}
	c.note(q, line)
}

// chargeUsage ends an attempt that was served, with the usage that the provider has
// reported; answer is what the answer has, as an estimate, where it has reported none.
func (c *call) chargeUsage(u wire.Usage, answer int64, outcome ledger.Outcome) {
	q := c.charge
	if c.charge = nil; q == nil {
		return
	}
	text := c.promptText()
	known, estimated := c.plausible(u, max(c.answered, answer*bytesPerToken))
	used := price.Used{
		Prompt: known.Prompt, Cached: known.Cached, Written: known.Written, Completion: known.Completion,
		Characters: text.Characters(),
	}
	switch {
	case !u.OK || estimated:
		used = price.Used{Prompt: q.priced.Estimate.Tokens(text), Completion: answer, Characters: text.Characters()}
		outcome = ledger.Estimated
	case outcome == ledger.Known:
		q.priced.Estimate.Learn(text, used.Prompt, used.Completion)
	default: // the client left: the last report may be of what had come by then
		used.Completion = max(used.Completion, answer)
	}
	line := c.line(q, outcome)
	line.Prompt, line.Cached, line.Completion = used.Prompt, used.Cached, used.Completion
	line.Characters = used.Characters
	if q.price == nil {
		c.note(q, line)
		return
	}
	charged := q.price.Of(used)
	line.Amount, line.Floor, line.Characters = charged.Amount, charged.Floor, charged.Characters
	spent := charged.Amount
	if outcome == ledger.Estimated && q.reserved != nil {
		// A budget is never short: what is not known counts as the most that it can be.
		spent = max(spent, min(q.most, q.price.Of(price.Used{
			Prompt: max(used.Prompt, q.bytes), Completion: max(used.Completion, answer*bytesPerToken), Characters: used.Characters,
		}).Amount))
	}
	c.g.Spending.end(q, spent)
	c.note(q, line)
}

// chargeStream ends the attempt of a stream: by its usage where it is whole, by what was
// delivered where the client has left, and by all that it may cost where it broke off.
func (c *call) chargeStream(s *stream) {
	answer := s.content / bytesPerToken
	if s.content == 0 {
		answer = s.contentEvents // a token each, where the format tells no more
	}
	switch {
	case c.charge == nil:
	case s.done:
		c.chargeUsage(s.usage, answer, ledger.Known)
	case s.broken != nil && !s.broken.ClientGone:
		c.chargeMost()
	default:
		c.chargeUsage(s.usage, answer, ledger.Estimated)
	}
}

// ComparisonTenant stands in the ledger for the operator, who pays for what is asked to compare answers of packs. It
// is a name that a user is not likely to have; one that has it shares those lines, and no budget.
const ComparisonTenant = "(comparisons)"

// line is what the ledger has of every attempt.
func (c *call) line(q *charge, outcome ledger.Outcome) ledger.Line {
	model := q.provider.UpstreamModel(c.Request.Model)
	l := ledger.Line{
		Time: q.began, RequestID: c.outcome.RequestID, Tenant: c.Tenant, Provider: q.provider.Name, Model: otherModel,
		PackedWith: c.PackedWith, Outcome: outcome,
	}
	if c.comparison {
		l.Tenant = ComparisonTenant
	}
	if q.price != nil {
		l.Currency = q.price.Currency
	}
	if q.priced.Names(model) || q.priced.Models[model] {
		l.Model = model
	}
	return l
}

// note passes a line on.
func (c *call) note(q *charge, l ledger.Line) {
	label := otherModel
	if q.priced.Models[l.Model] {
		label = l.Model
	}
	cost := Cost{Line: l, Label: label}
	c.outcome.Costs = append(c.outcome.Costs, cost)
	c.g.Observer.Charged(cost)
	if c.g.Spending.Ledger != nil {
		c.g.Spending.Ledger.Record(l)
	}
}

// settleSpending ends what is still under way when a call is settled: a panic broke it off.
func (c *call) settleSpending() {
	if c.charge != nil {
		c.chargeMost()
	}
}

// cost writes what the call's attempts have cost altogether, as "0.03 CNY"; with
// ";at_most" where that of one is not known. It is empty where no price is known.
func (c *call) cost() string {
	if c.g.Spending == nil {
		return ""
	}
	if c.outcome.Stored != "" && len(c.outcome.Costs) == 0 {
		return "0"
	}
	var costs []ledger.Line // one for each currency
	for _, cost := range c.outcome.Costs {
		if cost.Currency == "" {
			continue
		}
		i := slices.IndexFunc(costs, func(l ledger.Line) bool { return l.Currency == cost.Currency })
		if i < 0 {
			costs = append(costs, cost.Line)
			continue
		}
		costs[i].Amount = costs[i].Amount.Plus(cost.Amount)
		if cost.Outcome == ledger.Unknown {
			costs[i].Outcome = ledger.Unknown
		}
	}
	texts := make([]string, len(costs))
	for i, l := range costs {
		texts[i] = l.Amount.String() + " " + string(l.Currency)
		if l.Outcome == ledger.Unknown {
			texts[i] += ";at_most"
		}
	}
	return strings.Join(texts, ", ")
}

// costSoFar is cost, where nothing more is to come.
func (c *call) costSoFar() string {
	if c.charge != nil {
		return ""
	}
	return c.cost()
}
