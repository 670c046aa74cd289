package signer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// direction is how requests, or answers, are signed.
type direction struct {
	content template
	// canonical is what {canonical_sha256} in content is the hash of; empty for none.
	canonical template
	fields    []layoutField
	mac       int // the index of the field that holds the signature
	// What content needs.
	digest, query, nonce, version bool
	timeKind                      partKind // the finest form that a field says; 0 for none
}

type layoutField struct {
	name  string
	value template
}

// signed is all that is signed.
func (d *direction) signed() template { return slices.Concat(d.content, d.canonical) }

func newDirection(forms forms, prefix, content, canonical string, fields []Field, clientID string) (d direction, err error) {
	option := prefix + "content"
	if d.content, err = forms.parse(option, content, func(p placeholder) bool { return p.signed }); err != nil {
		return d, err
	}
	if canonical != "" {
		if d.canonical, err = forms.parse(prefix+"canonical", canonical, func(p placeholder) bool { return p.signed && p.name != placeholders[partCanonicalSHA256].name }); err != nil {
			return d, err
		}
	}
	if d.content.has(partCanonicalSHA256) != (canonical != "") {
		return d, fmt.Errorf("%s: {canonical_sha256} and canonical go together: the one is the hash of the other", option)
	}
	if len(fields) == 0 || len(fields) > maxLayoutFields {
		return d, fmt.Errorf("%sheader: from 1 to %d are possible", prefix, maxLayoutFields)
	}
	d.mac = -1
	for _, f := range fields {
		option := prefix + "header " + f.Name
		name, err := headerName(option, f.Name)
		if err != nil {
			return d, err
		}
		if slices.ContainsFunc(d.fields, func(other layoutField) bool { return other.name == name }) {
			return d, fmt.Errorf("%s: is given twice", option)
		}
		value, err := forms.parse(option, f.Value, func(p placeholder) bool { return p.sent })
		if err != nil {
			return d, err
		}
		if err := value.checkField(option); err != nil {
			return d, err
		}
		if slices.ContainsFunc(value, func(p part) bool { return p.kind.isMAC() }) {
			if d.mac >= 0 {
				return d, fmt.Errorf("%s: the signature stands in header %s already", option, d.fields[d.mac].name)
			}
			d.mac = len(d.fields)
		}
		d.fields = append(d.fields, layoutField{name, value})
	}
	if d.mac < 0 {
		return d, fmt.Errorf("%sheader: none holds the signature; write one like X-Signature {hex}", prefix)
	}
	return d, d.check(option, clientID)
}

// checkField refuses the value of a field that could not be sent, or not be taken apart.
func (t template) checkField(option string) error {
	macs := 0
	for i, p := range t {
		if p.kind.isMAC() {
			macs++
		}
		if p.kind != partText {
			continue
		}
		// Spaces at the value's own ends are lost on the way (RFC 9110, section 5.5); others stay.
		text, atEnd := p.text, i == 0 || i == len(t)-1
		if i > 0 {
			text = strings.TrimLeft(text, " ")
		}
		if i < len(t)-1 {
			text = strings.TrimRight(text, " ")
		}
		if text == "" && !atEnd {
			continue
		}
		if err := checkValue(option, text); err != nil {
			return err
		}
	}
	if macs > 1 {
		return fmt.Errorf("%s: holds the signature more than once", option)
	}
	for i := range t { // read from the left, see sizeAt
		if !t.ends(i, 1, t.alphabetOfPart) {
			return fmt.Errorf("%s: nothing tells where %v ends; put a separator behind it that it cannot hold", option, t[i])
		}
	}
	return nil
}

// check refuses what could not be verified, and works out what content needs.
func (d *direction) check(option, clientID string) error {
	sent := template{}
	for _, f := range d.fields {
		sent = append(sent, f.value...)
		for _, p := range f.value {
			if p.kind.isTime() && !p.kind.isDay() && (d.timeKind == 0 || p.kind.hasMillis()) {
				d.timeKind = p.kind
			}
		}
	}
	for _, p := range d.signed() {
		switch kind := p.kind; {
		case kind.isTime():
			if d.timeKind == 0 || kind.hasMillis() && !d.timeKind.hasMillis() {
				return fmt.Errorf("%s: %v is signed, but no header says it; add one like X-Time %v", option, p, p)
			}
		case kind == partNonce:
			if !sent.has(partNonce) {
				return fmt.Errorf("%s: %v is signed, but no header says it; add one like X-Nonce %v", option, p, p)
			}
		case kind == partHeader:
			if slices.ContainsFunc(d.fields, func(f layoutField) bool { return f.name == p.text }) {
				return fmt.Errorf("%s: %v is set by the layout itself; sign what its value is made of", option, p)
			}
		}
	}
	all := append(d.signed(), sent...)
	d.digest = all.has(partBodySHA256) || all.has(partBodySHA256Base64)
	d.query, d.nonce, d.version = d.signed().has(partQuery), all.has(partNonce), sent.has(partKeyVersion)
	if !all.has(partClientID) {
		return nil
	}
	var separators strings.Builder
	separators.WriteString(d.content.aroundClientID())
	for _, f := range d.fields {
		separators.WriteString(f.value.aroundClientID())
	}
	if clientID == "" {
		return errors.New("client_id: must not be empty where {client_id} is used; write the id that the other side knows the client by")
	}
	return checkOptionalID("client_id", clientID, separators.String())
}
