package signer

// Text is a template of what a message says besides its signature, such as a field of its body.
type Text struct {
	parts template
	forms forms
}

// ParseText reads a template as a [LayoutConfig] has them. It takes {client_id}, {nonce}, {time} and its forms, and
// {header.<Name>}. timeForm and zone are those of a LayoutConfig. Errors begin with option.
func ParseText(option, text, timeForm, zone string) (Text, error) {
	f, err := (&LayoutConfig{Time: timeForm, Zone: zone, Content: "{time}{time_iso}"}).forms() // used or not is for who has several
	if err != nil {
		return Text{}, err
	}
	parts, err := f.parse(option, text, func(p placeholder) bool { return p.told })
	return Text{parts, f}, err
}

// NeedsNonce reports whether Message.Nonce must be set for Append.
func (t Text) NeedsNonce() bool { return t.parts.has(partNonce) }

// HasHeader reports whether a header field's value is in it.
func (t Text) HasHeader() bool { return t.parts.has(partHeader) }

// Append appends what t stands for in m to b.
func (t Text) Append(b []byte, m Message, clientID string) []byte {
	v := values{m: &m, clientID: clientID, nonce: m.Nonce, ms: m.Time.UnixMilli(), zone: t.forms.zone}
	for i := range t.parts {
		b = v.append(b, &t.parts[i])
	}
	return b
}
