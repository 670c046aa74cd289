package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/suite"
	"github.com/caddy-alipayai/gateway/caddy/command"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// suitePrompts are n prompts of a suite whose texts are secret.
func suiteFile(n int) string {
	var b strings.Builder
	b.WriteString("prompts:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {id: p%d, prompt: a confidential prompt %d, stream: %v, expect: {contains: confidential}}\n", i, i, i%2 == 1)
	}
	return b.String()
}

// suiteGlobal is a configuration with a suite, whose only calls are those of the suite.
const suiteGlobal = `
storage file_system ${dir}/storage
alipayai {
	provider alipay {
		profile sandbox
		base_url http://${api}
		model alipay-fin-1
		price alipay-fin-1 {
			currency CNY
			input 24
			output 72
		}
	}
	suite law {
		provider alipay
		file ${dir}/law.yaml
		every 6h
		concurrency 1
	}
}`

// states gives what a gateway's admin API has of the suite law.
func (g *failoverRig) suiteState(admin string) suite.State {
	g.t.Helper()
	a := g.read(g.send(admin, "GET", command.SuitesPath, ""))
	var states map[string]suite.State
	if err := json.Unmarshal([]byte(a.body), &states); err != nil || len(states) != 1 {
		g.t.Fatalf("%v: %d %s", err, a.status, a.body)
	}
	return states["law"]
}

// lookAtSuites has the gateway look at its suites, as it does by itself every few seconds: TestRun of package record.
func (g *failoverRig) lookAtSuites() {
	for _, s := range must(caddy.ActiveContext().App("alipayai")).(*App).suites {
		_ = s.Look(g.t.Context())
	}
}

