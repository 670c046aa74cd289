package alipaycaddy

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
	"github.com/caddy-alipayai/gateway/limiter"
)

// rights gives the command of OPERATIONS.md by which a user gets those that the gateway needs.
func rights(t *testing.T, of string) []string {
	t.Helper()
	text := string(must(os.ReadFile("OPERATIONS.md")))
	_, rest, found := strings.Cut(text, "<!-- rights: "+of+" -->\n```\n")
	command, _, _ := strings.Cut(rest, "\n```\n")
	if words := strings.Fields(command); found && len(words) > 3 {
		return words
	}
	t.Fatalf("OPERATIONS.md has no rights of %q", of)
	return nil
}

// TestRightsAreThoseOfScripts looks for commands of scripts that OPERATIONS.md does not name: each is executed with the rights of
// the user who runs the script (redis.io/docs/latest/operate/oss_and_stack/management/security/acl).
func TestRightsAreThoseOfScripts(t *testing.T) {
	given := rights(t, "server")
	called := regexp.MustCompile(`redis\.p?call\((?:'([A-Z]+)')?`)
	scripts := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "node_modules":
			return fs.SkipDir
		}
		if ending := filepath.Ext(path); entry.IsDir() || ending != ".lua" && ending != ".go" || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "redistest") {
			return nil
		}
		for _, call := range called.FindAllStringSubmatch(string(must(os.ReadFile(path))), -1) {
			scripts++
			if call[1] == "" {
				t.Errorf("%s: what %q calls cannot be read here", path, call[0])
			} else if !slices.Contains(given, "+"+strings.ToLower(call[1])) {
				t.Errorf("%s: the rights lack +%s", path, strings.ToLower(call[1]))
			}
		}
		return nil
	})
	if err != nil || scripts < 50 {
		t.Errorf("%d calls, %v", scripts, err)
	}
}

// TestRightsSuffice serves with a user who has the rights of OPERATIONS.md alone: Redis refuses nothing.
func TestRightsSuffice(t *testing.T) {
	server := redistest.Start(t)
	g := newFailoverRig(t)
	g.vars["redis"] = server.Addr
	if answer, err := server.Do(rights(t, "server")...); err != nil || answer != "+OK" {
		t.Fatalf("%q, %v", answer, err)
	}
	t.Setenv("TEST_REDIS_PASSWORD", "password")
	const price = "\nprice * {\ncurrency CNY\ninput 1\noutput 1\nmax_tokens 100\n}"
	g.load(strings.NewReplacer(
		"store redis ${redis}", "ledger ${dir}/ledger.db\nstore redis ${redis} {\nusername gateway\npassword {env.TEST_REDIS_PASSWORD}\ndb 1\n}",
		"limit off", "limit 50 100ms"+price, "${claude}/v1", "${claude}/v1"+price,
	).Replace(inRedis(twoProviders, "redis")), failoverSite("breaker 3 5m 200ms", "cached_answer 1h", "store_responses 1h", "budget * 100 CNY day"))
	g.chat("hello", g.acme)
	g.keyed("gateway", "hello", g.acme)
	if a := g.do("POST", "/v1/responses", `{"model":"alipay-fin-1","input":"hello"}`, g.acme); a.status != 200 {
		t.Errorf("a response: %d %s", a.status, a.body)
	}
	g.openBreaker()
	g.eventually("Redis to be asked of its memory", func() bool { return strings.Contains(g.logs(), "Redis says what it does when its memory is full") })
	g.eventually("the totals", func() bool { return strings.Contains(g.usage("by=tenant").body, "acme") })
	refusesNothing(t, server)
}

// refusesNothing holds that no command of a user was refused.
func refusesNothing(t *testing.T, servers ...*redistest.Server) {
	t.Helper()
	for _, server := range servers {
		if log, err := server.Do("ACL", "LOG"); err != nil || log != "*0" {
			t.Errorf("Redis at %s has refused %s commands, %v", server.Addr, log, err)
		}
	}
}

// TestRightsOfAClusterAndOfSentinels connects with these rights alone.
func TestRightsOfAClusterAndOfSentinels(t *testing.T) {
	grant := func(s *redistest.Server, commands ...[]string) {
		t.Helper()
		for _, command := range commands {
			if answer, err := s.Do(command...); err != nil || answer != "+OK" {
				t.Fatalf("%q: %q, %v", command, answer, err)
			}
		}
	}
	asks := func(o limiter.RedisOptions) {
		t.Helper()
		client := must(limiter.NewRedisClient(o))
		defer client.Close()
		testwait.For(t, time.Minute, "an answer", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return client.Eval(ctx, "return redis.call('GET', KEYS[1]) or ''", []string{"alipayai:{a}:key"}).Err() == nil
		})
	}
	cluster := redistest.StartCluster(t)
	for _, s := range cluster.Nodes() {
		grant(s, rights(t, "server"), rights(t, "cluster"))
	}
	asks(limiter.RedisOptions{Addresses: cluster.Addrs(), Cluster: true, Username: "gateway", Password: "password"})
	refusesNothing(t, cluster.Nodes()...)

	watched := redistest.StartWatched(t)
	grant(watched.Master, rights(t, "server"))
	grant(watched.Sentinel, rights(t, "sentinel"))
	asks(limiter.RedisOptions{
		Addresses: []string{watched.Sentinel.Addr}, MasterName: watched.Name, Username: "gateway", Password: "password",
		SentinelUsername: "gateway", SentinelPassword: "password",
	})
	refusesNothing(t, watched.Master, watched.Sentinel)
}
