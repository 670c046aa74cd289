package alipaycaddy

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestStoreResponses keeps a conversation in each store, over a reload and after a fallback to another provider, for its tenant
// alone.
func TestStoreResponses(t *testing.T) {
	inEachStore(t, func(t *testing.T, g *failoverRig, global string) {
		g.load(global, failoverSite("store_responses 1h"))
		ask := func(body string, fields ...string) (id string, a answer) {
			t.Helper()
			a = g.do("POST", "/v1/responses", body, fields...)
			var response struct{ ID string }
			if err := json.Unmarshal([]byte(a.body), &response); err != nil {
				t.Fatal(err)
			}
			return response.ID, a
		}
		first, _ := ask(`{"model":"alipay-fin-1","input":"one"}`, g.acme)
		g.load(global, failoverSite("store_responses 2h"))
		g.fail(g.api, sandbox.Fault{Kind: sandbox.SystemError500})
		second, a := ask(`{"model":"alipay-fin-1","input":"two","previous_response_id":"`+first+`"}`, g.acme)
		if a.status != http.StatusOK || a.header.Get("X-Alipayai-Provider") != "claude" || !strings.Contains(a.body, "You said: two") {
			t.Fatalf("after a fallback: %d %s", a.status, a.body)
		}
		if a := g.do("GET", "/v1/responses/"+second, "", g.acme); a.status != http.StatusOK || !strings.Contains(a.body, first) {
			t.Errorf("kept: %d %s", a.status, a.body)
		}
		if _, a := ask(`{"model":"alipay-fin-1","input":"q","previous_response_id":"`+second+`"}`, g.zeta); a.code() != "previous_response_not_found" {
			t.Errorf("to another tenant: %d %s", a.status, a.body)
		}
		g.load(global, failoverSite())
		if _, a := ask(`{"model":"alipay-fin-1","input":"q","previous_response_id":"`+second+`"}`, g.acme); a.code() != "previous_response_not_found" {
			t.Errorf("where nothing is kept: %d %s", a.status, a.body)
		}
	})
}

// Calls that are not the same have responses of their own, though they have the same key and body: those of two of a
// tenant's users, and those of a site that keeps no keys.
func TestResponsesOfTheirOwn(t *testing.T) {
	for name, c := range map[string]struct {
		site   string
		again  bool // the same call has the same response
		fields func(i int) string
	}{
		"the same call":           {"", true, func(int) string { return "X-User: alice" }},
		"another user":            {"", false, func(i int) string { return "X-User: " + [2]string{"alice", "bob"}[i] }},
		"keys that are not taken": {"idempotency off", false, func(int) string { return "X-User: alice" }},
	} {
		t.Run(name, func(t *testing.T) {
			g := newConsentRig(t, sandbox.Config{})
			g.vars["proxy"] = "store_responses 1h\n" + c.site
			g.start("", "name_header X-User")
			for _, user := range []string{"alice", "bob"} {
				b := g.newBrowser()
				b.next(b.callback(g.link(acmeKey, user, ""), user))
			}
			var ids [2]string
			for i := range ids {
				a := g.do("POST", "/v1/responses", `{"model":"alipay-fin-1","input":"hello"}`, acmeKey, "Idempotency-Key: k1", c.fields(i))
				var response struct{ ID string }
				if err := json.Unmarshal([]byte(a.body), &response); err != nil || a.status != http.StatusOK {
					t.Fatalf("%d %s", a.status, a.body)
				}
				ids[i] = response.ID
			}
			if (ids[0] == ids[1]) != c.again {
				t.Errorf("ids %q", ids)
			}
		})
	}
}
