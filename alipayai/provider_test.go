package alipayai_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

func TestProfiles(t *testing.T) {
	signing := []string{"alipay", "sandbox", "openapi-v3", "openapi-v2", "global", "nextbuilder"}
	names := upstream.ProfileNames()
	if !slices.IsSorted(names) || len(names) < 15 {
		t.Errorf("profiles %v", names)
	}
	for _, name := range names {
		p := profile(t, name)
		if p.Name != name || p.Signs() != slices.Contains(signing, name) {
			t.Errorf("%s: %+v", name, p)
		}
		if p.Scheme != "" && !slices.Contains(signer.Names(), p.Scheme) {
			t.Errorf("%s: scheme %q is none of the signer's", name, p.Scheme)
		}
		if p.BaseURL != "" {
			u := parseURL(t, p.BaseURL)
			if u.Scheme != "https" && !upstream.IsLoopback(u.Hostname()) {
				t.Errorf("%s: %s is neither safe nor local", name, u)
			}
			// An OpenAI client's base URL ends in the version, the others' paths begin with it.
			if _, err := upstream.CheckEnvironment("", name, u, "app"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, endpoint := range []upstream.Endpoint{upstream.EndpointChat, upstream.EndpointEmbeddings, upstream.EndpointModels} {
			if path, ok := p.Paths[endpoint]; ok && !strings.HasPrefix(path, "/") || !ok && p.Format == "" {
				t.Errorf("%s: path of %s is %q", name, endpoint, p.Paths[endpoint])
			}
		}
	}
	if _, err := upstream.LookupProfile("antling"); err == nil || !strings.Contains(err.Error(), "ant_ling") {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestProvidersThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*upstream.Provider)
		want string
	}{
		"no base URL":            {func(p *upstream.Provider) { p.BaseURL = nil }, "base_url"},
		"a relative one":         {func(p *upstream.Provider) { p.BaseURL = &url.URL{Path: "/v1"} }, "base_url"},
		"another scheme":         {func(p *upstream.Provider) { p.BaseURL.Scheme = "ftp" }, "base_url"},
		"a user":                 {func(p *upstream.Provider) { p.BaseURL.User = url.UserPassword("u", "secret-value") }, "base_url"},
		"a query":                {func(p *upstream.Provider) { p.BaseURL.RawQuery = "key=secret-value" }, "base_url"},
		"a fragment":             {func(p *upstream.Provider) { p.BaseURL.Fragment = "x" }, "base_url"},
		"a negative timeout":     {func(p *upstream.Provider) { p.Timeout = -time.Second }, "timeout"},
		"a mode that is none":    {func(p *upstream.Provider) { p.Verify = "always" }, "verify_response"},
		"require without a sign": {func(p *upstream.Provider) { p.Profile, p.Verify = profile(t, "openai"), upstream.VerifyRequire }, "verify_response"},
		"a model in two lines":   {func(p *upstream.Provider) { p.Model = "a\r\nb" }, "model"},
		"a model with a NUL":     {func(p *upstream.Provider) { p.ModelMap = map[string]string{"a": "b\x00"} }, "model"},
		"models in two lines":    {func(p *upstream.Provider) { p.Models = []string{"a", "b\n"} }, "models"},
		"a region in two lines":  {func(p *upstream.Provider) { p.Region = "cn\n" }, "region"},
		"a name in two lines":    {func(p *upstream.Provider) { p.Name = "a\nb" }, "name"},
		"a path without a slash": {func(p *upstream.Provider) { p.Paths = map[upstream.Endpoint]string{upstream.EndpointChat: "v1"} }, "path of chat"},
		"a path to elsewhere":    {func(p *upstream.Provider) { p.Paths = map[upstream.Endpoint]string{upstream.EndpointModels: "/x#y"} }, "path of models"},
		"a path that is broken":  {func(p *upstream.Provider) { p.Paths = map[upstream.Endpoint]string{upstream.EndpointChat: "/%zz"} }, "path of chat"},
	} {
		t.Run(name, func(t *testing.T) {
			p := simProvider(t, "http://127.0.0.1:1")
			test.edit(p)
			err := p.Prepare()
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret-value") {
				t.Errorf("got %v, want an error that names %s", err, test.want)
			}
		})
	}
}

