package alipaycaddy

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/caddy/command"
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
			return g.usage("by=lines&format=csv").header.Get(command.RowsHeader) == strconv.Itoa(calls)
		})
		g.eventually(step.name+": the totals", func() bool {
			var rows []ledger.Row
			a := g.usage("by=tenant")
			return json.Unmarshal([]byte(a.body), &rows) == nil && len(rows) == 1 && rows[0].Attempts == step.shared
		})
	}
}

// From a reload on that takes another encryption_key, the names of totals in Redis are sealed with that one, and read with it.
func TestLedgerUnderAnotherKey(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	server := redistest.Start(t)
	g.vars["redis"], g.vars["budget"] = server.Addr, "10"
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = client.Close() })
	global := inRedis(strings.Replace(pricedProvider, "base_url http://${api}", "base_url http://${api}\nlimit off", 1), "redis")
	calls := int64(0)
	for _, key := range []string{"42", "43", "42"} {
		key = strings.Repeat(key, 32)
		if err := g.reload(strings.Replace(global, strings.Repeat("42", 32), key, 1), budgetSite); err != nil {
			t.Fatal(err)
		}
		g.eventually("a call to be served", func() bool { return g.do("POST", chatPath, chatBody("hello", false)).status == http.StatusOK })
		calls++
		read := ledger.NewShared(client, must(parseEncryptionKey(key)), time.UTC)
		g.eventually("the totals to be read with "+key[:2], func() bool {
			totals, err := read.Totals(t.Context(), ledger.Query{})
			return err == nil && len(totals) == 1 && totals[0].Tenant != ledger.Unreadable && totals[0].Attempts == calls
		})
	}
}
