package alipaycaddy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/seal"
)

// TestStoreRedis serves with a Redis that goes away and comes back. Its
// password is nowhere to be seen.
func TestStoreRedis(t *testing.T) {
	const password = "a-redis-password-for-tests"
	server := redistest.Start(t, "--requirepass", password)
	t.Setenv("TEST_REDIS_PASSWORD", password)
	g := newRig(t, sandbox.Config{})
	g.vars["redis"] = server.Addr
	global := strings.Replace(inRedis(oneProvider, "redis"), "store redis ${redis}", `store redis ${redis} {
		password {env.TEST_REDIS_PASSWORD}
		replicas 2
	}`, 1)
	count := func(text string) int { return strings.Count(g.logs(), text) }
	g.load(global, limitedSite)
	g.chat("shared")
	if got := g.gauge("store_degraded"); got != "0" {
		t.Errorf("store_degraded %s with Redis, want 0", got)
	}
	if got := g.gauge("rate_limit_requests"); got != "50" {
		t.Errorf("rate %s with Redis, want 50", got)
	}
	server.Kill()
	g.eventually("the loss to be seen", func() bool { return g.gauge("store_degraded") == "1" })
	if got := g.gauge("rate_limit_requests"); got != "25" {
		t.Errorf("rate %s without Redis, want this replica's half", got)
	}
	g.chat("alone")
	g.load(global, limitedSite)
	if got := g.gauge("store_degraded"); got != "1" {
		t.Errorf("store_degraded %s after a reload without Redis, want 1", got)
	}
	if n := count("redis is away"); n != 1 {
		t.Errorf("%d lines tell that Redis is away, want 1", n)
	}
	server.Restart()
	g.eventually("Redis to be back", func() bool { return g.gauge("store_degraded") == "0" })
	g.chat("shared again")
	if n := count("redis decides"); n != 1 {
		t.Errorf("%d lines tell that Redis is back, want 1", n)
	}
	if strings.Contains(g.logs(), password) {
		t.Error("the password is in a log")
	}
	config := g.read(g.send("admin", "GET", "/config/", "")).body
	if strings.Contains(config, password) || !strings.Contains(config, "TEST_REDIS_PASSWORD") {
		t.Errorf("configuration %s", config)
	}
	g.load(oneProvider, limitedSite)
	if n := count("redis is away"); n != 1 {
		t.Error("leaving Redis is told as its loss")
	}
	if got := g.gauge("store_degraded"); got != "" {
		t.Errorf("store_degraded %s without a store", got)
	}
}

// TestStoreRedisThatIsNotThere starts without Redis: it serves its own part.
func TestStoreRedisThatIsNotThere(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(inRedis(oneProvider, "gone"), limitedSite)
	if a := g.do("POST", chatPath, chatBody("hello", false)); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := g.gauge("store_degraded"); got != "1" {
		t.Errorf("store_degraded %s, want 1", got)
	}
}

// TestMemoryOutlivesAnotherStore reloads from the memory to Redis and back: what
// the memory knows of claims and answers is still there.
func TestMemoryOutlivesAnotherStore(t *testing.T) {
	var before *App
	reload := func(next *App) *openedStore {
		t.Helper()
		opened, err := next.openStore()
		if err != nil {
			t.Fatal(err)
		}
		if before != nil {
			_ = before.Cleanup()
		}
		before = next
		return opened
	}
	memory := reload(new(App))
	if reload(&App{sealing: new(seal.Seal), Redis: &Redis{Addresses: []string{"127.0.0.1:1"}}}) == memory {
		t.Error("Redis is the memory")
	}
	if reload(new(App)) != memory {
		t.Error("the memory is a new one")
	}
	_ = before.Cleanup()
	if left := references(); len(left) != 0 {
		t.Errorf("left in the pool: %v", left)
	}
}
