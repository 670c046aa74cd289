package signer

import (
	"errors"
	"fmt"
	"time"
)

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

// Read checks what stands in a received message where t has been appended: its own words, clientID, the header fields of m,
// and a time that is not further from m's than within. It gives the nonce, empty where t has none. Errors name what differs.
func (t Text) Read(text string, m Message, clientID string, within time.Duration) (nonce string, err error) {
	v := values{m: &m, clientID: clientID, zone: t.forms.zone}
	err = t.parts.split("", "the text", text, func(p part, s string) error {
		if p.kind == partHeader && s != m.Header.Get(p.text) {
			return errors.New("is not that field's value")
		}
		return v.read(p, s)
	})
	if err != nil {
		return "", err
	}
	if v.ms != 0 && m.Time.Sub(time.UnixMilli(v.ms)).Abs() > within {
		return "", fmt.Errorf("%w: its time is more than %v away", ErrMalformed, within)
	}
	return v.nonce, nil
}
