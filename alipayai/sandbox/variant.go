package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Variant is one way in which an API can depart from the layout that [OpenAI]
// holds callers to. Ant publishes no byte-level contract, so the API that an
// app really meets may be any of them. Several go together, at most one of
// those that sign otherwise, and one of those about the token endpoint.
type Variant string

// The variants.
const (
	// VariantLayout signs "<METHOD>\n<target>\n<client id>\n<time>\n<hex(SHA-256(body))>".
	VariantLayout Variant = "layout"
	// VariantHex wants the MAC as X-Signature, in hexadecimal digits alone.
	VariantHex Variant = "hex"
	// VariantSeconds wants Request-Time, and what is signed of it, in Unix seconds.
	VariantSeconds Variant = "seconds"
	// VariantTokenJSON takes JSON at /oauth2/token, with client_id and client_secret in it.
	VariantTokenJSON Variant = "token_json"
	// VariantTokenPost takes client_id and client_secret in the form at
	// /oauth2/token, not HTTP Basic, and answers accessToken and expiresIn.
	VariantTokenPost Variant = "token_post"
	// VariantTokenHeader takes the access token as X-Access-Token.
	VariantTokenHeader Variant = "token_header"
	// VariantPaths has its endpoints under /api, but for those that hand out tokens.
	VariantPaths Variant = "paths"
	// VariantErrors answers errors with status 200 and codes of its own:
	// {"code":"E1003","msg":"…","data":null}. [VariantErrorCode] translates.
	VariantErrors Variant = "errors"
	// VariantHTTP1 answers 505 to what is not HTTP/1.1.
	VariantHTTP1 Variant = "http1"
	// VariantHTTP2 answers 505 to what is HTTP/1.
	VariantHTTP2 Variant = "http2"
	// VariantHeaderCase finds header fields only by names as HTTP/1.1 has them, in upper and lower case.
	VariantHeaderCase Variant = "header_case"
	// VariantBase has all of its endpoints under /gateway.
	VariantBase Variant = "base"
	// VariantZone wants Request-Time, and what is signed of it, as the time of day in China: 2026-01-31 20:00:00.
	VariantZone Variant = "zone"
	// VariantSHA512 wants HMAC-SHA512.
	VariantSHA512 Variant = "sha512"
	// VariantDigest signs "<METHOD> <target>\n<client id>.<time>.<base64(SHA-256(body))>".
	VariantDigest Variant = "digest"
	// VariantSkew has a clock that is ten minutes fast.
	VariantSkew Variant = "skew"
)

// Variants lists them.
func Variants() []Variant {
	return []Variant{
		VariantLayout, VariantHex, VariantSeconds, VariantTokenJSON, VariantTokenPost,
		VariantTokenHeader, VariantPaths, VariantErrors, VariantHTTP1, VariantSkew,
		VariantEnvelope, VariantErrorNames, VariantTokenAnswer,
		VariantHTTP2, VariantHeaderCase, VariantBase, VariantZone, VariantSHA512, VariantDigest,
		VariantWrapped, VariantLines, VariantNamedEvents,
	}
}

// exclusive are the variants of which one thing can have one only.
var exclusive = [][]Variant{
	{VariantLayout, VariantHex, VariantSeconds, VariantZone, VariantSHA512, VariantDigest},
	{VariantTokenJSON, VariantTokenPost},
	{VariantTokenPost, VariantTokenAnswer},
	{VariantErrors, VariantErrorNames},
	{VariantHTTP1, VariantHTTP2},
	{VariantHTTP2, VariantHeaderCase},
	{VariantPaths, VariantBase},
	{VariantErrors, VariantLines, VariantNamedEvents},
	{VariantErrorNames, VariantLines, VariantNamedEvents},
	{VariantEnvelope, VariantLines, VariantNamedEvents},
}

const (
	variantSkew   = 10 * time.Minute
	variantPrefix = "/api"
	variantBase   = "/gateway"
	variantSigned = "X-Signature"
	variantToken  = "X-Access-Token"
	variantOther  = "E4000" // whatever has no code of its own
)

// variantCodes are the codes of VariantErrors, for those of the simulator.
var variantCodes = map[string]string{
	codeInvalidSignature: "E1001", codeInvalidTime: "E1002", codeInvalidToken: "E1003", codeExpiredToken: "E1003",
	codeTraffic: "E1004", codeBlocked: "E4030", codeSystem: "E5000",
}

// VariantErrorCode gives what [VariantErrors] calls the simulator's own code.
func VariantErrorCode(code string) string {
	if own, ok := variantCodes[code]; ok {
		return own
	}
	return variantOther
}

// checkVariants gives what is wrong with a configuration's variants.
func checkVariants(variants []Variant) error {
	for i, v := range variants {
		if !slices.Contains(Variants(), v) {
			return fmt.Errorf("%w: Variants[%d] %q: want one of %v", ErrConfig, i, v, Variants())
		}
		if slices.Contains(variants[:i], v) {
			return fmt.Errorf("%w: Variants[%d] %q is listed twice", ErrConfig, i, v)
		}
	}
	for _, group := range exclusive {
		var both []Variant
		for _, v := range group {
			if slices.Contains(variants, v) {
				both = append(both, v)
			}
		}
		if len(both) > 1 {
			return fmt.Errorf("%w: Variants: %q and %q exclude each other", ErrConfig, both[0], both[1])
		}
	}
	return nil
}

// has reports whether the simulator departs in that way.
func (s *Server) has(v Variant) bool { return slices.Contains(s.cfg.Variants, v) }

