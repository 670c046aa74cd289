package alipayai

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// asking is a call at one provider.
type asking struct {
	*call
	p *upstream.Provider

	attempts int
	// refused is the token of the call's user that p has refused first.
	refused string
	// What is done once.
	refreshed, resigned, rekeyed, reconnected bool
}

// ask gets an answer of p, in as many attempts as that may take.
func (c *call) ask(p *upstream.Provider, alternatives bool) (*Answer, *failure.Failure) {
	c.alternatives = alternatives
	body, chosen, f := c.requestTo(p)
	if f != nil {
		return nil, f
	}
	q := asking{call: c, p: p}
	unsent := c.outcome.Attempts
	for {
		q.attempts++
		if q.attempts > 1 { // a repeat is p's
			c.equals = c.equals.Anew()
		}
		a, f := c.paidAttempt(p, body, chosen)
		if c.equals != nil && c.equals.Next != nil && c.equals.Next != p {
			return nil, f // nothing was sent: see moved
		}
		if q.attempts == 1 && c.outcome.Attempts > unsent {
			p.Budget.Deposit() // a call that was turned away here pays for nothing
		}
		c.g.Observer.Attempted(c.attempted(f))
		if f == nil {
			return a, nil
		}
		if c.pack == nil {
			c.rememberBlocked(p, body, f)
		} else if c.pack.sealed == nil { // a pack's block is none of its calls' own
			c.rememberBlocked(p, c.pack.body, f)
		}
		c.mayHaveExecuted = c.mayHaveExecuted || f.MayHaveExecuted()
		pause, ok := q.planRetry(f)
		if !ok {
			return nil, q.unauthorised(f)
		}
		if !c.wait(pause) {
			return nil, failure.OfTransport(c.ctx, c.ctx, c.ctx.Err(), f.Sent)
		}
	}
}

// requestTo gives the body for p, and how it is to be served, unless p must not be asked for that. The body of a pack that
// has not left stands for its own, which is not known before.
func (c *call) requestTo(p *upstream.Provider) (body []byte, chosen wire.Serving, f *failure.Failure) {
	if f = c.needsUser(p); f != nil {
		return nil, chosen, f
	}
	if c.pack != nil {
		body = c.pack.gather()
	} else if body, f = c.encode(p); f != nil {
		return nil, chosen, f
	}
	chosen = wire.ServingOf(body)
	if f = c.namesOthers(p, chosen); f != nil {
		return nil, chosen, f
	}
	if p.ServesOtherwise() {
		chosen = wire.ServingOf(p.AsServed(body))
	}
	if f = c.namesPlace(p, body); f != nil {
		return nil, chosen, f
	}
	if c.pack == nil { // whose calls have each been looked up
		f = c.wasBlocked(p, body)
	}
	return body, chosen, f
}

// namesOthers gives the failure of a request that lets models answer in the place of its own, which p does not serve by their
// names, or may not serve: a client gets no model that it could not ask for by itself.
func (c *call) namesOthers(p *upstream.Provider, chosen wire.Serving) *failure.Failure {
	unserved := func(model string) bool { return !p.Serves(c.Endpoint, model) || p.UpstreamModel(model) != model }
	some := len(p.Models) > 0 || p.Model != "" && p.OwnModels == "" // models, or one
	if !slices.ContainsFunc(chosen.Models, unserved) && !(chosen.Unnamed && some) {
		return nil
	}
	f := failure.InvalidRequest(http.StatusBadRequest, failure.CodeUnsupported, "provider "+p.Name+" does not serve all models that the request lets answer beside its own")
	f.UnsupportedHere = true
	return f
}

// namesPlace gives the failure of a request that chooses where p works, or whom p sends its texts on to, although it may be in
// some regions alone: those are declared of p's addresses, and not of what stands behind them.
func (c *call) namesPlace(p *upstream.Provider, body []byte) *failure.Failure {
	regions := c.regions.And(p.Residency.Of(c.Tenant))
	if regions == nil {
		return nil
	}
	member := wire.PlaceOf(body)
	if member == "" {
		return nil
	}
	f := failure.InvalidRequest(http.StatusBadRequest, failure.CodeUnsupported,
		member+" chooses where provider "+p.Name+" works or sends your data, which may be in these regions alone: "+regions.String()+". Leave "+member+" out")
	f.Param, f.UnsupportedHere = member, true
	return f
}

