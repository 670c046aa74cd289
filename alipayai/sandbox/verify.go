package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Codes of a call that is refused before it is looked at. The names are those of
// Ant's global APIs where they have one; INVALID_KEY_VERSION and
// INVALID_REQUEST_TIME are the simulator's own.
const (
	codeInvalidClient     = "INVALID_CLIENT"
	codeInvalidSignature  = "INVALID_SIGNATURE"
	codeInvalidKeyVersion = "INVALID_KEY_VERSION"
	codeInvalidTime       = "INVALID_REQUEST_TIME"
	codeInvalidToken      = "INVALID_ACCESS_TOKEN"
	codeExpiredToken      = "EXPIRED_ACCESS_TOKEN"
	codeAccessDenied      = "ACCESS_DENIED"
)

const (
	algorithm  = "HMAC-SHA256"
	timeWindow = 5 * time.Minute
)

// signature is what a Signature header says.
type signature struct {
	keyVersion int
	// whole is the MAC, and mac its first bytes, by which it is told from others.
	whole []byte
	mac   [sha256.Size]byte
}

var (
	errSignatureHeader = errors.New(
		"want Signature: algorithm=HMAC-SHA256,keyVersion=<n>,signature=<urlencode(base64(mac))>")
	errNoSignature = errors.New("there is no signature in the form that is wanted")
)

// parseSignature reads a Signature header. The parts may come in any order and
// with spaces or tabs after the commas; each comes once, there is no other, and
// each value has one spelling only, so that no changed byte goes unnoticed.
func parseSignature(header string) (signature, error) { return parseSignatureOf(header, sha256.Size) }

// parseSignatureOf is parseSignature for MACs of another size.
func parseSignatureOf(header string, size int) (signature, error) {
	var sig signature
	values := make(map[string]string, 3)
	for part := range strings.SplitSeq(header, ",") {
		name, value, found := strings.Cut(strings.TrimLeft(part, " \t"), "=")
		if _, twice := values[name]; twice || !found {
			return sig, errSignatureHeader
		}
		values[name] = value
	}
	if len(values) != 3 || values["algorithm"] != algorithm {
		return sig, errSignatureHeader
	}
	version, err := strconv.Atoi(values["keyVersion"])
	if err != nil || version < 1 || strconv.Itoa(version) != values["keyVersion"] {
		return sig, errSignatureHeader
	}
	sig.keyVersion = version
	encoded, err := url.QueryUnescape(values["signature"])
	if err != nil {
		return sig, errSignatureHeader
	}
	mac, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(mac) != size {
		return sig, errSignatureHeader
	}
	copy(sig.mac[:], mac)
	sig.whole = mac
	if url.QueryEscape(base64.StdEncoding.EncodeToString(mac)) != values["signature"] {
		return sig, errSignatureHeader
	}
	return sig, nil
}

func encodeMAC(mac [sha256.Size]byte) string {
	return url.QueryEscape(base64.StdEncoding.EncodeToString(mac[:]))
}

// computeMAC is the HMAC over "<METHOD> <target>\n<client id>.<time>.<body>".
func computeMAC(key []byte, method, target, clientID, at string, body []byte) (mac [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	for _, s := range [...]string{method, " ", target, "\n", clientID, ".", at, "."} {
		h.Write([]byte(s))
	}
	h.Write(body)
	h.Sum(mac[:0])
	return mac
}

// target is the request target as it was sent, without the host.
func target(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.RequestURI() // absolute-form, or a request that never was on a wire
}

// single returns the value of a header that came exactly once.
func single(h http.Header, name string) (string, bool) {
	if v := h[name]; len(v) == 1 {
		return v[0], true
	}
	return "", false
}

// parseMillis reads Unix milliseconds: digits only, in their one spelling.
func parseMillis(s string) (time.Time, bool) {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil || ms < 0 || strconv.FormatInt(ms, 10) != s {
		return time.Time{}, false
	}
	return time.UnixMilli(ms), true
}

// verifySignature checks client, signature, key version and time, and returns
// the code and the reason of a refusal. On success the call knows the key that
// its answer is signed with.
func (c *call) verifySignature() (code, reason string) {
	if c.app == nil {
		return codeInvalidClient, "want one Client-Id header with the id of a known app, or a signature by such an app's contract"
	}
	sig, err := c.readSignature()
	if err != nil {
		return codeInvalidSignature, err.Error()
	}
	c.srv.stats.sawSignature(sig.mac)
	key, ok := c.app.keys[sig.keyVersion]
	if !ok {
		return codeInvalidKeyVersion, "the app has no key of version " + strconv.Itoa(sig.keyVersion)
	}
	at, ok := single(c.r.Header, "Request-Time")
	if !ok {
		return codeInvalidTime, "want one Request-Time header"
	}
	sent, ok := c.readTime(at)
	if !ok {
		return codeInvalidTime, "Request-Time is not in the unit that is wanted"
	}
	if skew := c.wall.Sub(sent); skew > timeWindow || skew < -timeWindow {
		return codeInvalidTime, "Request-Time is more than 5 minutes away from the Date of this answer"
	}
	want := c.expectedMAC(key, at)
	if !hmac.Equal(want, sig.whole) {
		return codeInvalidSignature, "the signature does not match the request"
	}
	c.key, c.keyVersion = key, sig.keyVersion
	return "", ""
}

// verifyToken checks the bearer token: known, alive, and this app's.
func (c *call) verifyToken() (code, reason string) {
	value, ok := c.bearer()
	if !ok {
		return codeInvalidToken, "there is no access token"
	}
	c.token = value
	owner, alive, known := c.srv.tokens.look(value, c.srv.cfg.Now())
	switch {
	case !known:
		return codeInvalidToken, "the access token is not known"
	case owner != c.app:
		return codeAccessDenied, "the access token belongs to another app"
	case !alive:
		return codeExpiredToken, "the access token has expired"
	}
	return "", ""
}

// sign adds Client-Id, Response-Time and Signature over body to the answer, in
// the layout of requests. An answer to a request whose own signature did not
// verify stays unsigned: anything else would sign for whoever asks.
func (c *call) sign(body []byte) {
	if c.key == nil || c.srv.signsOtherwise() {
		return
	}
	at := strconv.FormatInt(c.wall.UnixMilli(), 10)
	path, _, _ := strings.Cut(target(c.r), "?") // answers are signed over the path alone
	mac := computeMAC(c.key, c.r.Method, path, c.app.id, at, body)
	if c.plan.badSignature {
		mac[0] ^= 1
	}
	h := c.w.Header()
	h.Set("Client-Id", c.app.id)
	h.Set("Response-Time", at)
	h.Set("Signature", "algorithm="+algorithm+",keyVersion="+strconv.Itoa(c.keyVersion)+",signature="+encodeMAC(mac))
}
