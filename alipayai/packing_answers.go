package alipayai

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// deal gives each call of a pack its own answer, or says why it has none.
func (g *group) deal(a *Answer) {
	pc := g.call
	var parts []pack.Part
	if a.Status == 200 && a.body != nil {
		parts = g.sealed.Split(pack.Answer{Body: a.body.Bytes(), Ending: a.ending, Usage: a.usage})
	}
	for i := range parts {
		g.weights = append(g.weights, parts[i].Usage.Total)
	}
	if parts != nil {
		g.k.dealt(pc, parts)
	}
	for i, m := range g.members {
		if parts == nil { // a demand for payment, which is each call's own to meet
			m.alone = aloneUnread
			continue
		}
		part := &parts[i]
		if m.alone = string(part.Mistake); m.alone != "" || m.gone {
			m.lost = part.Usage
			continue
		}
		body := g.sealed.Render(i, part, "chatcmpl-"+m.call.outcome.RequestID, a.model, pc.g.Now().Unix())
		m.a = &Answer{Status: a.Status, header: a.header.Clone(), usage: part.Usage, model: a.model, ending: a.ending, body: bytes.NewBuffer(body)}
		if m.f = m.call.guardWhole(m.a, nil); m.f != nil {
			m.a, m.lost = nil, part.Usage // it was generated, and paid for
			continue
		}
		m.a.header["Content-Type"] = jsonType
		if m.call.Request.Stream {
			if m.a, m.f = m.a.streamed(m.call.Request.IncludeUsage); m.f != nil {
				continue
			}
		}
		if item := &m.call.packing.one.Item; item.Chats() && item.Fixed && chosen(g.k.Verify) {
			g.k.compare(m.call, g.p, item, part.Text)
		}
	}
}

// dealt notes whether a pack was worth its cost: calls without an answer in it are asked alone, and paid for twice.
func (k *Packs) dealt(c *call, parts []pack.Part) {
	without := 0
	for i := range parts {
		if parts[i].Mistake != "" {
			without++
		}
	}
	if good, stopped := k.Agreements.Dealt(c.Tenant, 2*without > len(parts), k.Agreement, c.g.Now()); stopped {
		k.Observer.PackingStopped(c.Tenant, good)
	}
}

// maxComparing is how many comparisons are under way at once: more than these are left out.
const maxComparing = 4

// compare asks the item alone, too, and compares its answer with that of its pack. It is at
// the operator's cost: the tenant's limits do not see it, and its breaker neither.
func (k *Packs) compare(of *call, p *upstream.Provider, item *pack.Item, packed string) {
	if k.comparing.Add(1) > maxComparing {
		k.comparing.Add(-1)
		return
	}
	request, err := wire.ParseChatRequest(pack.Alone(item), wire.Limits{})
	if err != nil {
		k.comparing.Add(-1)
		return
	}
	ended := k.Running()
	go func() {
		defer ended()
		defer k.comparing.Add(-1)
		defer func() { _ = recover() }() // nothing is lost but a comparison
		c := of.g.background(of, p, request)
		c.packing.comparison, c.account.payer = true, ComparisonTenant
		defer c.account.settle()  // of a panic
		a, f := c.at(p).ask(true) // it is not worth a wait for a provider that is held
		defer c.intake.room.release()
		if f != nil {
			return
		}
		text, ok := pack.Text(a.body.Bytes())
		if !ok || a.ending != wire.EndingWhole {
			return
		}
		agreed := pack.Same(text, packed)
		k.Observer.Compared(p.Name, agreed)
		if agreement, stopped := k.Agreements.Compared(c.Tenant, agreed, k.Agreement, c.g.Now()); stopped {
			k.Observer.PackingStopped(c.Tenant, agreement)
		}
	}()
}

// addLost adds to u what the call took in a pack that brought it no answer.
func (k *packing) addLost(u *wire.Usage) {
	if k.lost != nil && k.lost.OK {
		u.Prompt, u.Completion, u.Total, u.OK = u.Prompt+k.lost.Prompt, u.Completion+k.lost.Completion, u.Total+k.lost.Total, true
	}
}

// member is one call's place in a group, and what came of it.
type member struct {
	group *group
	call  *call
	// gone says that the call's client has left, or that its deadline has passed.
	gone bool
	// late says that the group left before there was a verdict on the call, or was full then; out is closed, and the call
	// joins another.
	late bool
	out  chan struct{}

	a *Answer
	f *failure.Failure
	// alone is why the call has to be asked alone; empty where it has its result.
	alone string
	// charge is what the call has reserved for its part; nil where that is the pack's, or nothing.
	charge *charge
	// costs are its share of what the pack has cost.
	costs []Cost
	// lost is the call's part of what the pack took, where it brought it no answer.
	lost wire.Usage
}

