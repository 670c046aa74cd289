package alipaycaddy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
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

// What its client has deleted stays deleted when the call is repeated with its key.
func TestDeletedResponsesStayDeleted(t *testing.T) {
	inEachStore(t, func(t *testing.T, g *failoverRig, global string) {
		g.load(global, failoverSite("store_responses 1h", "idempotency 1h"))
		for name, stream := range map[string]string{"whole": "false", "a stream": "true"} {
			ask := func() (id string) {
				a := g.once("gateway", "POST", "/v1/responses", `{"model":"alipay-fin-1","input":"one","stream":`+stream+`}`, g.acme, "Idempotency-Key: "+stream)
				if _, id, _ = strings.Cut(a.body, `"id":"resp_`); a.status != http.StatusOK || id == "" {
					t.Fatalf("%s: %d %s", name, a.status, a.body)
				}
				return id[:strings.IndexByte(id, '"')]
			}
			path := "/v1/responses/resp_" + ask()
			for _, step := range []struct {
				method string
				status int
			}{{"GET", 200}, {"DELETE", 200}, {"GET", 404}, {"POST", 200}, {"GET", 404}, {"DELETE", 404}} {
				if step.method == "POST" {
					if again := ask(); !strings.HasSuffix(path, again) {
						t.Errorf("%s: %s again", name, again)
					}
				} else if a := g.do(step.method, path, "", g.acme); a.status != step.status {
					t.Errorf("%s: %s %d %s, want %d", name, step.method, a.status, a.body, step.status)
				}
			}
		}
	})
}

// TestResponsesInRedis has what is kept of a conversation sealed in Redis, with its time to live; after that nothing is left.
func TestResponsesInRedis(t *testing.T) {
	g := newFailoverRig(t)
	server := redistest.Start(t)
	g.vars["redis"] = server.Addr
	g.load(inRedis(twoProviders, "redis"), failoverSite("store_responses 1h"))
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	of := func() map[string]bool {
		t.Helper()
		all := make(map[string]bool)
		for _, key := range must(client.Keys(t.Context(), "*").Result()) {
			all[key] = true
		}
		return all
	}
	g.chat("before", g.acme) // what calls keep that are no responses
	for _, stream := range []string{"false", "true"} {
		before := of()
		a := g.do("POST", "/v1/responses", `{"model":"alipay-fin-1","input":"a secret question","stream":`+stream+`}`, g.acme)
		_, id, _ := strings.Cut(a.body, `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		g.wantEncrypted(server.Addr, "", "acme", "secret", "You said", strings.TrimPrefix(id, "resp_"))
		added := 0
		for key := range of() {
			left := must(client.PTTL(t.Context(), key).Result())
			if !before[key] && left > 59*time.Minute && left <= time.Hour {
				added++
			}
		}
		if added == 0 {
			t.Errorf("no key lives for an hour, of %v", of())
		}
		if got := g.do("GET", "/v1/responses/"+id, "", g.acme); got.status != http.StatusOK || !strings.Contains(got.body, "a secret question") {
			t.Errorf("kept: %d %s", got.status, got.body)
		}
		for key := range of() {
			if !before[key] {
				must(client.PExpire(t.Context(), key, time.Millisecond).Result())
			}
		}
		g.eventually("the response to end", func() bool { return g.do("GET", "/v1/responses/"+id, "", g.acme).status == http.StatusNotFound })
		if a := g.do("POST", "/v1/responses", `{"model":"alipay-fin-1","input":"q","previous_response_id":"`+id+`"}`, g.acme); a.code() != "previous_response_not_found" {
			t.Errorf("after its end: %d %s", a.status, a.body)
		}
	}
}

// TestResponsesInMemory has no more kept than there is room for, of all tenants together, and none that is larger than one may be.
func TestResponsesInMemory(t *testing.T) {
	cache := must(newMemoryStore()).responses(nil)
	const size, n = 7 << 20, 12
	key := func(i int) (string, replay.Key) {
		tenant := fmt.Sprint("tenant ", i%3)
		return tenant, replay.NewKey(tenant, fmt.Sprint(i))
	}
	for i := range n {
		tenant, k := key(i)
		if err := cache.Put(t.Context(), tenant, k, replay.Answer{Status: 200, Body: make([]byte, size)}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for i := range n {
		tenant, k := key(i)
		a, ok, err := cache.Get(t.Context(), tenant, k)
		if err != nil || ok != (len(a.Body) == size) {
			t.Error(len(a.Body), ok, err)
		}
		if ok {
			kept += size
		}
	}
	if kept > responseBytes || kept < responseBytes-2*size {
		t.Errorf("%d bytes are kept in a room of %d", kept, responseBytes)
	}
	tenant, k := key(n)
	if err := cache.Put(t.Context(), tenant, k, replay.Answer{Status: 200, Body: make([]byte, responseBytes/8+1)}, time.Hour); !errors.Is(err, replay.ErrTooLarge) {
		t.Errorf("one that is too large: %v", err)
	}
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
