package alipaycaddy

import (
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// What works but was most likely not meant is said once when it is loaded, or validated,
// and nothing is said of what is right.
func TestWarnings(t *testing.T) {
	const (
		plain    = "plain http"
		versions = "base_url ends in /v1"
		slow     = "longer than the directive's deadline"
		signed   = "\nclient_id A\nkey 1 {env.KEY}\ntoken http://127.0.0.1:1/ {env.SECRET}"
		keyless  = "names a tenant that no key"
	)
	for name, test := range map[string]struct {
		provider, directive string
		want                []string
	}{
		"all right": {
			"profile alipay\nbase_url https://api.example.test" + signed,
			"limit acme {\nconcurrent 1\n}\nlimit * {\nconcurrent 1\n}\nweight acme 2", nil,
		},
		"plain http": {"profile alipay\nbase_url http://api.example.test" + signed, "", []string{plain}},
		"plain http of a sandbox": {
			"profile alipay\nenvironment sandbox\nbase_url http://api.example.test" + signed, "", nil,
		},
		"plain http on this machine": {"profile alipay\nbase_url http://127.0.0.1:1" + signed, "", nil},
		"plain http for tokens": {
			"profile alipay\nbase_url https://api.example.test\nclient_id A\nkey 1 {env.KEY}\ntoken http://auth.example.test/ {env.SECRET}", "", []string{plain},
		},
		"version in the base URL": {
			"profile alipay\nbase_url https://api.example.test/ai/v1/" + signed, "", []string{versions},
		},
		"version in the base URL with a path of its own": {
			"profile alipay\nbase_url https://api.example.test/v1\npath chat /chat" + signed, "", nil,
		},
		"version where it belongs":    {"profile openai\napi_key {env.KEY}", "", nil},
		"timeout over the deadline":   {"profile openai\napi_key {env.KEY}\ntimeout 40s", "", []string{slow}},
		"timeout under a longer one":  {"profile openai\napi_key {env.KEY}\ntimeout 40s", "deadline 41s", nil},
		"the default over a deadline": {"profile openai\napi_key {env.KEY}", "deadline 10s", []string{slow}},
		"limit of a stranger":         {"profile openai\napi_key {env.KEY}", "limit zeta {\nconcurrent 1\n}", []string{keyless}},
		"shares of strangers": {
			"profile openai\napi_key {env.KEY}", "weight zeta 2\npriority eta low", []string{keyless, keyless},
		},
	} {
		for how, read := range map[string]func(g *rig, global, sites string){
			"loaded": (*rig).load,
			"validated": func(g *rig, global, sites string) {
				if err := g.provision(global, sites); err != nil {
					t.Error(err)
				}
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				g := newRig(t, sandbox.Config{})
				t.Setenv("SECRET", "a-secret-of-32-characters-or-so-1")
				t.Setenv("KEY", "a-key-of-32-characters-or-so-1234")
				read(g, "alipayai {\nprovider p {\n"+test.provider+"\n}\n}", `
http://${gateway} {
	alipayai_auth {
		key acme sha256:`+strings.Repeat("0a", 32)+`
	}
	alipayai_proxy p {
		`+test.directive+`
	}
}`)
				logs := g.logs()
				for _, text := range []string{plain, versions, slow, keyless} {
					want := 0
					for _, expected := range test.want {
						if expected == text {
							want++
						}
					}
					if got := strings.Count(logs, text); got != want {
						t.Errorf("warned %d times of %q, want %d", got, text, want)
					}
				}
			})
		}
	}
}

// A configuration that is rejected may have tenants whose keys come further down: of
// these it says nothing.
func TestNoWarningOfTenantsInARejectedConfiguration(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	if err := g.provision(oneProvider, `
http://${gateway} {
	alipayai_auth {
		key acme sha256:`+strings.Repeat("0a", 32)+`
	}
	alipayai_proxy alipay {
		weight zeta 2
	}
	alipayai_proxy unknown
}`); err == nil {
		t.Fatal("it was accepted")
	}
	if strings.Contains(g.logs(), "names a tenant") {
		t.Error("a tenant without a key is warned of")
	}
}
