package alipaycaddy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// What a pinned tenant's calls carry reaches no provider of another region: at whichever door, packed, streamed, repeated,
// tried by a canary, moderated, recognised by embeddings, answered from a store, and whatever fails. Another tenant's does.
func TestResidencyFence(t *testing.T) {
	regions := map[string]string{
		"alipay": "cn", "next": "us", "claude": "us", "ollama": "us", "mistral": "us", "spare": "cn", "vectors": "us", "guard": "cn",
		"alipay_copy": "us", "ollama_copy": "us", "mistral_copy": "cn",
	}
	// The first is there before there is a good answer to be given in place of the next provider's, and fails no canary.
	kinds := []struct {
		name   string
		faults []sandbox.Fault
	}{
		{"mistral fails", []sandbox.Fault{{Kind: sandbox.HTTPStatus, Status: 503}}},
		{"none", nil},
		{"status 503", []sandbox.Fault{{Kind: sandbox.HTTPStatus, Status: 503}}},
		{"system errors", []sandbox.Fault{{Kind: sandbox.SystemError200}}},
		{"connections break", []sandbox.Fault{{Kind: sandbox.ResetBefore}}},
		{"cut streams", []sandbox.Fault{{Kind: sandbox.Cut, AfterEvents: 1}}},
	}
	site := strings.ReplaceAll(fence, "idempotency 1h", "idempotency 1h\n\t\tallow_cross_region\n\t\tstore_responses 1h")
	for name, where := range map[string]struct {
		global, directive string
		early             bool // the intent is asked for before the tenant is known
	}{
		"of the process":        {global: "residency pinned cn"},
		"before authentication": {global: "residency pinned cn", early: true},
		"of the directives":     {directive: "residency pinned cn"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFenceRig(t, regions)
			keys := make(map[string]string)
			for _, tenant := range []string{"pinned", "free"} {
				key, hash := tenants.NewKey()
				keys[tenant] = key
				f.vars["keys"] += "key " + tenant + " " + hash.String() + "\n"
			}
			for intent, texts := range fenced {
				f.file("intents/"+intent+".txt", strings.Join(texts, "\n"))
			}
			pinned := site
			if !where.early {
				pinned = strings.Replace(pinned, "header @call X-Intent {http.alipayai.intent}", "", 1)
			}
			if where.directive != "" {
				// Not of small talk, whose one provider is elsewhere: the load would be refused.
				pinned = strings.ReplaceAll(pinned, "breaker 3 5m 60s", "breaker 3 5m 60s\n\t\t"+where.directive)
				pinned = strings.Replace(pinned, "alipayai_proxy mistral spare {", "alipayai_proxy mistral spare {\n\t\t"+where.directive, 1)
			}
			f.load(f.global("intents ${dir}/intents {\nembeddings vectors alipay-embed-1 {\ntimeout 20s\n}\n}\nregion cn\n"+where.global), pinned)
			f.eventually("the examples to be embedded", func() bool {
				return must(caddy.ActiveContext().App("alipayai")).(*App).intents.embedded.centroids.Ready()
			})
			f.mu.Lock()
			asked := len(f.sent["vectors"])
			f.mu.Unlock()
			for turn, kind := range kinds {
				if kind.faults == nil {
					turn = inEachWay // so that there is a good answer to each call when all fail
				}
				for provider, api := range f.apis {
					if provider == "mistral" || provider != "vectors" && kind.name != "mistral fails" {
						if err := api.SetFaults(kind.faults...); err != nil {
							t.Fatal(err)
						}
					}
				}
				for tenant, key := range keys {
					f.mark = tenant + "'s: "
					f.ask(t, key, kind.name+" "+tenant, turn)
				}
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			f.sent["vectors"] = f.sent["vectors"][asked:]
			for provider, region := range regions {
				of := func(tenant string) int {
					n := 0
					for _, body := range f.sent[provider] {
						if strings.Contains(body, tenant+"'s: ") {
							n++
						}
					}
					return n
				}
				if n := of("pinned"); n > 0 && region != "cn" && !(strings.HasPrefix(provider, "ollama") && where.directive != "") {
					t.Errorf("%d texts of the pinned tenant reached %s, in %s", n, provider, region)
				} else if n == 0 && region == "cn" {
					t.Errorf("no text of the pinned tenant reached %s", provider)
				}
				if of("free") == 0 && !(where.early && provider == "vectors") {
					t.Errorf("no text of the other tenant reached %s", provider)
				}
			}
		})
	}
}

