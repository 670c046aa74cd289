package signer

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// Sign implements Scheme. Of a header field that is signed, m.Header holds at most one value.
func (l *Layout) Sign(m Message) (Signed, error) { return l.sign(&l.request, m) }

// SignResponse does the server's part of VerifyResponse: m.Body and m.Header are the answer's, m.Method and
// m.Target those of the request. ErrUnsigned where the layout knows none.
func (l *Layout) SignResponse(m Message) (Signed, error) {
	if !l.signsAnswers() {
		return Signed{}, ErrUnsigned
	}
	return l.sign(&l.answer, m)
}

func (l *Layout) sign(d *direction, m Message) (Signed, error) {
	if err := d.checkMessage(&m); err != nil {
		return Signed{}, err
	}
	v := values{m: &m, clientID: l.clientID, nonce: m.Nonce, zone: l.forms.zone}
	err := v.setTime(d)
	if err != nil {
		return Signed{}, err
	}
	if d.nonce && !validNonce(m.Nonce) {
		return Signed{}, fmt.Errorf("%w: nonce must hold letters, digits, - and _ only", ErrMalformed)
	}
	version, key := l.keys.Signing()
	v.version = version
	if key, err = l.derived(key, &v); err != nil {
		return Signed{}, err
	}
	state := key.get(l.forms.hash)
	defer key.put(l.forms.hash, state)
	var digest [sha256.Size]byte
	if d.digest {
		digest = sha256.Sum256(m.Body)
		v.digest = digest[:]
	}
	d.hashCanonical(&v)
	v.mac = d.content.mac(state, &v)

	// All values are parts of one string: one allocation.
	var ends [maxLayoutFields]int
	state.buf = state.buf[:0]
	for i := range d.fields {
		for k := range d.fields[i].value {
			state.buf = v.append(state.buf, &d.fields[i].value[k])
		}
		ends[i] = len(state.buf)
	}
	all, start := string(state.buf), 0
	fields := make([]Field, len(d.fields))
	for i := range fields {
		fields[i] = Field{d.fields[i].name, all[start:ends[i]]}
		start = ends[i]
	}
	return Signed{Fields: fields, Target: m.Target, Body: m.Body, KeyVersion: version}, nil
}

// mac streams what t stands for into the hash: the body is never copied. It lives until the state is used again.
func (t template) mac(s *hmacState, v *values) []byte {
	s.buf = s.buf[:0]
	for i := range t {
		if t[i].kind != partBody {
			s.buf = v.append(s.buf, &t[i])
			continue
		}
		s.hash.Write(s.buf)
		s.hash.Write(v.m.Body)
		s.buf = s.buf[:0]
	}
	s.hash.Write(s.buf)
	return s.hash.Sum(s.sum[:0])
}

// Canonical implements Scheme.
func (l *Layout) Canonical(m Message) (string, error) {
	d := &l.request
	if err := d.checkMessage(&m); err != nil {
		return "", err
	}
	v := values{m: &m, clientID: l.clientID, nonce: m.Nonce, zone: l.forms.zone}
	if err := v.setTime(d); err != nil {
		return "", err
	}
	v.version, _ = l.keys.Signing()
	digest := sha256.Sum256(m.Body)
	v.digest = digest[:]
	d.hashCanonical(&v)
	return d.content.text(&v), nil
}

func (t template) text(v *values) string {
	var b []byte
	for i := range t {
		if t[i].kind == partBody {
			b = append(b, v.m.Body...)
			continue
		}
		b = v.append(b, &t[i])
	}
	return string(b)
}

// setTime takes the message's time, where the layout has one.
func (v *values) setTime(d *direction) error {
	if d.timeKind == 0 {
		return nil
	}
	if v.ms = v.m.Time.UnixMilli(); v.ms < firstTime || v.ms > lastTime {
		return fmt.Errorf("%w: time must be set, from 2001 to 2286", ErrMalformed)
	}
	return nil
}

func validNonce(nonce string) bool {
	return nonce != "" && placeholders[partNonce].alphabet.holds(nonce)
}

// checkMessage refuses messages that d would not tell from others.
func (d *direction) checkMessage(m *Message) error {
	if err := m.check(); err != nil {
		return err
	}
	if d.query && strings.HasSuffix(m.Target, "?") && strings.Count(m.Target, "?") == 1 {
		return fmt.Errorf("%w: target ends in a question mark, and no query looks the same to the layout", ErrMalformed)
	}
	for i := range len(d.content) + len(d.canonical) {
		p := d.signedPart(i)
		if p.kind != partHeader {
			continue
		}
		switch values := m.Header[p.text]; {
		case len(values) > 1:
			return fmt.Errorf("%w: header %s comes more than once", ErrMalformed, p.text)
		case len(values) == 1 && (values[0] == "" || strings.TrimSpace(values[0]) != values[0] || !placeholders[partHeader].alphabet.holds(values[0])):
			// An empty one looks the same as none, and spaces around it are lost on the way.
			return fmt.Errorf("%w: header %s is empty, or holds spaces around it or a control character", ErrMalformed, p.text)
		}
	}
	return nil
}
