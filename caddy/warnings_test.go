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
		versions = "base_url ends in /v1,"
		endpoint = "base_url ends in /chat/completions,"
		message  = "base_url ends in /messages,"
		lacking  = "base_url lacks /v1,"
		oneToken = "write what a million costs"
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
		"version where it belongs": {"profile openai\napi_key {env.KEY}", "", nil},
		// https://github.com/harry0703/MoneyPrinterTurbo/issues/57, https://github.com/cloudflare/cloudflare-docs/issues/22906
		"a call's address":            {"profile openai\nbase_url https://api.openai.com/v1/chat/completions\napi_key {env.KEY}", "", []string{endpoint}},
		"a call's address, Anthropic": {"profile anthropic\nbase_url https://api.anthropic.com/v1/messages/\napi_key {env.KEY}", "", []string{message}},
		"a call's second address":     {"profile openai\nbase_url https://a.example.test/v1\nbase_url https://b.example.test/v1/chat/completions\napi_key {env.KEY}", "", []string{endpoint}},
		"a prefix that begins alike":  {"profile openai\nbase_url https://api.example.test/my-chat\napi_key {env.KEY}", "", nil},
		// https://github.com/dativo-io/talon/issues/345, https://github.com/BadgerHobbs/OpenAI-API-Gateway/issues/1
		"no version, as Anthropic's SDK has it": {"profile anthropic\nbase_url https://api.anthropic.com\napi_key {env.KEY}", "", []string{lacking}},
		"no version, at OpenAI's":               {"profile openai\nbase_url https://api.openai.com/\napi_key {env.KEY}", "", []string{lacking}},
		"no version, but a path of its own":     {"profile openai\nbase_url https://api.openai.com/\npath chat /v1/chat/completions\napi_key {env.KEY}", "", nil},
		"no version, elsewhere":                 {"profile openai\nbase_url https://api.example.test\napi_key {env.KEY}", "", nil},
		// https://github.com/BerriAI/litellm/pull/38167, https://github.com/microsoft/autogen/issues/3165
		"a price of one token":          {"profile openai\napi_key {env.KEY}\nprice m {\ncurrency USD\ninput 0.0000025\noutput 10\n}", "", []string{oneToken}},
		"a price of an answer's one":    {"profile openai\napi_key {env.KEY}\nprice * {\ncurrency USD\ninput 2.5\noutput 0.00001\n}", "", []string{oneToken}},
		"a small price, and a free one": {"profile openai\napi_key {env.KEY}\nprice * {\ncurrency USD\ninput 0.005\n}", "", nil},
		"timeout over the deadline":     {"profile openai\napi_key {env.KEY}\ntimeout 40s", "", []string{slow}},
		"timeout under a longer one":    {"profile openai\napi_key {env.KEY}\ntimeout 40s", "deadline 41s", nil},
		"the default over a deadline":   {"profile openai\napi_key {env.KEY}", "deadline 10s", []string{slow}},
		"limit of a stranger":           {"profile openai\napi_key {env.KEY}", "limit zeta {\nconcurrent 1\n}", []string{keyless}},
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
				for _, text := range []string{plain, versions, endpoint, message, lacking, oneToken, slow, keyless} {
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

// A residency that names a region which nothing is in most likely has it misspelt: it is said with those that there are.
func TestWarningOfUnknownRegions(t *testing.T) {
	const text = "a residency names a region that nothing of the configuration is in"
	for name, test := range map[string]struct {
		process, directive string
		want               []string // of what is logged
	}{
		"all known":          {"residency shop cn sg", "residency shop cn", nil},
		"a misspelt one":     {"residency shop cn cn-hangzhuo", "", []string{`"region":"cn-hangzhuo"`, `"known":["cn","sg","us"]`, `"tenant":"shop"`}},
		"of a directive":     {"", "residency shop cn chn", []string{`"region":"chn"`, `"tenant":"shop"`}},
		"another spelling":   {"residency shop cn CN", "", []string{`"region":"CN"`}},
		"where the store is": {"residency shop cn us", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			declared, _ := g.regional(t, map[string]string{"cn": "cn", "sg": "sg"})
			global := "alipayai {\n" + declared + "region cn\ninsecure_literals\nencryption_key " + strings.Repeat("42", 32) + "\nstore redis ${gone} {\nregion us\n}\n" + test.process + "\n}"
			if err := g.provision(global, pinnedSite(g, "cn {\n"+test.directive+"\n}")); err != nil {
				t.Fatal(err)
			}
			warned := ""
			for line := range strings.Lines(g.logs()) {
				if strings.Contains(line, text) {
					warned += line
				}
			}
			if (warned != "") != (test.want != nil) || strings.Count(warned, text) > 1 {
				t.Errorf("warned: %q", warned)
			}
			for _, want := range test.want {
				if !strings.Contains(warned, want) {
					t.Errorf("warned: %q, without %s", warned, want)
				}
			}
		})
	}
}

