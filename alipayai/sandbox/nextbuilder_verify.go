package sandbox

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"
)

// authorization is what an Authorization header of Open Platform v3 says.
type authorization struct {
	appID     string
	timestamp time.Time
	signed    string // what of the header is signed, as it stands
	sign      []byte
}

var errAuthorization = errors.New(
	"want Authorization: ALIPAY-SHA256withRSA app_id=<id>[,app_cert_sn=<sn>],nonce=<nonce>,timestamp=<ms>[,<name>=<value>...],sign=<base64>")

// parseAuthorization reads the header as the platform's official Node SDK writes
// it. Each part comes once, none is empty, and sign comes last. What an SDK is told
// to add (additionalAuthInfo), such as expired_seconds=120, stands after timestamp.
func parseAuthorization(header string) (authorization, error) {
	value, ok := strings.CutPrefix(header, "ALIPAY-SHA256withRSA ")
	signed, sign, found := strings.Cut(value, ",sign=")
	if !ok || !found {
		return authorization{}, errAuthorization
	}
	parts := map[string]string{"app_id": "", "app_cert_sn": "", "nonce": "", "timestamp": ""}
	for part := range strings.SplitSeq(signed, ",") {
		name, v, _ := strings.Cut(part, "=")
		before, known := parts[name]
		if before != "" || v == "" || !known && parts["timestamp"] == "" {
			return authorization{}, errAuthorization
		}
		parts[name] = v
	}
	at, ok := parseMillis(parts["timestamp"])
	raw, err := base64.StdEncoding.Strict().DecodeString(sign)
	if err != nil || !ok || parts["app_id"] == "" || parts["nonce"] == "" {
		return authorization{}, errAuthorization
	}
	return authorization{parts["app_id"], at, signed, raw}, nil
}

// verify checks the signature of Open Platform v3:
//
//	RSASSA-PKCS1-v1_5-SHA256("<auth>\n<METHOD>\n<path[?query]>\n<body>\n[<app auth token>\n]")
//
// over the header's parts before sign. An app_cert_sn is signed like the rest;
// there is no certificate behind it.
func (nextBuilder) verify(c *call) *refusal {
	header, ok := single(c.r.Header, "Authorization")
	if !ok {
		return &refusal{http.StatusUnauthorized, "missing-signature", errAuthorization.Error()}
	}
	a, err := parseAuthorization(header)
	if err != nil {
		return &refusal{http.StatusUnauthorized, "invalid-signature", err.Error()}
	}
	c.srv.stats.sawSignature(sha256.Sum256(a.sign))
	if c.app == nil {
		return &refusal{http.StatusUnauthorized, "invalid-app-id", "app_id is not known"}
	}
	if skew := c.wall.Sub(a.timestamp); skew > timeWindow || skew < -timeWindow {
		return &refusal{http.StatusUnauthorized, "invalid-timestamp", "timestamp is more than 5 minutes away from the Date of this answer"}
	}
	h := sha256.New()
	for _, s := range []string{a.signed, "\n", c.r.Method, "\n", target(c.r), "\n", string(c.body), "\n"} {
		h.Write([]byte(s))
	}
	if token, _ := single(c.r.Header, "Alipay-App-Auth-Token"); token != "" {
		h.Write([]byte(token + "\n"))
	}
	if rsa.VerifyPKCS1v15(c.app.public, crypto.SHA256, h.Sum(nil), a.sign) != nil {
		return &refusal{http.StatusUnauthorized, "invalid-signature", "the signature does not match the request"}
	}
	return nil
}
