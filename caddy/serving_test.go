package alipaycaddy

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// A stream that outlasts the grace period when the process ends is cut off as if its client had left: the ledger has what it has
// brought, also where it began under a configuration that was replaced, and is closed.
func TestCallsThatOutlastTheGracePeriod(t *testing.T) {
	for name, reloads := range map[string]int{"of this configuration": 0, "of the one before": 1} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
			global := "grace_period 100ms\n" + pricedProvider
			g.load(global, proxySite)
			if err := g.api.SetFaults(sandbox.Fault{Kind: sandbox.Stall, AfterEvents: 3}); err != nil {
				t.Fatal(err)
			}
			_, closeStream := g.openStream("tell me more")
			defer closeStream()
			for range reloads {
				g.load(global, proxySite+"\n# changed")
			}
			must(caddy.ActiveContext().App("alipayai")).(*App).exiting = func() bool { return true }
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			read := ledger.New(ledger.Options{Path: filepath.Join(g.vars["dir"], "ledger.db")})
			read.Open()
			defer func() { _ = read.Close() }()
			var all []ledger.Line
			testwait.For(t, 10*time.Second, "the ledger's file", func() bool {
				var err error
				all, err = read.Lines(t.Context(), ledger.Query{})
				return err == nil
			})
			if len(all) != 1 || all[0].Outcome != ledger.Estimated || all[0].Completion == 0 {
				t.Errorf("the ledger has %+v", all)
			}
		})
	}
}
