package alipaycaddy

import (
	"net/url"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/credentials"
)

// live knows the secrets of all configurations of this process: an old one's may
// still leak when the next one runs, and some logs belong to no configuration.
var live = new(credentials.Filter)

// known makes a configured secret known to live, without what is public about it:
// the frame of a PEM block, and the host of an address.
func known(secret string) {
	switch {
	case strings.Contains(secret, "-----BEGIN "):
		_, rest, _ := strings.Cut(secret, "-----BEGIN ")
		for rest != "" {
			_, body, _ := strings.Cut(rest, "-----")
			body, after, _ := strings.Cut(body, "-----END ")
			live.Add(body)
			_, rest, _ = strings.Cut(after, "-----BEGIN ")
		}
	case strings.Contains(secret, "://"):
		live.Add(addressSecrets(secret)...)
	default:
		live.Add(secret)
	}
}

// addressSecrets are the parts of an address, such as an alert's, that may be
// secret: the user, the values of the query, and what in the path is no plain word.
// The services of shoutrrr have keys for hosts.
func addressSecrets(address string) (parts []string) {
	u, err := url.Parse(address)
	if err != nil {
		return []string{address}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		parts = append(parts, u.User.Username(), password)
	}
	if !strings.Contains(u.Host, ".") && u.Port() == "" {
		parts = append(parts, u.Host)
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if strings.ContainsAny(segment, "0123456789-_") || len(segment) >= 12 {
			parts = append(parts, segment)
		}
	}
	for _, values := range u.Query() {
		parts = append(parts, values...)
	}
	return parts
}
