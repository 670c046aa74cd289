package signer

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// checkID checks a configured value that becomes part of a header and of a canonical string: it must not be
// empty and may hold visible ASCII only, without the characters that separate the parts of its layout.
func checkID(option, value, separators string) error {
	if value == "" {
		return fmt.Errorf("%s: must not be empty", option)
	}
	return checkOptionalID(option, value, separators)
}

// checkOptionalID is checkID for a value that may be absent.
func checkOptionalID(option, value, separators string) error {
	for i := range len(value) {
		switch c := value[i]; {
		case c <= ' ' || c >= 0x7f:
			return fmt.Errorf("%s: must hold visible ASCII characters only, without spaces and control characters", option)
		case strings.IndexByte(separators, c) >= 0:
			return fmt.Errorf("%s: must not contain %q, which separates the parts of what is signed", option, c)
		}
	}
	return nil
}

// checkValue checks the value of a header field: visible ASCII and inner spaces.
func checkValue(option, value string) error {
	if value == "" || value != strings.TrimSpace(value) {
		return fmt.Errorf("%s: must not be empty, nor begin or end with a space", option)
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c >= 0x7f {
			return fmt.Errorf("%s: must hold visible ASCII characters and spaces only", option)
		}
	}
	return nil
}

// headerName checks the name of a header field and returns it in canonical form.
func headerName(option, name string) (string, error) {
	if !isToken(name) {
		return "", fmt.Errorf("%s: must be the name of an HTTP header", option)
	}
	return http.CanonicalHeaderKey(name), nil
}

// check refuses messages that no layout can sign unambiguously: every layout ends the method with a space or
// a newline and the target with a newline.
func (m *Message) check() error {
	if !isToken(m.Method) {
		return fmt.Errorf("%w: method must be an HTTP token", ErrMalformed)
	}
	if m.Target == "" || m.Target[0] != '/' {
		return fmt.Errorf("%w: target must begin with a slash", ErrMalformed)
	}
	for i := range len(m.Target) {
		if c := m.Target[i]; c <= ' ' || c == 0x7f {
			return fmt.Errorf("%w: target must be percent-encoded", ErrMalformed)
		}
	}
	return nil
}

// millis returns the time in Unix milliseconds. It refuses times up to 1970: a zero Time is a mistake.
func (m *Message) millis() (int64, error) {
	ms := m.Time.UnixMilli()
	if ms <= 0 {
		return 0, fmt.Errorf("%w: time must be set", ErrMalformed)
	}
	return ms, nil
}

// path is the target without its query: the responses' layouts hold no query.
func (m *Message) path() string {
	path, _, _ := strings.Cut(m.Target, "?")
	return path
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !alnum && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isDigits reports whether s is a positive decimal number in its one canonical form that fits an int64.
func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && s[0] != '0' && len(s) <= 18
}

// isISO8601 reports whether s is a time such as 2019-05-28T12:12:12+08:00.
func isISO8601(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}

// single returns the one value of a header field. A field that comes twice is refused: two readers of the
// message might each take another one.
func single(h http.Header, name string) (string, error) {
	switch values := h.Values(name); len(values) {
	case 0:
		return "", fmt.Errorf("%w: header %s is missing", ErrMalformed, name)
	case 1:
		return values[0], nil
	default:
		return "", fmt.Errorf("%w: header %s comes more than once", ErrMalformed, name)
	}
}

// isUnsigned reports whether a message has no signature in a header field. The platform also sends an empty one, or the word
// null, with errors that come from before its signer (official Java SDK, v3 ApiClient.verifyResponse).
func isUnsigned(h http.Header, name string) bool {
	for _, value := range h.Values(name) {
		if value != "" && value != "null" {
			return false
		}
	}
	return true
}
