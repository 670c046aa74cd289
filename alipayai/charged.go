package alipayai

import (
	"cmp"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// nothing ends an attempt that was not served.
func (a *account) nothing() {
	q := a.charge
	if a.charge = nil; q == nil {
		return
	}
	q.release()
	if a.spending.Ledger != nil {
		a.spending.Ledger.Forget(q.number)
	}
}

// most ends an attempt of which it is not known whether it was served: all that it
// may cost stays charged.
func (a *account) most() {
	q := a.charge
	if a.charge = nil; q == nil {
		return
	}
	a.spending.end(q, q.Most)
	a.note(q, a.mostLine(q))
}

// mostLine is the line of an attempt of which it is not known whether it was served.
func (a *account) mostLine(q *charge) ledger.Line {
	line := a.line(q, ledger.Unknown)
	line.Amount = q.Most
	return line
}

// generated is what an attempt has brought: how many tokens, by an estimate, whether some of it is content, and of which
// model, as the provider says; and how many bytes were given to the client. Of a whole answer the estimate is what its JSON may have at most.
type generated struct {
	tokens int64
	some   bool
	model  string
	given  int64
	whole  *Answer
}

// textTokens estimates the tokens by the text alone, as those of streams are.
func (g generated) textTokens() int64 {
	if g.whole == nil || g.whole.native {
		return g.tokens
	}
	return min(g.tokens, int64(wire.ContentBytes(g.whole.body.Bytes()))/bytesPerToken)
}

// used ends an attempt that was served, with the usage that the provider has
// reported, or an estimate where it has reported none, or what cannot be.
func (a *account) used(u wire.Usage, answer generated, outcome ledger.Outcome) {
	q := a.charge
	if a.charge = nil; q == nil {
		return
	}
	m := a.measure(q, u, answer, outcome)
	served := outcome == ledger.Known
	declined := q.declined(m)
	if m.usage.Served != "" { // which a stream has begun without
		q.ServedBy(m.usage.Served)
	} else {
		q.Answered(answer.model)
	}
	line := a.line(q, m.outcome)
	line.Prompt, line.Cached = m.used.Prompt+m.usage.Declined.Prompt, m.used.Cached+m.usage.Declined.Cached
	line.Completion, line.Characters = m.used.Completion+m.usage.Declined.Completion, m.used.Characters
	if said, currency, ok := a.spending.said(q, m.reported); ok && served && !m.replaced {
		line.Amount, line.Currency, line.Outcome = said, currency, ledger.Known
		a.spending.end(q, said)
		a.note(q, line)
		return
	}
	if q.Price == nil {
		a.note(q, line)
		return
	}
	paid, certain := q.Base.In(cmp.Or(m.reported.Tier, q.Tier))
	if !certain && line.Outcome == ledger.Known {
		line.Outcome = ledger.Estimated
	}
	charged := paid.Within(m.reported.Region).Of(m.used)
	if m.reported.Unbilled && served { // nor the least that a call costs
		charged = price.Charge{}
	}
	line.Amount, line.Floor, line.Characters = charged.Amount.Plus(declined), charged.Floor, charged.Characters
	spent := line.Amount
	if m.outcome == ledger.Estimated && q.reserved != nil { // a budget is never short
		spent = max(spent, min(q.Most, q.MostOf(paid, price.Used{
			Prompt: max(m.used.Prompt, q.bytes+q.images), Completion: max(m.used.Completion, answer.tokens*bytesPerToken), Characters: m.used.Characters,
			Searches: m.used.Searches,
		})))
	}
	a.spending.end(q, spent)
	a.note(q, line)
}

// measured is what an attempt has taken that was served.
type measured struct {
	// reported is what the provider says, and usage the same, or an estimate where that cannot be: replaced is set then.
	reported, usage wire.Usage
	replaced        bool
	// used is what is charged, and outcome how well that is known.
	used    price.Used
	outcome ledger.Outcome
}

// measure makes out what q has taken by what the provider reports, or by an estimate, which learns of a report.
func (a *account) measure(q *charge, u wire.Usage, answer generated, outcome ledger.Outcome) measured {
	if countsNothing(u) && !u.Unbilled && (answer.some || !a.in.Endpoint.Generates()) {
		u = wire.Usage{Tier: u.Tier, Region: u.Region, Searches: u.Searches}
	}
	m := measured{reported: u, outcome: outcome}
	m.usage, m.replaced = plausible(u, a.in.Request, max(answer.given, answer.tokens*bytesPerToken))
	if !a.in.Endpoint.Generates() { // some count nothing but the total
		m.usage.Prompt, m.usage.Completion = cmp.Or(m.usage.Prompt, m.usage.Total), 0
	}
	text := a.text()
	m.used = price.Used{
		Prompt: m.usage.Prompt, Cached: m.usage.Cached, Written: m.usage.Written, WrittenHour: m.usage.WrittenHour,
		AudioIn: m.usage.AudioIn, ImageIn: m.usage.ImageIn, Completion: m.usage.Completion, AudioOut: m.usage.AudioOut, ImageOut: m.usage.ImageOut,
		Characters: text.Characters(), Searches: m.usage.Searches,
	}
	switch {
	case u.Unbilled && outcome == ledger.Known:
		m.used = price.Used{}
	case !u.OK || m.replaced:
		m.used = price.Used{Prompt: q.prompt(text), Completion: answer.textTokens(), Characters: text.Characters(), Searches: u.Searches}
		m.outcome = ledger.Estimated
	case a.in.Endpoint.Generates() && q.complete(&m.used, m.usage.Total, text, answer):
		m.outcome = ledger.Estimated
	case outcome == ledger.Known:
		a.learn(q, u, m.used, text)
	default: // the client left: the last report may be of what had come by then
		m.used.Completion = max(m.used.Completion, answer.tokens)
	}
	return m
}

// declined is what models have cost that declined to go on with an answer.
func (q *charge) declined(m measured) price.Amount {
	d := m.usage.Declined
	if d == (wire.Attempt{}) {
		return 0
	}
	return q.Declined(d.Model, price.Used{
		Prompt: d.Prompt, Cached: d.Cached, Written: d.Written, WrittenHour: d.WrittenHour, Completion: d.Completion,
	}, m.usage.Tier, m.usage.Region)
}

// learn has the estimates learn of an attempt: from its prompt where that is of the request's texts alone, and how long its
// answers are. The estimates are one for all tenants, and what one's calls only refer to is not what another's texts take.
func (a *account) learn(q *charge, u wire.Usage, used price.Used, text price.Text) {
	answers := a.answers(q.provider)
	switch {
	case u.Compacted: // the conversation was read twice, and its summary is no answer
		return
	case a.in.Request.Images > 0 || used.AudioIn+used.ImageIn > 0, used.Searches > 0, used.Prompt > q.bytes: // which the prompt counts too
		text = price.Text{}
	}
	q.priced.Estimate.Learn(text, used.Prompt, used.Completion, answers)
}

// isFree reports whether the attempt can cost nothing: then it takes nothing of a budget, and needs none, used up or not.
func (q *charge) isFree() bool {
	return q.Price != nil && q.Most == 0 && !q.Dearer && q.Price.Search == 0 && q.priced.Charges == ""
}

// said gives what the provider says that an attempt has cost, in the currency of the price, if there is one; not where the model has
// a price of its own.
func (s *Spending) said(q *charge, u wire.Usage) (_ price.Amount, in price.Currency, ok bool) {
	if u.Cost == "" || q.priced.Charges == "" || q.priced.Owns(q.Model) {
		return 0, "", false
	}
	amount, err := price.ParseCharged(u.Cost)
	key, err2 := price.ParseCharged(cmp.Or(u.KeyCost, "0"))
	if in = q.priced.Charges; q.Price != nil {
		in = q.Price.Currency
	}
	if err != nil || err2 != nil || !s.Exchange.Converts(q.priced.Charges, in) {
		return 0, "", false
	}
	return s.Exchange.Convert(amount.Plus(key), q.priced.Charges, in), in, true
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

// settle ends what is still under way when a call is settled: a panic broke it off.
func (a *account) settle() {
	if a.charge != nil {
		a.most()
	}
}

// cost writes what the call's attempts have cost altogether, as "0.03 CNY"; with
// ";at_most" where that of one is not known. It is empty where no price is known.
func (a *account) cost() string {
	if a.spending == nil {
		return ""
	}
	if a.out.Stored != "" && len(a.out.Costs) == 0 {
		return "0"
	}
	var sum ledger.Sum
	for _, cost := range a.out.Costs {
		sum.Add(cost.Line)
	}
	return sum.String()
}

// costSoFar is cost, where nothing more is to come.
func (a *account) costSoFar() string {
	if a.charge != nil {
		return ""
	}
	return a.cost()
}

// generated is what a whole answer has brought; nothing where nothing is generated, as for embeddings. given is how many
// bytes of it were given out.
func (a *Answer) generated(endpoint upstream.Endpoint, given int64) generated {
	g := generated{some: a.content, model: a.model, given: given}
	if endpoint.Generates() {
		g.tokens = int64(a.body.Len()) / bytesPerToken
	}
	if g.tokens > 0 {
		g.whole = a
	}
	return g
}

// generates reports whether an answer, or a chunk of one, has some content, or counts tokens, whatever else it says.
func generates(a wire.Answer) bool {
	return a.Content || a.Usage.OK && a.Usage.Total > 0 || a.Usage.Implausible
}

// unusable makes the failure of an answer that has nothing for a client, for which the provider has counted that.
func unusable(code, message string, used wire.Usage) *failure.Failure {
	f := failure.BadAnswer(code, message)
	f.Used = used
	return f
}

// taken is how much a call has taken, where nothing reports it.
type taken struct {
	// answered is how many bytes of the answer were given out.
	answered int64
	// estimated are the tokens that the call has taken, by an estimate, and cut says that its
	// stream did not come to its end.
	estimated int64
	cut       bool
}

// estimate notes what the call has taken: the prompt, and so many tokens of the answer.
func (t *taken) estimate(r wire.Request, answer int64) {
	t.estimated = answer + int64(len(r.Body)-r.ImageBytes)/bytesPerToken
}

// tokens are those that the call counts with for its tenant's limit: as they were reported, with those of models that declined
// to go on, and of a stream that has not come to its end, or did not say, by what it has brought. Those that are not billed were
// read all the same.
func (t *taken) tokens(reported wire.Usage) int64 {
	declined := reported.Declined.Prompt + reported.Declined.Completion
	switch {
	case !reported.OK:
		return t.estimated
	case t.cut:
		return max(reported.Total, t.estimated) + declined
	default:
		return reported.Total + declined
	}
}

// check replaces a usage that prompt and answer cannot have taken, or that
// cannot be counted, by an estimate: a provider's mistake costs a tenant no more
// than its call, and makes no call free.
func (t *taken) check(u wire.Usage, r wire.Request) (_ wire.Usage, estimated bool) {
	if countsNothing(u) && t.answered > 0 {
		u = wire.Usage{Implausible: true}
	}
	return plausible(u, r, t.answered)
}

// unseenTokens is how many tokens a call may take beyond a token for each byte of
// prompt and answer: images behind a URL, reasoning that is not shown and the
// provider's own prompt are in neither. It is the context of the largest models.
const unseenTokens = 1 << 20

// bytesPerToken is what estimates take a token for: about four letters of English.
const bytesPerToken = 4

// maxDeclined is how many models may decline to go on with an answer: Anthropic takes three fallbacks
// (MAX_MODELS of https://docs.rs/vtcode-config), the last of which answers.
const maxDeclined = 3

// countsNothing reports whether a usage is there and has nothing but zeros, as some proxies make up where they know none.
func countsNothing(u wire.Usage) bool {
	return u.OK && u.Prompt == 0 && u.Completion == 0 && u.Total == 0
}

// plausible gives u, or an estimate in its place, for a request with an answer of so many bytes.
func plausible(u wire.Usage, r wire.Request, answer int64) (_ wire.Usage, estimated bool) {
	prompt := int64(len(r.Body))
	most := prompt + answer + unseenTokens
	if !u.OK && !u.Implausible || u.OK && u.Prompt >= 0 && u.Completion >= 0 && u.Total >= 0 && u.Prompt <= most && u.Completion <= most && u.Total <= most &&
		u.Declined.Prompt <= maxDeclined*most && u.Declined.Completion <= maxDeclined*most {
		return u, false
	}
	u = wire.Usage{Prompt: prompt / bytesPerToken, Completion: answer / bytesPerToken, OK: true}
	u.Total = u.Prompt + u.Completion
	return u, true
}
