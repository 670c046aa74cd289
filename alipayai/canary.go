package alipayai

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover/canary"
)

// Canary has a part of the conversations with one provider go to another, and judges the
// calls of both. Its fields do not change after Prepare.
type Canary struct {
	// Trial says which conversations those are.
	Trial *canary.Canary
	// Stable is one of the gateway's providers, and Candidate none of them. A call that the
	// candidate does not answer goes to Stable, and from there on as any.
	Stable, Candidate *upstream.Provider
	// ByTenant keeps all conversations of a tenant with one arm.
	ByTenant bool
	// Header is a field, in canonical form, that names the conversation; empty for none.
	Header string
	// Tools judges tool calls; nil where they are not compared.
	Tools *toolcheck.Checker
}

// check refuses a canary that cannot be.
func (k *Canary) check(g *Gateway) error {
	switch {
	case k == nil:
		return nil
	case g.Class == ClassMoney:
		return errors.New("canary has no meaning for class money, whose calls are not tried out")
	case !slices.Contains(g.Providers, k.Stable):
		return fmt.Errorf("canary: %s is none of the providers here; name one that is, and then the candidate", k.Stable.Name)
	case slices.Contains(g.Providers, k.Candidate):
		return fmt.Errorf("canary: the candidate %s gets calls by being one of the providers here; take it out", k.Candidate.Name)
	case k.Candidate.Profile.Kind().SignsParameters:
		return fmt.Errorf("canary: provider %s: profile %s signs form parameters, not OpenAI calls", k.Candidate.Name, k.Candidate.Profile.Name)
	case g.Answers != nil && k.Candidate.Profile.Agent:
		return fmt.Errorf("cached_answer has no meaning with provider %s: what an agent answers depends on its session as well", k.Candidate.Name)
	}
	return nil
}

// candidate is that of a canary, if there is one.
func (k *Canary) candidate() []*upstream.Provider {
	if k == nil {
		return nil
	}
	return []*upstream.Provider{k.Candidate}
}

// plan puts the candidate before the stable provider where in, which may be in those regions, is a call for it, and gives its
// part in the canary; nil for none. Only chats take part that do not act: what two versions embed cannot be compared, and belongs
// to one index. The others go to the candidate when it has been promoted.
func (k *Canary) plan(in *Call, regions residency.Regions, providers []*upstream.Provider) ([]*upstream.Provider, *trial) {
	if k == nil || !k.Candidate.Serves(in.Endpoint, in.Request.Model) || !k.Candidate.Within(regions) {
		return providers, nil
	}
	i := slices.Index(providers, k.Stable)
	if i < 0 {
		return providers, nil
	}
	if in.Endpoint != upstream.EndpointChat || in.Request.HostedTools {
		if k.Trial.Promoted() {
			providers = slices.Insert(providers, i, k.Candidate)
		}
		return providers, nil
	}
	t := &trial{of: k, provider: k.Stable, conversation: in.conversation(k.Header)}
	sticky := t.conversation
	if k.ByTenant {
		sticky = canary.Conversation(in.Tenant)
	}
	if t.arm = k.Trial.Arm(sticky); t.arm == canary.Candidate {
		t.provider = k.Candidate
		providers = slices.Insert(providers, i, k.Candidate)
	}
	return providers, t
}

// conversation names the call's conversation, of its tenant: by the header of that name, where
// it is one, the end user, or how it begins.
func (c *Call) conversation(header string) []byte {
	if named := c.Header[header]; header != "" && len(named) == 1 && named[0] != "" {
		return canary.Conversation(c.Tenant, "header", named[0])
	}
	if user := c.Request.User(); user != "" {
		return canary.Conversation(c.Tenant, "user", user)
	}
	return canary.Conversation(append([]string{c.Tenant, "opening"}, c.Request.Opening()...)...)
}

// trial is a call's part in a canary. The methods of a nil trial do nothing.
type trial struct {
	of  *Canary
	arm canary.Arm
	// provider is that of the arm.
	provider     *upstream.Provider
	conversation []byte
	// sent is when the first request went to provider.
	sent time.Time
	// asked says that provider was asked, and failed what became of that; nil for an answer.
	asked  bool
	failed *failure.Failure
	// answer is what the client is given; nil before.
	answer *Answer
	// tools are the tool calls of its stream.
	tools toolcheck.Collector
}

func (t *trial) leaving(p *upstream.Provider, now time.Time) {
	if t != nil && p == t.provider && t.sent.IsZero() {
		t.sent = now
	}
}

func (t *trial) tried(p *upstream.Provider, f *failure.Failure) {
	if t != nil && p == t.provider {
		t.asked, t.failed = true, f
	}
}

func (t *trial) collect(p *upstream.Provider, events []byte) {
	if t != nil && p == t.provider && t.of.Tools != nil {
		t.tools.Add(events)
	}
}

// begin notes the answer that the client is given, which is that of a pack where the call went by one.
func (t *trial) begin(a *Answer) {
	if t != nil {
		t.answer = a
	}
}

// settle tells the canary what became of in at its arm: the answer, if it was that, which is a where the client is given none, and the
// outcome.
func (t *trial) settle(in *Call, a *Answer, out *Outcome) {
	if t == nil || !t.asked {
		return
	}
	o := canary.Outcome{Arm: t.arm, ID: out.RequestID, Conversation: t.conversation}
	switch f := t.failed; {
	case f == nil:
		if out.Status >= http.StatusBadRequest && out.Code == "" { // it asks for payment
			return
		}
		if t.answer != nil {
			a = t.answer
		}
		t.judge(in, a, &o)
		if out.FirstByte > 0 && !t.sent.IsZero() {
			o.FirstContent = in.Began.Add(out.FirstByte).Sub(t.sent)
		}
	case !f.AtProvider():
		return // nothing is known of it
	case f.Class == failure.Blocked:
		o.Blocked = true
	default:
		o.Failed = true
	}
	t.of.Trial.Record(o)
}

// judge judges the answer to in that the arm has begun.
func (t *trial) judge(in *Call, a *Answer, o *canary.Outcome) {
	s, finish := a.stream, a.finish
	if s != nil {
		finish = s.finish
		o.Failed = s.broken != nil && !s.broken.ClientGone
		if !s.done {
			return
		}
	}
	class, _ := failure.FinishClass(finish)
	o.Blocked = class == failure.Blocked || strings.EqualFold(finish, "content_filter")
	if t.of.Tools == nil || !in.Request.HasTools {
		return
	}
	calls := t.tools.Calls()
	if s == nil && a.body != nil {
		body, streamed := a.body.Bytes(), upstream.IsEventStream(a.header)
		if a.native {
			body, _ = in.canonical(body, streamed) // what cannot be read has no calls
		}
		if !streamed {
			calls = toolcheck.CallsOf(body)
		} else {
			t.tools.Add(body)
			calls = t.tools.Calls()
		}
	}
	o.HasToolCalls = len(calls) > 0
	o.BrokenToolCall = t.of.Tools.Judge(in.Request.Body, calls) != toolcheck.None
}
