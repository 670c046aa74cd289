package alipayai

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/failover"
)

// asking is what a call has tried at one provider.
type asking struct {
	at
	attempts int
	// refused is the token of the call's user that p has refused first.
	refused string
	// What is done once.
	refreshed, resigned, rekeyed, reconnected bool
}

// ask gets an answer of p, in as many attempts as that may take.
func (q at) ask(alternatives bool) (*Answer, *failure.Failure) {
	q.route.alternatives = alternatives
	body, chosen, f := q.compose()
	if f != nil {
		return nil, f
	}
	tries := asking{at: q}
	unsent := q.outcome.Attempts
	for {
		tries.attempts++
		if tries.attempts > 1 { // a repeat is p's
			q.route.repeat()
		}
		a, f := q.paidAttempt(body, chosen)
		if q.route.equals != nil && q.route.equals.Next != nil && q.route.equals.Next != q.p {
			return nil, f // nothing was sent: see moved
		}
		if tries.attempts == 1 && q.outcome.Attempts > unsent {
			q.p.Budget.Deposit() // a call that was turned away here pays for nothing
		}
		q.g.Observer.Attempted(q.attempted(f))
		if f == nil {
			return a, nil
		}
		if q.packing.group == nil {
			q.rememberBlocked(body, f)
		} else if q.packing.group.sealed == nil { // a pack's block is none of its calls' own
			q.rememberBlocked(q.packing.group.body, f)
		}
		q.route.mayHaveExecuted = q.route.mayHaveExecuted || f.MayHaveExecuted()
		pause, ok := tries.planRetry(f)
		if !ok {
			return nil, tries.unauthorised(f)
		}
		if !wait(q.ctx, pause) {
			return nil, failure.OfTransport(q.ctx, q.ctx, q.ctx.Err(), f.Sent)
		}
	}
}

// maxAttempts is how often a call is tried at one provider.
const maxAttempts = 3

// retryBackoff is how long a call waits before it is repeated.
var retryBackoff = failover.Backoff{Base: failover.DefaultBase, Max: failover.DefaultMax}

// planRetry says whether to make another attempt after f, and how long to wait
// before. Safe are those where the request never left, or where the upstream
// has refused it or failed for good. As good as safe is one after a connection
// that had idled and broke as soon as it was used: where no other provider can be
// asked, and the client has not asked for the call to happen once, it is worth
// it. A timeout or another connection that broke is none of these: the call may
// have executed, and been billed. Every repeat comes out of p's budget.
func (q *asking) planRetry(f *failure.Failure) (pause time.Duration, ok bool) {
	now := q.g.Now()
	repeat := f.Class.Policy().Repeat
	newToken := q.dropToken(f)
	switch {
	case f.ClientGone || q.attempts >= maxAttempts:
		return 0, false
	case (f.Final || f.Unserved) && (repeat == failure.AfterBackoff || repeat == failure.AfterHold):
		return 0, false
	case f.Code == failure.CodeUnreachable && !f.Sent && q.p.HasOther(q.Tenant, q.tenancy.regions):
		// It reached nothing, and another address may be there: at once, and not out of the budget, whose calls do.
		return 0, !now.After(q.latest())
	case f.Code == failure.CodeUnreachable && !f.Sent:
		pause = retryBackoff.Delay(q.attempts - 1)
	case q.class() == ClassMoney:
		return 0, false
	case f.StaleConnection && !q.reconnected && !q.route.alternatives && q.IdempotencyKey == "":
		q.reconnected = true
	case newToken:
		q.refreshed = true
	case f.KeyChanged && !q.rekeyed:
		q.rekeyed = true
	case repeat == failure.WithNewTime && !q.resigned && f.ClockLearned:
		q.resigned = true
	case repeat == failure.AfterBackoff && f.FromUpstream && !f.TimedOut():
		pause = max(retryBackoff.Delay(q.attempts-1), f.RetryAfter)
		if q.route.alternatives && f.RetryAfter > retryBackoff.Max {
			return 0, false
		}
	case repeat == failure.AfterHold && f.FromUpstream && !q.route.alternatives:
		// The provider's window is closed for so long; its queue says whether
		// waiting is worth it.
		if pause = f.RetryAfter; pause == 0 {
			pause = upstream.ThrottleHold
		}
		if pause > q.p.Cap.LongestWait() {
			return 0, false
		}
		if q.p.Cap == nil {
			pause = upstream.Spread(pause, q.latest().Sub(now)-pause) // a cap spaces the calls by itself
		}
	default:
		return 0, false
	}
	if now.Add(pause).After(q.latest()) {
		return 0, false
	}
	if q.p.Budget.Withdraw() {
		return pause, true
	}
	// That there were enough repeats already goes for the client's as well; but what
	// was refused for its token or time will be served with the new one.
	f.NoRetry = repeat != failure.WithNewToken && repeat != failure.WithNewTime
	if !f.NoRetry {
		f.RetryAfter = time.Second
	}
	return 0, false
}

