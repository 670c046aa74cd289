package upstream

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ErrNotSigned is a request that says by a header field, or by a parameter of its query, that it is for somebody else than
// the provider, or something else than what would be signed.
var ErrNotSigned = errors.New("the request is not one that the provider signs")

// decisive are the header fields that say whose or what a signed request is, in lower case:
//
//   - the merchant or the client that it is for: Alipay-App-Auth-Token (alipay-sdk-nodejs-all, src/alipay.ts), Client-Id
//     and Agent-Token (global-open-sdk-java, Constants; global-open-sdk-go sends an empty one where there is none), and the
//     names of v2's parameters, app_auth_token and target_app_id;
//   - how the body is to be read: Content-Type, Content-Encoding, Alipay-Encrypt-Type, and Alipay-Encryption-Algm
//     (alipay-sdk-nodejs-all);
//   - which method is meant: X-Http-Method-Override and its kin.
//
// The Open Platform's fields all begin with Alipay-. One that is not known here may say either, so that it is
// decisive too; composedByClient has those that go out as they come.
var decisive = map[string]bool{
	"client-id": true, "agent-token": true, "app-auth-token": true, "target-app-id": true,
	"content-type": true, "content-encoding": true,
	"x-http-method-override": true, "x-method-override": true, "x-http-method": true,
}

// incidental are fields of the Open Platform that SDKs send and that decide nothing: those of the signature and of its
// certificates, which are replaced (alipay-sdk-java-all, v3 AlipayConfigUtil), and the SDK's version.
var incidental = map[string]bool{
	"alipay-nonce": true, "alipay-timestamp": true, "alipay-signature": true, "alipay-root-cert-sn": true, "alipay-app-cert-sn": true,
	"alipay-sdk-version": true, "alipay-trace-id": true,
}

// IsDecisive reports whether a header field of this name says whose or what a signed request is. Case does not count, and
// an underscore or a dot stands for a dash, as it does for some servers.
func IsDecisive(name string) bool {
	name = plainName(name)
	return decisive[name] || strings.HasPrefix(name, "alipay-") && !incidental[name]
}

var dashes = strings.NewReplacer("_", "-", ".", "-", " ", "-")

func plainName(name string) string { return dashes.Replace(strings.ToLower(name)) }

// checkSame holds out, which is signed, against the client's request: whatever field of that says whose or what it is has to
// go out as it came, or the request is refused. A field that was dropped would leave another call than the
// client asked for, such as a payment to another merchant. Empty values say nothing.
//
// The error is ErrNotSigned. It names a field and not its value.
func (p *Provider) checkSame(client *http.Request, out http.Header) error {
	for _, fields := range []http.Header{client.Header, client.Trailer} {
		for name, values := range fields {
			if !IsDecisive(name) {
				continue
			}
			values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
			if len(values) > 0 && !same(values, out[name]) {
				return fmt.Errorf("%w: header %s is not what provider %s sends", ErrNotSigned, name, p.Name)
			}
		}
	}
	if err := p.checkAuthorization(client.Header["Authorization"]); err != nil {
		return err
	}
	if p.Profile.Kind().SignsParameters {
		return nil // whose parameters the scheme itself has checked
	}
	return p.checkQuery(client.URL.RawQuery, out)
}

// maxExpiredSeconds is the longest that a client may ask for its call's signature to be taken: who reads the request on
// its way could send it again for as long.
const maxExpiredSeconds = 3600

// expiredSeconds gives how long the client's SDK asks for its signature to be taken, by the part expired_seconds of what it
// signed (additionalAuthInfo of alipay-sdk-nodejs-all); 0 where it does not.
func expiredSeconds(client http.Header) int {
	_, after, found := strings.Cut(client.Get("Authorization"), ",expired_seconds=")
	text, _, _ := strings.Cut(after, ",")
	seconds, err := strconv.Atoi(strings.TrimSpace(text))
	if !found || err != nil {
		return 0
	}
	return seconds
}

// checkAuthorization looks at what an SDK has signed by itself. Its signature is replaced, and expired_seconds, which says
// how long it is good, is carried over; the app must be the provider's own.
func (p *Provider) checkAuthorization(client []string) error {
	for _, header := range client {
		scheme, parts, _ := strings.Cut(strings.TrimSpace(header), " ")
		if !strings.HasPrefix(strings.ToUpper(scheme), "ALIPAY-") {
			continue // the client's business with the gateway
		}
		for part := range strings.SplitSeq(parts, ",") {
			switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); {
			case name == "app_id" && value == p.ClientID:
			case name == "app_cert_sn", name == "nonce", name == "timestamp", name == "sign":
			case name == "expired_seconds":
				if seconds := expiredSeconds(http.Header{"Authorization": {header}}); seconds < 1 || seconds > maxExpiredSeconds || value != strconv.Itoa(seconds) {
					return fmt.Errorf("%w: header Authorization has expired_seconds outside of 1 to %d", ErrNotSigned, maxExpiredSeconds)
				}
			default:
				return fmt.Errorf("%w: header Authorization is for another app than that of provider %s, or has an unknown part", ErrNotSigned, p.Name)
			}
		}
	}
	return nil
}

// merchantFields are the header fields that say for which merchant a request is, by the parameter that says so in a query.
var merchantFields = map[string]string{
	"app-auth-token":        "Alipay-App-Auth-Token",
	"alipay-app-auth-token": "Alipay-App-Auth-Token",
	"agent-token":           "Agent-Token",
}

// checkQuery refuses parameters that say for which merchant a request is, as the Open Platform's v2 has them, unless
// that is the provider's. All others are signed with the target.
func (p *Provider) checkQuery(query string, out http.Header) error {
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		field, ok := merchantFields[plainName(name)]
		if !ok || value == "" {
			continue
		}
		if plain, err := url.QueryUnescape(value); err != nil || !same([]string{plain}, out[field]) {
			return fmt.Errorf("%w: the query says for which merchant it is, and that is not the one of provider %s", ErrNotSigned, p.Name)
		}
	}
	return nil
}

// same reports whether both have one value, the same. It takes as long for each that differs, since tokens are among them.
func same(client, own []string) bool {
	return len(client) == 1 && len(own) == 1 && subtle.ConstantTimeCompare([]byte(client[0]), []byte(own[0])) == 1
}
