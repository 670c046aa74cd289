package alipaycaddy

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// Where the configuration has no admin API, no other gateway is asked for its reports, and no advice is given that needs one.
func TestCommandsWithoutAdmin(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	file := filepath.Join(g.vars["dir"], "ledger.db")
	g.load(pricedProvider, proxySite)
	g.chat("hello")
	off := g.file("Caddyfile.off", "{\nadmin off\nalipayai {\nledger "+file+"\n}\n}\n")
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"canary":           {[]string{"canary", "status", "-c", off, "-a", "caddyfile"}, "admin off"},
		"canary, an order": {[]string{"canary", "rollback", "-c", off, "-a", "caddyfile"}, "admin off"},
		"calendar":         {[]string{"calendar", "-c", off, "-a", "caddyfile"}, "admin off"},
		"shadow":           {[]string{"shadow", "-c", off, "-a", "caddyfile"}, "admin off"},
		"suite":            {[]string{"suite", "status", "-c", off, "-a", "caddyfile"}, "admin off"},
		"ledger, in use":   {[]string{"ledger", "report", "-c", off, "-a", "caddyfile"}, "another process has the file open, and the configuration switches the admin API off"},
	} {
		out, err := runCommand(t, test.args...)
		if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "ask the one") {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
	if out, err := runCommand(t, "ledger", "report", "-c", off, "-a", "caddyfile", "--address", g.vars["admin"]); err != nil || !strings.Contains(out, "from the gateway at "+g.vars["admin"]) {
		t.Errorf("with an address: %v, %s", err, out)
	}
	g.load(oneProvider, proxySite)
	if out, err := runCommand(t, "ledger", "report", "-c", off, "-a", "caddyfile"); err != nil || !strings.Contains(out, "from the file "+file) {
		t.Errorf("of no process: %v, %s", err, out)
	}
}
