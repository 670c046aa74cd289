package token

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// defaultTokenLife is how long an access token lives when the answer does not
// say: the Alipay AI API's tokens die after 30 minutes.
const defaultTokenLife = 30 * time.Minute

// maxTokenLife is the longest life that is believed of a token. One that is said
// to live longer has the default life: it is renewed a little too early at worst.
const maxTokenLife = 10 * 365 * 24 * time.Hour

// errTokenAnswer is an answer of a token endpoint that holds no token.
var errTokenAnswer = errors.New("token endpoint answered without an access token")

// tokenAnswer is what a token endpoint said.
type tokenAnswer struct {
	accessToken  string
	refreshToken string
	life         time.Duration
	expiry       time.Time // absolute, where the answer gives it so; else zero
	expiryErr    error     // that it cannot be read
	// refreshLife and refreshExpiry are those of the refresh token; zero where the answer does not say.
	refreshLife   time.Duration
	refreshExpiry time.Time
	// code is the failure's code: RFC 6749's error, or the vendor's.
	code string
	// plainCode is a member "code", which says something only where neither a
	// token nor a more specific code is there.
	plainCode string
	// unknown says that it is not known whether the grant was accepted: Antom's resultStatus U.
	unknown bool
}

// parseTokenAnswer reads an answer by form, and of what form does not name, in any of
// these forms:
//
//   - RFC 6749, section 5.1: access_token, expires_in, refresh_token, or
//     accessToken, expiresIn, refreshToken; errors as in section 5.2, with error
//   - alipay.system.oauth.token: the same names at the top level or inside
//     alipay_system_oauth_token_response, seconds as strings; errors inside
//     error_response with code and sub_code
//   - Antom's applyToken: accessToken, accessTokenExpiryTime (ISO 8601),
//     refreshToken, refreshTokenExpiryTime; errors inside result with resultCode
//
// Numbers of seconds may be strings; a missing or senseless one means 30 minutes,
// and so does a time that is further away than any token lives. A senseless time does so
// where a refresh token comes with it, which would be lost with the answer.
func parseTokenAnswer(body []byte, form *AnswerForm) (tokenAnswer, error) {
	a := tokenAnswer{life: defaultTokenLife}
	d := jsontext.NewDecoder(strings.NewReader(string(body)))
	if err := a.readObject(d, ""); err != nil {
		return tokenAnswer{}, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return tokenAnswer{}, errTokenAnswer
	}
	if err := form.apply(&a, body); err != nil {
		return tokenAnswer{}, err
	}
	if a.code == "" && a.accessToken == "" {
		a.code = a.plainCode
	}
	if a.accessToken == "" && a.code == "" {
		return tokenAnswer{}, errTokenAnswer
	}
	if a.expiryErr != nil && a.code == "" && a.refreshToken == "" {
		return tokenAnswer{}, a.expiryErr
	}
	return a, nil
}

// readObject reads one object; inside names the member that holds it.
func (a *tokenAnswer) readObject(d *jsontext.Decoder, inside string) error {
	if kind := d.PeekKind(); kind != '{' {
		return errTokenAnswer
	}
	if _, err := d.ReadToken(); err != nil {
		return errTokenAnswer
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return errTokenAnswer
		}
		if err := a.readMember(d, inside, name.String()); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return errTokenAnswer
	}
	return nil
}

func (a *tokenAnswer) readMember(d *jsontext.Decoder, inside, name string) error {
	if inside == "" {
		switch name {
		case "result", "error_response", "alipay_system_oauth_token_response", "error":
			if d.PeekKind() == '{' {
				return a.readObject(d, name)
			}
		}
	}
	value, err := readScalar(d)
	if err != nil {
		return err
	}
	switch name {
	case "access_token", "accessToken":
		a.accessToken = value
	case "refresh_token", "refreshToken":
		a.refreshToken = value
	case "expires_in", "expiresIn":
		// What makes no sense means the default: refusing the answer would
		// lose the refresh token that comes with it.
		const most = float64(maxTokenLife) / float64(time.Second)
		if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds >= 1 && seconds <= most {
			a.life = time.Duration(seconds) * time.Second
		}
	case "accessTokenExpiryTime":
		if a.expiry, err = time.Parse(time.RFC3339, value); err != nil {
			a.expiryErr = fmt.Errorf("%w: accessTokenExpiryTime is not an ISO 8601 time", errTokenAnswer)
		}
	case "re_expires_in", "refresh_expires_in", "refresh_token_expires_in":
		const most = float64(maxTokenLife) / float64(time.Second)
		if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds >= 1 && seconds <= most {
			a.refreshLife = time.Duration(seconds) * time.Second
		}
	case "refreshTokenExpiryTime":
		a.refreshExpiry, _ = time.Parse(time.RFC3339, value)
	case "error", "sub_code":
		a.code = value
	case "code":
		a.plainCode = value
	case "resultStatus":
		a.unknown = value == wire.StatusUnknown
	case "resultCode":
		if value != "SUCCESS" {
			a.code = value
		}
	}
	return nil
}

// readScalar gives a string or number as text, and skips anything else.
func readScalar(d *jsontext.Decoder) (string, error) {
	switch d.PeekKind() {
	case '"', '0':
		token, err := d.ReadToken()
		if err != nil {
			return "", errTokenAnswer
		}
		return token.String(), nil
	}
	if err := d.SkipValue(); err != nil {
		return "", errTokenAnswer
	}
	return "", nil
}
