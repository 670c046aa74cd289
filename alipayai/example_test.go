package alipayai_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
	"github.com/caddy-alipayai/gateway/signer"
)

// A call needs no HTTP in front: this one asks the simulated Alipay AI API.
func ExampleGateway_Do() {
	simulator, err := sandbox.New(sandbox.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(simulator)
	defer server.Close()
	address, _ := url.Parse(server.URL)
	profile, _ := upstream.LookupProfile("alipay")
	keys := make(map[int]*signer.HMACKey)
	for version, secret := range sandbox.DemoKeys() {
		keys[version] = signer.NewHMACKey(secret)
	}
	provider := &upstream.Provider{
		Name: "alipay", Profile: profile, BaseURL: address, ClientID: sandbox.DemoClientID,
		Clock: new(upstream.Clock), Transport: http.DefaultTransport,
	}
	ring, err := signer.NewRing(keys)
	if err != nil {
		fmt.Println(err)
		return
	}
	if provider.Scheme, err = signer.NewHMAC(signer.HMACConfig{ClientID: sandbox.DemoClientID, Keys: ring}); err != nil {
		fmt.Println(err)
		return
	}
	provider.Tokens = &token.Source{Cell: new(token.Cell), Now: time.Now, Fetcher: &token.Grant{
		URL: server.URL + "/oauth2/token", ClientID: sandbox.DemoClientID, Secret: sandbox.DemoOAuthSecret,
		Transport: http.DefaultTransport, Now: time.Now,
	}}
	gateway := &alipayai.Gateway{Providers: []*upstream.Provider{provider}}
	if err := errors.Join(provider.Prepare(), gateway.Prepare()); err != nil {
		fmt.Println(err)
		return
	}

	request, err := wire.ParseChatRequest([]byte(`{"model":"alipay-fin-1","messages":[{"role":"user","content":"Tea?"}]}`), wire.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := gateway.Do(context.Background(), &alipayai.Call{
		Endpoint: upstream.EndpointChat, Tenant: "acme", Format: openai.Format{}, Request: request,
	})
	if refused, ok := errors.AsType[*alipayai.Error](err); ok && refused.Code == failure.CodeTokenUnavailable {
		fmt.Println("no access token")
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Close(true)
	parsed, err := wire.ParseBody(answer.Body(), wire.Limits{})
	fmt.Println(answer.Status, answer.Served.Provider, answer.Served.Attempts, parsed.FinishReason, err)
	// Output: 200 alipay 1 stop <nil>
}