// signsOtherwise reports whether a variant changes what is signed. Answers are
// then not signed: a caller that checks them has nothing to be told by.
func (s *Server) signsOtherwise() bool { return slices.ContainsFunc(exclusive[0], s.has) }

// path gives the path without a variant's prefix, where the endpoint has one.
func (s *Server) path(path string) (string, bool) {
	if s.has(VariantBase) {
		return strings.CutPrefix(path, variantBase)
	}
	ep, known := s.format.endpoint(path)
	if !s.has(VariantPaths) || known && ep.token {
		return path, true
	}
	return strings.CutPrefix(path, variantPrefix)
}

// refuseVersion answers a request of another HTTP version than the variant's.
func (c *call) refuseVersion() bool {
	if wrong := c.srv.has(VariantHTTP1) && c.r.ProtoMajor != 1 || c.srv.has(VariantHTTP2) && c.r.ProtoMajor == 1; !wrong {
		return false
	}
	http.Error(c.w, "HTTP Version Not Supported", http.StatusHTTPVersionNotSupported)
	return true
}

// readSignature reads a request's signature, in the form of the variant.
func (c *call) readSignature() (sig signature, err error) {
	if c.srv.has(VariantHeaderCase) && c.r.ProtoMajor > 1 {
		return sig, errNoSignature
	}
	if !c.srv.has(VariantHex) {
		header, ok := single(c.r.Header, "Signature")
		if !ok {
			return sig, errNoSignature
		}
		if c.srv.has(VariantSHA512) {
			return parseSignatureOf(header, sha512.Size)
		}
		return parseSignature(header)
	}
	header, ok := single(c.r.Header, variantSigned)
	if !ok {
		return sig, errNoSignature
	}
	mac, err := hex.DecodeString(header)
	if err != nil || len(mac) != sha256.Size || hex.EncodeToString(mac) != header {
		return sig, errNoSignature
	}
	copy(sig.mac[:], mac)
	sig.whole = mac
	for version := range c.app.keys { // none is named: the newest signs
		sig.keyVersion = max(sig.keyVersion, version)
	}
	return sig, nil
}

// readTime reads a request's time, in the unit of the variant.
func (c *call) readTime(at string) (time.Time, bool) {
	if c.srv.has(VariantZone) {
		t, err := time.ParseInLocation(time.DateTime, at, china)
		return t, err == nil && t.Format(time.DateTime) == at
	}
	if !c.srv.has(VariantSeconds) {
		return parseMillis(at)
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<33 || strconv.FormatInt(seconds, 10) != at {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0), true
}

// expectedMAC is the MAC of a request, in the layout of the variant.
func (c *call) expectedMAC(key []byte, at string) []byte {
	method, target, id := c.r.Method, target(c.r), c.app.id
	digest := sha256.Sum256(c.body)
	h := hmac.New(sha256.New, key)
	switch {
	case c.srv.has(VariantLayout):
		_, _ = fmt.Fprintf(h, "%s\n%s\n%s\n%s\n%x", method, target, id, at, digest) // a hash takes all
	case c.srv.has(VariantDigest):
		_, _ = fmt.Fprintf(h, "%s %s\n%s.%s.%s", method, target, id, at, base64.StdEncoding.EncodeToString(digest[:]))
	case c.srv.has(VariantSHA512):
		h = hmac.New(sha512.New, key)
		_, _ = fmt.Fprintf(h, "%s %s\n%s.%s.%s", method, target, id, at, c.body)
	default:
		mac := computeMAC(key, method, target, id, at, c.body)
		return mac[:]
	}
	return h.Sum(nil)
}

// china is the zone of China, which has had no other since 1991.
var china = time.FixedZone("", 8*60*60)

// bearer reads the access token, from the field of the variant.
func (c *call) bearer() (string, bool) {
	if c.srv.has(VariantTokenHeader) {
		return single(c.r.Header, variantToken)
	}
	header, ok := single(c.r.Header, "Authorization")
	value, bearer := strings.CutPrefix(header, "Bearer ")
	return value, ok && bearer
}

// tokenForm reads what is asked of /oauth2/token, in the form of the variant. ok
// is false where it has another one; reason says so.
func (c *call) tokenForm() (form url.Values, ok bool, reason string) {
	switch {
	case c.srv.has(VariantTokenJSON):
		var given map[string]string
		if c.r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(c.body, &given) != nil {
			return url.Values{}, false, "the body is not JSON"
		}
		form = make(url.Values, len(given))
		for name, value := range given {
			form.Set(name, value)
		}
		ok = true
	default:
		form, ok = c.form()
	}
	if !ok {
		return form, false, "want application/x-www-form-urlencoded with each parameter once"
	}
	return form, true, ""
}

// clientInBody reports whether a variant wants the client's id and secret in the
// body of a token request, and looks for them nowhere else.
func (s *Server) clientInBody() bool { return slices.ContainsFunc(exclusive[1], s.has) }

// tokenNames are what the members of a token's answer are called.
func (s *Server) tokenNames(answer map[string]any) map[string]any {
	switch {
	case s.has(VariantTokenAnswer):
		return s.namedToken(answer)
	case !s.has(VariantTokenPost):
		return answer
	}
	names := map[string]string{
		"access_token": "accessToken", "expires_in": "expiresIn", "token_type": "tokenType", "refresh_token": "refreshToken",
	}
	renamed := make(map[string]any, len(answer))
	for name, value := range answer {
		renamed[names[name]] = value
	}
	return renamed
}

// variantError answers as VariantErrors does.
func (c *call) variantError(code, message string) {
	own := VariantErrorCode(code)
	c.reply(http.StatusOK, code, mustJSON(map[string]any{"code": own, "msg": message, "data": nil}))
}
