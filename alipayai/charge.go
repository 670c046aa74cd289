package alipayai

import (
	"cmp"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/budget"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// charge is an attempt that is under way.
type charge struct {
	provider *upstream.Provider
	priced   *Priced
	// Offer is what the attempt may cost, by the provider's names of models.
	price.Offer
	began time.Time
	// number is the attempt's in the ledger, once it has begun there.
	number uint64
	// quoted is what the attempt should cost, by an estimate.
	quoted price.Amount
	// bytes bound the tokens of the prompt without its images, and images those that the images have.
	bytes, images int64
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

// leaving notes in the ledger that the attempt is about to leave.
func (a *account) leaving() {
	q := a.charge
	if q == nil || a.spending.Ledger == nil {
		return
	}
	q.number = a.spending.Ledger.Begin(a.mostLine(q))
}

// release ends the reservations of what was not sent.
func (q *charge) release() {
	for _, r := range q.reserved {
		r.Release()
	}
}

// quote makes the charge of an attempt with the request as it was received, whose body for p is not known.
func (a *account) quote(p *upstream.Provider) *charge {
	return a.quoteOf(p, nil, wire.ServingOf(p.AsServed(a.in.received())))
}

// quoteOf makes the charge of an attempt with that body, of which nothing is reserved yet.
func (a *account) quoteOf(p *upstream.Provider, body []byte, chosen wire.Serving) *charge {
	s := a.spending
	priced := s.Providers[p.Name]
	q := &charge{provider: p, priced: priced, began: a.now(), limits: a.limits()}
	// The request has more bytes than the prompt has tokens, in whichever form it goes:
	// what stands around the texts is more than what a model's template puts there.
	q.bytes = int64(max(len(body), len(a.in.Request.Body)) - a.in.Request.ImageBytes + p.Added())
	asked := price.Asked{
		Bytes: q.bytes, Images: int64(a.in.Request.Images),
		MaxTokens: a.maxTokens(p), N: p.Answers(a.in.Request.N), Silent: !a.in.Endpoint.Generates(),
	}
	if chosen.Searches {
		asked.Searches = cmp.Or(chosen.MaxSearches, price.DefaultSearches)
	}
	q.Offer = priced.Offer(price.Choice{
		Model: p.UpstreamModel(a.in.Request.Model), Others: chosen.Models, Each: chargesEach(p), MaxTokens: chosen.MaxTokens,
		Tier: chosen.Tier, Open: chosen.OwnTier || chosen.Unnamed,
	}, asked)
	q.images = cmp.Or(q.Base, new(price.Price)).LongestPrompt(price.Asked{Images: asked.Images})
	if q.Price == nil {
		return q
	}
	text := a.text()
	q.quoted = q.Price.Of(price.Used{
		Prompt: q.prompt(text), Characters: text.Characters(),
		Completion: a.expectedAnswer(p, priced.Estimate),
	}).Amount
	return q
}

// chargesEach reports whether p charges each model that has begun an answer, and not the last alone.
func chargesEach(p *upstream.Provider) bool {
	each, ok := p.Format.(wire.EachCharger)
	return ok && each.ChargesEach()
}

// prompt estimates the tokens of a prompt: of its texts by what texts have taken lately, and of each image the most.
func (q *charge) prompt(text price.Text) int64 { return q.priced.Estimate.Tokens(text) + q.images }

// answers is how many answers p generates for the call: by its n, or one for each call of a pack; none where nothing is
// generated.
func (a *account) answers(p *upstream.Provider) int64 {
	if !a.in.Endpoint.Generates() {
		return 0
	}
	return max(p.Answers(a.in.Request.N), 1) * int64(1+a.in.PackedWith)
}

// maxTokens is the most that an answer of p's may have; 0 where the request does not say, or p is not given it.
func (a *account) maxTokens(p *upstream.Provider) int64 {
	if a.unbounded == p {
		return 0
	}
	return a.in.Request.MaxTokens
}

// expectedAnswer is how many tokens the call's answers should have together: as many as it permits each, or as answers have
// had lately. The max_tokens of a pack is that of all its calls.
func (a *account) expectedAnswer(p *upstream.Provider, e *price.Estimate) int64 {
	most := a.maxTokens(p)
	if most > 0 && a.in.PackedWith > 0 {
		return most
	}
	return a.answers(p) * cmp.Or(most, e.Answer())
}

func (q *charge) quotedText() string {
	if q.Price == nil {
		return ""
	}
	return q.quoted.String() + " " + string(q.Price.Currency)
}

// quoteInPack is quote for the call's part of a pack, whatever other calls are in it.
func (q at) quoteInPack() *charge {
	if q.Request.MaxTokens > 0 {
		if encoded, _ := q.encoded(); unbounded(q.p, encoded) { // as the pack is, which has the same member
			q.account.unbounded = q.p
		}
	}
	own := q.account.quote(q.p)
	if own.Price == nil {
		return own
	}
	bytes, tokens := q.packing.one.Added()
	asked := price.Asked{Bytes: own.bytes + bytes, MaxTokens: q.account.maxTokens(q.p), Silent: !q.Endpoint.Generates()}
	if asked.MaxTokens > 0 {
		asked.MaxTokens += tokens
	}
	own.Most = own.Price.Bound(asked)
	return own
}

// quoteAmong is quoteInPack for whichever of the providers the pack goes to: for the dearest of them. It leaves out
// those whose price cannot be compared with that of the first, which is asked first.
func (c *call) quoteAmong(providers []*upstream.Provider) (q *charge, kept []*upstream.Provider) {
	q = c.at(providers[0]).quoteInPack()
	kept = providers[:1:1]
	for _, p := range providers[1:] {
		other := c.at(p).quoteInPack()
		if q.Price == nil || other.Price == nil || other.Dearer || other.Price.Currency != q.Price.Currency || other.isFree() != q.isFree() {
			continue
		}
		kept = append(kept, p)
		q.Most = max(q.Most, other.Most)
	}
	return q, kept
}

// cover makes what the calls of a pack have reserved the pack's. Together that covers the most that it may cost,
// or the pack does not leave: a dearer rate of long prompts, say, may hold for it alone.
func (g *group) cover() *failure.Failure {
	c := g.call
	if c.account.charge == nil {
		return nil
	}
	q := c.account.quoteOf(g.p, g.body, wire.ServingOf(g.p.AsServed(g.body)))
	q.began, c.account.charge = c.account.charge.began, q
	c.outcome.Quoted = c.account.charge.quotedText()
	if len(q.limits) == 0 {
		return nil
	}
	var most price.Amount
	for _, m := range g.members {
		most = most.Plus(m.charge.Most)
	}
	if q.Most > most {
		g.alone = aloneBudget
		return failure.Limited(failure.CodeTenantBudget, "the calls of a pack have not reserved as much as it may cost", 0)
	}
	for _, m := range g.members {
		q.reserved = append(q.reserved, m.charge.reserved...)
		m.charge = nil
	}
	return nil
}

// share gives back what no pack has taken over, and each call its share of what the pack has cost.
func (g *group) share() {
	for _, m := range g.members {
		m.release()
	}
	if g.sealed == nil {
		return
	}
	weights := g.weights
	if weights == nil {
		for _, m := range g.members {
			weights = append(weights, int64(m.call.packing.one.Characters()))
		}
	}
	for _, cost := range g.call.outcome.Costs {
		parts := func(n int64) []int64 { return pack.Divide(n, weights) }
		amounts, floors, prompts := parts(int64(cost.Amount)), parts(int64(cost.Floor)), parts(cost.Prompt)
		cached, completions, characters := parts(cost.Cached), parts(cost.Completion), parts(cost.Characters)
		for i, m := range g.members {
			own := cost
			own.RequestID = m.call.outcome.RequestID
			own.Amount, own.Floor = price.Amount(amounts[i]), price.Amount(floors[i])
			own.Prompt, own.Cached, own.Completion, own.Characters = prompts[i], cached[i], completions[i], characters[i]
			m.costs = append(m.costs, own)
		}
	}
}

// release gives back what the call has reserved for a pack that did not take it over.
func (m *member) release() {
	if m.charge != nil {
		m.charge.release()
		m.charge = nil
	}
}
