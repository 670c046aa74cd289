package alipaycaddy

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// A reload takes another store, another password for it and another number of replicas, as when one is rotated or the fleet
// grows: the ledger's file stays open, each attempt has its line, and the totals of all replicas have all that were counted
// in that Redis.
func TestLedgerOverAnotherStore(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	server := redistest.Start(t)
	if _, err := server.Do("ACL", "SETUSER", "gateway", "on", ">before", ">after", "~*", "&*", "+@all"); err != nil {
		t.Fatal(err)
	}
	g.vars["redis"], g.vars["budget"] = server.Addr, "10"
	global := strings.Replace(pricedProvider, "base_url http://${api}", "base_url http://${api}\nlimit off", 1)
	store := func(options string) string {
		return strings.Replace(inRedis(global, "redis"), "store redis ${redis}", "store redis ${redis} {\nusername gateway\n"+options+"\n}", 1)
	}
	calls := 0
	for _, step := range []struct {
		name, global string
		shared       int64 // attempts in the totals
	}{
		{"in memory", global, 1},
		{"in Redis", store("password before"), 1},
		{"another password", store("password after"), 2},
		{"more replicas", store("password after\nreplicas 3"), 3},
		{"more room", store("password after\nreplicas 3\ntenant_bytes 2MiB"), 4},
		{"in memory again", global, 6},
	} {
		if err := g.reload(step.global, budgetSite); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		g.eventually("a call to be served", func() bool { return g.do("POST", chatPath, chatBody("hello", false)).status == http.StatusOK })
		calls++
		g.eventually(step.name+": the lines", func() bool {
			return g.usage("by=lines&format=csv").header.Get(rowsHeader) == strconv.Itoa(calls)
		})
		g.eventually(step.name+": the totals", func() bool {
			var rows []ledger.Row
			a := g.usage("by=tenant")
			return json.Unmarshal([]byte(a.body), &rows) == nil && len(rows) == 1 && rows[0].Attempts == step.shared
		})
	}
}
