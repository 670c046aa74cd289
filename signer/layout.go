package signer

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // what an old contract signs with; loading it warns
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"time"
)

// Times that a layout signs have one length in every form: 13 digits in milliseconds, from 2001 to 2286.
const (
	firstTime = 1_000_000_000_000
	lastTime  = 9_999_999_999_999
)

// maxLayoutFields bounds the header fields of one direction.
const maxLayoutFields = 8

// LayoutConfig is an HMAC layout of one's own.
//
// Content and the values of Fields are templates. Both take {client_id}, {time_ms}, {time_s} (Unix), {time_iso}
// (2026-01-31T12:00:00Z), {time_iso_ms} (2026-01-31T12:00:00.000Z), {time_basic} (20260131T120000Z), {time_local}
// (2026-01-31 12:00:00), {time_digits} (20260131120000), {time_rfc1123} (Sat, 31 Jan 2026 12:00:00 GMT), {nonce},
// {key_version}, {body_sha256} (hex) and {body_sha256_base64}, the same of body_sha512 and body_md5, and {time} in the form of Time. Content takes
// {method}, {uri} (path and query as sent), {path}, {query}, {body}, and {header.<Name>} besides; a field takes
// the signature, as {hex}, {HEX} (upper case), {base64}, {base64url} (RFC 4648, without padding) or {base64_escaped},
// or as {signature} in the form of Encoding. \n, \r, \t, \\,
// \{ and \} stand for what they do in Go.
type LayoutConfig struct {
	ClientID string
	Keys     *Ring[*HMACKey]
	// Content is what is signed of a request, and Fields are the header fields it is sent with. One of them
	// holds the signature. All that is signed and that the other side cannot know must be in them.
	Content string
	Fields  []Field
	// Canonical is what {canonical_sha256} in Content is the hash of, in hex: the canonical request of AWS's Signature Version
	// 4 and its kin. It takes what Content takes.
	Canonical string
	// Derive makes the key that signs of the secret, as AWS's Signature Version 4 and its kin do: the first stands before the
	// secret, and each further one, a template of {client_id} and {time_day} or its like, is what the HMAC of a step is over,
	// whose key is the step before. Empty: the secret signs.
	Derive []string
	// AnswerContent and AnswerFields are the same for an answer, of which the method and the target are its
	// request's, and its own header and body. Empty where answers are not signed.
	AnswerContent string
	AnswerFields  []Field
	// Encoding is the form of {signature}: hex (the default), HEX, base64, base64url or base64_escaped.
	Encoding string
	// Time is the form of {time}: ms (the default), s, iso, iso_ms, basic, local, digits or rfc1123.
	Time string
	// Zone is the offset from UTC of times that are not counted since 1970, as +08:00. {time_iso}, {time_iso_ms} and
	// {time_basic} name it; {time_rfc1123} is in UTC always. Default: UTC.
	Zone string
	// Hash is that of the HMAC: sha256 (the default), sha384, sha512 or sha1.
	Hash string
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
	forms           forms
	request, answer direction
	derive          []template
	derivePrefix    string
	tolerance       time.Duration
	warnings        []string
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
	f, err := c.forms()
	if err != nil {
		return nil, err
	}
	l := &Layout{clientID: c.ClientID, keys: c.Keys, forms: f, tolerance: c.Tolerance}
	if err := l.buildDerive(c.Derive); err != nil {
		return nil, err
	}
	if err := l.build(&l.request, f, "", c.Content, c.Canonical, c.Fields, c.AllowAmbiguous); err != nil {
		return nil, err
	}
	l.warnings = append(l.warnings, l.request.signed().uncovered()...)
	if f.hash == macSHA1 {
		l.warnings = append(l.warnings, "hash sha1 is for old contracts: HMAC-SHA256 where the vendor takes it")
	}
	if c.AnswerContent == "" && len(c.AnswerFields) == 0 {
		return l, nil
	}
	if err := l.build(&l.answer, f, "answer ", c.AnswerContent, "", c.AnswerFields, c.AllowAmbiguous); err != nil {
		return nil, err
	}
	return l, nil
}

// build makes a direction and judges whether its messages can be told from each other.
func (l *Layout) build(d *direction, f forms, prefix, content, canonical string, fields []Field, allowAmbiguous bool) (err error) {
	if *d, err = newDirection(f, prefix, content, canonical, fields, l.clientID); err != nil {
		return err
	}
	err = cmp.Or(d.content.checkUnambiguous(prefix+"content"), d.canonical.checkUnambiguous(prefix+"canonical"))
	if err != nil && allowAmbiguous {
		l.warnings = append(l.warnings, err.Error())
		return nil
	}
	return err
}

// Traits implements Scheme.
func (l *Layout) Traits() Traits {
	t := Traits{Declared: true, Nonce: l.request.nonce, IgnoresAnswers: !l.signsAnswers(), Warnings: l.warnings}
	for _, f := range l.request.fields {
		t.Headers = append(t.Headers, f.name)
	}
	for _, p := range l.request.signed() {
		if p.kind == partHeader {
			t.SignedHeaders = append(t.SignedHeaders, p.text)
		}
	}
	return t
}

// signsAnswers reports whether the layout knows how answers are signed.
func (l *Layout) signsAnswers() bool { return l.answer.fields != nil }

// AnswerField names the header field that holds an answer's signature; empty where answers are not signed.
func (l *Layout) AnswerField() string {
	if !l.signsAnswers() {
		return ""
	}
	return l.answer.fields[l.answer.mac].name
}

// macHash is the hash function of a layout's HMAC.
type macHash uint8

const (
	macSHA256 macHash = iota
	macSHA384
	macSHA512
	macSHA1
	hashes
)

// macHashes are the names that LayoutConfig.Hash takes; the first is the default. HMAC with SHA-1 is not broken as
// signatures with it are (RFC 6194, section 3.3), and old contracts have it, such as Alibaba Cloud's signature version 1.
// HMAC with MD5 is not among them: RFC 6151, section 2.3, has new designs do without it, and the vendors that are known
// to take it, such as Taobao's TOP, take HMAC-SHA256 as well.
var macHashes = [hashes]struct {
	name string
	size int // in bytes
	make func() hash.Hash
}{
	macSHA256: {"sha256", sha256.Size, sha256.New},
	macSHA384: {"sha384", sha512.Size384, sha512.New384},
	macSHA512: {"sha512", sha512.Size, sha512.New},
	macSHA1:   {"sha1", sha1.Size, sha1.New},
}

func (h macHash) new() func() hash.Hash { return macHashes[h].make }

func (h macHash) size() int { return macHashes[h].size }
