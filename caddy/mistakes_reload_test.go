package alipaycaddy

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestReloadsToMistakes reloads a gateway that serves to each mistake of JSON that there is: the old configuration goes on
// serving, and no reference to what a refused one has made stays.
func TestReloadsToMistakes(t *testing.T) {
	t.Setenv("TEST_SECRET", oauthSecret)
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.load(oneProvider, proxySite)
	g.chat("before")
	before := references()
	_, entries := readMistakes(t, "testdata/mistakes_json.txt")
	var section mistake
	for _, m := range entries {
		if strings.HasPrefix(m.title, "== ") {
			section = m
			continue
		}
		var config map[string]any
		if err := json.Unmarshal([]byte(section.around(m)), &config); err != nil {
			t.Fatalf("%s: %v", m.title, err)
		}
		config["admin"] = map[string]any{"listen": g.vars["admin"]}
		config["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{"writer": map[string]any{"output": "discard"}}}}
		if err := g.loadJSON(must(json.Marshal(config))); err == nil {
			t.Errorf("%s: it is accepted", m.title)
		}
		if after := references(); len(after) != len(before) {
			t.Fatalf("%s: the pool held %v, now %v", m.title, before, after)
		}
	}
	if a := g.do("POST", chatPath, chatBody("after", false)); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestReloadsTakeNamesAway reloads to configurations from which what calls, alerts and jobs go by is gone, or has another
// name, while calls are under way: each call is answered by the configuration that it came to.
func TestReloadsTakeNamesAway(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	second := httptest.NewServer(must(sandbox.New(sandbox.Config{RequestsPerSecond: -1})))
	t.Cleanup(second.Close)
	g.vars["other"] = second.Listener.Addr().String()
	provider := func(name, api string) string {
		return "provider " + name + " {\nprofile sandbox\nbase_url http://${" + api + "}\nlimit off\nmodel alipay-fin-1\nprice * {\ncurrency CNY\ninput 1\n}\n}\n"
	}
	suite := func(name, provider string) string {
		return "suite " + name + " {\nprovider " + provider + "\nbuiltin compliance-zh\nevery 1h\n}\n"
	}
	const (
		ledger = "ledger ${dir}/ledger.db\n"
		canary = "allow_cross_region\ncanary a b {\nshare 1% 1h\n}\n"
		budget = "budget * 50 CNY day\n}"
	)
	both := provider("a", "api") + provider("b", "other")
	for i, step := range []struct{ name, global, site string }{
		{"all", both + suite("law", "a") + "moderator words {\nwords forbidden\n}\n" + ledger, "alipayai_moderate words\nalipayai_proxy a {\n" + canary + budget},
		{"without the moderator", both + suite("law", "a") + ledger, "alipayai_proxy a {\n" + canary + budget},
		{"without the canary", both + suite("law", "a") + ledger, "alipayai_proxy a {\n" + budget},
		{"another suite", provider("a", "api") + suite("rules", "a") + ledger, "alipayai_proxy a {\n" + budget},
		{"the provider renamed", provider("z", "api") + ledger, "alipayai_proxy z {\n" + budget},
		{"without the ledger", provider("z", "api") + "ledger off\n", "alipayai_proxy z {\n" + budget},
		{"the first again", both + ledger, "alipayai_proxy a {\nallow_cross_region\nshadow b 10%\n}"},
		{"none", "", "respond gone"},
	} {
		var before *http.Response
		if i > 0 {
			var err error
			if before, err = g.send("gateway", "POST", chatPath, chatBody("x [[events:20]] [[interval:5ms]]", true)); err != nil {
				t.Fatal(err)
			}
			defer before.Body.Close()
		}
		global := ""
		if step.global != "" {
			global = "alipayai {\n" + step.global + "}\n"
		}
		g.load(global, "http://${gateway} {\n"+step.site+"\n}")
		if a := g.do("POST", chatPath, chatBody("hello", false)); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", step.name, a.status, a.body)
		}
		if before != nil {
			if rest, err := io.ReadAll(before.Body); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
				t.Errorf("%s: the stream of before ends in %q, %v", step.name, rest[max(0, len(rest)-40):], err)
			}
		}
	}
	defer func() {
		if t.Failed() {
			t.Logf("left in the pool: %v", references())
		}
	}()
	g.eventually("the state to be given back", func() bool { return len(references()) == 0 })
}
