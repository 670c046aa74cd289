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
