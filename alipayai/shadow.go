package alipayai

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Shadow has copies of a part of the calls sent to another provider, when their clients have
// their answers. Its fields do not change after Prepare. The methods of a nil Shadow do nothing.
type Shadow struct {
	// Provider gets the copies. It is none of the gateway's, and has a rate cap of its own.
	Provider *upstream.Provider
	// Share is the part of the calls that are copied, from above 0 to 1.
	Share float64
	// OptedOut are tenants whose calls are not.
	OptedOut map[string]bool
	// Copy takes a copy, of its tenant, with what the client has seen. Both are Copy's to keep.
	// It must not block.
	Copy func(c *Call, seen *Seen)
}

// check refuses a shadow that cannot be.
func (s *Shadow) check(g *Gateway) error {
	if s == nil {
		return nil
	}
	p := s.Provider
	switch {
	case g.Class == ClassMoney:
		return errors.New("shadow has no meaning for class money, whose calls are never made twice")
	case p.Profile.Kind().SignsParameters:
		return fmt.Errorf("shadow: provider %s: profile %s signs form parameters, not OpenAI calls", p.Name, p.Profile.Name)
	case p.Profile.Agent:
		return fmt.Errorf("shadow: provider %s is an agent, which may act on what it is asked", p.Name)
	case !(s.Share > 0 && s.Share <= 1):
		return fmt.Errorf("shadow: the share must be a part from above 0 to 1, not %v", s.Share)
	}
	for _, own := range slices.Concat(g.Providers, g.Canary.candidate()) {
		switch {
		case own == p:
			return fmt.Errorf("shadow: %s serves calls here already; name another provider", p.Name)
		case own.ClientID != "" && own.ClientID == p.ClientID && own.BaseURL.Host == p.BaseURL.Host:
			return fmt.Errorf("shadow: %s and %s are the same app %s at %s, whose rate limit the calls need; give %s credentials of its own", own.Name, p.Name, p.ClientID, p.BaseURL.Host, p.Name)
		}
	}
	return nil
}

// provider is that of a shadow, if there is one.
func (s *Shadow) provider() []*upstream.Provider {
	if s == nil {
		return nil
	}
	return []*upstream.Provider{s.Provider}
}

// samples reports whether in, of that class, is a call to copy. Never copied are calls that may move money, those
// of tenants that are not known or have opted out, and those whose text may not go there, which maySee says.
func (s *Shadow) samples(in *Call, class Class, maySee func(p *upstream.Provider, tenant string) bool) bool {
	return s != nil && chosen(s.Share) && class == ClassInference && in.Tenant != AnonymousTenant && !s.OptedOut[in.Tenant] &&
		in.Endpoint.HasChoices() && s.Provider.Serves(in.Endpoint, in.Request.Model) && maySee(s.Provider, in.Tenant)
}

// copies reports whether c, which is answered, is passed on.
func (s *Shadow) copies(c *call) bool { return s != nil && c.outcome.Shadow != "" }

// pass passes the settled call on, if a provider has served it, or failed at it, for its client.
func (s *Shadow) pass(c *call) {
	if !s.copies(c) || !c.Seen.Comparable || c.Verdict.forbids() != nil {
		return
	}
	of := &Call{
		Endpoint: c.Endpoint, Tenant: c.Tenant, Request: c.Request, Format: c.Format, Native: c.Native,
		Regions: c.tenancy.regions.And(s.Provider.Residency.Of(c.Tenant)), // the copy is asked as the operator's
	}
	if c.Native != nil {
		of.Header = make(http.Header)
		upstream.Forward(of.Header, c.Header, c.Native.Fields, nil)
	}
	s.Copy(of, c.Seen)
}

// Seen is what a client has seen of a call. The methods of a nil Seen do nothing.
type Seen struct {
	// RequestID and Provider are the call's: the provider has answered, or failed last.
	RequestID, Provider string
	// Comparable says that it tells how a provider does: not of answers that were given before, of what the gateway has
	// rejected by itself, of demands for payment, and of calls whose clients have left.
	Comparable bool
	// Failed is the class of the failure, and Code its code; empty for an answer.
	Failed failure.Class
	Code   string
	// Answer is the answer in OpenAI's form, a stream's events where Streamed is set, up to 1 MiB; Cut says that it was
	// longer. There is none with a failure.
	Answer        []byte
	Streamed, Cut bool
	// FirstContent is how long the provider took to the first content, and of an answer that is no stream to its end; 0
	// where that is not known.
	FirstContent time.Duration

	sent   time.Time
	answer *Answer
	body   []byte
	stream bytes.Buffer
	failed *failure.Failure
}

// leaving notes that a request is about to be sent now.
func (s *Seen) leaving(now time.Time) {
	if s != nil {
		s.sent = now
	}
}

// begin notes the answer that the client is given now.
func (s *Seen) begin(a *Answer, now time.Time) {
	if s == nil {
		return
	}
	s.answer, s.body, s.Streamed = a, a.Body(), a.stream != nil || upstream.IsEventStream(a.header)
	if !s.sent.IsZero() {
		s.FirstContent = now.Sub(s.sent)
	}
}

// add notes events that the client is given.
func (s *Seen) add(events []byte) {
	if s == nil || s.Cut {
		return
	}
	if s.Cut = s.stream.Len()+len(events) > maxRecorded; !s.Cut {
		s.stream.Write(events)
	}
}

// refused notes why the client gets no answer.
func (s *Seen) refused(f *failure.Failure) {
	if s != nil {
		s.failed = f
	}
}

// settle makes sense of what was noted of in.
func (s *Seen) settle(in *Call, out *Outcome) {
	if s == nil {
		return
	}
	a := s.answer
	s.RequestID, s.Provider = out.RequestID, out.Provider
	if a != nil && a.stream != nil && a.stream.broken != nil {
		s.failed = a.stream.broken
	}
	switch {
	case out.Stored != "" || a != nil && a.failed != nil || out.Status == failure.ClientClosedRequest:
	case s.failed != nil:
		if s.Comparable = s.failed.AtProvider(); s.Comparable {
			s.Failed, s.Code = s.failed.Class, s.failed.Code
		}
	case a != nil && a.Status < http.StatusBadRequest:
		s.Comparable = s.canonical(in)
	}
	s.answer, s.body, s.stream, s.failed = nil, nil, bytes.Buffer{}, nil
}

// canonical makes the answer, and reports whether it can be read.
func (s *Seen) canonical(in *Call) bool {
	if s.Answer = s.stream.Bytes(); s.answer.stream == nil {
		s.Answer = bytes.Clone(s.body) // the buffer goes back with the call
	}
	if s.Cut = s.Cut || len(s.Answer) > maxRecorded; s.Cut {
		s.Answer = nil
		return true
	}
	if !s.answer.native {
		return true
	}
	var err error
	s.Answer, err = in.canonical(s.Answer, s.Streamed)
	return err == nil
}
