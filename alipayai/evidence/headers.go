package evidence

import (
	"net/http"
	"net/url"
	"strings"
)

// withheld stands for a value that is not kept.
const withheld = "[withheld]"

// loggedOfRequest are the request's headers that are kept, in the log as in
// the sealed file. Authorization, X-Api-Key and Signature are secrets or as
// good as secrets, and so may be whatever is not known here.
var loggedOfRequest = []string{
	"Accept", "Alipay-Request-Id", "Anthropic-Version", "Client-Id", "Content-Length", "Content-Type",
	"Idempotency-Key", "Request-Time", "Traceparent", "User-Agent", "X-Request-Id",
}

// loggedOfResponse are the response's headers that are kept in the log.
var loggedOfResponse = []string{
	"Age", "Alipay-Nonce", "Alipay-Timestamp", "Alipay-Trace-Id", "Cache-Control", "Client-Id", "Connection",
	"Content-Encoding", "Content-Length", "Content-Type", "Date", "Request-Id", "Response-Time", "Retry-After",
	"Retry-After-Ms", "Server", "Traceid", "Traceparent", "Transfer-Encoding", "Via", "X-Ratelimit-Limit-Requests",
	"X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Remaining-Tokens",
	"X-Ratelimit-Reset-Requests", "X-Ratelimit-Reset-Tokens", "X-Request-Id", "X-Should-Retry",
}

// credentialWords mark the names of headers that carry credentials.
var credentialWords = []string{
	"auth", "cookie", "credential", "key", "password", "secret", "session", "sign", "token",
}

// pick copies the named headers. The names are in canonical form.
func pick(from http.Header, names []string) http.Header {
	kept := make(http.Header, len(names))
	for _, name := range names {
		if values := from.Values(name); len(values) > 0 {
			kept[name] = append([]string(nil), values...)
		}
	}
	return kept
}

// withoutCredentials copies all headers, and says of those that may carry
// credentials only that they were there.
func withoutCredentials(from http.Header) http.Header {
	kept := make(http.Header, len(from))
	for name, values := range from {
		kept[name] = append([]string(nil), values...)
		if carriesCredentials(name) {
			kept[name] = []string{withheld}
		}
	}
	return kept
}

func carriesCredentials(name string) bool {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "x-ratelimit-") { // which counts tokens of text
		return false
	}
	for _, word := range credentialWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// withoutSecrets gives the address without user, fragment and the values of
// its query; nothing of one that cannot be read.
func withoutSecrets(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Opaque != "" {
		return withheld
	}
	query := u.Query()
	for name := range query {
		query[name] = []string{"-"}
	}
	u.User, u.Fragment, u.RawFragment, u.RawQuery = nil, "", "", query.Encode()
	return u.String()
}