// dropToken drops the access token that f was refused with, the first time, and reports
// whether another one may help. It is no good to the next call either, whether or not
// this one is repeated.
func (q *asking) dropToken(f *failure.Failure) bool {
	if f.Class.Policy().Repeat != failure.WithNewToken || q.refreshed {
		return false
	}
	q.refused = f.UserToken
	return q.p.DropToken(f, q.Tenant, q.tokenUser())
}

// unauthorised is f or, where p has refused a user's token and the one after it as well, that the
// user has to give its consent anew.
func (q *asking) unauthorised(f *failure.Failure) *failure.Failure {
	again := f.Class == failure.RefreshToken && q.refused != "" && f.UserToken != q.refused
	if f.UserToken == "" || !again && f.Class != failure.Reauthorise {
		return f
	}
	return q.p.NotAuthorised(q.Tenant, q.tokenUser())
}

// wait waits, and reports whether ctx has not ended before.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// carried is how a provider gets the request.
type carried struct {
	// unsupported names what of it was not carried over; a header field names it to the client.
	unsupported string
	// calls is how the client has the calls of an answer, where the provider has them otherwise.
	calls openai.Calls
}

// compose gives the body for p, and how it is to be served, unless p must not be asked for that. The body of a pack that
// has not left stands for its own, which is not known before.
func (q at) compose() (body []byte, chosen wire.Serving, f *failure.Failure) {
	if f = q.needsUser(); f != nil {
		return nil, chosen, f
	}
	if q.packing.group != nil {
		body = q.packing.group.gather()
	} else if body, f = q.encode(); f != nil {
		return nil, chosen, f
	}
	chosen = wire.ServingOf(body)
	if f = q.namesOthers(chosen); f != nil {
		return nil, chosen, f
	}
	if q.p.ServesOtherwise() {
		chosen = wire.ServingOf(q.p.AsServed(body))
	}
	if f = q.namesPlace(body); f != nil {
		return nil, chosen, f
	}
	if q.packing.group == nil { // whose calls have each been looked up
		f = q.wasBlocked(body)
	}
	return body, chosen, f
}

// namesOthers gives the failure of a request that lets models answer in the place of its own, which p does not serve by their
// names, or may not serve: a client gets no model that it could not ask for by itself.
func (q at) namesOthers(chosen wire.Serving) *failure.Failure {
	unserved := func(model string) bool { return !q.p.Serves(q.Endpoint, model) || q.p.UpstreamModel(model) != model }
	some := len(q.p.Models) > 0 || q.p.Model != "" && q.p.OwnModels == "" // models, or one
	if !slices.ContainsFunc(chosen.Models, unserved) && !(chosen.Unnamed && some) {
		return nil
	}
	f := failure.InvalidRequest(http.StatusBadRequest, failure.CodeUnsupported, "provider "+q.p.Name+" does not serve all models that the request lets answer beside its own")
	f.UnsupportedHere = true
	return f
}

// namesPlace gives the failure of a request that chooses where p works, or whom p sends its texts on to, although it may be in
// some regions alone: those are declared of p's addresses, and not of what stands behind them.
func (q at) namesPlace(body []byte) *failure.Failure {
	regions := q.tenancy.regions.And(q.p.Residency.Of(q.Tenant))
	if regions == nil {
		return nil
	}
	member := wire.PlaceOf(body)
	if member == "" {
		return nil
	}
	f := failure.InvalidRequest(http.StatusBadRequest, failure.CodeUnsupported,
		member+" chooses where provider "+q.p.Name+" works or sends your data, which may be in these regions alone: "+regions.String()+". Leave "+member+" out")
	f.Param, f.UnsupportedHere = member, true
	return f
}

// encode puts the request into p's form.
func (q at) encode() ([]byte, *failure.Failure) {
	q.carried, q.account.unbounded = carried{}, nil
	encoded, f := q.encoded()
	if f != nil {
		return nil, f
	}
	q.carried.calls = openai.CallsOf(encoded)
	if q.p.OnUnsupported == upstream.OnUnsupportedWarn && len(encoded.Unsupported) > 0 {
		q.carried.unsupported = listed(encoded.Unsupported)
	}
	if unbounded(q.p, encoded) {
		q.account.unbounded = q.p
	}
	return encoded.Body, nil
}

