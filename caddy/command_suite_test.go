package alipaycaddy

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

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
		api := must(sandbox.New(sandbox.Config{Mode: mode}))
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
