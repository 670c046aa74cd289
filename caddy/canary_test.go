package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/caddy/command"
	"github.com/caddy-alipayai/gateway/failover/canary"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// canaryRig has a third simulator, whose version calls tools with parameters that are named
// otherwise.
type canaryRig struct {
	*failoverRig
	next *sandbox.Server
}

const withCandidate = `
	provider next {
		profile sandbox
		base_url http://${next}
		limit off
	}
	provider claude {`

func newCanaryRig(t *testing.T) (g *canaryRig, global string) {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g = &canaryRig{newFailoverRig(t), must(sandbox.New(sandbox.Config{RequestsPerSecond: -1, APIVersion: 2}))}
	server := httptest.NewServer(g.next)
	t.Cleanup(server.Close)
	g.vars["next"] = server.Listener.Addr().String()
	return g, strings.Replace(twoProviders, "\n\tprovider claude {", withCandidate, 1)
}

const canaryOption = "canary alipay next {\nshare 40% 1h\nguard errors tool_calls\non_pass promote\n}"

// turns makes two calls of a conversation, each of which calls a tool, at a gateway, and
// gives the provider of both, which must be one.
func (g *canaryRig) turns(at string, conversation int) (provider string, last answer) {
	g.t.Helper()
	opening := fmt.Sprintf(`{"role":"system","content":"be brief"},{"role":"user","content":"use the tool, %d"}`, conversation)
	for _, messages := range []string{opening, opening + `,{"role":"assistant","content":"done"},{"role":"user","content":"use the tool"}`} {
		last = g.turn(at, messages)
		got := last.header.Get("X-Alipayai-Provider")
		if provider != "" && got != provider {
			g.t.Errorf("conversation %d is with %s, and then with %s", conversation, provider, got)
		}
		provider = got
	}
	return provider, last
}

// turn makes a call with these messages, which calls a tool, at a gateway.
func (g *canaryRig) turn(at, messages string) answer {
	g.t.Helper()
	body := `{"model":"alipay-fin-1","messages":[` + messages + `],"tools":[{"type":"function","function":{"name":"weather",` +
		`"parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]}`
	a := g.read(g.send(at, "POST", chatPath, body, g.acme))
	if a.status != http.StatusOK {
		g.t.Fatalf("status %d: %s", a.status, a.body)
	}
	return a
}

// status is where the canary is, as a gateway's admin API has it.
func (g *canaryRig) status(admin string) canary.Status {
	g.t.Helper()
	a := g.read(g.send(admin, "GET", command.CanaryPath, ""))
	var reports map[string]canary.Status
	if err := json.Unmarshal([]byte(a.body), &reports); err != nil || len(reports) != 1 {
		g.t.Fatalf("%v: %d %s", err, a.status, a.body)
	}
	return reports["alipay:next"]
}

// look has the gateway look at its canary, as it does by itself every few seconds: TestRun of package canary.
func (g *canaryRig) look() {
	g.t.Helper()
	for _, c := range must(caddy.ActiveContext().App("alipayai")).(*App).canaries {
		_ = c.Exchange(g.t.Context()) // with the store away, its status says so
	}
}

// looksUntil has the gateway look again and again until something holds.
func (g *canaryRig) looksUntil(what string, holds func() bool) {
	g.t.Helper()
	g.eventually(what, func() bool { g.look(); return holds() })
}

