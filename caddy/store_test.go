package alipaycaddy

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/seal"
	"github.com/caddy-alipayai/gateway/limiter"
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
	const away, back = "redis is away", "redis decides"
	// changes are those of the store's state, as the log has them. One is reported once;
	// on a busy machine Redis is away for some moments although it runs, and forgets what it
	// has not been asked about for long.
	changes := func() (list []string) {
		for line := range strings.Lines(g.logs()) {
			if strings.Contains(line, limiter.ErrHistoryLost.Error()) {
				continue
			}
			for _, text := range []string{away, back} {
				if strings.Contains(line, text) {
					if len(list) == 0 && text == back || len(list) > 0 && list[len(list)-1] == text {
						t.Errorf("after %q: %s", list, line)
					}
					list = append(list, text)
				}
			}
			if strings.Contains(line, away) && strings.Contains(line, "closed") {
				t.Errorf("leaving Redis is reported as its loss: %s", line)
			}
		}
		return list
	}
	soon := func(gauge, want string) {
		t.Helper()
		g.eventually(gauge+" to be "+want, func() bool { return g.gauge(gauge) == want })
	}
	g.load(global, limitedSite)
	g.chat("shared")
	soon("store_degraded", "0")
	soon("rate_limit_requests", "50")
	server.Kill()
	soon("store_degraded", "1")
	if got := g.gauge("rate_limit_requests"); got != "25" {
		t.Errorf("rate %s without Redis, want this replica's half", got)
	}
	g.chat("alone")
	lost := changes()
	g.load(global, limitedSite)
	if got := g.gauge("store_degraded"); got != "1" {
		t.Errorf("store_degraded %s after a reload without Redis, want 1", got)
	}
	if got := changes(); len(lost) == 0 || !slices.Equal(got, lost) {
		t.Errorf("the log says %q, and %q after a reload", lost, got)
	}
	server.Restart()
	soon("store_degraded", "0")
	g.chat("shared again")
	if got := changes(); len(got) <= len(lost) {
		t.Errorf("the log says %q when Redis is back", got)
	}
	if strings.Contains(g.logs(), password) {
		t.Error("the password is in a log")
	}
	config := g.read(g.send("admin", "GET", "/config/", "")).body
	if strings.Contains(config, password) || !strings.Contains(config, "TEST_REDIS_PASSWORD") {
		t.Errorf("configuration %s", config)
	}
	g.load(oneProvider, limitedSite)
	_ = changes()
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
	before := new(acquired)
	reload := func(a *App) *openedStore {
		t.Helper()
		next := new(acquired)
		opened, err := openStore(next, newSecrets(false), new(seal.Seal), a.sharedStore())
		if err != nil {
			t.Fatal(err)
		}
		before.release()
		before = next
		return opened
	}
	memory := reload(new(App))
	if reload(&App{Redis: &Redis{Addresses: []string{"127.0.0.1:1"}}}) == memory {
		t.Error("Redis is the memory")
	}
	if reload(new(App)) != memory {
		t.Error("the memory is a new one")
	}
	before.release()
	if left := references(); len(left) != 0 {
		t.Errorf("left in the pool: %v", left)
	}
}

// TestWarnsOfEviction starts with a Redis that would drop idempotency keys when its memory is full, and with
// ones that would not, or cannot: the log says so once for each that would.
func TestWarnsOfEviction(t *testing.T) {
	for name, tt := range map[string]struct {
		args  []string
		warns bool
	}{
		"evicts the oldest":           {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, true},
		"evicts those that end":       {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"}, true},
		"evicts none":                 {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "noeviction"}, false},
		"would, and has no limit":     {[]string{"--maxmemory", "0", "--maxmemory-policy", "allkeys-lru"}, false},
		"is not permitted to tell it": {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--rename-command", "INFO", ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, tt.args...)
			g := newRig(t, sandbox.Config{})
			g.vars["redis"] = server.Addr
			for range 2 { // the second time it is known
				g.load(inRedis(limited("limit off"), "redis"), proxySite)
				g.chat("hello")
				g.wantAskedForEviction(tt.args, tt.warns)
			}
		})
	}
}

// wantAskedForEviction waits until Redis has been asked, and looks for the warning.
func (g *rig) wantAskedForEviction(args []string, warns bool) {
	g.t.Helper()
	asked := `"msg":"Redis says what it does when its memory is full"`
	if slices.Contains(args, "INFO") {
		asked = `"msg":"Redis does not say what it does when its memory is full"`
	}
	g.eventually("Redis to be asked", func() bool { return strings.Contains(g.logs(), asked) })
	const warning = "set maxmemory-policy noeviction"
	if n := strings.Count(g.logs(), warning); (n == 1) != warns || n > 1 {
		g.t.Errorf("the log warns %d times of eviction", n)
	}
	if warns && !strings.Contains(g.logs(), warning+`","maxmemory_policy":"`+args[3]+`"`) {
		g.t.Errorf("the warning does not name %s", args[3])
	}
}

// TestWarnsOfEvictionLater starts while Redis is away: it is asked when it is back.
func TestWarnsOfEvictionLater(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lfu")
	server.Kill()
	g := newRig(t, sandbox.Config{})
	g.vars["redis"] = server.Addr
	g.load(inRedis(oneProvider, "redis"), limitedSite)
	g.chat("alone")
	g.eventually("the loss to be seen", func() bool { return g.gauge("store_degraded") == "1" })
	server.Restart()
	g.eventually("the warning", func() bool { return strings.Contains(g.logs(), `noeviction","maxmemory_policy":"allkeys-lfu"`) })
}
