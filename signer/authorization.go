package signer

import (
	"fmt"
	"strings"
)

// authorizationScheme begins the Authorization header of openapi-v3.
const authorizationScheme = "ALIPAY-SHA256withRSA"

// maxAuthorization bounds that header.
const maxAuthorization = 8192

// Authorization is the parsed Authorization header of openapi-v3.
type Authorization struct {
	AppID     string
	AppCertSN string // empty outside the certificate mode
	Nonce     string
	Timestamp string // Unix milliseconds, decimal
	Extra     string // further parts as they stand, such as expired_seconds=120; empty for none
	Sign      []byte // the RSA signature
}

// ParseAuthorization parses
//
//	ALIPAY-SHA256withRSA app_id=<id>[,app_cert_sn=<sn>],nonce=<nonce>,timestamp=<ms>[,<name>=<value>...],sign=<base64>
//
// with its parts in this order, as the official SDKs write it; the Node SDK's additionalAuthInfo stands before sign. Each
// name comes once. It returns ErrMalformed for anything else. Errors
// do not tell the signature.
func ParseAuthorization(header string) (Authorization, error) {
	var a Authorization
	if len(header) > maxAuthorization {
		return a, malformedAuthorization(fmt.Sprintf("must not be longer than %d bytes", maxAuthorization))
	}
	rest, ok := strings.CutPrefix(header, authorizationScheme+" ")
	if !ok {
		return a, malformedAuthorization("must begin with " + authorizationScheme)
	}
	for _, part := range []struct {
		name     string
		optional bool
		into     *string
	}{
		{"app_id", false, &a.AppID},
		{"app_cert_sn", true, &a.AppCertSN},
		{"nonce", false, &a.Nonce},
		{"timestamp", false, &a.Timestamp},
	} {
		after, ok := strings.CutPrefix(rest, part.name+"=")
		if !ok {
			if part.optional {
				continue
			}
			return Authorization{}, malformedAuthorization(part.name + " must stand in its place")
		}
		*part.into, rest, _ = strings.Cut(after, ",")
		if err := checkID(part.name, *part.into, ",="); err != nil {
			return Authorization{}, malformedAuthorization(part.name + " must be visible ASCII without = and not be empty")
		}
	}
	if !isDigits(a.Timestamp) {
		return Authorization{}, malformedAuthorization("timestamp must be a number of milliseconds")
	}
	var err error
	if a.Extra, rest, err = cutExtra(rest); err != nil {
		return Authorization{}, err
	}
	sign, ok := strings.CutPrefix(rest, "sign=")
	if !ok {
		return Authorization{}, malformedAuthorization("sign must stand in its place")
	}
	if a.Sign, err = decodeBase64(sign); err != nil {
		return Authorization{}, malformedAuthorization("sign must be base64 and come last")
	}
	return a, nil
}

// cutExtra cuts off the parts that stand before sign.
func cutExtra(s string) (extra, rest string, err error) {
	seen := map[string]bool{"app_id": true, "app_cert_sn": true, "nonce": true, "timestamp": true, "sign": true}
	rest = s
	for rest != "" && !strings.HasPrefix(rest, "sign=") {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		name, value, _ := strings.Cut(part, "=")
		folded := strings.ToLower(name)
		if !isToken(name) || seen[folded] || checkID(name, value, "=") != nil {
			return "", "", malformedAuthorization("parts between timestamp and sign must be name=value, visible ASCII, each name once")
		}
		seen[folded] = true
	}
	return strings.TrimSuffix(s[:len(s)-len(rest)], ","), rest, nil
}

// authString is the part of the header that is signed.
func (a *Authorization) authString() string {
	s := "app_id=" + a.AppID
	if a.AppCertSN != "" {
		s += ",app_cert_sn=" + a.AppCertSN
	}
	s += ",nonce=" + a.Nonce + ",timestamp=" + a.Timestamp
	if a.Extra != "" {
		s += "," + a.Extra
	}
	return s
}

func malformedAuthorization(what string) error {
	return fmt.Errorf("%w: authorization header: %s", ErrMalformed, what)
}
