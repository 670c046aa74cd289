package upstream

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/signer"
)

// Draft is a request as it would be sent, for inspection. It holds placeholders in
// the place of the access token and of the call's id.
type Draft struct {
	// Canonical is what is signed; empty where the scheme signs nothing.
	Canonical string
	// Target and Body are what is sent, Header is all that the gateway sets.
	Target string
	Body   []byte
	Header http.Header
	// Wrapped says that Body is not the one that was given, but has it in it.
	Wrapped bool
}

// Placeholders of a Draft.
const (
	DraftToken = "<access token>"
	DraftID    = "<id of the call>"
)

// Draft signs a request to p with that target and body, and that time, and sends
// nothing. p needs no connections.
func (p *Provider) Draft(method, target string, body []byte, at time.Time) (Draft, error) {
	token := ""
	if p.Profile.TakesToken {
		token = DraftToken
	}
	inQuery := ""
	if p.TokenQuery != "" && token != "" {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return Draft{}, fmt.Errorf("the target: %w", err)
		}
		inQuery = url.QueryEscape(token)
		_, target = p.withToken(u, token)
	}
	h := make(http.Header)
	p.composeHeader(h, &Request{ID: DraftID, Body: body}, token, new([2]string))
	d := Draft{Target: target, Body: body, Header: h}
	m := p.message(method, p.Profile.Kind().Target(p.ClientID, target), h, body, at)
	if p.envelope != nil && len(body) > 0 {
		wrapped, err := p.envelope.wrap(body, m, p.ClientID)
		if err != nil {
			return d, fmt.Errorf("the request around the call: %w", err)
		}
		d.Body, d.Wrapped, m.Body = wrapped, true, wrapped
	}
	if p.Scheme == nil {
		return d.readable(inQuery), nil
	}
	signed, err := p.Scheme.Sign(m)
	if err != nil {
		return d, fmt.Errorf("signing: %w", err)
	}
	for _, field := range signed.Fields {
		h[field.Name] = []string{field.Value}
	}
	d.Target, d.Body = signed.Target, signed.Body
	if p.Profile.Signs() {
		d.Canonical, err = p.Scheme.Canonical(m)
	}
	return d.readable(inQuery), err
}

// readable puts the placeholder of a token into the places where it was escaped.
func (d Draft) readable(escaped string) Draft {
	if escaped != "" {
		d.Target, d.Canonical = strings.ReplaceAll(d.Target, escaped, DraftToken), strings.ReplaceAll(d.Canonical, escaped, DraftToken)
	}
	return d
}

// RequestTarget gives the path and query of requests to an endpoint; empty for one that the upstream has not. It comes after
// [Provider.Prepare].
func (p *Provider) RequestTarget(e Endpoint) string { return p.targets[e].requestTarget }

// VerifyCaptured says whether p's scheme verifies a captured request, and gives what
// [signer.Explain] finds where it does not, and whether it would with the path of one of
// p's endpoints. With answer, h and m.Body are those of the answer to the request of m.
func (p *Provider) VerifyCaptured(m signer.Message, h http.Header, answer bool) (matches []string, err error) {
	if p.Scheme == nil || !p.Profile.Signs() {
		return nil, signer.ErrNoCanonical
	}
	verify := p.Scheme.VerifyRequest
	if answer {
		verify = p.Scheme.VerifyResponse
	}
	if err = verify(m, h); err == nil {
		return nil, nil
	}
	matches = signer.Explain(p.Scheme, m, h, answer)
	_, query, hasQuery := strings.Cut(m.Target, "?")
	for _, endpoint := range slices.Sorted(maps.Keys(p.targets)) {
		changed := m
		if changed.Target = p.RequestTarget(endpoint); hasQuery && !strings.Contains(changed.Target, "?") {
			changed.Target += "?" + query
		}
		if changed.Target != m.Target && verify(changed, h) == nil {
			matches = append(matches, fmt.Sprintf("the path is that of %s, %s", endpoint, p.RequestTarget(endpoint)))
		}
	}
	return matches, err
}