// regional declares providers of these names in a region each.
func (g *rig) regional(t *testing.T, regions map[string]string) (declared string, apis map[string]*sandbox.Server) {
	t.Helper()
	var all strings.Builder
	apis = make(map[string]*sandbox.Server)
	for name, region := range regions {
		api := must(sandbox.New(sandbox.Config{RequestsPerSecond: -1}))
		server := httptest.NewServer(api)
		t.Cleanup(server.Close)
		apis[name] = api
		g.vars[name] = server.Listener.Addr().String()
		fmt.Fprintf(&all, "provider %s {\nprofile sandbox\nbase_url http://%s\n%s}\n", name, server.Listener.Addr(), inRegion(region))
	}
	return all.String(), apis
}

// pinnedSite is a site whose client is the tenant shop, with that directive.
func pinnedSite(g *rig, proxy string) string {
	key, hash := tenants.NewKey()
	g.vars["key"], g.vars["hash"] = key, hash.String()
	return "http://${gateway} {\nalipayai_auth {\nkey shop ${hash}\n}\nalipayai_proxy " + proxy + "\n}"
}

// Where none is left that may see a call, that is what its client learns, whether none could be asked or each has failed.
func TestResidencyUnavailable(t *testing.T) {
	for name, c := range map[string]struct {
		global, providers string
		fault             *sandbox.Fault
		status            int
		code              string
		us                int64
	}{
		"another region is not asked": {"residency shop cn", "us cn", nil, 200, "", 0},
		"the fallback is elsewhere":   {"residency shop cn", "cn us", &sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503}, 503, "residency_unavailable", 0},
		"system errors":               {"residency shop cn", "cn us", &sandbox.Fault{Kind: sandbox.SystemError200}, 503, "residency_unavailable", 0},
		"none serves the model":       {"residency shop cn", "us cn_other", nil, 503, "residency_unavailable", 0},
		"not pinned":                  {"residency bank cn", "us cn", nil, 200, "", 1},
		"not pinned, a fallback":      {"residency bank cn", "cn us", &sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503}, 200, "", 1},
		"all are pinned":              {"residency * cn", "us cn", nil, 200, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			declared, apis := g.regional(t, map[string]string{"cn": "cn", "us": "us"})
			declared += "provider cn_other {\nprofile sandbox\nbase_url http://${api}\nregion cn\nmodels other\n}\n"
			if c.fault != nil {
				if err := apis["cn"].SetFaults(*c.fault); err != nil {
					t.Fatal(err)
				}
			}
			g.load("alipayai {\n"+declared+"region cn\n"+c.global+"\n}", pinnedSite(g, c.providers+" {\nallow_cross_region\n}"))
			a := g.do("POST", chatPath, chatBody("what is my balance", false), "Authorization: Bearer "+g.vars["key"])
			if a.status != c.status || c.code != "" && a.code() != c.code {
				t.Errorf("%d %s: %s", a.status, c.code, a.body)
			}
			if n := apis["us"].Stats().Paths[chatPath]; n != c.us {
				t.Errorf("%d calls reached the other region, want %d", n, c.us)
			}
		})
	}
}