// age makes the last run of the suite one of seven hours ago, while no gateway runs.
func (g *failoverRig) age() {
	g.t.Helper()
	files := must(filepath.Glob(filepath.Join(g.vars["dir"], "storage/alipayai/suites/*.json")))
	if len(files) != 1 {
		g.t.Fatalf("records: %v", files)
	}
	if err := os.WriteFile(files[0], []byte(aged(string(must(os.ReadFile(files[0]))))), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// aged makes the run of a record one of seven hours ago.
func aged(record string) string {
	return regexp.MustCompile(`"began":"[^"]*"`).ReplaceAllString(record, `"began":"`+time.Now().Add(-7*time.Hour).UTC().Format(time.RFC3339Nano)+`"`)
}

// A suite asks each prompt once, whatever is reloaded and restarted, and again when its time has come. What has changed
// alerts once; ledger, metrics and admin API tell of it, and nothing has a text.
func TestSuiteRuns(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := newFailoverRig(t)
	g.file("law.yaml", suiteFile(6))
	global, n := g.alerting(suiteGlobal)
	load := func() { g.load(global, metricsSite) }
	restart := func() {
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		g.age()
		load()
	}
	load()
	g.eventually("the first run to end", func() bool { return g.suiteState("admin").Last != nil })
	first := *g.suiteState("admin").Last
	if first.Count(suite.Pass) != 6 || first.Changes != nil || g.chats() != 6 {
		t.Errorf("the first run: %+v, %d calls", first, g.chats())
	}
	load()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	load()
	g.eventually("the run to be known", func() bool { return g.suiteState("admin").Last != nil })
	if got := g.suiteState("admin"); !got.Last.Began.Equal(first.Began) || got.Running != nil || g.chats() != 6 {
		t.Errorf("after reload and restart: %+v, %d calls", got, g.chats())
	}

	// The model changes, and is as before with the next run.
	g.fail(g.api, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: http.StatusForbidden, Code: "COMPLIANCE_BLOCKED", Times: 2})
	restart()
	g.wantTold(n, "suite_changed", "trigger law")
	if !strings.Contains(g.logs(), `"summary":"suite law at alipay: now fail: p0, p1"`) {
		t.Error("the alert does not name the prompts")
	}
	series := g.scrape()
	for name, want := range map[string]string{
		`caddy_alipayai_suite_prompts{provider="alipay",result="pass",suite="law"}`:    "4",
		`caddy_alipayai_suite_prompts{provider="alipay",result="fail",suite="law"}`:    "2",
		`caddy_alipayai_suite_prompts{provider="alipay",result="unknown",suite="law"}`: "0",
		`caddy_alipayai_suite_changed_prompts{provider="alipay",suite="law"}`:          "2",
	} {
		if series[name] != want {
			t.Errorf("%s is %q, want %s", name, series[name], want)
		}
	}
	out, err := runCommand(t, "suite", "status", "--address", g.vars["admin"])
	if err != nil || !strings.Contains(out, "law at alipay: 4 passed, 2 failed, 0 unknown, of 6") ||
		!strings.Contains(out, "blocked by COMPLIANCE_BLOCKED") || !strings.Contains(out, "changed p0: pass -> fail") {
		t.Errorf("status: %v\n%s", err, out)
	}
	load()
	// An outage is no change, and so does not end the alert with what is not known.
	g.fail(g.api, sandbox.Fault{Kind: sandbox.SystemError200, Times: 1})
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	g.age()
	load()
	g.eventually("the third run to end", func() bool {
		s := g.suiteState("admin")
		return s.Last != nil && s.Last.Count(suite.Unknown) == 1
	})
	if s := g.suiteState("admin"); len(s.Last.Changes) != 1 || s.Last.Changes[0] != (suite.Change{ID: "p1", From: suite.Fail, To: suite.Pass}) {
		t.Errorf("after the outage: %+v", s.Last.Changes)
	}
	restart()
	g.eventually("the fourth run to be told", func() bool { return len(n.of("suite_changed")) == 3 })
	if g.chats() != 24 {
		t.Errorf("%d calls have arrived, want 24", g.chats())
	}
	report := g.read(g.send("admin", "GET", command.UsagePath+"?by=tenant&format=csv", ""))
	if !strings.Contains(report.body, "(suites)") {
		t.Errorf("the ledger has\n%s", report.body)
	}
	state := g.read(g.send("admin", "GET", command.SuitesPath, "")).body
	for what, text := range map[string]string{"the log": g.logs(), "the admin API": state, "metrics": g.do("GET", "/metrics", "").body, "status": out} {
		if strings.Contains(text, "confidential") {
			t.Errorf("%s has a prompt's text", what)
		}
	}
}

// A suite without a model asks the first of the provider's. What it expects to fail is logged at debug level, and what it
// does not at that of a warning; both name suite and prompt.
func TestFailuresOfASuiteInTheLog(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := newFailoverRig(t)
	g.file("law.yaml", `prompts:
- {id: forbidden, prompt: one, expect: blocked}
- {id: permitted, prompt: two, expect: answered}
`)
	g.fail(g.api, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: http.StatusForbidden, Code: "COMPLIANCE_BLOCKED", Times: 2})
	g.load(strings.Replace(suiteGlobal, "		model alipay-fin-1", "		models alipay-fin-1 alipay-fin-2", 1), metricsSite)
	g.eventually("the run to end", func() bool { return g.suiteState("admin").Last != nil })
	levels := make(map[string]string)
	for line := range strings.Lines(g.logs()) {
		var entry struct {
			Level, Msg, Suite string
			PromptID          string `json:"prompt_id"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "attempt failed" {
			levels[entry.Suite+" "+entry.PromptID] = entry.Level
		}
	}
	if len(levels) != 2 || levels["law forbidden"] != "debug" || levels["law permitted"] != "warn" {
		t.Errorf("logged at levels %v", levels)
	}
}

// A suite that is taken out of the configuration takes its alert with it.
func TestAlertOfASuiteThatIsGone(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := newFailoverRig(t)
	g.file("law.yaml", suiteFile(2))
	global, n := g.alerting(suiteGlobal)
	g.load(global, metricsSite)
	g.eventually("the first run to end", func() bool { return g.suiteState("admin").Last != nil })
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	g.age()
	g.fail(g.api, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: http.StatusForbidden, Code: "COMPLIANCE_BLOCKED", Times: 1})
	g.load(global, metricsSite)
	g.wantTold(n, "suite_changed", "trigger law")
	without, _, _ := strings.Cut(global, "	suite law {")
	g.load(without+"}", metricsSite)
	g.wantTold(n, "suite_changed", "trigger law", "resolve law")
	if a := g.read(g.send("admin", "GET", command.SuitesPath, "")); a.status != http.StatusNotFound {
		t.Errorf("without a suite: %d %s", a.status, a.body)
	}
}

// Two replicas run a suite once for both, also where Redis is killed during the run: what came of it is remembered, and what
// has changed alerts once.
func TestReplicasRunASuiteOnce(t *testing.T) {
	for name, args := range map[string][]string{"Redis loses its data": nil, "Redis keeps its data": onDisk} {
		t.Run(name, func(t *testing.T) { suiteWithoutRedis(t, redistest.Start(t, args...)) })
	}
}

func suiteWithoutRedis(t *testing.T, server *redistest.Server) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	const prompts = 12
	g := newFailoverRig(t)
	g.vars["redis"] = server.Addr
	g.file("law.yaml", suiteFile(prompts))
	global, n := g.alerting(inRedis(strings.NewReplacer("alipay-fin-1\n\t\tprice", "alipay-fin-1\n\t\tlimit off\n\t\tprice",
		"alipayai {", "alipayai {\n\tledger off").Replace(suiteGlobal), "redis")) // one process can have the ledger's file
	start := func() (stop func()) {
		g.load(global, metricsSite)
		kill := g.startReplica(global, metricsSite)
		return func() {
			kill()
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
		}
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	t.Cleanup(func() { client.Close() })
	key := func() string {
		for _, key := range client.Keys(t.Context(), "*").Val() {
			if !strings.Contains(key, "lease") && strings.Contains(client.Get(t.Context(), key).Val(), `"verdicts"`) {
				return key
			}
		}
		return ""
	}
	stop := start()
	g.eventually("the first run to be kept", func() bool { return key() != "" })
	stop()
	record := key()
	if err := client.Set(t.Context(), record, aged(client.Get(t.Context(), record).Val()), 0).Err(); err != nil {
		t.Fatal(err)
	}

	g.fail(g.api, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: http.StatusForbidden, Code: "COMPLIANCE_BLOCKED", Times: 2},
		sandbox.Fault{Kind: sandbox.Latency, Delay: 50 * time.Millisecond})
	stop = start()
	g.eventually("some prompts to be asked", func() bool { return g.chats() >= prompts+4 })
	server.Kill()
	g.eventually("all prompts to be asked", func() bool { return g.chats() >= 2*prompts })
	g.wantTold(n, "suite_changed", "trigger law")
	server.Restart()
	g.eventually("what came of it to be kept", func() bool {
		g.lookAtSuites()
		content := client.Get(t.Context(), record).Val()
		return strings.Contains(content, `"to":"fail"`) && !strings.Contains(content, `"running"`)
	})
	stop()
	stop = start()
	defer stop()
	g.eventually("it to be known after restarts", func() bool { return g.suiteState("admin").Last != nil })
	last := g.suiteState("admin").Last
	if want := []suite.Change{{ID: "p0", From: suite.Pass, To: suite.Fail}, {ID: "p1", From: suite.Pass, To: suite.Fail}}; !slices.Equal(last.Changes, want) || last.Count(suite.Pass) != prompts-2 {
		t.Errorf("remembered are %+v", last)
	}
	g.wantTold(n, "suite_changed", "trigger law")
	if g.chats() != 2*prompts {
		t.Errorf("%d calls have arrived, want %d", g.chats(), 2*prompts)
	}
}

// A suite waits for the rate cap behind all clients: those that come later leave before it, but for one permit in ten.
func TestSuiteWaitsBehindClients(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	var mu sync.Mutex
	var order []string
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1, OnRequest: func(r *http.Request, body []byte) {
		if r.URL.Path != chatPath {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		who := "client"
		if strings.Contains(string(body), "confidential") {
			who = "suite"
		}
		order = append(order, who)
	}})
	g.file("law.yaml", suiteFile(15))
	global := strings.NewReplacer("alipay-fin-1\n\t\tprice", "alipay-fin-1\n\t\tlimit 5 2s\n\t\tprice", "concurrency 1", "concurrency 8").Replace(suiteGlobal)
	g.load(global, metricsSite)
	g.eventually("the suite to use the window", func() bool { return g.chats() == 5 })
	wait := g.inBackground(8, toChat)
	g.eventually("all to wait", func() bool { return g.gauge("queue_depth") == "16" || g.chats() > 5 })
	wait()
	g.eventually("nine more calls", func() bool { return g.chats() >= 14 })
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(strings.Join(order[5:14], " "), "client"); n != 8 {
		t.Errorf("among the next nine calls are %d of the clients' eight: the suite has more than one permit in ten: %v", n, order)
	}
}

// A suite that cannot be run is refused when the configuration is loaded, with what would be right.
func TestSuiteIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.yaml", "prompts: [{id: a, prompt: b, expect: answered}]")
	bad := file("bad.yaml", "prompts:\n- id: a\n  prompt: b\n  expects: answered")
	large := file("large.yaml", strings.Repeat("#", suite.MaxFile+1))
	other := file("other.yaml", "prompts: [{id: a, model: other, prompt: b, expect: answered}]")
	global := func(options string) string {
		return "alipayai {\nprovider alipay {\nprofile sandbox\nbase_url http://127.0.0.1:9\nmodels alipay-fin-1\n}\nsuite law {\n" + options + "\n}\n}"
	}
	for name, test := range map[string]struct{ options, want string }{
		"provider":  {"provider claude\nfile " + good, `suite law: provider "claude" is not declared; the alipayai global option declares alipay`},
		"no file":   {"provider alipay\nfile " + good + "l", "suite law: file: open "},
		"bad file":  {"provider alipay\nfile " + bad, "suite law: file " + bad + ": line 4: prompts[0].expects: unknown field; use expect, id,"},
		"too large": {"provider alipay\nfile " + large, "suite law: file " + large + ": the file has 1048577 bytes, and may have 1048576"},
		"builtin":   {"provider alipay\nbuiltin china", `suite law: no suite "china" is built in; use compliance-zh`},
		"model":     {"provider alipay\nfile " + other, "suite law: prompt a: provider alipay does not serve model other"},
		"its own":   {"provider alipay\nmodel other\nfile " + good, "suite law: prompt a: provider alipay does not serve model other"},
	} {
		t.Run(name, func(t *testing.T) { refuses(t, global(test.options), "", []string{test.want}) })
	}
	t.Run("no model", func(t *testing.T) {
		without := strings.Replace(global("provider alipay\nfile "+good), "models alipay-fin-1\n", "", 1)
		refuses(t, without, "", []string{"suite law: prompt a names no model, and provider alipay has none of its own: name one with model"})
	})
}