// await waits for the result of m, as long as the client and the deadline of m's call permit.
// alone is why the call has to be asked alone; empty where it has its result. A late member has none of these.
func (m *member) await() (a *Answer, f *failure.Failure, alone string) {
	c, g := m.call, m.group
	timer := time.NewTimer(c.deadline().Sub(c.g.Now()))
	defer timer.Stop()
	for cleared := c.cleared(); ; {
		select {
		case <-cleared:
			cleared = nil
			g.decided(m)
		case <-m.out:
			return m.take()
		case <-g.done:
			return m.take()
		case <-c.ctx.Done():
			return m.abandon()
		case <-timer.C:
			return m.timeOut()
		}
	}
}

// abandon gives what is left for a call whose client has left.
func (m *member) abandon() (a *Answer, f *failure.Failure, alone string) {
	if c := m.call; !m.group.leave(m) {
		m.release()
		return nil, failure.OfTransport(c.ctx, c.ctx, c.ctx.Err(), false), ""
	}
	// Its part of what the pack takes is the call's, although its client has left.
	<-m.group.done
	return m.take()
}

// timeOut gives what is left for a call whose deadline has passed.
func (m *member) timeOut() (a *Answer, f *failure.Failure, alone string) {
	c, left := m.call, m.group.leave(m)
	if !m.gone && !m.late {
		<-m.group.done
		return m.take()
	}
	if !left {
		m.release()
	}
	over, cancel := context.WithCancelCause(c.ctx)
	cancel(failure.ErrDeadline)
	f = failure.OfTransport(c.ctx, over, failure.ErrDeadline, left)
	c.route.mayHaveExecuted = c.route.mayHaveExecuted || f.MayHaveExecuted()
	return nil, f, ""
}

// leave takes m's client out, unless its result is there, and reports whether its text
// has left already.
func (g *group) leave(m *member) (left bool) {
	g.k.mu.Lock()
	defer g.k.mu.Unlock()
	switch {
	case m.late:
		return false
	case g.ended:
		return true
	}
	m.gone = true
	if g.live--; g.live == 0 {
		g.close()
		g.cancel()
	}
	if g.left {
		return true
	}
	if i := slices.Index(g.waiting, m); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	} else if i := slices.Index(g.members, m); i >= 0 {
		g.members = slices.Delete(g.members, i, i+1)
		g.size -= g.k.size(&m.call.packing.one.Item)
		g.characters -= m.call.packing.one.Characters()
	}
	return false
}

// take makes m's result the call's.
func (m *member) take() (a *Answer, f *failure.Failure, alone string) {
	c, g, pc := m.call, m.group, m.group.call
	if m.late {
		m.release()
		return nil, nil, ""
	}
	c.outcome.Attempts += pc.outcome.Attempts - g.attempts
	c.secrets.join(&pc.secrets)
	c.carried.unsupported, c.packing.lost = pc.carried.unsupported, &m.lost
	c.route.mayHaveExecuted = c.route.mayHaveExecuted || pc.route.mayHaveExecuted || m.f == nil && m.alone != ""
	if g.sealed != nil {
		if c.outcome.Pack != "" { // that of the provider before
			c.outcome.Pack += ", "
		}
		c.outcome.Pack += pc.outcome.RequestID
		c.outcome.Costs = append(c.outcome.Costs, m.costs...)
	} else { // it was alone in it
		c.outcome.Costs = append(c.outcome.Costs, pc.outcome.Costs...)
	}
	switch {
	case c.ctx.Err() != nil && m.a == nil:
		return nil, failure.OfTransport(c.ctx, c.ctx, c.ctx.Err(), true), ""
	case m.a == nil:
		return nil, m.f, m.alone
	case g.sealed != nil:
		c.outcome.Packed = len(g.members)
		return m.a, nil, ""
	}
	c.trial.leaving(g.p, g.sent) // a pack's answer takes longer the more calls are in it, which says nothing of its provider
	c.intake.room, pc.intake.room = pc.intake.room, buffered{}
	c.account.charge, pc.account.charge = pc.account.charge, nil // a stream is charged when it ends
	if s := m.a.stream; s != nil {
		s.call = c
		context.AfterFunc(c.ctx, g.cancel)
	}
	return m.a, nil, ""
}