// encoded gives the request in p's form.
func (q at) encoded() (encoded wire.Encoded, f *failure.Failure) {
	if q.Endpoint == upstream.EndpointModels {
		return encoded, nil
	}
	if n := q.native(); n != nil {
		encoded = q.encodedNative(n)
		withDropped(q.p, &encoded)
		return encoded, q.unsupportedBy(encoded.Unsupported)
	}
	encoded, err := q.p.Format.EncodeRequest(q.wireAsk())
	if err != nil {
		f := failure.UnreadableRequest(err)
		f.UnsupportedHere = true
		return encoded, f
	}
	if q.Native != nil && len(q.Native.Unsupported) > 0 {
		encoded.Unsupported = slices.DeleteFunc(slices.Concat(encoded.Unsupported, q.Native.Unsupported), func(name string) bool {
			return encoded.Thinks && name == "thinking"
		})
		slices.Sort(encoded.Unsupported)
		encoded.Unsupported = slices.Compact(encoded.Unsupported)
	}
	withDropped(q.p, &encoded)
	return encoded, q.unsupportedBy(encoded.Unsupported)
}

// native gives the request as its client sent it where p speaks its form; nil where it is translated.
func (q at) native() *Native {
	if q.Native == nil || q.packing.group != nil || !q.p.Speaks(q.Native.Format) {
		return nil
	}
	return q.Native
}

// wireAsk is the request as p's format needs to know it. The client chose the provider
// that is asked first for its model, if it knows the model by that name; embeddings have
// no dialects.
func (q at) wireAsk() wire.Ask {
	model := q.p.UpstreamModel(q.Request.Model)
	return wire.Ask{
		Request: q.Request, UpstreamModel: model,
		ByGateway: q.Endpoint == upstream.EndpointChat && (!q.prefers() || model != q.Request.Model || q.Native != nil),
		ID:        q.once.id, Tenant: q.Tenant, CountUsage: q.g.Spending != nil || q.g.TenantLimits.countTokens(q.Tenant),
	}
}

// withDropped names what the option request of p leaves out.
func withDropped(p *upstream.Provider, encoded *wire.Encoded) {
	if dropped := p.Dropped(encoded.Body); len(dropped) > 0 {
		encoded.Unsupported = slices.Concat(encoded.Unsupported, dropped)
		slices.Sort(encoded.Unsupported)
	}
}

// encodedNative gives the request as its client sent it, to p, which speaks its form: without what a model refuses that the
// gateway chose.
func (q at) encodedNative(n *Native) wire.Encoded {
	model := q.p.UpstreamModel(q.Request.Model)
	body := n.Sendable.WithModel(model)
	if f, ok := n.Format.(wire.ModelFitter); ok && (!q.prefers() || model != q.Request.Model) {
		return f.FitModel(body, model)
	}
	return wire.Encoded{Body: body}
}

// unsupportedBy gives the failure of a request of which p cannot carry what is named, where p refuses such ones.
func (q at) unsupportedBy(names []string) *failure.Failure {
	if q.p.OnUnsupported != upstream.OnUnsupportedReject || len(names) == 0 {
		return nil
	}
	f := failure.InvalidRequest(http.StatusBadRequest, failure.CodeUnsupported, "provider "+q.p.Name+" cannot do what the request asks for: "+listed(names))
	f.Param, f.UnsupportedHere = names[0], true
	return f
}

// unbounded reports whether a request goes to p without what bounds its answer, or with another bound than its own.
func unbounded(p *upstream.Provider, encoded wire.Encoded) bool {
	return slices.Contains(encoded.Unsupported, "max_tokens") || slices.Contains(encoded.Unsupported, "max_completion_tokens") ||
		p.Unbounds(encoded.Body)
}

// listed names as much as a header may hold.
func listed(names []string) string {
	const most = 20
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(names, ", ")
}

// attempted is the last attempt, which ended in f; nil for an answer.
func (c *call) attempted(f *failure.Failure) Attempt {
	a := Attempt{
		RequestID: c.outcome.RequestID, Provider: c.outcome.Provider,
		Number: c.outcome.Attempts, Status: http.StatusOK, Packed: c.outcome.Packed, Comparison: c.packing.comparison,
	}
	if f != nil {
		a.Status, a.Code, a.Class, a.Cause, a.UpstreamID = f.Status, f.Code, f.Class, f.Cause, f.UpstreamID
	}
	return a
}

// namesModel reports whether the model that p was asked for is the client's word alone: p is asked first, under the name that the
// client has sent, and no configuration says that p has it. A vendor that does not know the name has been asked for nothing.
func (q at) namesModel() bool {
	model := q.Request.Model
	return q.prefers() && q.p.UpstreamModel(model) == model && !slices.Contains(q.p.Models, model)
}

// prefers reports whether the client has chosen p for its model: the first, and its equals.
func (q at) prefers() bool {
	return q.p == q.route.preferred || q.g.Balance != nil && slices.Contains(q.g.Balance.group(nil, q.route.preferred), q.p)
}
