package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
	"github.com/caddy-alipayai/gateway/caddy/command"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// TestStreamSurvivesReload reloads twice in the middle of a stream, once to a
// configuration that no longer serves it.
func TestStreamSurvivesReload(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, proxySite)
	events, stop := g.openStream("x [[events:40]] [[interval:20ms]]")
	defer stop()
	g.load(oneProvider, proxySite)
	g.load("", "http://${gateway} {\nrespond new\n}")
	if a := g.do("POST", chatPath, "{}", "Connection: close"); a.body != "new" {
		t.Errorf("the old configuration still answers: %s", a.body)
	}
	if left := references(); len(left) != 0 {
		t.Errorf("left in the pool: %v", left)
	}
	rest, err := io.ReadAll(events)
	if err != nil {
		t.Fatal(err)
	}
	// The first event, which has been read, is the role's.
	if n := strings.Count(string(rest), `"content":"`); n < 39 || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("%d events after the reload, ending in %q", n, rest[max(0, len(rest)-40):])
	}
	g.eventually("the stream to end at the upstream", func() bool { return g.api.Stats().InFlight == 0 })
	if stats := g.api.Stats(); stats.Cancelled != 0 {
		t.Errorf("the upstream saw a cancelled request: %+v", stats.Cancellations)
	}
}

// TestAnswersShareARoom counts who takes the bytes of answers from one budget: two
// directives, before and after a reload, and not one with another value.
func TestAnswersShareARoom(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	const sites = `http://${gateway} {
	handle /one/* {
		alipayai_proxy alipay
	}
	handle /two/* {
		alipayai_proxy alipay {
			max_buffered 256MiB
		}
	}
	handle {
		alipayai_proxy alipay {
			max_buffered 64MiB
		}
	}
}`
	rooms := func() (shared []int) {
		for name, n := range references() {
			if strings.HasPrefix(name, "answers held ") {
				shared = append(shared, n)
			}
		}
		slices.Sort(shared)
		return shared
	}
	for range 2 {
		g.load(oneProvider, sites)
		if got := rooms(); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("rooms are used by %v handlers, want one of two handlers and one of one", got)
		}
	}
}

// TestCallCrossesReload has a call in flight while its configuration is
// stopped and cleaned up; after that it has to fetch another token.
func TestCallCrossesReload(t *testing.T) {
	for name, next := range map[string]struct{ global, sites string }{
		"same provider": {oneProvider, proxySite},
		"no provider":   {"", "http://${gateway} {\nrespond new\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			if err := g.api.SetFaults(
				sandbox.Fault{Kind: sandbox.Latency, Times: 1, Delay: 300 * time.Millisecond},
				sandbox.Fault{Kind: sandbox.ExpiredToken, Times: 1},
			); err != nil {
				t.Fatal(err)
			}
			g.load(oneProvider, proxySite)
			type result struct {
				resp *http.Response
				err  error
			}
			done := make(chan result, 1)
			go func() {
				resp, err := g.send("gateway", "POST", chatPath, chatBody("crossing", false))
				done <- result{resp, err}
			}()
			g.eventually("the call to arrive", func() bool { return g.chats() == 1 })
			g.load(next.global, next.sites)
			got := <-done
			a := g.read(got.resp, got.err)
			if a.status != http.StatusOK || !strings.Contains(a.body, "crossing") {
				t.Errorf("status %d: %s", a.status, a.body)
			}
			if n := g.tokenFetches(); n != 2 {
				t.Errorf("%d tokens were fetched, want 2", n)
			}
		})
	}
}

