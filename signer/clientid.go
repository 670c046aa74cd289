package signer

import (
	"crypto/subtle"
	"fmt"
	"net/http"
)

// Headers names the header fields of the layout that hmac-sha256 and global share. An empty name stands for
// its default.
type Headers struct {
	ClientID     string // default Client-Id
	RequestTime  string // default Request-Time
	ResponseTime string // default Response-Time
	Signature    string // default Signature
}

// clientLayout is the layout that hmac-sha256 and global share:
//
//	<METHOD> <target>\n<client id>.<time>.<body>
//
// It is injective as long as neither the method holds a space, nor the target a newline, nor the client id or
// the time a dot.
type clientLayout struct {
	id        string
	algorithm string
	headers   Headers
	validTime func(string) bool
}

func newClientLayout(id, algorithm string, h Headers, validTime func(string) bool) (clientLayout, error) {
	l := clientLayout{id: id, algorithm: algorithm, validTime: validTime}
	if err := checkID("client_id", id, "."); err != nil {
		return l, err
	}
	taken := make(map[string]bool)
	for _, f := range []struct {
		option, name, fallback string
		into                   *string
	}{
		{"client_id header", h.ClientID, "Client-Id", &l.headers.ClientID},
		{"request_time header", h.RequestTime, "Request-Time", &l.headers.RequestTime},
		{"response_time header", h.ResponseTime, "Response-Time", &l.headers.ResponseTime},
		{"signature header", h.Signature, "Signature", &l.headers.Signature},
	} {
		if f.name == "" {
			f.name = f.fallback
		}
		name, err := headerName(f.option, f.name)
		if err != nil {
			return l, err
		}
		if taken[name] {
			return l, fmt.Errorf("%s: must differ from the other headers", f.option)
		}
		taken[name] = true
		*f.into = name
	}
	return l, nil
}

// appendHead appends all that is signed before the body.
func (l *clientLayout) appendHead(b []byte, method, target string, time []byte) []byte {
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, target...)
	b = append(b, '\n')
	b = append(b, l.id...)
	b = append(b, '.')
	b = append(b, time...)
	return append(b, '.')
}

// fields returns the fields of a signed message, in room if they fit. timeName is the
// header of the time.
func (l *clientLayout) fields(room []Field, timeName, time, signature string) []Field {
	return append(room[:0],
		Field{l.headers.ClientID, l.id},
		Field{timeName, time},
		Field{l.headers.Signature, signature},
	)
}

// open reads the fields of a received message. A response may leave the client id out, since whoever gets it
// knows to whom it speaks.
func (l *clientLayout) open(h http.Header, timeName string, needID bool) (time string, s Signature, err error) {
	if isUnsigned(h, l.headers.Signature) {
		return "", s, ErrUnsigned
	}
	text, err := single(h, l.headers.Signature)
	if err != nil {
		return "", s, err
	}
	if s, err = ParseSignature(text); err != nil {
		return "", s, err
	}
	if s.Algorithm != l.algorithm {
		return "", s, fmt.Errorf("%w: signature header: algorithm must be %s", ErrMalformed, l.algorithm)
	}
	if time, err = single(h, timeName); err != nil {
		return "", s, err
	}
	if !l.validTime(time) {
		return "", s, fmt.Errorf("%w: header %s holds no time", ErrMalformed, timeName)
	}
	if needID || len(h.Values(l.headers.ClientID)) > 0 {
		id, err := single(h, l.headers.ClientID)
		if err != nil {
			return "", s, err
		}
		if subtle.ConstantTimeCompare([]byte(id), []byte(l.id)) != 1 {
			return "", s, fmt.Errorf("%w: header %s", ErrWrongIdentity, l.headers.ClientID)
		}
	}
	return time, s, nil
}

// reflects compares the values of both signatures: one value has several spellings.
func (l *clientLayout) reflects(request, answer http.Header) bool {
	sent, err := ParseSignature(request.Get(l.headers.Signature))
	if err != nil {
		return false
	}
	got, err := ParseSignature(answer.Get(l.headers.Signature))
	return err == nil && subtle.ConstantTimeCompare(sent.Value, got.Value) == 1
}

// unknownVersion is ErrUnknownKeyVersion with the version, which is public.
func unknownVersion(version int) error {
	return fmt.Errorf("%w: %d", ErrUnknownKeyVersion, version)
}
