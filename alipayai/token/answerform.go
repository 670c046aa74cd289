package token

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// ExpiryUnit says what a token endpoint's number or text about the end of a token is.
type ExpiryUnit string

// The units.
const (
	// ExpirySeconds and ExpiryMilliseconds are how long the token lives.
	ExpirySeconds      ExpiryUnit = "s"
	ExpiryMilliseconds ExpiryUnit = "ms"
	// ExpiryDate is when it ends, in ISO 8601; without a zone, as in
	// 2026-01-31 12:00:00, it is China's time, as the Open Platform's timestamps are.
	ExpiryDate ExpiryUnit = "date"
	// ExpiryUnix and ExpiryUnixMilliseconds are when it ends, since 1970.
	ExpiryUnix             ExpiryUnit = "unix"
	ExpiryUnixMilliseconds ExpiryUnit = "unix_ms"
)

// china is the zone of times that name none.
var china = time.FixedZone("UTC+8", 8*60*60)

// AnswerFields say where a token endpoint's answers have what is read of them, by paths as
// [wire.ParsePath] reads them. What is left empty is read as RFC 6749 and Ant's interfaces have
// it: see parseTokenAnswer.
type AnswerFields struct {
	AccessToken, RefreshToken string
	// Expires is when the token ends, in Unit; ExpirySeconds when empty.
	Expires string
	Unit    ExpiryUnit
	// Success tells a success from a failure: any value but SuccessValues is a failure.
	Success       string
	SuccessValues []string
	// Code is a failure's code: the first that is there.
	Code []string
}

// AnswerForm reads a token endpoint's answers by [AnswerFields]; nil reads them as usual.
type AnswerForm struct {
	fields AnswerFields
	// paths are those of access token, refresh token, expiry, success and codes.
	paths []wire.Path
}

// NewAnswerForm checks the fields. Errors name the option as a Caddyfile has it.
func NewAnswerForm(fields AnswerFields) (*AnswerForm, error) {
	switch fields.Unit {
	case "", ExpirySeconds, ExpiryMilliseconds, ExpiryDate, ExpiryUnix, ExpiryUnixMilliseconds:
	default:
		return nil, fmt.Errorf("expires: unit %q is unknown; use s, ms, date, unix or unix_ms", string(fields.Unit))
	}
	if fields.Unit != "" && fields.Expires == "" {
		return nil, errors.New("expires has a unit, and no path; write it like expires data.ttl ms")
	}
	if (fields.Success == "") != (len(fields.SuccessValues) == 0) {
		return nil, errors.New("success needs a path and the values that say success; write it like success code 10000")
	}
	f := &AnswerForm{fields: fields}
	for _, named := range []struct{ option, text string }{
		{"access_token", fields.AccessToken}, {"refresh_token", fields.RefreshToken}, {"expires", fields.Expires}, {"success", fields.Success},
	} {
		if named.text == "" {
			f.paths = append(f.paths, nil)
		} else if err := f.add(named.option, named.text); err != nil {
			return nil, err
		}
	}
	return f, f.add("code", fields.Code...)
}

func (f *AnswerForm) add(option string, texts ...string) error {
	for _, text := range texts {
		path, err := wire.ParsePath(text)
		if err != nil {
			return fmt.Errorf("%s %q %w; write the names of the members to go through, like data.token", option, text, err)
		}
		f.paths = append(f.paths, path)
	}
	return nil
}

// apply reads body into a, over what its members of the usual names say.
func (f *AnswerForm) apply(a *tokenAnswer, body []byte) error {
	if f == nil {
		return nil
	}
	values, err := wire.Lookup(body, f.paths...)
	if err != nil {
		return errTokenAnswer
	}
	access, refresh, expires, success, codes := values[0], values[1], values[2], values[3], values[4:]
	if f.fields.AccessToken != "" {
		a.accessToken = access
	}
	if f.fields.RefreshToken != "" {
		a.refreshToken = refresh
	}
	if f.fields.Expires != "" {
		a.life, a.expiry, a.expiryErr = defaultTokenLife, time.Time{}, nil
		f.fields.Unit.read(expires, a)
	}
	for _, code := range slices.Backward(codes) {
		if code != "" {
			a.plainCode = code
		}
	}
	switch {
	case success == "":
	case slices.Contains(f.fields.SuccessValues, success):
		a.code, a.plainCode = "", ""
	default:
		a.code = success
		if a.plainCode != "" {
			a.code = a.plainCode
		}
	}
	return nil
}

// read reads when a token ends. What makes no sense means the default life: see parseTokenAnswer.
func (u ExpiryUnit) read(text string, a *tokenAnswer) {
	if u == ExpiryDate {
		for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02T15:04:05"} {
			if at, err := time.ParseInLocation(layout, text, china); err == nil {
				a.expiry = at
				return
			}
		}
		return
	}
	unit := time.Second
	if u == ExpiryMilliseconds || u == ExpiryUnixMilliseconds {
		unit = time.Millisecond
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 1 {
		return
	}
	if u == ExpiryUnix || u == ExpiryUnixMilliseconds {
		if seconds := n * unit.Seconds(); seconds < 1<<40 {
			a.expiry = time.Unix(int64(seconds), 0)
		}
		return
	}
	if seconds := n * unit.Seconds(); seconds <= maxTokenLife.Seconds() {
		a.life = time.Duration(n * float64(unit))
	}
}