// TestRejectedReloadChangesNothing loads configurations that fail at different
// points, each with a listener more, and with other things that the admin API serves.
func TestRejectedReloadChangesNothing(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("TEST_SECRET", oauthSecret)
	g := newRig(t, sandbox.Config{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	g.vars["taken"] = taken.Addr().String()
	g.file("law.yaml", suiteFile(1))
	with := func(more string) string { return strings.Replace(oneProvider, "alipayai {", "alipayai {\n"+more, 1) }
	site := func(canary string) string {
		return strings.Replace(metricsSite, "alipayai_proxy alipay", "alipayai_proxy alipay {\ncanary alipay next {\n"+canary+"\nguard errors\n}\n}", 1)
	}
	const next = "provider next {\nprofile sandbox\nbase_url http://${gone}\n}\n"
	running := with(next + "ledger ${dir}/ledger.db\n")
	g.file("keys/1", hmacKey)
	load := func() { g.load(running, site("share 40% 1h")) }
	load()
	if a := g.read(g.send("admin", "POST", command.CanaryPath+"?action=rollback", "")); a.status != http.StatusOK {
		t.Fatalf("the canary is not rolled back: %d %s", a.status, a.body)
	}
	g.chat("hello")
	config := g.read(g.send("admin", "GET", "/config/", "")).body
	before, served, shown := references(), g.adminServes(), g.adminGauges()
	if !slices.Contains(shown, `caddy_alipayai_breakers{provider="alipay",state="open"} 0`) {
		t.Errorf("the gauges of the admin API are %q", shown)
	}

	more := with(next + "provider keys {\nprofile alipay\nbase_url http://${gone}\nclient_id app\ntoken http://${gone}/token {env.TEST_SECRET}\nkeys dir ${dir}/keys {\nrotate_every 30d\n}\n}\nprovider other {\nprofile sandbox\nbase_url http://${gone}\n}\nsuite law {\nprovider other\nfile ${dir}/law.yaml\n}\n")
	sites := site("share 30% 1h")
	for name, bad := range map[string]struct{ global, sites string }{
		"provider":   {strings.Replace(more, "provider alipay", "provider zzz {\nprofile nothing\n}\nprovider alipay", 1), sites},
		"handler":    {more, sites + "\nhttp://${gone} {\nalipayai_proxy other unknown\n}"},
		"auth":       {more, sites + "\nhttp://${gone} {\nalipayai_auth {\nfile ${dir}/nothing\n}\n}"},
		"transport":  {more, sites + "\nhttp://${gone} {\n" + signing("other", "") + "\n}"},
		"simulator":  {more, sites + "\nhttp://${gone} {\nalipayai_sandbox {\nmode nothing\n}\n}"},
		"a listener": {more, sites + "\nhttp://${taken} {\nalipayai_proxy other\n}"},
		"no gateway": {"", "http://${taken} {\nrespond taken\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := g.reload(bad.global, bad.sites); err == nil {
				t.Fatal("it was accepted")
			}
			g.chat("still here")
			if after := references(); !maps.Equal(after, before) {
				t.Errorf("the pool held %v, now %v", before, after)
			}
			if after := g.read(g.send("admin", "GET", "/config/", "")).body; after != config {
				t.Errorf("the configuration is now %s", after)
			}
			for route, was := range served {
				if is := g.adminServes()[route]; is != was {
					t.Errorf("%s was %s, now it is %s", route, was, is)
				}
			}
			if is := g.adminGauges(); !slices.Equal(is, shown) {
				t.Errorf("the gauges of the admin API were %q, now they are %q", shown, is)
			}
			// What operators order is done by what runs.
			c := must(caddy.ActiveContext().App("alipayai")).(*App).canaries["alipay:next"]
			for _, order := range []struct{ action, phase string }{{"restart", "running"}, {"rollback", "rolled_back"}} {
				a := g.read(g.send("admin", "POST", command.CanaryPath+"?action="+order.action, ""))
				if phase := string(c.Status().Phase); a.status != http.StatusOK || phase != order.phase {
					t.Errorf("%s is answered with %d %s, and the canary is %s", order.action, a.status, a.body, phase)
				}
			}
		})
	}
	if n := g.tokenFetches(); n != 1 {
		t.Errorf("%d tokens were fetched, want 1", n)
	}
	load()
	g.eventually("the metrics to count on", func() bool {
		return g.scrape()[`caddy_alipayai_requests_total{code="",endpoint="chat",provider="alipay",status="200"}`] == "8"
	})
}

// adminServes are the names of what the admin API serves, by the route, and its answer where it serves nothing.
func (g *rig) adminServes() map[string]string {
	g.t.Helper()
	served := make(map[string]string)
	for _, route := range new(adminAPI).Routes() {
		a := g.read(g.send("admin", "GET", route.Pattern, ""))
		if served[route.Pattern] = a.body; a.status == http.StatusOK {
			var named map[string]json.RawMessage // rows of the ledger have no names
			_ = json.Unmarshal([]byte(a.body), &named)
			served[route.Pattern] = fmt.Sprint("those of ", slices.Sorted(maps.Keys(named)))
		}
	}
	return served
}

// adminGauges are what /metrics of the admin API has of what a configuration has, and which calls it counts, sorted.
func (g *rig) adminGauges() (lines []string) {
	g.t.Helper()
	for line := range strings.SplitSeq(g.read(g.send("admin", "GET", "/metrics", "")).body, "\n") {
		for _, name := range []string{"queue_depth", "rate_limit_requests", "store_degraded", "breakers", "key_", "suite_", "canary_share", "pool_"} {
			if strings.HasPrefix(line, "caddy_alipayai_"+name) {
				lines = append(lines, line)
			}
		}
		if series, _, found := strings.Cut(line, " "); found && strings.HasPrefix(series, "caddy_alipayai_requests_total") {
			lines = append(lines, series)
		}
	}
	slices.Sort(lines)
	return lines
}

