package alipayai

import (
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// quoteInPack is quote for the call's part of a pack, whatever other calls are in it.
func (c *call) quoteInPack(p *upstream.Provider) *charge {
	if c.Request.MaxTokens > 0 {
		if encoded, _ := c.encoded(p); unbounded(p, encoded) { // as the pack is, which has the same member
			c.unbounded = p
		}
	}
	q := c.quote(p)
	if q.price == nil {
		return q
	}
	bytes, tokens := c.packable.Added()
	asked := price.Asked{Bytes: q.bytes + bytes, MaxTokens: c.maxTokens(p), Silent: !c.Endpoint.Generates()}
	if asked.MaxTokens > 0 {
		asked.MaxTokens += tokens
	}
	q.most = q.price.Bound(asked)
	return q
}

// quoteAmong is quoteInPack for whichever of the providers the pack goes to: for the dearest of them. It leaves out
// those whose price cannot be compared with that of the first, which is asked first.
func (c *call) quoteAmong(providers []*upstream.Provider) (q *charge, kept []*upstream.Provider) {
	q = c.quoteInPack(providers[0])
	kept = providers[:1:1]
	for _, p := range providers[1:] {
		other := c.quoteInPack(p)
		if q.price == nil || other.price == nil || other.dearer || other.price.Currency != q.price.Currency || other.isFree() != q.isFree() {
			continue
		}
		kept = append(kept, p)
		q.most = max(q.most, other.most)
	}
	return q, kept
}

// cover makes what the calls of a pack have reserved the pack's. Together that covers the most that it may cost,
// or the pack does not leave: a dearer rate of long prompts, say, may hold for it alone.
func (g *group) cover() *failure.Failure {
	c := g.call
	if c.charge == nil {
		return nil
	}
	q := c.quoteOf(g.p, g.body, wire.ServingOf(g.p.AsServed(g.body)))
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
			weights = append(weights, int64(m.call.packable.Characters()))
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
