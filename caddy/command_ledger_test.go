package alipaycaddy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// The command asks the gateway that runs, and reads the file when none does: the same
// either way.
func TestLedgerCommand(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.load(pricedProvider, proxySite)
	g.chat("yes")
	id := g.chat("no").header.Get("X-Request-Id")
	var running string
	g.eventually("the report", func() bool {
		var err error
		running, _, err = runCommandApart(t, "ledger", "report", "--by", "provider", "--format", "csv", "--address", g.vars["admin"])
		return err == nil && strings.Contains(running, "alipay,CNY,2,")
	})
	lines, notes, err := runCommandApart(t, "ledger", "lines", "--tenant", "anonymous", "--address", g.vars["admin"])
	if err != nil || strings.Count(lines, "\n") != 3 || !strings.Contains(lines, id) {
		t.Errorf("%v: %s", err, lines)
	}
	file := filepath.Join(g.vars["dir"], "ledger.db")
	if out, err := runCommand(t, "ledger", "report", "--file", file); err == nil || !strings.Contains(err.Error(), "another process has the file open") {
		t.Errorf("a file in use: %v, %s", err, out)
	}
	for _, format := range []string{"table", "csv"} {
		if out, err := runCommand(t, "ledger", "lines", "--limit", "1", "--format", format, "--address", g.vars["admin"]); err != nil || !strings.Contains(out, "there are more lines") {
			t.Errorf("one line of two as %s: %v, %s", format, err, out)
		}
	}
	if want := "from the gateway at " + g.vars["admin"] + "\n"; notes != want {
		t.Errorf("all lines: %q, want %q", notes, want)
	}
	config := g.file("config.json", string(g.config(pricedProvider, proxySite)))
	if out, _, err := runCommandApart(t, "ledger", "report", "--by", "provider", "--format", "csv", "--config", config); err != nil || out != running {
		t.Errorf("by its configuration: %v, %s; want %s", err, out, running)
	}
	g.reportsNothing("--address", g.vars["admin"])
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	g.vars["admin"] = g.vars["gone"] // Caddy's admin endpoint ends with the process alone
	config = g.file("config.json", string(g.config(pricedProvider, proxySite)))
	t.Chdir(t.TempDir())
	if err := os.WriteFile("Caddyfile", []byte("{\n\tadmin "+g.vars["gone"]+"\n\talipayai {\n\t\tledger "+file+"\n\t}\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{"by its file": {"--file", file}, "by the configuration": {"--config", config}, "by ./Caddyfile": nil} {
		out, notes, err := runCommandApart(t, append([]string{"ledger", "report", "--by", "provider", "--format", "csv"}, args...)...)
		if err != nil || out != running || notes != "from the file "+file+"\n" {
			t.Errorf("%s: %v, %s%s; want %s", name, err, notes, out, running)
		}
	}
	g.reportsNothing("--file", file)
	if out, err := runCommand(t, "ledger", "lines", "--limit", "1", "--file", file); err != nil || !strings.Contains(out, "there are more lines") {
		t.Errorf("one line of two in the file: %v, %s", err, out)
	}
	if err := os.WriteFile("Caddyfile", []byte("{\n\tno_option\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no Caddyfile":   {[]string{"report"}, "and the configuration cannot be read: "},
		"nothing runs":   {[]string{"report", "--address", g.vars["gone"]}, "no gateway answers at"},
		"no row":         {[]string{"report", "--by", "week"}, `"week" is nothing that a report has rows for`},
		"no format":      {[]string{"lines", "--format", "xml"}, `"xml" is no format of a report`},
		"no day":         {[]string{"lines", "--from", "yesterday"}, `from "yesterday" is no day`},
		"no number":      {[]string{"lines", "--limit", "-1"}, `limit "-1" is not a number`},
		"days reversed":  {[]string{"report", "--from", "2026-11-29", "--to", "2026-11-23"}, `from "2026-11-29" is after to "2026-11-23"`},
		"no file":        {[]string{"report", "--file", filepath.Join(t.TempDir(), "none")}, "the ledger cannot be read: "},
		"file and more":  {[]string{"report", "--file", file, "--address", "x"}, "--file reads a file by itself"},
		"an unknown one": {[]string{"report", "--config", filepath.Join(t.TempDir(), "none")}, "no such file"},
	} {
		if _, err := runCommand(t, append([]string{"ledger"}, tt.args...)...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// reportsNothing asks for what is not in the ledger, which is said beside a report without rows.
func (g *rig) reportsNothing(where ...string) {
	g.t.Helper()
	today := time.Now().UTC().Format(time.DateOnly)
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"tenant":           {[]string{"report", "--tenant", "shopp"}, `the ledger has no lines of tenant "shopp"; it has those of anonymous`},
		"provider":         {[]string{"report", "--provider", "claude"}, `no lines of provider "claude"; it has those of alipay`},
		"model, of lines":  {[]string{"lines", "--tenant", "anonymous", "--model", "fin"}, `no lines of model "fin"; it has those of alipay-fin-1`},
		"days":             {[]string{"report", "--tenant", "anonymous", "--to", "2026-01-01"}, "the ledger has no such lines; its days are from " + today + " to " + today},
		"tenant, as table": {[]string{"report", "--by", "tenant", "--model", "x", "--format", "table"}, `no lines of model "x"`},
	} {
		_, notes, err := runCommandApart(g.t, append(append([]string{"ledger"}, tt.args...), where...)...)
		if err != nil || !strings.Contains(notes, tt.want) {
			g.t.Errorf("%s %v: %v, %q; want %q", name, where, err, notes, tt.want)
		}
	}
}

// The admin API says what is wrong with a question, and needs a ledger.
func TestUsageAPI(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.load(oneProvider, proxySite)
	if a := g.usage(""); a.status != 404 || !strings.Contains(a.body, "keeps no ledger") {
		t.Errorf("%d: %s", a.status, a.body)
	}
	g.load(pricedProvider, proxySite)
	for query, want := range map[string]int{"": 200, "by=lines&format=csv": 200, "by=week": 400, "from=x": 400, "limit=0": 400, "from=2026-11-29&to=2026-11-28": 400, "format=xml": 400} {
		if a := g.usage(query); a.status != want {
			t.Errorf("%s: %d: %s", query, a.status, a.body)
		}
	}
}