// A candidate whose version names the parameters of tools otherwise is rolled back, whatever
// is reloaded or restarted meanwhile, and alerts and commands tell what has happened.
func TestCanaryRollsBack(t *testing.T) {
	g, global := newCanaryRig(t)
	global, n := g.alerting(global)
	site := failoverSite(canaryOption)
	g.load(global, site)

	arms := make(map[int]string)
	conversations := 0
	converse := func(more int) {
		for range more {
			arms[conversations], _ = g.turns("gateway", conversations)
			conversations++
		}
	}
	converse(40)
	g.load(global, site)
	for conversation, provider := range arms {
		if got, _ := g.turns("gateway", conversation); got != provider {
			t.Errorf("conversation %d is with %s, and after a reload with %s", conversation, provider, got)
		}
	}
	// Chance decides which conversations are the candidate's; that they are its share is judged in package canary.
	if got := g.next.Stats().Paths[chatPath]; got == 0 || got == 160 {
		t.Errorf("%d of 160 calls went to the candidate", got)
	}
	o := make(map[string]string)
	for conversation, provider := range arms {
		if o[provider] == "" {
			_, last := g.turns("gateway", conversation)
			o[provider], _ = g.outcome(last)["canary"].(string)
		}
	}
	if o["alipay"] != "stable" || o["next"] != "candidate" {
		t.Errorf("the log names the arms %v", o)
	}
	// So many are too few for a guard; of those that follow, some may come after the candidate was rolled back.
	decided := maps.Clone(arms)
	candidates := func() (n int) {
		for _, provider := range arms {
			if provider == "next" {
				n++
			}
		}
		return n
	}
	if n := candidates(); n >= canary.MinSample {
		t.Fatalf("%d of 40 conversations are with the candidate, by chance", n)
	}
	g.wantTold(n, "canary_step", "trigger alipay:next step 1")
	converse(80)
	for g.status("admin").Phase == canary.Running && candidates() < canary.MinSample {
		converse(20)
	}
	g.looksUntil("the candidate to be rolled back", func() bool { return g.status("admin").Phase == "rolled_back" })
	if s := g.status("admin"); s.Reason != "tool_calls" || s.Share != 0 {
		t.Errorf("status %+v", s)
	}
	before, stable := g.next.Stats().Paths[chatPath], g.chats()
	for conversation := range 20 {
		if got, _ := g.turns("gateway", conversation); got != "alipay" {
			t.Errorf("after that, a conversation is with %s", got)
		}
	}
	if after := g.next.Stats().Paths[chatPath]; after != before || g.chats() != stable+40 {
		t.Errorf("after that, %d calls went to the candidate and %d to the stable one", after-before, g.chats()-stable)
	}
	g.wantTold(n, "canary_rolled_back", "trigger alipay:next")
	g.wantTold(n, "canary_step", "trigger alipay:next step 1", "resolve alipay:next step 1")
	if out, err := runCommand(t, "canary", "status", "--address", g.vars["admin"]); err != nil || !strings.Contains(out, "alipay:next: rolled_back since") || !strings.Contains(out, "by tool_calls") {
		t.Errorf("%v: %s", err, out)
	}
	guards := g.status("admin").Guards
	calls := guards[slices.IndexFunc(guards, func(of canary.GuardStatus) bool { return of.Guard == "tool_calls" })].BadCalls
	if len(calls) == 0 || len(calls) > 10 {
		t.Errorf("named are the bad calls %v", calls)
	}
	for _, id := range calls {
		if out := g.command("canary", "status"); !strings.Contains(out, id) || !strings.Contains(g.logs(), `"request_id":"`+id+`"`) {
			t.Errorf("the bad call %s is not in the log, or not in\n%s", id, out)
		}
	}
	series := g.scrape()
	if series[`caddy_alipayai_canary_share{canary="alipay:next"}`] != "0" ||
		series[`caddy_alipayai_canary_calls_total{arm="candidate",canary="alipay:next",guard="tool_calls",result="bad"}`] == "0" ||
		series[`caddy_alipayai_canary_calls_total{arm="stable",canary="alipay:next",guard="tool_calls",result="bad"}`] != "0" {
		t.Error("the metrics do not say so")
	}

	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	g.load(global, site)
	if got := g.status("admin"); got.Phase != "rolled_back" || got.Reason != "tool_calls" {
		t.Errorf("after a restart: %+v", got)
	}
	g.eventually("the alert to come again", func() bool { return len(n.of("canary_rolled_back")) == 2 })
	if out := g.command("canary", "promote"); !strings.Contains(out, "warning: promoted against guard tool_calls: ") {
		t.Errorf("promoted after the rollback:\n%s", out)
	}
	if _, err := runCommand(t, "canary", "restart", "alipay:next", "--address", g.vars["admin"]); err != nil {
		t.Fatal(err)
	}
	if got := g.status("admin"); got.Phase != "running" || got.Step != 1 || got.Share != 0.4 {
		t.Errorf("begun anew: %+v", got)
	}
	for conversation, provider := range decided {
		if got, _ := g.turns("gateway", conversation); got != provider {
			t.Errorf("conversation %d was with %s, and begun anew is with %s", conversation, provider, got)
		}
	}
	g.wantTold(n, "canary_rolled_back", "trigger alipay:next", "trigger alipay:next", "resolve alipay:next")
	g.command("canary", "promote")
	for conversation := range 5 {
		if got, _ := g.turns("gateway", conversation); got != "next" {
			t.Errorf("promoted, a conversation is with %s", got)
		}
	}
}

// Replicas that share a store take one canary, and one that has not seen a broken call
// itself rolls back as well.
func TestReplicasShareCanaries(t *testing.T) {
	g, global := newCanaryRig(t)
	g.vars["redis"] = redistest.Start(t).Addr
	global = inRedis(global, "redis")
	site := failoverSite(canaryOption)
	g.load(global, site)
	g.startReplica(global, site)
	for conversation := range 30 { // without tools: none of these calls is broken, so that nothing rolls back meanwhile
		body := fmt.Sprintf(`{"model":"alipay-fin-1","messages":[{"role":"user","content":"hello, %d"}]}`, conversation)
		var providers [2]string
		for i, at := range []string{"gateway", "second"} {
			providers[i] = g.read(g.send(at, "POST", chatPath, body, g.acme)).header.Get("X-Alipayai-Provider")
		}
		if providers[0] == "" || providers[0] != providers[1] {
			t.Errorf("conversation %d is with %q", conversation, providers)
		}
	}
	// From here on the candidate may be rolled back between any two calls.
	use := func(at string, conversation int) {
		g.turn(at, fmt.Sprintf(`{"role":"user","content":"use the tool, %d"}`, conversation))
	}
	for conversation := range 180 {
		use("gateway", 100+conversation)
	}
	g.looksUntil("the candidate to be rolled back", func() bool { return g.status("admin").Phase == "rolled_back" })
	g.eventually("the other replica to know", func() bool {
		before := g.next.Stats().Paths[chatPath]
		for conversation := range 40 {
			use("second", conversation)
		}
		return g.next.Stats().Paths[chatPath] == before
	})
}

