package signer

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Times that a layout signs have one length in every form: 13 digits in milliseconds, from 2001 to 2286.
const (
	firstTime = 1_000_000_000_000
	lastTime  = 9_999_999_999_999
)

// maxLayoutFields bounds the header fields of one direction.
const maxLayoutFields = 8

// LayoutConfig is an HMAC-SHA256 layout of one's own.
//
// Content and the values of Fields are templates. Both take {client_id}, {time_ms}, {time_s} (Unix), {time_iso}
// (2026-01-31T12:00:00Z), {nonce}, {key_version}, {body_sha256} (hex) and {body_sha256_base64}. Content takes
// {method}, {uri} (path and query as sent), {path}, {query}, {body}, and {header.<Name>} besides; a field takes
// the signature, as {hex}, {base64}, {base64url} (RFC 4648, without padding) or {base64_escaped}. \n, \r, \t, \\,
// \{ and \} stand for what they do in Go.
type LayoutConfig struct {
	ClientID string
	Keys     *Ring[*HMACKey]
	// Content is what is signed of a request, and Fields are the header fields it is sent with. One of them
	// holds the signature. All that is signed and that the other side cannot know must be in them.
	Content string
	Fields  []Field
	// AnswerContent and AnswerFields are the same for an answer, of which the method and the target are its
	// request's, and its own header and body. Empty where answers are not signed.
	AnswerContent string
	AnswerFields  []Field
	// Tolerance is how far a received time may be from Message.Time, where that is set; 0 for any.
	Tolerance time.Duration
	// AllowAmbiguous makes a warning of contents under which different messages could share a string, as some
	// vendors' contracts have it: {time_ms}{method}{uri}{body}.
	AllowAmbiguous bool
}

// Layout is the scheme of a LayoutConfig. What passes NewLayout, unless it allows otherwise, is injective over all
// that it signs: two messages have one canonical string only where they differ in nothing that it holds.
type Layout struct {
	clientID        string
	keys            *Ring[*HMACKey]
	request, answer direction
	tolerance       time.Duration
	warnings        []string
}

// direction is how requests, or answers, are signed.
type direction struct {
	content template
	fields  []layoutField
	mac     int // the index of the field that holds the signature
	// What content needs.
	digest, query, nonce, version bool
	timeKind                      partKind // the finest form that a field says; 0 for none
}

type layoutField struct {
	name  string
	value template
}

// NewLayout checks c and returns its scheme. Errors name the option and what could stand there. A layout under
// which different messages could share a string is refused; see also Warnings.
func NewLayout(c LayoutConfig) (*Layout, error) {
	if c.Keys == nil {
		return nil, errors.New("keys: a layout needs at least one")
	}
	if c.Tolerance < 0 {
		return nil, errors.New("tolerance: must not be negative")
	}
	l := &Layout{clientID: c.ClientID, keys: c.Keys, tolerance: c.Tolerance}
	if err := l.build(&l.request, "", c.Content, c.Fields, c.AllowAmbiguous); err != nil {
		return nil, err
	}
	l.warnings = append(l.warnings, l.request.content.uncovered()...)
	if c.AnswerContent == "" && len(c.AnswerFields) == 0 {
		return l, nil
	}
	if err := l.build(&l.answer, "answer ", c.AnswerContent, c.AnswerFields, c.AllowAmbiguous); err != nil {
		return nil, err
	}
	return l, nil
}

// build makes a direction and judges whether its messages can be told from each other.
func (l *Layout) build(d *direction, prefix, content string, fields []Field, allowAmbiguous bool) (err error) {
	if *d, err = newDirection(prefix, content, fields, l.clientID); err != nil {
		return err
	}
	err = d.content.checkUnambiguous(prefix + "content")
	if err != nil && allowAmbiguous {
		l.warnings = append(l.warnings, err.Error())
		return nil
	}
	return err
}