// TestManyReloads leaves nothing behind: no goroutine, no reference, no token
// that was fetched again, and metrics that count on.
func TestManyReloads(t *testing.T) {
	g := newRig(t, sandbox.Config{Apps: []sandbox.App{{
		ClientID: "app", Keys: map[int][]byte{1: []byte(hmacKey)}, OAuthSecret: oauthSecret,
	}}, RequestsPerSecond: -1})
	t.Setenv("TEST_SECRET", oauthSecret)
	g.file("keys/1", hmacKey)
	key, hash := tenants.NewKey()
	g.file("tenants", "acme "+hash.String()+"\n")
	load := func(n int) {
		g.load(`
alipayai {
	provider alipay {
		profile alipay
		base_url http://${api}
		client_id app
		limit off
		keys dir ${dir}/keys
		token http://${api}/oauth2/token {env.TEST_SECRET}
	}
}`, `
http://${gateway} {
	metrics /metrics
	header X-Load `+strconv.Itoa(n)+`
	handle /sandbox/* {
		alipayai_sandbox
	}
	@calls not path /metrics
	alipayai_auth @calls {
		file ${dir}/tenants
	}
	handle /raw/* {
		uri strip_prefix /raw
		reverse_proxy http://${api} {
			transport alipayai alipay {
				paths /v1/*
			}
		}
	}
	alipayai_proxy alipay
}`)
		a := g.do("POST", chatPath, chatBody("hello", false), "Authorization: Bearer "+key)
		if a.status != http.StatusOK || !strings.Contains(a.body, "hello") {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		if got := a.header.Get("X-Load"); got != strconv.Itoa(n) {
			t.Errorf("load %s answered after load %d", got, n)
		}
		if a := g.do("POST", "/raw"+chatPath, chatBody("raw", false), "Authorization: Bearer "+key); a.status != http.StatusOK {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	}
	g.reloadManyTimes(load)
	if n := g.tokenFetches(); n != 1 {
		t.Errorf("%d tokens were fetched, want 1", n)
	}
	if n := g.chats(); n != 2*manyReloads {
		t.Errorf("%d calls arrived, want %d", n, 2*manyReloads)
	}
	want := strconv.Itoa(manyReloads)
	g.eventually("the metrics to count on", func() bool {
		return g.scrape()[`caddy_alipayai_requests_total{code="",endpoint="chat",provider="alipay",status="200"}`] == want
	})
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	g.eventually("the last call to give back what it held", func() bool { return len(references()) == 0 })
}

// manyReloads is how often reloadManyTimes loads.
const manyReloads = 53

// reloadManyTimes loads again and again: nothing may grow once all is settled.
func (g *rig) reloadManyTimes(load func(n int)) {
	g.t.Helper()
	const settled = 3
	goroutines0 := 0
	for n := range settled {
		load(n)
		// What a load leaves for a moment comes and goes: one sample alone may miss it.
		goroutines0 = max(goroutines0, runtime.NumGoroutine())
	}
	references0 := references()
	defer func() {
		if g.t.Failed() { // what is left says why
			_ = pprof.Lookup("goroutine").WriteTo(g.t.Output(), 1)
		}
	}()
	for n := range manyReloads - settled {
		load(settled + n)
	}
	g.eventually(fmt.Sprintf("the pool to hold %v", references0), func() bool { return maps.Equal(references(), references0) })
	g.eventually(fmt.Sprintf("no more than %d goroutines", goroutines0), func() bool { return runtime.NumGoroutine() <= goroutines0 })
}

// TestManyReloadsOfFailover does so with Redis, alerts and evidence, while the
// first provider fails: operators are notified once.
func TestManyReloadsOfFailover(t *testing.T) {
	g := newFailoverRig(t)
	g.vars["redis"] = redistest.Start(t).Addr
	global, n := g.alerting(inRedis(g.testified("${dir}/evidence"), "redis"))
	g.fail(g.api, systemError)
	g.reloadManyTimes(func(n int) {
		// However long all takes, an open breaker must not try Alipay again meanwhile.
		options := []string{"breaker 3 5m 1h\ncached_answer 1h", "breaker 3 5m 1h\ncached_answer first 2h", "breaker 5 1m 1h", "breaker 3 5m 1h"}
		g.load(global, failoverSite(options[n%len(options)]))
		call := func() answer {
			return g.do("POST", chatPath, chatBody("tea", false), g.acme, "Idempotency-Key: "+strconv.Itoa(n))
		}
		// A busy machine may keep Redis from answering in time. Then a call is not sent, and its claim, which Redis may
		// have made, is given back.
		var a answer
		g.eventually("Redis to answer", func() bool {
			a = call()
			return a.code() != "idempotency_unavailable" && a.code() != "idempotency_in_flight"
		})
		if a.status != http.StatusOK {
			t.Errorf("load %d: %d %s", n, a.status, a.body)
		}
	})
	g.wantTold(n, "breaker_open", "trigger alipay")
	// More than four where Redis has heard too late of a failure; of so many calls, all if a reload forgot the breaker.
	if got := g.chats(); got < 4 || got > 10 {
		t.Errorf("Alipay was asked %d times, want 4", got)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	g.eventually("the last call to give back what it held", func() bool { return len(references()) == 0 })
}

// references counts how often each pooled value is held, by kind and hash.
func references() map[string]int {
	var keys []stateKey
	pool.Range(func(key, _ any) bool {
		keys = append(keys, key.(stateKey))
		return true
	})
	held := make(map[string]int, len(keys))
	for _, key := range keys {
		held[fmt.Sprintf("%s %x", key.kind, key.hash[:6])], _ = pool.References(key)
	}
	return held
}