func TestGatewaysThatAreRefused(t *testing.T) {
	provider := func(name, region string) *upstream.Provider { return &upstream.Provider{Name: name, Region: region} }
	for name, test := range map[string]struct {
		gateway alipayai.Gateway
		want    string
	}{
		"no provider":         {alipayai.Gateway{}, "provider"},
		"two regions":         {alipayai.Gateway{Providers: []*upstream.Provider{provider("a", "cn"), provider("b", "eu")}}, "allow_cross_region"},
		"one without region":  {alipayai.Gateway{Providers: []*upstream.Provider{provider("a", "cn"), provider("b", "cn"), provider("c", "")}}, "allow_cross_region"},
		"a negative body":     {alipayai.Gateway{Providers: []*upstream.Provider{provider("a", "")}, MaxBody: -1}, "max_body"},
		"a negative answer":   {alipayai.Gateway{Providers: []*upstream.Provider{provider("a", "")}, MaxAnswer: -1}, "max_answer"},
		"negative buffers":    {alipayai.Gateway{Providers: []*upstream.Provider{provider("a", "")}, MaxBuffered: -1}, "max_buffered"},
		"buffers too small":   {alipayai.Gateway{Providers: []*upstream.Provider{provider("a", "")}, MaxBuffered: 1 << 20}, "raise the one or lower the other"},
		"a pack of one":       {alipayai.Gateway{Providers: []*upstream.Provider{provider("a", "")}, Packs: &alipayai.Packs{MaxCalls: 1}}, "max_calls"},
		"a pack of too many":  {alipayai.Gateway{Providers: []*upstream.Provider{provider("a", "")}, Packs: &alipayai.Packs{MaxCalls: 1001}}, "max_calls"},
		"a negative deadline": {alipayai.Gateway{Providers: []*upstream.Provider{provider("a", "")}, Deadline: -1}, "deadline"},
	} {
		if err := test.gateway.Prepare(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	at := func(addr string) *upstream.Provider {
		return &upstream.Provider{Name: "at " + addr, BaseURL: parseURL(t, addr)}
	}
	for name, test := range map[string]struct {
		addrs []string
		fine  bool
	}{
		"hosts of unknown kind":       {[]string{"https://a.example", "https://b.example"}, false},
		"a third one":                 {[]string{"https://a.example", "https://a.example", "https://b.example"}, false},
		"one on this machine":         {[]string{"http://127.0.0.1:1", "https://b.example"}, false},
		"two on this machine":         {[]string{"http://127.0.0.1:1", "http://localhost:2"}, true},
		"two accounts of one address": {[]string{"https://a.example/v1", "https://a.example/v2"}, true},
	} {
		g := alipayai.Gateway{}
		for _, addr := range test.addrs {
			g.Providers = append(g.Providers, at(addr))
		}
		if err := g.Prepare(); (err == nil) != test.fine || err != nil && !strings.Contains(err.Error(), "allow_cross_region") {
			t.Errorf("%s: %v", name, err)
		}
		g.AllowCrossRegion = true
		if err := g.Prepare(); err != nil {
			t.Errorf("%s, allowed: %v", name, err)
		}
	}
	g := alipayai.Gateway{Providers: []*upstream.Provider{provider("a", "cn"), provider("b", "eu")}, AllowCrossRegion: true}
	if err := g.Prepare(); err != nil {
		t.Error(err)
	}
	if g.MaxBody != alipayai.DefaultMaxBody || g.MaxAnswer != alipayai.DefaultMaxAnswer || g.Deadline != alipayai.DefaultDeadline || g.Now == nil || g.Observer == nil {
		t.Errorf("defaults %+v", g)
	}
}

// Without an observer, and with a tenant, a call is served all the same.
func TestGatewayWithoutAnObserver(t *testing.T) {
	r := newRig(t, sandbox.Config{}, func(g *alipayai.Gateway) { g.Observer = nil })
	for _, got := range []reply{r.chat("hello"), r.stream("hello"), r.post("/nowhere", "")} {
		if got.status == 0 || got.err != nil {
			t.Errorf("%d (%v)", got.status, got.err)
		}
	}
}

// Open Platform v3 has a request id that is the call's idempotency id.
func TestRequestHasAnIDWhereTheSchemeDoes(t *testing.T) {
	calls := 0
	r := newPlainRig(t, func(w http.ResponseWriter, req *http.Request) {
		calls++
		if id := req.Header.Get("Alipay-Request-Id"); id == "" || id != req.Header.Get("Idempotency-Key") {
			t.Errorf("header %v", slices.Sorted(maps.Keys(req.Header)))
		}
		w.Write([]byte(`{"choices":[{}]}`))
	}, first(func(p *upstream.Provider) { p.Profile.Scheme = signer.NameOpenAPIV3 }))
	if r.chat("hello"); calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

func TestProviderIsPrintedWithoutItsSecrets(t *testing.T) {
	const access, refresh, secret = "access-token-value", "refresh-token-value", "client-secret-value"
	p := plainProvider(t, "http://127.0.0.1")
	p.Tokens = &token.Source{
		Cell: new(token.Cell), RefreshToken: refresh, Now: time.Now,
		Fetcher: &token.Grant{URL: "http://127.0.0.1/token", ClientID: "app", Secret: secret, Now: time.Now},
	}
	p.Tokens.Cell.Set(token.Token{Access: access, Refresh: refresh})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		text := fmt.Sprintf(verb, p)
		for _, never := range []string{access, refresh, secret} {
			if strings.Contains(text, never) {
				t.Errorf("%s shows %s: %s", verb, never, text)
			}
		}
	}
}
