package signer

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// VerifyRequest implements Scheme. Where no field says the key's version, every key is tried.
func (l *Layout) VerifyRequest(m Message, h http.Header) error { return l.verify(&l.request, m, h) }

// VerifyResponse implements Scheme. ErrUnsigned as well where the layout does not say how answers are signed.
func (l *Layout) VerifyResponse(m Message, h http.Header) error {
	if !l.signsAnswers() {
		return ErrUnsigned
	}
	return l.verify(&l.answer, m, h)
}

func (l *Layout) verify(d *direction, m Message, h http.Header) error {
	if isUnsigned(h, d.fields[d.mac].name) {
		return ErrUnsigned
	}
	m.Header = h
	if err := d.checkMessage(&m); err != nil {
		return err
	}
	v := values{m: &m, clientID: l.clientID, zone: l.forms.zone}
	if d.digest {
		digest := sha256.Sum256(m.Body)
		v.digest = digest[:]
	}
	if err := d.open(&v, h); err != nil {
		return err
	}
	if err := v.checkDays(); err != nil {
		return err
	}
	d.hashCanonical(&v)
	if l.tolerance > 0 && v.ms != 0 && !m.Time.IsZero() {
		if away := m.Time.Sub(time.UnixMilli(v.ms)); away.Abs() > l.tolerance {
			return fmt.Errorf("%w: its time is more than %v away", ErrMalformed, l.tolerance)
		}
	}
	if d.version {
		key, ok := l.keys.Get(v.version)
		if !ok {
			return unknownVersion(v.version)
		}
		return l.compare(d, &v, key)
	}
	for version, key := range l.keys.All() {
		v.version = version
		if l.compare(d, &v, key) == nil {
			return nil
		}
	}
	return ErrBadSignature
}

func (l *Layout) compare(d *direction, v *values, key *HMACKey) error {
	key, err := l.derived(key, v)
	if err != nil {
		return err
	}
	state := key.get(l.forms.hash)
	defer key.put(l.forms.hash, state)
	if !hmac.Equal(d.content.mac(state, v), v.mac) {
		return ErrBadSignature
	}
	return nil
}

// open reads the fields of a received message.
func (d *direction) open(v *values, h http.Header) error {
	for _, f := range d.fields {
		text, err := single(h, f.name)
		if err != nil {
			return err
		}
		if err := f.value.split("header ", f.name, text, v.read); err != nil {
			return err
		}
	}
	return nil
}

// split takes text apart, and gives each part that is a placeholder's to take. kind and name say in errors what text is.
func (t template) split(kind, name, text string, take func(part, string) error) error {
	for i, p := range t {
		if p.kind == partText {
			rest, ok := strings.CutPrefix(text, p.text)
			if !ok {
				return fmt.Errorf("%w: %s%s is not like %s", ErrMalformed, kind, name, t)
			}
			text = rest
			continue
		}
		size := t.sizeAt(i, text)
		if size <= 0 || size > len(text) {
			return fmt.Errorf("%w: %s%s is not like %s", ErrMalformed, kind, name, t)
		}
		if err := take(p, text[:size]); err != nil {
			if errors.Is(err, ErrWrongIdentity) {
				return fmt.Errorf("%w: %s%s", err, kind, name)
			}
			return fmt.Errorf("%w: %s%s: %v %w", ErrMalformed, kind, name, p, err)
		}
		text = text[size:]
	}
	if text != "" {
		return fmt.Errorf("%w: %s%s is not like %s", ErrMalformed, kind, name, t)
	}
	return nil
}

// sizeAt is how many bytes of text part i takes: see ambiguous for why there is one answer.
func (t template) sizeAt(i int, text string) int {
	if size := placeholderOf(t[i]).size; size > 0 {
		return size
	}
	own := t.alphabetOfPart(t[i])
	size := own.prefix(text)
	for _, p := range t[i+1:] {
		if p.kind == partText && !own.holds(p.text) {
			return size - own.prefix(p.text)
		}
		size -= placeholderOf(p).size
	}
	return size
}

// Reflects reports whether an answer carries the signature of its own request.
func (l *Layout) Reflects(request, answer http.Header) bool {
	if !l.signsAnswers() {
		return false
	}
	sent, _ := l.request.readMAC(request)
	got, _ := l.answer.readMAC(answer)
	return len(sent) > 0 && hmac.Equal(sent, got)
}

// SentSignature implements Scheme: all that is secret in the fields.
func (l *Layout) SentSignature(h http.Header) string {
	_, text := l.request.readMAC(h)
	return text
}

// readMAC reads the signature alone, whatever else its field holds.
func (d *direction) readMAC(h http.Header) (mac []byte, text string) {
	f := d.fields[d.mac]
	value, err := single(h, f.name)
	if err != nil {
		return nil, ""
	}
	var v values
	if f.value.split("header ", f.name, value, func(p part, s string) error {
		if !p.kind.isMAC() {
			return nil
		}
		text = s
		return v.read(p, s)
	}) != nil {
		return nil, ""
	}
	return v.mac, text
}
