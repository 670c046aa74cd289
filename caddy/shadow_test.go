package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/shadow"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// shadowRig has a third simulator, which blocks as the production API does.
type shadowRig struct {
	*failoverRig
	prod *sandbox.Server
}

const withProduction = `
	provider prod {
		profile sandbox
		base_url http://${prod}
		limit off
	}
	provider claude {`

func newShadowRig(t *testing.T) (g *shadowRig) {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g = &shadowRig{newFailoverRig(t), must(sandbox.New(sandbox.Config{RequestsPerSecond: -1, Mode: sandbox.Production}))}
	server := httptest.NewServer(g.prod)
	t.Cleanup(server.Close)
	g.vars["prod"] = server.Listener.Addr().String()
	return g
}

func besideProduction(global string) string {
	return strings.Replace(global, "\n\tprovider claude {", withProduction, 1)
}

// copies is how many calls reached the production API.
func (g *shadowRig) copies() int64 { return g.prod.Stats().Paths[chatPath] }

// state is what is known of the shadow.
func (g *shadowRig) state() *shadow.State {
	g.t.Helper()
	return must(caddy.ActiveContext().App("alipayai")).(*App).shadows["alipay claude:prod"].State()
}

// copied waits until so many pairs have been compared.
func (g *shadowRig) copied(n int64) {
	g.t.Helper()
	g.eventually(fmt.Sprintf("%d pairs", n), func() bool { return g.state().Pairs >= n })
	if got := g.state().Pairs; got != n {
		g.t.Errorf("%d pairs, want %d", got, n)
	}
}

const blockedPrompt = "predict future income"

// What the sandbox answers and production would block is alerted, counted over reloads and restarts, and
// sealed for those who may read it. Counted at both.
func TestShadow(t *testing.T) {
	g := newShadowRig(t)
	global, n := g.alerting(besideProduction(g.testified("${dir}/evidence")))
	site := failoverSite("shadow prod 100% {\nopt_out zeta\npairs\n}")
	g.load(global, site)

	a := g.chat("tea", g.acme)
	g.copied(1)
	if o := g.outcome(a); o["shadow"] != "prod" || o["provider"] != "alipay" {
		t.Errorf("the log says %v", o)
	}
	if o := g.outcome(g.chat("private tea", g.zeta)); o["shadow"] != nil {
		t.Errorf("the log says of a tenant that has opted out: %v", o)
	}
	a = g.chat(blockedPrompt, g.acme)
	g.copied(2)
	if g.copies() != 2 || g.chats() != 3 {
		t.Errorf("%d copies of %d calls", g.copies(), g.chats())
	}
	g.wantTold(n, "new_compliance_block", "trigger alipay claude:prod")
	sealed := func() []string { return must(filepath.Glob(g.vars["dir"] + "/evidence/*.json.age")) }
	g.eventually("the sealed pair", func() bool { return len(sealed()) == 1 })
	output, err := runCommand(t, "evidence", "open", "--identity", g.vars["identity"], sealed()[0])
	var record evidence.Record
	if err != nil || json.Unmarshal([]byte(output), &record) != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if p := record.Pair; record.RequestID != a.header.Get("X-Request-Id") || record.Tenant != "acme" || record.Provider != "alipay" ||
		!strings.Contains(string(record.Request.Body), blockedPrompt) || string(record.Response.Body) != a.body ||
		p == nil || p.Provider != "prod" || fmt.Sprint(p.Differs) != "[blocked]" || p.Code != "COMPLIANCE_BLOCKED" {
		t.Errorf("the record is %s", output)
	}
	if strings.Contains(g.logs(), blockedPrompt) || !strings.Contains(g.logs(), `"shadow differs"`) {
		t.Error("the log says nothing of the difference, or what was asked")
	}

	for range 20 {
		g.chat(blockedPrompt, g.acme)
	}
	g.load(global, site)
	for range 20 {
		g.chat(blockedPrompt, g.acme)
	}
	g.copied(42)
	g.wantTold(n, "shadow_divergence", "trigger alipay claude:prod blocked")
	series := g.scrape()
	for name, want := range map[string]string{
		`caddy_alipayai_shadow_total{outcome="same",provider="prod"}`:                                          "1",
		`caddy_alipayai_shadow_total{outcome="different",provider="prod"}`:                                     "41",
		`caddy_alipayai_shadow_differences_total{aspect="blocked",provider="prod",worse="shadow"}`:             "41",
		`caddy_alipayai_shadow_first_content_seconds_count{provider="prod",side="real"}`:                       "42",
		`caddy_alipayai_requests_total{code="",endpoint="chat",provider="alipay",status="200"}`:                "43",
		`caddy_alipayai_requests_total{code="COMPLIANCE_BLOCKED",endpoint="chat",provider="prod",status=403"}`: "",
	} {
		if series[name] != want {
			t.Errorf("%s is %q, want %q", name, series[name], want)
		}
	}

	out, err := runCommand(t, "shadow", "--address", g.vars["admin"])
	if err != nil || !strings.Contains(out, "alipay claude:prod: 41 of 42 pairs differ, 41 new compliance blocks\n") || !strings.Contains(out, "  blocked  41      42  firing\n") {
		t.Errorf("%v: %s", err, out)
	}

	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	g.load(global, site)
	g.eventually("what was counted before", func() bool {
		return g.state().Pairs == 42 && g.state().NewBlocks == 41 && g.state().Drifts[shadow.Blocked].Firing
	})
	g.chat("tea", g.acme)
	g.copied(43)
	if g.copies() != 43 || g.chats() != 44 {
		t.Errorf("%d copies of %d calls", g.copies(), g.chats())
	}
	told := func(times int) func() bool {
		return func() bool {
			return len(n.of("shadow_divergence")) == times && len(n.of("new_compliance_block")) == times
		}
	}
	g.eventually("the alerts to come again", told(2))
	g.load(global, failoverSite())
	g.eventually("the alerts to be over", told(3))
	g.wantTold(n, "shadow_divergence", "trigger alipay claude:prod blocked", "trigger alipay claude:prod blocked", "resolve alipay claude:prod blocked")
}

