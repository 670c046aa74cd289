package upstream

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/outgoing"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/signer"
)

// blank is what all requests have in common.
var blank = http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

// compose makes the signed request, with a time and a nonce that no other one has.
func (x *Exchange) compose(r *Request) *failure.Failure {
	err := x.sign(r)
	if refused, ok := errors.AsType[*wire.RequestError](err); ok { // of what is around the call
		f := failure.UnreadableRequest(refused)
		f.UnsupportedHere = true
		return f
	}
	switch {
	case err == nil:
		return nil
	case r.Client != nil && (errors.Is(err, ErrNotSigned) || errors.Is(err, signer.ErrMalformed) || errors.Is(err, signer.ErrWrongIdentity)):
		// Such as openapi-v2 parameters that only the gateway may set.
		f := failure.InvalidRequest(http.StatusForbidden, failure.CodeNotSigned, err.Error())
		f.Cause = err
		return f
	}
	r.Caller.SigningFailed(x.provider)
	return failure.Misconfigured(failure.CodeSigningFailed, "provider "+x.provider.Name+" cannot sign the request", err)
}

// sign sets x.Request. Its errors are ErrNotSigned and those of the signing scheme.
func (x *Exchange) sign(r *Request) error {
	p := x.provider
	x.address = x.choose(r)
	method, u, asked, target := p.addressed(r, x.address)
	if p.TokenQuery != "" && x.token != "" {
		u, asked = p.withToken(u, x.token)
		target = p.Profile.Kind().Target(p.ClientID, asked)
	}
	if x.header == nil {
		x.header = make(http.Header, fields)
	}
	h, body := x.header, r.Body
	p.composeHeader(h, r, x.token, &x.own)
	if x.user != "" {
		p.presentUser(h, x.user)
	}
	x.skew = p.Clock.Skew()
	scheme := r.Scheme
	if scheme == nil {
		scheme = p.Scheme
	}
	var m signer.Message
	if scheme != nil || p.envelope != nil {
		m = p.message(method, target, h, body, p.signingTime(x.at))
		m.Room = x.fields[:]
	}
	var err error
	if p.envelope != nil && r.Client == nil && len(body) > 0 {
		if body, err = p.envelope.wrap(body, m, p.ClientID); err != nil {
			return fmt.Errorf("provider %s: the request around the call: %w", p.Name, err)
		}
		m.Body = body
	}
	if scheme != nil {
		if target, body, err = x.signMessage(r, scheme, m); err != nil {
			return err
		}
		if target != asked {
			if u, err = u.Parse(target); err != nil {
				return fmt.Errorf("provider %s: the signed target is not a URL", p.Name)
			}
		}
	}
	if r.Client != nil {
		if err := p.checkSame(r.Client, h); err != nil {
			return err
		}
	}
	x.setRequest(method, u, body)
	return nil
}

// signMessage puts the signature into the header, and gives the target and the body that it is of.
func (x *Exchange) signMessage(r *Request, scheme signer.Scheme, m signer.Message) (target string, body []byte, err error) {
	if r.Client != nil {
		m.ExpiredSeconds = expiredSeconds(r.Client.Header)
	}
	s, err := scheme.Sign(m)
	if err != nil {
		return "", nil, fmt.Errorf("provider %s: signing: %w", x.provider.Name, err)
	}
	if r.Scheme == nil {
		x.keyVersion = s.KeyVersion
	}
	values := x.signed[:]
	if len(s.Fields) > len(values) {
		values = make([]string, len(s.Fields))
	}
	for i := range s.Fields {
		values[i] = s.Fields[i].Value
		x.header[s.Fields[i].Name] = values[i : i+1 : i+1]
	}
	return s.Target, s.Body, nil
}

// setRequest makes the request of what was signed.
func (x *Exchange) setRequest(method string, u *url.URL, body []byte) {
	req := &x.request
	*req = *blank.WithContext(&x.ctx)
	req.Method, req.URL, req.Host, req.Header = method, u, x.address.URL.Host, x.header
	if len(body) > 0 {
		x.body.Reset(body)
		req.Body, req.ContentLength = &x.body, int64(len(body))
	}
	x.Request = req
}

// addressed says where a request to that address goes: asked is u's target, and target the one to sign.
func (p *Provider) addressed(r *Request, at *Address) (method string, u *url.URL, asked, target string) {
	if r.Client != nil {
		asked = r.Client.URL.RequestURI()
		return r.Client.Method, r.Client.URL, asked, p.Profile.Kind().Target(p.ClientID, asked)
	}
	method = http.MethodPost
	if r.Endpoint == EndpointModels {
		method = http.MethodGet
	}
	to := at.targets[r.Endpoint]
	return method, to.url, to.requestTarget, to.requestTarget
}

// withToken puts the access token into the query of an address.
func (p *Provider) withToken(to *url.URL, token string) (u *url.URL, target string) {
	with := *to
	if with.RawQuery != "" {
		with.RawQuery += "&"
	}
	with.RawQuery += url.QueryEscape(p.TokenQuery) + "=" + url.QueryEscape(token)
	return &with, with.RequestURI()
}

