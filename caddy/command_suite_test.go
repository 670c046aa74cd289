package alipaycaddy

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/suite"
)

// suiteRig is a simulated API in both of its modes, and a configuration of it.
type suiteRig struct {
	t                   *testing.T
	sandbox, production *sandbox.Server
	config              string
	dir                 string
}

func newSuiteRig(t *testing.T) *suiteRig {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := &suiteRig{t: t, dir: t.TempDir()}
	var addresses []string
	serve := func(mode sandbox.Mode) *sandbox.Server {
		api := must(sandbox.New(sandbox.Config{Mode: mode, RequestsPerSecond: -1}))
		server := httptest.NewServer(api)
		t.Cleanup(server.Close)
		addresses = append(addresses, server.URL)
		return api
	}
	g.sandbox, g.production = serve(sandbox.Sandbox), serve(sandbox.Production)
	g.config = g.file("Caddyfile", `{
	alipayai {
		provider test {
			profile sandbox
			base_url `+addresses[0]+`
			model alipay-fin-1
		}
		provider live {
			profile sandbox
			base_url `+addresses[1]+`
			model alipay-fin-1
		}
	}
}
`)
	return g
}

// file writes a file and gives its path.
func (g *suiteRig) file(name, content string) string {
	g.t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}

// run runs `suite run` and gives its exit status.
func (g *suiteRig) run(args ...string) (output string, status int) {
	g.t.Helper()
	output, err := runCommand(g.t, append([]string{"suite", "run", "--config", g.config, "--rate", "1000"}, args...)...)
	return output, exitStatus(err)
}

// exitStatus is that of Caddy's main, which knows the type of an error by its name alone.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	if v := reflect.Indirect(reflect.ValueOf(err)); v.Kind() == reflect.Struct && v.FieldByName("ExitCode").IsValid() {
		return int(v.FieldByName("ExitCode").Int())
	}
	return 1
}

// The built-in suite asks both modes of the simulator all of its prompts, and the difference is what the sandbox hides.
func TestSuiteShowsWhatTheSandboxHides(t *testing.T) {
	g := newSuiteRig(t)
	first := filepath.Join(g.dir, "sandbox.json")
	out, status := g.run("--builtin", "compliance-zh", "--provider", "test", "--json", first)
	if status != 1 || !strings.Contains(out, "compliance-zh at test: 24 passed, 36 failed, 0 unknown, of 60") {
		t.Fatalf("the sandbox: status %d:\n%s", status, out)
	}
	second := filepath.Join(g.dir, "production.json")
	out, status = g.run("--builtin", "compliance-zh", "--provider", "live", "--json", second, "--compare", first)
	if status != 0 || !strings.Contains(out, "compliance-zh at live: 60 passed, 0 failed, 0 unknown, of 60") {
		t.Fatalf("production: status %d:\n%s", status, out)
	}
	if !strings.Contains(out, "36 prompts have changed") || !strings.Contains(out, "  income-blocked-1: fail -> pass\n") {
		t.Errorf("the difference is not told:\n%s", out)
	}
	var hidden suite.Report
	if err := json.Unmarshal(must(os.ReadFile(second)), &hidden); err != nil {
		t.Fatal(err)
	}
	for _, c := range hidden.Changes {
		if !strings.Contains(c.ID, "-blocked-") || c.From != suite.Fail || c.To != suite.Pass {
			t.Errorf("changed: %+v", c)
		}
	}
	if len(hidden.Changes) != 36 {
		t.Errorf("%d prompts have changed, want 36", len(hidden.Changes))
	}
	if a, b := g.sandbox.Stats().Paths[chatPath], g.production.Stats().Paths[chatPath]; a != 60 || b != 60 {
		t.Errorf("%d and %d requests have arrived, want 60 each", a, b)
	}
}

// everyExpectation has a prompt for each expectation, whole and streamed, that the simulator meets.
const everyExpectation = `
defaults: {model: alipay-fin-1}
prompts:
  - {id: answered, prompt: confidential, expect: answered}
  - {id: streamed, prompt: confidential, stream: true, expect: {contains: confidential, not_contains: [secret, sorry]}}
  - {id: blocked, prompt: predict my future income, expect: {blocked: true, code: COMPLIANCE_BLOCKED}}
  - {id: blocked-stream, prompt: predict my future income, stream: true, expect: blocked}
  - {id: code, prompt: "[[fault:http_status=400,code=INVALID_PARAM]]", expect: {code: INVALID_PARAM}}
  - id: conversation
    system: be brief
    messages:
      - {role: user, content: hello}
      - {role: assistant, content: hello}
      - {role: user, content: '{"city": "Chengdu"}'}
    expect: {contains: Chengdu}
  - id: tool
    prompt: use the tool
    tools: &none [{type: function, function: {name: weather, parameters: {type: object, properties: {city: {type: string}}, required: [city]}}}]
    expect: {tool: {name: weather, arguments: {required: [city]}}}
  - id: tool-stream
    prompt: use the tool
    stream: true
    tools: [{type: function, function: {name: weather, parameters: {type: object, properties: {city: {type: string}}, required: [city]}}}]
    expect: {tool: weather}
`