// Copies that wait when a configuration is replaced are asked, by the one that they came with; and a shadow that does not
// answer delays neither calls nor reloads.
func TestShadowOverReload(t *testing.T) {
	g := newShadowRig(t)
	global := besideProduction(twoProviders)
	site := failoverSite("shadow prod 100%")
	g.load(global, site)
	if err := g.prod.SetFaults(sandbox.Fault{Kind: sandbox.Latency, Delay: time.Second}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 30 {
		g.chat("tea", g.acme)
	}
	g.load(global, site)
	for range 30 {
		g.chat("tea", g.acme)
	}
	if took := time.Since(began); took > 20*time.Second { // and not 60 times 1 s
		t.Errorf("the calls took %v", took)
	}
	if err := g.prod.SetFaults(); err != nil {
		t.Fatal(err)
	}
	g.copied(60)
	if g.copies() != 60 {
		t.Errorf("%d copies, want 60", g.copies())
	}
}

// With Redis killed calls and copies go on, and what is counted meanwhile is there when it is back, for all replicas.
func TestShadowWithoutRedis(t *testing.T) {
	for name, args := range map[string][]string{"which loses its data": nil, "which keeps its data": onDisk} {
		t.Run(name, func(t *testing.T) { shadowWithoutRedis(t, redistest.Start(t, args...)) })
	}
}

func shadowWithoutRedis(t *testing.T, server *redistest.Server) {
	g := newShadowRig(t)
	g.vars["redis"] = server.Addr
	global := inRedis(besideProduction(twoProviders), "redis")
	site := failoverSite("shadow prod 100%", "idempotency off")
	g.load(global, site)
	g.chat("tea", g.acme)
	g.copied(1)
	server.Kill()
	for range 10 {
		if a := g.do("POST", chatPath, chatBody(blockedPrompt, false), g.acme); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	g.copied(11)
	if s := g.state(); s.NewBlocks != 10 || g.copies() != 11 {
		t.Errorf("%d new blocks, %d copies", s.NewBlocks, g.copies())
	}
	server.Restart()
	g.chat("tea", g.acme)
	g.copied(12)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	g.load(global, site)
	g.eventually("what was counted before", func() bool { return g.state().Pairs == 12 && g.state().NewBlocks == 10 })
}

// When the process ends it waits for the copies that are there; those that the shadow does not answer in time are dropped,
// counted for the next process, and logged.
func TestShadowWhenTheProcessEnds(t *testing.T) {
	const calls = 20
	for name, tt := range map[string]struct {
		delay       time.Duration
		pairs, lost int64
	}{
		"answered in time": {300 * time.Millisecond, calls, 0},
		"too slow":         {time.Minute, 0, calls},
	} {
		t.Run(name, func(t *testing.T) {
			g := newShadowRig(t)
			global, site := besideProduction(twoProviders), failoverSite("shadow prod 100%")
			g.load(global, site)
			g.fail(g.prod, sandbox.Fault{Kind: sandbox.Latency, Delay: tt.delay})
			for range calls {
				g.chat("tea", g.acme)
			}
			must(caddy.ActiveContext().App("alipayai")).(*App).exiting = func() bool { return true }
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			if logged := strings.Contains(g.logs(), fmt.Sprintf(`"copies":%d`, calls)); logged != (tt.lost > 0) {
				t.Errorf("logged: %v", logged)
			}
			g.load(global, site)
			g.eventually("what was counted before", func() bool {
				return g.state().Pairs == tt.pairs && g.state().Dropped[shadow.ProcessEnds] == tt.lost
			})
		})
	}
}
