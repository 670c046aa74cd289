package signer

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Algorithms of a Signature header.
const (
	AlgorithmHMAC = "HMAC-SHA256"
	AlgorithmRSA  = "RSA256"
)

// maxSignatureHeader bounds a Signature header; that of a 16384-bit RSA key stays below it.
const maxSignatureHeader = 4096

// Signature is a parsed Signature header of the hmac-sha256 and global schemes.
type Signature struct {
	Algorithm  string // AlgorithmHMAC or AlgorithmRSA
	KeyVersion int    // positive
	Value      []byte // the MAC or RSA signature
}

// ParseSignature parses "algorithm=<name>,keyVersion=<n>,signature=<urlencode(base64(value))>". Parts may come
// in any order and a space may follow a comma. It returns ErrMalformed unless every part is there once and in
// the one form that a signer writes, so that one signature has one spelling. Errors do not tell the value.
func ParseSignature(header string) (Signature, error) {
	if len(header) > maxSignatureHeader {
		return Signature{}, malformedSignature("must not be longer than %d bytes", maxSignatureHeader)
	}
	var s Signature
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimPrefix(part, " "), "=")
		switch {
		case name == "algorithm" && s.Algorithm == "":
			if value != AlgorithmHMAC && value != AlgorithmRSA {
				return Signature{}, malformedSignature("algorithm must be %s or %s", AlgorithmHMAC, AlgorithmRSA)
			}
			s.Algorithm = value
		case name == "keyVersion" && s.KeyVersion == 0:
			version, err := strconv.ParseInt(value, 10, 32)
			if err != nil || !isDigits(value) {
				return Signature{}, malformedSignature("keyVersion must be a positive number")
			}
			s.KeyVersion = int(version)
		case name == "signature" && s.Value == nil:
			raw, err := unescapeBase64(value)
			if err != nil {
				return Signature{}, malformedSignature("signature must be percent-encoded base64")
			}
			s.Value = raw
		default:
			return Signature{}, malformedSignature("its parts must be algorithm, keyVersion and signature, each once")
		}
	}
	if s.Algorithm == "" || s.KeyVersion == 0 || s.Value == nil {
		return Signature{}, malformedSignature("it must have the parts algorithm, keyVersion and signature")
	}
	return s, nil
}

// Append appends the header's text as ParseSignature reads it.
func (s Signature) Append(b []byte) []byte {
	b = append(b, "algorithm="...)
	b = append(b, s.Algorithm...)
	b = append(b, ",keyVersion="...)
	b = strconv.AppendInt(b, int64(s.KeyVersion), 10)
	b = append(b, ",signature="...)
	return appendEscapedBase64(b, s.Value)
}

func malformedSignature(format string, args ...any) error {
	return fmt.Errorf("%w: signature header: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// appendEscapedBase64 appends urlencode(base64(raw)): of base64's alphabet, +, / and = are escaped. It goes
// three bytes at a time to need no memory of its own.
func appendEscapedBase64(b, raw []byte) []byte {
	var quad [4]byte
	for len(raw) > 0 {
		n := min(3, len(raw))
		base64.StdEncoding.Encode(quad[:], raw[:n])
		raw = raw[n:]
		for _, c := range quad {
			switch c {
			case '+':
				b = append(b, "%2B"...)
			case '/':
				b = append(b, "%2F"...)
			case '=':
				b = append(b, "%3D"...)
			default:
				b = append(b, c)
			}
		}
	}
	return b
}

// unescapeBase64 undoes appendEscapedBase64 and refuses every other spelling of the same bytes.
func unescapeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "+/=") {
		return nil, ErrMalformed
	}
	return decodeBase64(unescaper.Replace(s))
}

var unescaper = strings.NewReplacer("%2B", "+", "%2F", "/", "%3D", "=")

// decodeBase64 decodes padded base64 without line breaks, of at least one byte, in its one canonical form.
func decodeBase64(s string) ([]byte, error) {
	if s == "" || strings.ContainsAny(s, "\r\n") { // which the standard library skips
		return nil, ErrMalformed
	}
	return base64.StdEncoding.Strict().DecodeString(s)
}
