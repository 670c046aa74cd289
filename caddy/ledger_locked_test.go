package alipaycaddy

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// A configuration is refused whose ledger another process has open, and the log does not say meanwhile that calls go on.
func TestLedgerOfAnotherProcess(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := newRig(t, sandbox.Config{})
	other := ledger.New(ledger.Options{Path: filepath.Join(g.vars["dir"], "ledger.db"), Zone: time.UTC})
	other.Open()
	t.Cleanup(func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	g.load(oneProvider, proxySite)
	if err := g.reload(pricedProvider, proxySite); err == nil || !strings.Contains(err.Error(), "another process has the file open") {
		t.Errorf("the configuration: %v", err)
	}
	g.eventually("the log to name the file", func() bool { return strings.Contains(g.logs(), "another process has the file open") })
	if strings.Contains(g.logs(), "calls go on") {
		t.Error("the log says that calls go on")
	}
}