func newDirection(prefix, content string, fields []Field, clientID string) (d direction, err error) {
	option := prefix + "content"
	if d.content, err = parseTemplate(option, content, func(p placeholder) bool { return p.signed }); err != nil {
		return d, err
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
		value, err := parseTemplate(option, f.Value, func(p placeholder) bool { return p.sent })
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
		text := p.text
		if i > 0 && i < len(t)-1 {
			text = strings.Trim(text, " ")
		} else if i > 0 {
			text = strings.TrimLeft(text, " ")
		} else if i < len(t)-1 {
			text = strings.TrimRight(text, " ")
		}
		if text == "" {
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
			if p.kind.isTime() && (d.timeKind == 0 || p.kind == partTimeMS) {
				d.timeKind = p.kind
			}
		}
	}
	for _, p := range d.content {
		switch p.kind {
		case partTimeMS, partTimeS, partTimeISO:
			if d.timeKind == 0 || p.kind == partTimeMS && d.timeKind != partTimeMS {
				return fmt.Errorf("%s: %v is signed, but no header says it; add one like X-Time %v", option, p, p)
			}
		case partNonce:
			if !sent.has(partNonce) {
				return fmt.Errorf("%s: %v is signed, but no header says it; add one like X-Nonce %v", option, p, p)
			}
		case partHeader:
			if slices.ContainsFunc(d.fields, func(f layoutField) bool { return f.name == p.text }) {
				return fmt.Errorf("%s: %v is set by the layout itself; sign what its value is made of", option, p)
			}
		}
	}
	all := append(slices.Clone(d.content), sent...)
	d.digest = all.has(partBodySHA256) || all.has(partBodySHA256Base64)
	d.query, d.nonce, d.version = d.content.has(partQuery), all.has(partNonce), sent.has(partKeyVersion)
	if !all.has(partClientID) {
		return nil
	}
	separators := d.content.aroundClientID()
	for _, f := range d.fields {
		separators += f.value.aroundClientID()
	}
	return checkID("client_id", clientID, separators)
}

// Warnings says which requests have one signature although they differ, such as in what is not signed at all. That
// may be how the vendor wants it.
func (l *Layout) Warnings() []string { return l.warnings }

// NeedsNonce reports whether Message.Nonce must be set for Sign.
func (l *Layout) NeedsNonce() bool { return l.request.nonce }

// SignsAnswers reports whether the layout knows how answers are signed.
func (l *Layout) SignsAnswers() bool { return l.answer.fields != nil }

// Headers names the header fields that Sign gives, in canonical form.
func (l *Layout) Headers() []string {
	names := make([]string, len(l.request.fields))
	for i, f := range l.request.fields {
		names[i] = f.name
	}
	return names
}

// SignedHeaders names the header fields whose values are signed, in canonical form.
func (l *Layout) SignedHeaders() (names []string) {
	for _, p := range l.request.content {
		if p.kind == partHeader {
			names = append(names, p.text)
		}
	}
	return names
}

// Sign implements Scheme. Of a header field that is signed, m.Header holds at most one value.
func (l *Layout) Sign(m Message) (Signed, error) { return l.sign(&l.request, m) }

// SignResponse does the server's part of VerifyResponse: m.Body and m.Header are the answer's, m.Method and
// m.Target those of the request. ErrUnsigned where the layout knows none.
func (l *Layout) SignResponse(m Message) (Signed, error) {
	if !l.SignsAnswers() {
		return Signed{}, ErrUnsigned
	}
	return l.sign(&l.answer, m)
}

