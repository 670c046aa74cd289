package alipayai

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
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

// currencies are those of p's prices; none where it has none.
func (s *Spending) currencies(p *upstream.Provider) (names []string) {
	if s == nil || s.Providers[p.Name] == nil {
		return nil
	}
	for _, currency := range s.Providers[p.Name].Currencies() {
		names = append(names, string(currency))
	}
	slices.Sort(names)
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
	// model is the provider's name of what is asked.
	model string
	// price is the model's in the service tier that the request asks for, and base that in the vendor's own one; nil
	// where it is not known. others may answer in the model's place. dearer says that tier or others may cost more than
	// is known.
	price, base *price.Price
	tier        string
	others      []string
	dearer      bool
	// answered is which of others has answered; empty where the model has.
	answered string
	began    time.Time
	// number is the attempt's in the ledger, once it has begun there.
	number uint64
	// quoted is what the attempt should cost, by an estimate.
	quoted price.Amount
	// bytes bound the tokens of the prompt without its images, and images those that the images have. most is the most that
	// the attempt may cost.
	bytes, images int64
	most          price.Amount
	limits        []budget.Limit
	reserved      []reserved
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

// beginCharge notes in the ledger that the attempt is about to leave.
func (c *call) beginCharge() {
	q := c.charge
	if q == nil || q.number != 0 || c.g.Spending.Ledger == nil {
		return
	}
	q.number = c.g.Spending.Ledger.Begin(c.mostLine(q))
}

// release ends the reservations of what was not sent.
func (q *charge) release() {
	for _, r := range q.reserved {
		r.Release()
	}
}

// paidAttempt is attempt, with what it costs reserved before and charged after it. The body has chosen how it is served.
func (c *call) paidAttempt(p *upstream.Provider, body []byte, chosen wire.Serving) (*Answer, *failure.Failure) {
	if c.g.Spending == nil || !c.Endpoint.Costs() {
		return c.attempt(p, body)
	}
	if c.pack != nil && !c.pack.left {
		c.charge = c.quote(p) // until its calls are known, and what they have reserved: see cover
	} else if f := c.reserve(p, body, chosen); f != nil {
		return nil, f
	}
	a, f := c.attempt(p, body)
	switch {
	case f == nil && a.stream != nil: // when it ends
	case f == nil && a.Status < http.StatusBadRequest:
		c.chargeUsage(a.usage, c.generated(a), ledger.Known)
	case f == nil, !f.Sent, !f.MayHaveExecuted(), f.RefusedUnread():
		c.chargeNothing()
	default:
		c.chargeMost()
	}
	return a, f
}

// quote makes the charge of an attempt with the request as it was received, whose body for p is not known.
func (c *call) quote(p *upstream.Provider) *charge {
	return c.quoteOf(p, nil, wire.ServingOf(p.AsServed(c.received())))
}

// quoteOf makes the charge of an attempt with that body, of which nothing is reserved yet.
func (c *call) quoteOf(p *upstream.Provider, body []byte, chosen wire.Serving) *charge {
	s := c.g.Spending
	priced := s.Providers[p.Name]
	q := &charge{provider: p, priced: priced, model: p.UpstreamModel(c.Request.Model), began: c.g.Now()}
	q.base = priced.Of(q.model)
	if !c.comparison {
		q.limits = s.limitsOf(c.Tenant)
	}
	q.tier, q.others = chosen.Tier, chosen.Models
	// The request has more bytes than the prompt has tokens, in whichever form it goes:
	// what stands around the texts is more than what a model's template puts there.
	q.bytes = int64(max(len(body), len(c.Request.Body)) - c.Request.ImageBytes + p.Added())
	q.images = cmp.Or(q.base, new(price.Price)).LongestPrompt(price.Asked{Images: int64(c.Request.Images)})
	if q.base == nil {
		return q
	}
	own, known := q.base.In(q.tier)
	q.price, q.dearer = own, !known
	text := c.promptText()
	asked := price.Asked{
		Bytes: q.bytes, Images: int64(c.Request.Images),
		MaxTokens: c.maxTokens(p), N: p.Answers(c.Request.N), Silent: !c.Endpoint.Generates(),
	}
	if chosen.Searches {
		asked.Searches = cmp.Or(chosen.MaxSearches, price.DefaultSearches)
	}
	// A provider that has no room in a tier may serve in its own one.
	q.most = max(q.price.Bound(asked), q.base.Bound(asked))
	q.dearer = q.dearer || chosen.OwnTier || chosen.Unnamed
	if asked.MaxTokens > 0 { // else each may answer as long as it can
		asked.MaxTokens = max(asked.MaxTokens, chosen.MaxTokens)
	}
	for _, model := range q.others {
		other := priced.Of(model)
		if other == nil || other.Currency != q.base.Currency {
			q.dearer = true
			continue
		}
		in, known := other.In(q.tier)
		q.dearer = q.dearer || !known
		if bound := max(in.Bound(asked), other.Bound(asked)); q.chargesEach() {
			q.most = q.most.Plus(bound)
		} else {
			q.most = max(q.most, bound)
		}
	}
	q.quoted = q.price.Of(price.Used{
		Prompt: q.prompt(text), Characters: text.Characters(),
		Completion: c.expectedAnswer(p, priced.Estimate),
	}).Amount
	return q
}

// chargesEach reports whether the provider charges each model that has begun an answer, and not the last alone.
func (q *charge) chargesEach() bool { return q.provider.Format.Name() == wire.Anthropic }

// prompt estimates the tokens of a prompt: of its texts by what texts have taken lately, and of each image the most.
func (q *charge) prompt(text price.Text) int64 { return q.priced.Estimate.Tokens(text) + q.images }

// answers is how many answers p generates for the call: by its n, or one for each call of a pack; none where nothing is
// generated.
func (c *call) answers(p *upstream.Provider) int64 {
	if !c.Endpoint.Generates() {
		return 0
	}
	return max(p.Answers(c.Request.N), 1) * int64(1+c.PackedWith)
}

// maxTokens is the most that an answer of p's may have; 0 where the request does not say, or p is not given it.
func (c *call) maxTokens(p *upstream.Provider) int64 {
	if c.unbounded == p {
		return 0
	}
	return c.Request.MaxTokens
}

// expectedAnswer is how many tokens the call's answers should have together: as many as it permits each, or as answers have
// had lately. The max_tokens of a pack is that of all its calls.
func (c *call) expectedAnswer(p *upstream.Provider, e *price.Estimate) int64 {
	most := c.maxTokens(p)
	if most > 0 && c.PackedWith > 0 {
		return most
	}
	return c.answers(p) * cmp.Or(most, e.Answer())
}

func (q *charge) quotedText() string {
	if q.price == nil {
		return ""
	}
	return q.quoted.String() + " " + string(q.price.Currency)
}

// reserve reserves what an attempt may cost at most.
func (c *call) reserve(p *upstream.Provider, body []byte, chosen wire.Serving) *failure.Failure {
	q := c.quoteOf(p, body, chosen)
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
	if len(q.limits) > 0 && !q.isFree() {
		switch {
		case q.price == nil:
			return failure.Misconfigured(failure.CodePriceUnknown, "the model has no price at provider "+p.Name+", so that no budget can be kept for it", nil)
		case q.dearer:
			return failure.Misconfigured(failure.CodePriceUnknown, "a service tier or another model that the request lets the provider choose has no price at provider "+p.Name+", so that no budget can be kept for it", nil)
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
	q := c.quote(p)
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
	if exceeded, ok := errors.AsType[*budget.ExceededError](err); ok {
		f = failure.Limited(failure.CodeTenantBudget, "your budget at this gateway does not cover what this call may cost", exceeded.RetryAfter)
		f.Message += fmt.Sprintf(": up to %s %s, and %s is left until %s; a smaller max_tokens may cost less",
			exceeded.Asked, exceeded.Limit.Currency, exceeded.Left, exceeded.End.UTC().Format(time.RFC3339))
		f.NoRetry = exceeded.RetryAfter > time.Minute // which no client waits
	}
	f.Cause = err
	return f
}