// A page of users' consents, and calls that name users, need tenants: where nothing authenticates them it is said at once,
// wherever the handler stands.
func TestWarningOfNoAuthenticator(t *testing.T) {
	const (
		auth  = "alipayai_auth {\nkey acme sha256:" // and a hash
		page  = "alipayai_oauth alipay {\naddress http://${gateway}/consent\nreturn_to https://app.example.com/\n}\n"
		calls = "alipayai_proxy alipay\n"
		basic = "basic_auth {\nacme ${basic}\n}\n"
	)
	keys := auth + strings.Repeat("0a", 32) + "\n}\n"
	for name, test := range map[string]struct {
		site        string
		page, calls bool // are warned of
	}{
		"before both":           {keys + page + calls, false, false},
		"beside others":         {"respond /healthz 200\nheader X-One 1\nerror /broken 500\n" + keys + page + calls, false, false},
		"before neither":        {page + calls, true, true},
		"Caddy's own":           {basic + page + calls, false, false},
		"in one of two handles": {"handle /consent/* {\n" + page + "}\nhandle {\n" + keys + calls + "}\n", true, false},
		"before an invocation":  {keys + "invoke calls\n", false, false},
		"in the named route":    {"invoke keyed\n", false, false},
		"an invocation alone":   {"invoke calls\n", false, true},
		"for errors":            {"error 503\nhandle_errors {\n" + calls + "}\n", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TEST_ENCRYPTION_KEY", strings.Repeat("5a", 32))
			g := newRig(t, sandbox.Config{})
			g.vars["basic"] = "$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG"
			// Of several directives in a named route Caddy keeps the first alone; route is one.
			named := "&(calls) {\n" + calls + "}\n&(keyed) {\nroute {\n" + keys + calls + "}\n}\n"
			if err := g.provision(`
storage file_system ${dir}/storage
alipayai {
	encryption_key {env.TEST_ENCRYPTION_KEY}
	provider alipay {
		profile sandbox
		base_url http://${api}
		user_token
	}
}`, named+"http://${gateway} {\n"+test.site+"}\n"); err != nil {
				t.Fatal(err)
			}
			logs := g.logs()
			for text, want := range map[string]bool{"nothing before alipayai_oauth authenticates tenants": test.page, "nothing before alipayai_proxy authenticates tenants": test.calls} {
				if n := strings.Count(logs, text); n > 1 || (n == 1) != want {
					t.Errorf("%q is logged %d times", text, n)
				}
			}
		})
	}
}

// Options that name tenants hold for no call where nothing authenticates any: it is said, with the tenants.
func TestWarningOfNamedTenants(t *testing.T) {
	const text = "options name tenants, and nothing before alipayai_proxy authenticates any"
	auth := "alipayai_auth {\nkey acme sha256:" + strings.Repeat("0a", 32) + "\n}\n"
	for name, test := range map[string]struct {
		global, site string
		want         string // of what is logged
	}{
		"a limit":               {"", "alipayai_proxy alipay {\nlimit acme {\nconcurrent 1\n}\n}", `["acme"]`},
		"a weight and priority": {"", "alipayai_proxy alipay {\nweight acme 2\npriority zeta low\n}", `["acme","zeta"]`},
		"a residency":           {"", "alipayai_proxy alipay {\nresidency acme cn\n}", `["acme"]`},
		"that of all":           {"residency acme cn", "alipayai_proxy alipay", `["acme"]`},
		"authenticated":         {"", auth + "alipayai_proxy alipay {\nlimit acme {\nconcurrent 1\n}\n}", ""},
		"of all tenants":        {"", "alipayai_proxy alipay {\nlimit * {\nconcurrent 1\n}\nweight anonymous 2\n}", ""},
		"none":                  {"", "alipayai_proxy alipay", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			global := "alipayai {\nregion cn\n" + test.global + "\nprovider alipay {\nprofile sandbox\nbase_url http://${api}\nregion cn\n}\n}"
			if err := g.provision(global, "http://${gateway} {\n"+test.site+"\n}"); err != nil {
				t.Fatal(err)
			}
			warned := ""
			for line := range strings.Lines(g.logs()) {
				if strings.Contains(line, text) {
					warned += line
				}
			}
			if (warned != "") != (test.want != "") || !strings.Contains(warned, test.want) {
				t.Errorf("warned: %q, want it of %s", warned, test.want)
			}
		})
	}
}

