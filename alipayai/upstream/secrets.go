package upstream

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// notSecret are the fields of a request's header that are known to hold no secret.
var notSecret = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Content-Type": true, "User-Agent": true, "Idempotency-Key": true,
	"Client-Id": true, "Request-Time": true, "Alipay-Request-Id": true, "Anthropic-Version": true, "Traceparent": true, "Tracestate": true,
}

// notSecretPart are the parts of a signature's field, as in name=value, that are
// none: of Signature, and of openapi-v3's Authorization.
var notSecretPart = map[string]bool{
	"algorithm": true, "keyversion": true, "app_id": true, "app_cert_sn": true, "nonce": true, "timestamp": true, "expired_seconds": true,
}

// secretParameter are those of openapi-v2's parameters that are secrets.
var secretParameter = [...]string{"sign", "app_auth_token", "auth_token"}

// SentSecrets adds the secrets that a request to p carries: keys, tokens, signatures. Of the fields of a layout of
// one's own only the signature is one: a time or a nonce in them may well stand in an answer.
func (p *Provider) SentSecrets(secrets []string, req *http.Request) []string {
	var own []string
	if p.Scheme != nil {
		if signature := p.Scheme.SentSignature(req.Header); signature != "" {
			secrets, own = append(secrets, signature), p.Scheme.Traits().Headers
		}
	}
	for name, values := range req.Header {
		if notSecret[name] || slices.Contains(own, name) {
			continue
		}
		for _, value := range values {
			if name == p.UserHeader {
				value = strings.TrimPrefix(value, p.UserPrefix)
			}
			if scheme, rest, ok := strings.Cut(value, " "); ok && strings.HasSuffix(name, "Authorization") && !strings.ContainsAny(scheme, "=,") {
				value = rest // Bearer <secret>
			}
			for part := range strings.SplitSeq(value, ",") {
				key, secret, ok := strings.Cut(strings.TrimSpace(part), "=")
				if !ok || strings.Trim(secret, "=") == "" { // no name, but the padding of base64
					secret = strings.TrimSpace(part)
				} else if notSecretPart[strings.ToLower(key)] {
					continue
				}
				secrets = append(secrets, secret)
			}
		}
	}
	if req.URL != nil && req.URL.RawQuery != "" {
		query, _ := url.ParseQuery(req.URL.RawQuery)
		for _, name := range secretParameter {
			secrets = append(secrets, query[name]...)
		}
		if token := query.Get(p.TokenQuery); p.TokenQuery != "" && token != "" {
			secrets = append(secrets, token)
			if escaped := url.QueryEscape(token); escaped != token {
				secrets = append(secrets, escaped)
			}
		}
	}
	return secrets
}

// hideError gives an error of sending req without the credentials in its text, where
// net/http repeats what it cannot read of an answer.
func (p *Provider) hideError(req *http.Request, err error) error {
	text := p.Credentials.With(func() []string { return p.SentSecrets(nil, req) }).Text(err.Error())
	if text == err.Error() {
		return err
	}
	return hiddenError{err, text}
}

type hiddenError struct {
	error
	text string
}

func (e hiddenError) Error() string { return e.text }
func (e hiddenError) Unwrap() error { return e.error }