func (l *Layout) sign(d *direction, m Message) (Signed, error) {
	if err := d.checkMessage(&m); err != nil {
		return Signed{}, err
	}
	v := values{m: &m, clientID: l.clientID, nonce: m.Nonce}
	if err := v.setTime(d); err != nil {
		return Signed{}, err
	}
	if d.nonce && !validNonce(m.Nonce) {
		return Signed{}, fmt.Errorf("%w: nonce must hold letters, digits, - and _ only", ErrMalformed)
	}
	version, key := l.keys.Newest()
	v.version = version
	state := key.get()
	defer key.put(state)
	var digest [sha256.Size]byte
	if d.digest {
		digest = sha256.Sum256(m.Body)
		v.digest = digest[:]
	}
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
	return Signed{Fields: fields, Target: m.Target, Body: m.Body}, nil
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
	v := values{m: &m, clientID: l.clientID, nonce: m.Nonce}
	if err := v.setTime(d); err != nil {
		return "", err
	}
	v.version, _ = l.keys.Newest()
	digest := sha256.Sum256(m.Body)
	v.digest = digest[:]
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
	for i := range d.content {
		p := &d.content[i]
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

// VerifyRequest implements Scheme. Where no field says the key's version, every key is tried.
func (l *Layout) VerifyRequest(m Message, h http.Header) error { return l.verify(&l.request, m, h) }

// VerifyResponse implements Scheme. ErrUnsigned as well where the layout does not say how answers are signed.
func (l *Layout) VerifyResponse(m Message, h http.Header) error {
	if !l.SignsAnswers() {
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
	v := values{m: &m, clientID: l.clientID}
	if d.digest {
		digest := sha256.Sum256(m.Body)
		v.digest = digest[:]
	}
	if err := d.open(&v, h); err != nil {
		return err
	}
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
		return d.compare(&v, key)
	}
	for version, key := range l.keys.All() {
		v.version = version
		if d.compare(&v, key) == nil {
			return nil
		}
	}
	return ErrBadSignature
}

func (d *direction) compare(v *values, key *HMACKey) error {
	state := key.get()
	defer key.put(state)
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
		for i, p := range f.value {
			if p.kind == partText {
				rest, ok := strings.CutPrefix(text, p.text)
				if !ok {
					return fmt.Errorf("%w: header %s is not like %s", ErrMalformed, f.name, f.value)
				}
				text = rest
				continue
			}
			size := f.value.sizeAt(i, text)
			if size <= 0 || size > len(text) {
				return fmt.Errorf("%w: header %s is not like %s", ErrMalformed, f.name, f.value)
			}
			if err := v.read(p, text[:size]); err != nil {
				if errors.Is(err, ErrWrongIdentity) {
					return fmt.Errorf("%w: header %s", err, f.name)
				}
				return fmt.Errorf("%w: header %s: %v %w", ErrMalformed, f.name, p, err)
			}
			text = text[size:]
		}
		if text != "" {
			return fmt.Errorf("%w: header %s is not like %s", ErrMalformed, f.name, f.value)
		}
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

func (t template) String() string {
	var b strings.Builder
	for _, p := range t {
		if p.kind == partText {
			b.WriteString(p.text)
		} else {
			b.WriteString(p.String())
		}
	}
	return b.String()
}

// Reflects reports whether an answer carries the signature of its own request.
func (l *Layout) Reflects(request, answer http.Header) bool {
	if !l.SignsAnswers() {
		return false
	}
	var sent, got values
	sent.clientID, got.clientID = l.clientID, l.clientID
	var none Message
	sent.m, got.m = &none, &none
	sent.readMAC(&l.request, request)
	got.readMAC(&l.answer, answer)
	return len(sent.mac) > 0 && hmac.Equal(sent.mac, got.mac)
}

// readMAC reads the signature alone.
func (v *values) readMAC(d *direction, h http.Header) {
	only := direction{fields: d.fields[d.mac : d.mac+1]}
	if only.open(v, h) != nil {
		v.mac = nil
	}
}

// AnswerField names the header field that holds an answer's signature; empty where answers are not signed.
func (l *Layout) AnswerField() string {
	if !l.SignsAnswers() {
		return ""
	}
	return l.answer.fields[l.answer.mac].name
}