// What protects nothing, since nothing uses it or an answer has gone out before, is warned of.
func TestWarningOfWhatProtectsNothing(t *testing.T) {
	const (
		unused    = "a moderator is declared and moderates nothing"
		unreached = "a handler stands behind alipayai_proxy"
		proxy     = "alipayai_proxy alipay\n"
		moderate  = "alipayai_moderate words\n"
	)
	auth := "alipayai_auth {\nkey acme sha256:" + strings.Repeat("0a", 32) + "\n}\n"
	for name, test := range map[string]struct {
		site              string
		unused, unreached int
	}{
		"sorted":                        {proxy + moderate + auth, 0, 0},
		"no moderation":                 {auth + proxy, 1, 0},
		"in a route, in front":          {"route {\n" + auth + moderate + proxy + "}", 0, 0},
		"in a route, behind":            {"route {\n" + proxy + auth + moderate + "}", 0, 2},
		"behind one for some paths":     {"route {\nalipayai_proxy /open/* alipay\n" + auth + moderate + proxy + "}", 0, 0},
		"behind all, after some":        {"route {\nalipayai_proxy /open/* alipay\n" + proxy + auth + moderate + "}", 0, 2},
		"in another handle":             {"handle /open/* {\n" + proxy + "}\nhandle {\n" + auth + moderate + proxy + "}", 0, 0},
		"behind one in a nested handle": {"route {\nhandle {\n" + proxy + "}\n" + auth + moderate + "}", 0, 2},
		"Caddy's own, behind":           {"route {\n" + moderate + proxy + "basic_auth {\nacme ${basic}\n}\n}", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			g.vars["basic"] = "$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG"
			global := strings.Replace(oneProvider, "alipayai {", "alipayai {\n\tmoderator words {\n\t\twords forbidden\n\t}", 1)
			if err := g.provision(global, "http://${gateway} {\n"+test.site+"\n}"); err != nil {
				t.Fatal(err)
			}
			logs := g.logs()
			for text, want := range map[string]int{unused: test.unused, unreached: test.unreached} {
				if got := strings.Count(logs, text); got != want {
					t.Errorf("warned %d times of %q, want %d", got, text, want)
				}
			}
		})
	}
}

// A second alipayai_proxy that no request comes to is warned of: it is no fallback of the first.
func TestWarningOfASecondProxy(t *testing.T) {
	const text = "an alipayai_proxy stands behind another one"
	for name, test := range map[string]struct {
		site string
		want int
	}{
		"two lines":              {"alipayai_proxy alipay\nalipayai_proxy other", 1},
		"three lines":            {"alipayai_proxy alipay\nalipayai_proxy other\nalipayai_proxy alipay other", 2},
		"a list":                 {"alipayai_proxy alipay other", 0},
		"one for some paths":     {"alipayai_proxy alipay\nalipayai_proxy /small/* other", 0},
		"one for some calls":     {"@short alipayai {\ncharacters <20\n}\nalipayai_proxy @short other\nalipayai_proxy alipay", 0},
		"for some behind all":    {"route {\nalipayai_proxy alipay\nalipayai_proxy /small/* other\n}", 1},
		"in two handles":         {"handle /small/* {\nalipayai_proxy other\n}\nhandle {\nalipayai_proxy alipay\n}", 0},
		"in one of two handles":  {"handle /small/* {\nalipayai_proxy other\nalipayai_proxy alipay\n}\nhandle {\nalipayai_proxy alipay\n}", 1},
		"in a handle behind":     {"route {\nalipayai_proxy alipay\nhandle /small/* {\nalipayai_proxy other\n}\n}", 1},
		"behind a handle of all": {"handle {\nalipayai_proxy alipay\n}\nalipayai_proxy other", 1},
		"behind two handles":     {"handle /small/* {\nalipayai_proxy other\n}\nhandle {\nalipayai_proxy alipay\n}\nalipayai_proxy other", 1},
		"behind one that passes": {"handle /small/* {\nvars a b\n}\nhandle {\nalipayai_proxy alipay\n}\nalipayai_proxy other", 0},
		"behind one for some":    {"handle /small/* {\nalipayai_proxy alipay\n}\nalipayai_proxy other", 0},
		"in a route behind":      {"route {\nroute {\nalipayai_proxy alipay\n}\nroute {\nroute /small/* {\nalipayai_proxy other\n}\n}\n}", 1},
		"of errors of the first": {"alipayai_proxy alipay\nhandle_errors {\nalipayai_proxy other\n}", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			global := strings.Replace(oneProvider, "alipayai {", "alipayai {\n\tprovider other {\n\t\tprofile sandbox\n\t\tbase_url http://${api}\n\t}", 1)
			if err := g.provision(global, "http://${gateway} {\n"+test.site+"\n}"); err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(g.logs(), text); got != test.want {
				t.Errorf("warned %d times, want %d", got, test.want)
			}
		})
	}
}
