package main

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	providers "github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire/anthropic"
	"github.com/caddy-alipayai/gateway/signer"
)

// alipayProvider is the demo app at a simulator of the Alipay AI API.
func alipayProvider(base string, replica int, transport http.RoundTripper) (*providers.Provider, error) {
	p, err := newProvider(first, "alipay", base, replica, transport)
	if err != nil {
		return nil, err
	}
	keys := make(map[int]*signer.HMACKey)
	for version, secret := range sandbox.DemoKeys() {
		keys[version] = signer.NewHMACKey(secret)
	}
	ring, err := signer.NewRing(keys)
	if err != nil {
		return nil, err
	}
	p.ClientID = sandbox.DemoClientID
	if p.Scheme, err = signer.NewHMAC(signer.HMACConfig{ClientID: sandbox.DemoClientID, Keys: ring}); err != nil {
		return nil, err
	}
	p.Verify = providers.VerifyRequire
	p.Tokens = &token.Source{
		Cell: new(token.Cell), Now: time.Now,
		Fetcher: &token.Grant{
			URL: base + "/oauth2/token", ClientID: sandbox.DemoClientID, Secret: sandbox.DemoOAuthSecret,
			Transport: transport, Clock: p.Clock, Now: time.Now,
		},
	}
	return p, nil
}

// claudeProvider is the demo app at a simulator in Anthropic's format.
func claudeProvider(base string, replica int, transport http.RoundTripper) (*providers.Provider, error) {
	p, err := newProvider(second, "anthropic", base+"/v1", replica, transport)
	if err != nil {
		return nil, err
	}
	ring, err := signer.NewRing(map[int]string{1: sandbox.DemoAPIKey})
	if err != nil {
		return nil, err
	}
	p.Scheme, err = signer.NewHeader(signer.HeaderConfig{Name: p.Profile.KeyHeader, Keys: ring})
	p.Model, p.Format = p.Profile.Model, new(anthropic.Format)
	return p, err
}

// newProvider is what all providers of a replica have.
func newProvider(name, profile, base string, replica int, transport http.RoundTripper) (*providers.Provider, error) {
	p := &providers.Provider{
		Name: name, Clock: new(providers.Clock), Transport: transport,
		Header: http.Header{replicaHeader: {strconv.Itoa(replica)}},
	}
	var err error
	if p.Profile, err = providers.LookupProfile(profile); err != nil {
		return nil, err
	}
	for field, value := range p.Profile.Header {
		p.Header.Set(field, value)
	}
	p.BaseURL, err = url.Parse(base)
	return p, err
}