// A residency that cannot be kept is refused, with what would be right.
func TestResidencyRefused(t *testing.T) {
	const moderators = "moderator law {\nmodel us llama\non_error closed\n}\nmoderator local {\nwords secret\n}\n"
	for name, c := range map[string]struct {
		global, proxy, before, want string
	}{
		"the process is elsewhere":         {"region us\nresidency shop cn", "cn", "", "residency shop: calls pass through this process, which is in region us; permit us too, or run the gateway in cn"},
		"the process does not say where":   {"residency shop cn", "cn", "", "residency shop: this process does not say where it is, and calls pass through it; write region <region> in the alipayai global option, as region cn"},
		"no provider":                      {"region cn\nresidency shop cn", "us", "", "residency shop: no provider of alipayai_proxy us is in cn (us is in us); name one that is, or declare its region"},
		"no provider for all":              {"region cn\nresidency * cn", "us", "", "residency *: no provider of alipayai_proxy us is in cn (us is in us)"},
		"no provider declares it":          {"region cn\nresidency shop cn", "nowhere", "", "residency shop: no provider of alipayai_proxy nowhere is in cn (nowhere declares no region)"},
		"no provider of the directive":     {"region cn", "us {\nresidency shop cn\n}", "", "residency shop: no provider of alipayai_proxy us is in cn (us is in us)"},
		"a contradiction":                  {"region cn\nresidency shop cn us", "us {\nresidency shop cn sg\n}", "", "residency shop: no provider of alipayai_proxy us is in cn, sg"},
		"nothing in common":                {"region cn\nresidency shop cn", "cn {\nresidency shop us cn\n}\nalipayai_proxy us {\nresidency shop us\n}", "", "residency shop: calls pass through this process, which is in region cn"},
		"a moderator":                      {"region cn\nresidency shop cn", "cn {\nallow_cross_region\n}", "alipayai_moderate law", "residency shop: moderator law, which sees the calls of alipayai_proxy cn, has a model that is not in cn (us is in us)"},
		"a moderator, for all":             {"region cn\nresidency * cn", "cn {\nallow_cross_region\n}", "alipayai_moderate law", "residency *: moderator law"},
		"a moderator of a directive":       {"region cn", "cn {\nallow_cross_region\nresidency shop cn\n}", "alipayai_moderate law", "residency shop: moderator law"},
		"a moderator crosses regions":      {"region cn", "cn", "alipayai_moderate law", "alipayai_proxy cn: moderator law, which sees its calls: providers cn (region \"cn\") and us (region \"us\") would move data between regions; allow_cross_region says that this is meant"},
		"a moderator that asks no model":   {"region cn\nresidency shop cn", "cn", "alipayai_moderate local", ""},
		"embeddings":                       {"region cn\nresidency * cn\nintents {\nembeddings us e\n}", "cn {\nallow_cross_region\n}", "", "residency: intents are recognised by embeddings of provider us before it is known which directive a call goes to, and its text may only be in cn (us is in us)"},
		"embeddings, of a directive":       {"region cn\nintents {\nembeddings us e\n}", "cn {\nallow_cross_region\nresidency * cn\n}", "", "residency: intents are recognised by embeddings of provider us"},
		"embeddings, of one tenant":        {"region cn\nresidency shop cn\nintents {\nembeddings us e\n}", "cn {\nallow_cross_region\n}", "", ""},
		"embeddings cross regions":         {"region cn\nintents {\nembeddings us e\n}", "cn", "", "embeddings of intents, which see its calls: providers cn (region \"cn\") and us (region \"us\") would move data between regions; allow_cross_region says that this is meant"},
		"embeddings in the region":         {"region cn\nintents {\nembeddings cn e\n}", "cn", "", ""},
		"transport":                        {"region cn\nresidency * cn", "cn\nreverse_proxy http://${us} {\ntransport alipayai us {\npaths /*\n}\n}", "", "residency *: calls may only be in cn (us is in us)"},
		"several regions of one provider":  {"region cn", "both", "", "provider both has addresses in several regions (cn, us), between which data would move; allow_cross_region says that this is meant"},
		"an address in the region":         {"region cn\nresidency shop cn", "both {\nallow_cross_region\n}", "", ""},
		"one app under two caps":           {"region cn\nprovider again {\nprofile sandbox\nbase_url http://${cn} http://${us}\n}", "cn", "", "which has one rate limit: write the same base_url first in both"},
		"a fallback elsewhere is no error": {"region cn\nresidency shop cn", "cn us {\nallow_cross_region\n}", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			declared, _ := g.regional(t, map[string]string{"cn": "cn", "us": "us", "nowhere": ""})
			if strings.Contains(c.proxy, "both") {
				declared += "provider both {\nprofile sandbox\nclient_id SANDBOX_other\nbase_url http://${cn} cn http://${us} us\n}\n"
			}
			global := "alipayai {\n" + declared + moderators + c.global + "\n}"
			proxy := pinnedSite(g, c.proxy)
			site := strings.Replace(proxy, "alipayai_proxy", c.before+"\nalipayai_proxy", 1)
			valid := g.provision(global, site)
			logged := strings.Contains(g.logs(), "this configuration will be refused when it is loaded")
			err := g.reload(global, site)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v\nwant %s", err, c.want)
			}
			if (valid != nil || logged) != (err != nil) || valid != nil && !strings.Contains(valid.Error(), c.want) {
				t.Errorf("caddy validate says %v, and logs it: %v", valid, logged)
			}
		})
	}
}