// A comparison with the report of another suite compares nothing, and says so.
func TestSuiteComparedWithAnother(t *testing.T) {
	g := newSuiteRig(t)
	one := g.file("one.yaml", "prompts: [{id: a, prompt: b, expect: answered}]")
	two := g.file("two.yaml", "prompts: [{id: c, prompt: d, expect: answered}]")
	before := filepath.Join(g.dir, "one.json")
	if out, status := g.run(one, "--provider", "test", "--json", before); status != 0 {
		t.Fatalf("status %d:\n%s", status, out)
	}
	const warning = "warning: --compare "
	if out, status := g.run(two, "--provider", "test", "--compare", before); status != 0 || !strings.Contains(out, warning) || !strings.Contains(out, "has no prompt of suite two") {
		t.Errorf("another suite: status %d:\n%s", status, out)
	}
	if out, _ := g.run(one, "--provider", "test", "--compare", before); strings.Contains(out, warning) {
		t.Errorf("the same suite:\n%s", out)
	}
}

// The command says what failed by its exit status, in JUnit's XML and in JSON, and quotes answers only where it is told to.
func TestSuiteRun(t *testing.T) {
	g := newSuiteRig(t)
	good := g.file("good.yaml", strings.Replace(everyExpectation, "&none ", "", 1))
	out, status := g.run(good, "--provider", "live")
	if status != 0 || !strings.Contains(out, "good at live: 8 passed, 0 failed, 0 unknown, of 8") || strings.ContainsAny(out, "\r\x1b") {
		t.Errorf("all good: status %d\n%s", status, out)
	}
	if n := g.production.Stats().Paths[chatPath]; n != 8 {
		t.Errorf("%d requests have arrived, want 8", n)
	}
	if out, status := g.run(g.file("alias.yaml", everyExpectation), "--provider", "live"); status != 2 || !strings.Contains(out, "line 18: anchors and aliases are not taken") {
		t.Errorf("a wrong file: status %d\n%s", status, out)
	}

	bad := g.file("bad.yaml", `
prompts:
  - {id: has, model: alipay-fin-1, prompt: confidential, expect: {not_contains: confidential}}
  - {id: away, model: alipay-fin-1, prompt: "[[fault:system_error_200]]", expect: answered}
  - {id: schema, model: alipay-fin-1, prompt: confidential, stream: true, expect: {json_schema: {type: object}}}
`)
	junit, report := filepath.Join(g.dir, "junit.xml"), filepath.Join(g.dir, "report.json")
	out, status = g.run(bad, "--provider", "live", "--junit", junit, "--json", report)
	if status != 1 || !strings.Contains(out, "bad at live: 0 passed, 2 failed, 1 unknown, of 3") || !strings.Contains(out, "unknown  away") {
		t.Errorf("two failed: status %d\n%s", status, out)
	}
	xml, asJSON := string(must(os.ReadFile(junit))), string(must(os.ReadFile(report)))
	for _, want := range []string{`tests="3" failures="2" errors="1"`, `<failure message="not_contains[0]: the answer has it"`, `<error message="there is no answer: SYSTEM_ERROR"`} {
		if !strings.Contains(xml, want) {
			t.Errorf("JUnit lacks %s:\n%s", want, xml)
		}
	}
	if strings.Contains(out+xml+asJSON, "confidential") {
		t.Errorf("a report quotes an answer:\n%s%s%s", out, xml, asJSON)
	}
	out, _ = g.run(bad, "--provider", "live", "--excerpts")
	if !strings.Contains(out, `confidential`) {
		t.Errorf("--excerpts shows none:\n%s", out)
	}
	var printed suite.Report
	if out, _ = g.run(bad, "--provider", "live", "--json", "-"); json.Unmarshal([]byte(out), &printed) != nil || len(printed.Results) != 3 {
		t.Errorf("--json - prints\n%s", out)
	}
	unknown := g.file("unknown.yaml", `prompts: [{id: away, model: alipay-fin-1, prompt: "[[fault:system_error_200]]", expect: answered}]`)
	if out, status = g.run(unknown, "--provider", "live"); status != 2 {
		t.Errorf("nothing but unknown: status %d\n%s", status, out)
	}
}

