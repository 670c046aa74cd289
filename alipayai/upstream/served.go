package upstream

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/signer"
)

// served are the members of a call that say how it is served: see [wire.ServingOf].
var served = []string{"service_tier", "speed", "models", "fallbacks"}

// ServesOtherwise reports whether the option request puts values in the place of a call's members that say how it is served.
func (p *Provider) ServesOtherwise() bool {
	return p.envelope != nil && slices.ContainsFunc(served, p.envelope.replaces)
}

// AsServed gives a call with the values that the option request puts in the place of its own, of the members that say how it is
// served: what is charged is what is sent.
func (p *Provider) AsServed(call []byte) []byte {
	if !p.ServesOtherwise() {
		return call
	}
	members, err := membersOf(call)
	if err != nil {
		return call // which it is refused for
	}
	out := []byte{'{'}
	add := func(name string, value []byte) {
		if len(value) == 0 {
			return
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out, _ = jsontext.AppendQuote(out, name)
		out = append(append(out, ':'), value...)
	}
	for _, m := range members {
		if !slices.Contains(served, m.name) || !p.envelope.replaces(m.name) {
			add(m.name, m.value)
		}
	}
	for _, name := range served {
		if p.envelope.replaces(name) {
			add(name, p.envelope.valueOf(name, members, p.ClientID))
		}
	}
	return append(out, '}')
}

// Answers gives how many answers the upstream is asked for, where the call asks for n.
func (p *Provider) Answers(n int64) int64 {
	if p.envelope == nil || !p.envelope.replaces("n") {
		return n
	}
	value := p.envelope.valueOf("n", nil, p.ClientID)
	if jsontext.Value(value).Kind() == '"' {
		value, _ = jsontext.AppendUnquote(nil, value)
	}
	own, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return n
	}
	return own
}

// Added is how many bytes the option request puts around a call, of which some may be read as the prompt.
func (p *Provider) Added() int {
	if p.envelope == nil {
		return 0
	}
	return p.envelope.added
}

// valueOf gives the value that stands in the place of the call's member of that name; nil where it is no value of its own, or
// that of a member that the call does not have.
func (e *envelope) valueOf(name string, members []member, clientID string) (value []byte) {
	switch n := e.own(name); n.kind {
	case nodeString, nodeValue:
		// What changes from request to request is nothing that a vendor charges by.
		value = n.text.Append(nil, signer.Message{}, clientID)
		if n.kind == nodeString {
			value, _ = jsontext.AppendQuote(nil, value)
		}
	case nodeMember:
		for _, m := range members {
			if m.name == n.member {
				value = m.value
			}
		}
	}
	return value
}
