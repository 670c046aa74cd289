package alipayai

import (
	"bytes"

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
		if m.f = m.call.guardWhole(m.a); m.f != nil {
			m.a, m.lost = nil, part.Usage // it was generated, and paid for
			continue
		}
		m.a.header["Content-Type"] = jsonType
		if m.call.Request.Stream {
			if m.a, m.f = m.a.streamed(m.call.Request.IncludeUsage); m.f != nil {
				continue
			}
		}
		if item := &m.call.packable.Item; item.Chats() && item.Fixed && chosen(g.k.Verify) {
			g.k.compare(m.call, g.p, item, part.Text)
		}
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
		c.comparison = true
		defer c.settleSpending() // of a panic
		a, f := c.ask(p, true)   // it is not worth a wait for a provider that is held
		defer c.buffered.release()
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

// addLost adds what the call took in a pack that brought it no answer.
func (c *call) addLost() {
	if c.lost.OK {
		u := &c.outcome.Usage
		u.Prompt, u.Completion, u.Total, u.OK = u.Prompt+c.lost.Prompt, u.Completion+c.lost.Completion, u.Total+c.lost.Total, true
	}
}