// What cannot be run ends with status 2 and says why, and nothing is sent.
func TestSuiteIsNotRun(t *testing.T) {
	g := newSuiteRig(t)
	file := g.file("a.yaml", `prompts: [{id: a, prompt: hello, expect: answered}]`)
	guarded := g.file("production.Caddyfile", strings.Replace(string(must(os.ReadFile(g.config))),
		"provider live {\n\t\t\tprofile sandbox", "provider live {\n\t\t\tprofile openai\n\t\t\tapi_key {env.TEST_SUITE_KEY}", 1))
	t.Setenv("TEST_SUITE_KEY", "a-key-of-production")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no file":          {nil, "name one file, or a built-in suite with --builtin compliance-zh"},
		"file and builtin": {[]string{file, "--builtin", "compliance-zh"}, "name one file, or a built-in suite"},
		"two files":        {[]string{file, file}, "name one file"},
		"no such file":     {[]string{file + "l"}, "no such file"},
		"no such builtin":  {[]string{"--builtin", "other"}, `no suite "other" is built in; use compliance-zh`},
		"several":          {[]string{file}, "name the provider with --provider; the configuration declares live, test"},
		"no such provider": {[]string{file, "--provider", "other"}, `provider "other" is not declared`},
		"concurrency":      {[]string{file, "--concurrency", "0"}, "--concurrency 0 is not a number from 1 to 32"},
		"rate":             {[]string{file, "--rate", "0"}, "--rate 0 is not a number above 0"},
		"flag":             {[]string{file, "--fast"}, "unknown flag: --fast"},
		"comparison":       {[]string{file, "--provider", "test", "--compare", file}, "is no report"},
		"production":       {[]string{file, "--provider", "live", "--config", guarded}, "provider live is of environment production: calls cost money there; add --production if that is meant"},
		"no configuration": {[]string{file, "--config", filepath.Join(g.dir, "none")}, "no such file"},
	} {
		if out, status := g.run(test.args...); status != 2 || !strings.Contains(out, test.want) {
			t.Errorf("%s: status %d\n%s\nwant %s", name, status, out, test.want)
		}
	}
	if a, b := g.sandbox.Stats().Paths[chatPath], g.production.Stats().Paths[chatPath]; a+b != 0 {
		t.Errorf("%d requests have arrived", a+b)
	}
	if out, status := g.run(file, "--provider", "live", "--config", guarded, "--production"); status != 1 || !strings.Contains(out, "the prompt was refused by") {
		t.Errorf("with --production, at a simulator that does not take the key: status %d\n%s", status, out)
	}
	if out, err := runCommand(t, "suite", "show", "compliance-zh"); err != nil || !strings.HasPrefix(out, "# What Chinese law forbids") {
		t.Errorf("show: %v\n%s", err, out)
	}
}

// What a run costs is in the ledger, as the operator's. Where another process has the ledger's file, the command says so.
func TestSuiteRunIsInTheLedger(t *testing.T) {
	g := newSuiteRig(t)
	file := g.file("ledger.db", "")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	priced := g.file("priced.Caddyfile", strings.NewReplacer("alipayai {", "alipayai {\n\t\tledger "+file,
		"model alipay-fin-1", "model alipay-fin-1\n\t\t\tprice alipay-fin-1 {\n\t\t\t\tcurrency CNY\n\t\t\t\tinput 24\n\t\t\t\toutput 72\n\t\t\t}").
		Replace(string(must(os.ReadFile(g.config)))))
	prompts := g.file("a.yaml", "prompts:\n- {id: a, prompt: hello, expect: answered}\n- {id: b, prompt: hello, stream: true, expect: answered}")
	report := filepath.Join(g.dir, "report.json")
	if out, status := g.run(prompts, "--provider", "test", "--config", priced, "--json", report); status != 0 || strings.Contains(out, "note") {
		t.Fatalf("status %d\n%s", status, out)
	}
	lines, err := runCommand(t, "ledger", "lines", "--file", file, "--format", "csv")
	if err != nil || strings.Count(lines, "(suites)") != 2 {
		t.Errorf("the ledger has: %v\n%s", err, lines)
	}
	if content := string(must(os.ReadFile(report))); strings.Count(content, ` CNY"`) != 2 {
		t.Errorf("the report has no costs:\n%s", content)
	}
	held := must(bbolt.Open(file, 0o600, nil))
	defer held.Close()
	if out, status := g.run(prompts, "--provider", "test", "--config", priced); status != 0 || !strings.Contains(out, "note: what this run costs is not in the ledger's file "+file) {
		t.Errorf("with a ledger that is held: status %d\n%s", status, out)
	}
}