// onDisk are options of a Redis that keeps its data when it is killed.
var onDisk = []string{"--appendonly", "yes", "--appendfsync", "always"}

// A candidate whose answers are right, and late, is rolled back.
func TestCanaryIsTooSlow(t *testing.T) {
	g, global := newCanaryRig(t)
	global, n := g.alerting(global)
	g.load(global, failoverSite("canary alipay next {\nshare 40% 1h\nguard latency_p95\non_pass promote\n}"))
	g.fail(g.next, sandbox.Fault{Kind: sandbox.Latency, Delay: 300 * time.Millisecond})
	conversation := 0
	converse := func() {
		var all sync.WaitGroup
		for range 16 {
			conversation++
			body := fmt.Sprintf(`{"model":"alipay-fin-1","messages":[{"role":"user","content":"hello, %d"}]}`, conversation)
			all.Go(func() {
				if a := g.read(g.send("gateway", "POST", chatPath, body, g.acme)); a.status != http.StatusOK {
					t.Errorf("status %d: %s", a.status, a.body)
				}
			})
		}
		all.Wait()
	}
	for batch := 0; batch < 200 && g.status("admin").Phase != canary.RolledBack; batch++ {
		converse()
		g.look()
	}
	if s := g.status("admin"); s.Phase != canary.RolledBack || s.Reason != "latency_p95" {
		t.Errorf("status %+v", s)
	}
	g.wantTold(n, "canary_rolled_back", "trigger alipay:next")
	before := g.next.Stats().Paths[chatPath]
	for range 4 {
		converse()
	}
	if after := g.next.Stats().Paths[chatPath]; after != before {
		t.Errorf("after that, %d calls went to the candidate", after-before)
	}
}

// With Redis killed in the middle of a canary, its conversations stay where they are, and what is counted meanwhile is
// added when Redis is back with what it had; what an operator has decided is not forgotten.
func TestCanaryWithoutRedis(t *testing.T) {
	g, global := newCanaryRig(t)
	server := redistest.Start(t, onDisk...)
	g.vars["redis"] = server.Addr
	global, n := g.alerting(inRedis(global, "redis"))
	site := failoverSite("canary alipay next {\nshare 40% 1h\nguard errors\n}", "idempotency off")
	g.load(global, site)
	const conversations = 30
	arms := make(map[int]string)
	converse := func() {
		for conversation := range conversations {
			body := fmt.Sprintf(`{"model":"alipay-fin-1","messages":[{"role":"user","content":"hello, %d"}]}`, conversation)
			a := g.read(g.send("gateway", "POST", chatPath, body, g.acme))
			got := a.header.Get("X-Alipayai-Provider")
			if a.status != http.StatusOK || arms[conversation] != "" && arms[conversation] != got {
				t.Errorf("conversation %d was with %q, and is with %q: %d %s", conversation, arms[conversation], got, a.status, a.body)
			}
			arms[conversation] = got
		}
	}
	counted := func() (trials int64) {
		for _, guard := range g.status("admin").Guards {
			trials += guard.Stable.Trials + guard.Candidate.Trials
		}
		return trials
	}
	converse()
	g.looksUntil("the calls to be counted", func() bool { return counted() == conversations })
	if out := g.command("canary", "pause"); !strings.Contains(out, "paused") {
		t.Errorf("paused: %s", out)
	}
	began := g.status("admin")

	server.Kill()
	converse()
	g.looksUntil("the store to be missed", func() bool { return g.status("admin").Away })
	g.wantTold(n, "canary_unkept", "trigger alipay:next")
	if out, err := runCommand(t, "canary", "promote", "--address", g.vars["admin"]); err == nil {
		t.Errorf("promoted without a store: %s", out)
	}
	converse()
	server.Restart()
	g.looksUntil("all calls to be counted", func() bool { return !g.status("admin").Away && counted() == 3*conversations })
	if s := g.status("admin"); s.Phase != canary.Paused || s.Step != began.Step || s.Share != began.Share {
		t.Errorf("paused as %+v, and back as %+v", began, s)
	}
	g.wantTold(n, "canary_unkept", "trigger alipay:next", "resolve alipay:next")

	server.Kill()
	server.Restart()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	g.load(global, site)
	g.looksUntil("the state to be known", func() bool {
		s := g.status("admin")
		return s.Known && s.Phase == canary.Paused && counted() == 3*conversations
	})
	converse()
}