// encode puts the request into p's form.
func (c *call) encode(p *upstream.Provider) ([]byte, *failure.Failure) {
	c.unsupported, c.ownCalls, c.unbounded = "", openai.Calls{}, nil
	encoded, f := c.encoded(p)
	if f != nil {
		return nil, f
	}
	c.ownCalls = openai.CallsOf(encoded)
	if p.OnUnsupported == upstream.OnUnsupportedWarn && len(encoded.Unsupported) > 0 {
		c.unsupported = listed(encoded.Unsupported)
	}
	if unbounded(p, encoded) {
		c.unbounded = p
	}
	return encoded.Body, nil
}

// encoded gives the request in p's form.
func (c *call) encoded(p *upstream.Provider) (encoded wire.Encoded, f *failure.Failure) {
	if c.Endpoint == upstream.EndpointModels {
		return encoded, nil
	}
	if n := c.nativeAt(p); n != nil {
		encoded = c.encodedNative(p, n)
		withDropped(p, &encoded)
		return encoded, c.unsupportedBy(p, encoded.Unsupported)
	}
	encoded, err := p.Format.EncodeRequest(c.wireAsk(p))
	if err != nil {
		f := failure.UnreadableRequest(err)
		f.UnsupportedHere = true
		return encoded, f
	}
	if c.Native != nil && len(c.Native.Unsupported) > 0 {
		encoded.Unsupported = slices.DeleteFunc(slices.Concat(encoded.Unsupported, c.Native.Unsupported), func(name string) bool {
			return encoded.Thinks && name == "thinking"
		})
		slices.Sort(encoded.Unsupported)
		encoded.Unsupported = slices.Compact(encoded.Unsupported)
	}
	withDropped(p, &encoded)
	return encoded, c.unsupportedBy(p, encoded.Unsupported)
}

// wireAsk is the request as p's format needs to know it. The client chose the provider
// that is asked first for its model, if it knows the model by that name; embeddings have
// no dialects.
func (c *call) wireAsk(p *upstream.Provider) wire.Ask {
	model := p.UpstreamModel(c.Request.Model)
	return wire.Ask{
		Request: c.Request, UpstreamModel: model,
		ByGateway: c.Endpoint == upstream.EndpointChat && (!c.prefers(p) || model != c.Request.Model || c.Native != nil),
		ID:        c.idempotencyID, Tenant: c.Tenant, CountUsage: c.g.Spending != nil || c.g.TenantLimits.countTokens(c.Tenant),
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
func (c *call) encodedNative(p *upstream.Provider, n *Native) wire.Encoded {
	model := p.UpstreamModel(c.Request.Model)
	body := n.Sendable.WithModel(model)
	if f, ok := n.Format.(wire.ModelFitter); ok && (!c.prefers(p) || model != c.Request.Model) {
		return f.FitModel(body, model)
	}
	return wire.Encoded{Body: body}
}

// unsupportedBy gives the failure of a request of which p cannot carry what is named, where p refuses such ones.
func (c *call) unsupportedBy(p *upstream.Provider, names []string) *failure.Failure {
	if p.OnUnsupported != upstream.OnUnsupportedReject || len(names) == 0 {
		return nil
	}
	f := failure.InvalidRequest(http.StatusBadRequest, failure.CodeUnsupported, "provider "+p.Name+" cannot do what the request asks for: "+listed(names))
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
		Number: c.outcome.Attempts, Status: http.StatusOK, Packed: c.outcome.Packed, Comparison: c.comparison,
	}
	if f != nil {
		a.Status, a.Code, a.Class, a.Cause, a.UpstreamID = f.Status, f.Code, f.Class, f.Cause, f.UpstreamID
	}
	return a
}

// namesModel reports whether the model that p was asked for is the client's word alone: p is asked first, under the name that the
// client has sent, and no configuration says that p has it. A vendor that does not know the name has been asked for nothing.
func (c *call) namesModel(p *upstream.Provider) bool {
	model := c.Request.Model
	return c.prefers(p) && p.UpstreamModel(model) == model && !slices.Contains(p.Models, model)
}

// prefers reports whether the client has chosen p for its model: the first, and its equals.
func (c *call) prefers(p *upstream.Provider) bool {
	return p == c.preferred || c.g.Balance != nil && slices.Contains(c.g.Balance.group(nil, c.preferred), p)
}