// composedByClient are the header fields that describe a body and the wanted
// answer, and the Open Platform's that belong to a request; no signature covers
// them. Its SDKs always send a request id, as does the gateway where a client has
// none, and the other two with an encrypted body. Idempotency-Key is not among them: each try is a request of its own.
var composedByClient = [...]string{
	"Content-Type", "Accept", "Accept-Language",
	"Alipay-Request-Id", "Alipay-Encrypt-Type", "Alipay-Encryption-Algm",
}

// fields is how many header fields an ordinary signed call has, or a few more.
const fields = 12

// composeHeader makes the header of a request, apart from its signature, in h. own is
// room for the values that are this request's own.
func (p *Provider) composeHeader(h http.Header, r *Request, token string, own *[2]string) {
	h["User-Agent"] = userAgentValue
	h["Accept-Encoding"] = identity
	own[0] = r.ID
	if r.Client != nil {
		Forward(h, r.Client.Header, forwardedToUpstream[:], nil)
		Forward(h, r.Client.Header, composedByClient[:], nil)
		if name := p.Profile.Kind().RequestID; name != "" && h.Get(name) == "" {
			h[name] = []string{rand.Text()}
		}
	} else {
		if r.Stream {
			h["Accept"] = eventStreamValue
		}
		if r.Body != nil {
			h["Content-Type"] = jsonValue
		}
		h[p.IDHeader] = own[0:1:1]
		if name := p.Profile.Kind().RequestID; name != "" {
			h[name] = own[0:1:1]
		}
		Forward(h, r.Header, forwardedToUpstream[:], nil)
	}
	maps.Copy(h, p.Header)
	if r.Stream && r.Client == nil {
		maps.Copy(h, p.StreamHeader)
	}
	Forward(h, r.Header, r.Fields, nil)
	if token != "" && p.TokenQuery == "" {
		own[1] = p.presented(token)
		h[p.TokenHeader] = own[1:2:2]
	}
}

// presentUser puts a user's token into its field.
func (p *Provider) presentUser(h http.Header, access string) {
	name, prefix := p.UserHeader, p.UserPrefix
	if name == "" {
		name, prefix = p.TokenHeader, p.TokenPrefix
	}
	h[name] = []string{prefix + access}
}

// presented is how a token goes into its field. Most requests carry the token of the one
// before.
func (p *Provider) presented(token string) string {
	if p.TokenPrefix == "" {
		return token
	}
	last := p.lastPresented.Load()
	if last == nil || (*last)[len(p.TokenPrefix):] != token {
		value := p.TokenPrefix + token
		last = &value
		p.lastPresented.Store(last)
	}
	return *last
}

// message is what gets signed: the exact bytes, with a time and a nonce that no
// other attempt has.
func (p *Provider) message(method, requestTarget string, h http.Header, body []byte, now time.Time) signer.Message {
	m := signer.Message{Method: method, Target: requestTarget, Header: h, Body: body, Time: p.Clock.At(now)}
	if p.Profile.Kind().Nonce || p.nonce {
		m.Nonce = rand.Text()
	}
	return m
}

// SignToken signs a request for a token as those to the API are, over its body. It is for [token.Grant].
func (p *Provider) SignToken(req *http.Request, body []byte, now time.Time) error {
	if p.Scheme == nil {
		return ErrNotSigned
	}
	asked := req.URL.RequestURI()
	s, err := p.Scheme.Sign(p.message(req.Method, p.Profile.Kind().Target(p.ClientID, asked), req.Header, body, p.signingTime(now)))
	if err != nil {
		return fmt.Errorf("provider %s: signing a token request: %w", p.Name, err)
	}
	for _, f := range s.Fields {
		req.Header[f.Name] = []string{f.Value}
	}
	if s.Target != asked { // which has the signature in it, or a path of its own for a sandbox
		if req.URL, err = req.URL.Parse(s.Target); err != nil {
			return fmt.Errorf("provider %s: the signed target of a token request is not a URL", p.Name)
		}
	}
	if !bytes.Equal(s.Body, body) {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(s.Body)), int64(len(s.Body))
	}
	return nil
}

// SentBody is the body of a request that [Provider.Send] has composed, as it leaves: with what is around the model call.
func SentBody(req *http.Request) []byte {
	body, ok := req.Body.(*outgoing.Body)
	if !ok {
		return nil
	}
	b := make([]byte, body.Size())
	_, _ = body.ReadAt(b, 0) // which is all there
	return b
}

// signingTime is now, or so little later that no two signatures have the same
// millisecond: tries that follow each other at once would carry the same one.
func (p *Provider) signingTime(now time.Time) time.Time {
	const most = 1000 // milliseconds that a burst may run ahead
	for {
		ms, last := now.UnixMilli(), p.signedAt.Load()
		if ms <= last && last-ms < most {
			ms = last + 1
		}
		if p.signedAt.CompareAndSwap(last, ms) {
			return time.UnixMilli(ms)
		}
	}
}