// Nothing that a pinned tenant's calls carry is kept in a store of another region, and no other provider sees it, over
// reloads and with Redis gone; another tenant's is kept as ever, and so is the pinned one's where the store is in its region.
func TestResidencyOfTheStore(t *testing.T) {
	for name, region := range map[string]string{"elsewhere": "us", "in the region": "cn"} {
		t.Run(name, func(t *testing.T) {
			g := newFailoverRig(t)
			server := redistest.Start(t)
			g.vars["redis"], g.vars["region"] = server.Addr, region
			global := strings.Replace(inRedis(twoProviders, "redis"), "store redis ${redis}", "store redis ${redis} {\nregion ${region}\n}\nregion cn\nresidency acme cn", 1)
			global = strings.Replace(strings.Replace(global, "limit off", "limit off\nregion cn", 1), "${claude}/v1", "${claude}/v1\nregion us", 1)
			load := func() {
				g.load(global, failoverSite("allow_cross_region", "store_responses 1h", "cached_answer 1h", "idempotency 1h"))
			}
			load()
			for tenant, client := range map[string]string{"acme": g.acme, "zeta": g.zeta} {
				kept := tenant == "zeta" || region == "cn"
				g.fail(g.api)
				for i := range 2 {
					a := g.once("gateway", "POST", chatPath, chatBody("once", false), client, "Idempotency-Key: "+tenant)
					if again := i == 1; again && kept && a.header.Get("Idempotent-Replayed") == "" ||
						again && !kept && a.code() != "idempotency_unresolved" || !again && a.status != http.StatusOK {
						t.Errorf("%s: a call that happens once, %d: %d %s", tenant, i, a.status, a.body)
					}
				}
				a := g.do("POST", "/v1/responses", `{"model":"alipay-fin-1","input":"one"}`, client)
				id, _, _ := strings.Cut(strings.SplitN(a.body, `"id":"`, 2)[1], `"`)
				load()
				a = g.do("POST", "/v1/responses", `{"model":"alipay-fin-1","input":"two","previous_response_id":"`+id+`"}`, client)
				if kept != (a.status == http.StatusOK) || !kept && a.code() != "previous_response_not_found" {
					t.Errorf("%s: going on from a response: %d %s", tenant, a.status, a.body)
				}
			}
			before := g.claude.Stats().Paths["/v1/messages"]
			g.fail(g.api, systemError)
			if a := g.do("POST", chatPath, chatBody("once", false), g.acme); (a.header.Get("Cache-Status") != "") != (region == "cn") ||
				region != "cn" && a.code() != "residency_unavailable" {
				t.Errorf("the last good answer: %d %v %s", a.status, a.header, a.body)
			}
			server.Kill()
			load()
			for i := range 3 {
				a := g.do("POST", chatPath, chatBody(fmt.Sprint("without a store ", i), false), g.acme)
				if a.code() != "residency_unavailable" || a.status != http.StatusServiceUnavailable {
					t.Errorf("without a store: %d %s", a.status, a.body)
				}
			}
			if n := g.claude.Stats().Paths["/v1/messages"]; n != before {
				t.Errorf("%d calls of the pinned tenant reached the other region", n-before)
			}
			if a := g.do("POST", chatPath, chatBody("another tenant", false), g.zeta); a.header.Get("X-Alipayai-Provider") != "claude" {
				t.Errorf("another tenant: %d %s", a.status, a.body)
			}
		})
	}
}

// What transport alipayai signs of a tenant whose data may be in some regions alone does not choose another one, however it is written.
func TestResidencyOfSignedBodies(t *testing.T) {
	const place = `{"model":"m","messages":[{"role":"user","content":"hi"}],"provider":{"order":["x"]}}`
	for name, c := range map[string]struct {
		query, body string
		param       string // of what is refused; empty for nothing
	}{
		"none":                  {"", chatBody("hi", false), ""},
		"in an upload":          {"", uploadOf(`name="model"|m`, `name="api_base"|https://x.example`), "api_base"},
		"not in an upload":      {"", uploadOf(`name="model"|m`, `name="file"; filename="a"|api_base`), ""},
		"in a form":             {"", "model=m&api%5Fbase=https://x.example", "api_base"},
		"a provider":            {"", place, "provider"},
		"a server of tools":     {"", `{"model":"m","input":"hi","tools":[{"type":"mcp","server_url":"https://x.example"}]}`, "tools.server_url"},
		"after a repeated name": {"", strings.Replace(place, "{", `{"a":1,"a":2,`, 1), "provider"},
		"in the query":          {"?api_base=https://x.example", chatBody("hi", false), "api_base"},
		"another in the query":  {"?a=1&api_base=", chatBody("hi", false), ""},
		"no JSON":               {"", "provider", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for pinned, rule := range map[bool]string{true: "residency shop cn", false: ""} {
				g := newRig(t, sandbox.Config{})
				declared, _ := g.regional(t, map[string]string{"cn": "cn"})
				site := pinnedSite(g, "cn")
				site = strings.Replace(site, "alipayai_proxy cn", "reverse_proxy http://${cn} {\ntransport alipayai cn {\npaths /*\n}\n}", 1)
				g.load("alipayai {\n"+declared+"region cn\n"+rule+"\n}", site)
				kind := "application/json"
				switch c.body[0] {
				case '-':
					kind = "multipart/form-data; boundary=b"
				case 'm':
					kind = "application/x-www-form-urlencoded"
				}
				a := g.once("gateway", "POST", chatPath+c.query, c.body, "Authorization: Bearer "+g.vars["key"], "Content-Type: "+kind)
				refused := a.status == http.StatusBadRequest && strings.Contains(a.body, `"code":"unsupported_parameter"`) && strings.Contains(a.body, `"param":"`+c.param+`"`)
				if refused != (pinned && c.param != "") {
					t.Errorf("pinned %t: %d %s", pinned, a.status, a.body)
				}
			}
		})
	}
}
