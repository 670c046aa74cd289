package alipayai

import (
	"cmp"
	"slices"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// chargeNothing ends an attempt that was not served.
func (c *call) chargeNothing() {
	q := c.charge
	if c.charge = nil; q == nil {
		return
	}
	q.release()
	if c.g.Spending.Ledger != nil {
		c.g.Spending.Ledger.Forget(q.number)
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
	c.note(q, c.mostLine(q))
}

// mostLine is the line of an attempt of which it is not known whether it was served.
func (c *call) mostLine(q *charge) ledger.Line {
	line := c.line(q, ledger.Unknown)
	if q.price != nil {
		line.Amount = q.most
	}
	return line
}

// generated is what an attempt has brought: how many tokens, by an estimate, whether some of it is content, and of which
// model, as the provider says. Of a whole answer the estimate is what its JSON may have at most.
type generated struct {
	tokens int64
	some   bool
	model  string
	whole  *Answer
}

// textTokens estimates the tokens by the text alone, as those of streams are.
func (g generated) textTokens() int64 {
	if g.whole == nil || g.whole.native {
		return g.tokens
	}
	return min(g.tokens, int64(wire.ContentBytes(g.whole.body.Bytes()))/bytesPerToken)
}

// other gives which of the other models, that the request lets the provider choose, has answered under that name: vendors
// answer in the name of a version, as claude-sonnet-4-5-20250929 for claude-sonnet-4-5.
func (q *charge) other(answered string) (string, bool) {
	for _, name := range q.others {
		version, found := strings.CutPrefix(answered, name)
		if found && (version == "" || len(version) > 1 && version[0] == '-' && strings.Trim(version[1:], "0123456789-") == "") {
			return name, true
		}
	}
	return "", false
}

// chargeUsage ends an attempt that was served, with the usage that the provider has
// reported, or an estimate where it has reported none, or what cannot be.
func (c *call) chargeUsage(u wire.Usage, answer generated, outcome ledger.Outcome) {
	q := c.charge
	if c.charge = nil; q == nil {
		return
	}
	text, served := c.promptText(), outcome == ledger.Known
	if countsNothing(u) && !u.Unbilled && (answer.some || !c.Endpoint.Generates()) {
		u = wire.Usage{Implausible: true, Tier: u.Tier, Region: u.Region, Searches: u.Searches}
	}
	known, estimated := c.plausible(u, max(c.answered, answer.tokens*bytesPerToken))
	if !c.Endpoint.Generates() { // some count nothing but the total
		known.Prompt, known.Completion = cmp.Or(known.Prompt, known.Total), 0
	}
	used := price.Used{
		Prompt: known.Prompt, Cached: known.Cached, Written: known.Written, WrittenHour: known.WrittenHour,
		AudioIn: known.AudioIn, ImageIn: known.ImageIn, Completion: known.Completion, AudioOut: known.AudioOut, ImageOut: known.ImageOut,
		Characters: text.Characters(), Searches: known.Searches,
	}
	switch {
	case u.Unbilled && served:
		used = price.Used{}
	case !u.OK || estimated:
		used = price.Used{Prompt: q.prompt(text), Completion: answer.textTokens(), Characters: text.Characters(), Searches: u.Searches}
		outcome = ledger.Estimated
	case c.Endpoint.Generates() && q.complete(&used, known.Total, text, answer):
		outcome = ledger.Estimated
	case outcome == ledger.Known:
		c.learn(q, u, used, text)
	default: // the client left: the last report may be of what had come by then
		used.Completion = max(used.Completion, answer.tokens)
	}
	declined, answered := q.declined(known), answer.model
	other, ok := q.other(answered)
	if known.Served != "" { // which a stream has begun without
		other, answered, ok = known.Served, known.Served, true
	}
	if ok {
		if own := cmp.Or(q.priced.Of(answered), q.priced.Of(other)); own != nil && q.base != nil && own.Currency == q.base.Currency {
			q.base, q.answered = own, answered
		}
	}
	line := c.line(q, outcome)
	line.Prompt, line.Cached, line.Completion = used.Prompt+known.Declined.Prompt, used.Cached+known.Declined.Cached, used.Completion+known.Declined.Completion
	line.Characters = used.Characters
	if said, currency, ok := c.g.Spending.said(q, u); ok && served && !estimated {
		line.Amount, line.Currency, line.Outcome = said, currency, ledger.Known
		c.g.Spending.end(q, said)
		c.note(q, line)
		return
	}
	if q.price == nil {
		c.note(q, line)
		return
	}
	paid, certain := q.base.In(cmp.Or(u.Tier, q.tier))
	if !certain && line.Outcome == ledger.Known {
		line.Outcome = ledger.Estimated
	}
	charged := paid.Within(u.Region).Of(used)
	if u.Unbilled && served { // nor the least that a call costs
		charged = price.Charge{}
	}
	line.Amount, line.Floor, line.Characters = charged.Amount.Plus(declined), charged.Floor, charged.Characters
	spent := line.Amount
	if outcome == ledger.Estimated && q.reserved != nil {
		spent = max(spent, min(q.most, q.unknown(paid, price.Used{
			Prompt: max(used.Prompt, q.bytes+q.images), Completion: max(used.Completion, answer.tokens*bytesPerToken), Characters: used.Characters,
			Searches: used.Searches,
		})))
	}
	c.g.Spending.end(q, spent)
	c.note(q, line)
}

// learn has the estimates learn of an attempt: from its prompt where that is of the request's texts alone, and how long its
// answers are. The estimates are one for all tenants, and what one's calls only refer to is not what another's texts take.
func (c *call) learn(q *charge, u wire.Usage, used price.Used, text price.Text) {
	answers := c.answers(q.provider)
	switch {
	case u.Compacted: // the conversation was read twice, and its summary is no answer
		return
	case c.Request.Images > 0 || used.AudioIn+used.ImageIn > 0, used.Searches > 0, used.Prompt > q.bytes: // which the prompt counts too
		text = price.Text{}
	}
	q.priced.Estimate.Learn(text, used.Prompt, used.Completion, answers)
}

// isFree reports whether the attempt can cost nothing: then it takes nothing of a budget, and needs none, used up or not.
func (q *charge) isFree() bool {
	return q.price != nil && q.most == 0 && !q.dearer && q.price.Search == 0 && q.priced.Charges == ""
}

// said gives what the provider says that an attempt has cost, in the currency of the price, if there is one; not where the model has
// a price of its own.
func (s *Spending) said(q *charge, u wire.Usage) (_ price.Amount, in price.Currency, ok bool) {
	if u.Cost == "" || q.priced.Charges == "" || q.priced.Owns(q.model) {
		return 0, "", false
	}
	amount, err := price.ParseCharged(u.Cost)
	key, err2 := price.ParseCharged(cmp.Or(u.KeyCost, "0"))
	if in = q.priced.Charges; q.price != nil {
		in = q.price.Currency
	}
	if err != nil || err2 != nil || !s.Exchange.Converts(q.priced.Charges, in) {
		return 0, "", false
	}
	return s.Exchange.Convert(amount.Plus(key), q.priced.Charges, in), in, true
}

// unknown is the most that what is known of an attempt may have cost, which was served at paid by what is known: a budget is
// never short. Who has answered, of several models, who has declined before, or which tier's price holds, may not be known either.
func (q *charge) unknown(paid *price.Price, used price.Used) price.Amount {
	if len(q.others) > 0 && (q.answered == "" || q.chargesEach()) {
		return q.most
	}
	return max(paid.Most(used), q.price.Most(used), q.base.Most(used))
}

// declined is what models have cost that declined to go on with an answer: by the price of the one, and where they are several by
// that of the dearest.
func (q *charge) declined(u wire.Usage) (cost price.Amount) {
	d := u.Declined
	if d == (wire.Attempt{}) || q.base == nil {
		return 0
	}
	models := []string{d.Model}
	if d.Model == "" {
		models = append([]string{q.model}, q.others...)
	}
	for _, model := range models {
		p := q.priced.Of(model)
		if p == nil || p.Currency != q.base.Currency {
			p = q.base
		}
		in, _ := p.In(cmp.Or(u.Tier, q.tier))
		cost = max(cost, in.Within(u.Region).Of(price.Used{
			Prompt: d.Prompt, Cached: d.Cached, Written: d.Written, WrittenHour: d.WrittenHour, Completion: d.Completion,
		}).Amount)
	}
	return cost
}

// complete fills in what a usage leaves out, and reports whether that is an estimate: no prompt takes nothing, and no
// answer with some content. What the total counts alone is the one that is missing, or both.
func (q *charge) complete(used *price.Used, total int64, text price.Text, answer generated) (estimated bool) {
	more := max(total-used.Prompt-used.Completion, 0)
	switch {
	case used.Prompt == 0 && used.Completion == 0 && answer.some:
		used.Prompt = min(q.prompt(text), more)
		used.Completion = more - used.Prompt
	case used.Prompt == 0 && more > 0:
		used.Prompt = more
		return false
	case used.Prompt == 0 && used.Completion > 0:
		used.Prompt = q.prompt(text)
	case used.Completion == 0 && answer.some:
		used.Completion = max(more, answer.textTokens())
	default:
		return false
	}
	return true
}

// chargeRefused ends the attempt of a whole answer that a guard refuses: it was generated, and is paid for.
func (c *call) chargeRefused(a *Answer) {
	c.outcome.Usage, c.answered = a.usage, int64(a.body.Len())
	answer := c.generated(a)
	if !a.usage.OK {
		c.estimate(answer.textTokens())
	}
	c.chargeUsage(a.usage, answer, ledger.Known)
}

// chargeStream ends the attempt of a stream: by its usage where it is whole, by what was
// delivered where the client has left, or a guard has refused the rest, and by all that it may cost where it broke off.
func (c *call) chargeStream(s *stream) {
	answer := generated{tokens: s.tokens(), some: s.contentEvents > 0, model: s.model}
	switch {
	case c.charge == nil:
	case s.done:
		c.chargeUsage(s.usage, answer, ledger.Known)
	case s.broken != nil && !s.broken.ClientGone && s.refused == nil:
		c.chargeMost()
	default:
		c.chargeUsage(s.usage, answer, ledger.Estimated)
	}
}

// tokens estimates those of what a stream has brought.
func (s *stream) tokens() int64 {
	if s.content == 0 {
		return s.contentEvents // one each, where the format tells no more
	}
	return s.content / bytesPerToken
}

// answerTokens estimates those of a whole answer; none where nothing is generated, as for embeddings.
func (c *call) answerTokens(a *Answer) int64 {
	if !c.Endpoint.Generates() {
		return 0
	}
	return int64(a.body.Len()) / bytesPerToken
}

// generated is what a whole answer has brought.
func (c *call) generated(a *Answer) generated {
	g := generated{tokens: c.answerTokens(a), some: a.content, model: a.model}
	if g.tokens > 0 {
		g.whole = a
	}
	return g
}

// estimate notes what the call has taken, where nothing reports it: the prompt, and so many tokens of the answer.
func (c *call) estimate(answer int64) {
	c.estimated = answer + int64(len(c.Request.Body)-c.Request.ImageBytes)/bytesPerToken
}

// estimateStream is estimate for what a stream has brought, which may not be all.
func (c *call) estimateStream(s *stream) {
	c.estimate(s.tokens())
	c.cut = !s.done
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
func (c *call) line(q *charge, outcome ledger.Outcome) ledger.Line {
	model := cmp.Or(q.answered, q.model)
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
	named := q.priced.Names(model) || q.priced.Models[model] || q.priced.Others.Has(model)
	if named || outcome == ledger.Known && q.priced.Others.Answered(model) {
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
		c.g.Spending.Ledger.End(q.number, l)
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
