package alipaycaddy

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
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
			// Now, since the process ends with this.
			read := ledger.New(ledger.Options{Path: filepath.Join(g.vars["dir"], "ledger.db"), LockWait: time.Millisecond})
			read.Open()
			defer func() { _ = read.Close() }()
			all, err := read.Lines(t.Context(), ledger.Query{})
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != 1 || all[0].Outcome != ledger.Estimated || all[0].Completion == 0 {
				t.Errorf("the ledger has %+v", all)
			}
		})
	}
}

// What is given back with the last call is given back before the call counts as ended at its server, for which the process waits
// when it ends. Calls of a server that is not known count for the handler alone.
func TestCallsEndBeforeTheirServers(t *testing.T) {
	counted := func() int {
		serving.mu.Lock()
		defer serving.mu.Unlock()
		return len(serving.calls)
	}
	for name, c := range map[string]struct {
		begin  func(*inFlight) server
		during int
	}{
		"a server's": {func(f *inFlight) server {
			return f.serve(must(http.NewRequestWithContext(context.WithValue(t.Context(), http.ServerContextKey, new(http.Server)), "POST", "/", nil)))
		}, 1},
		"of HTTP/3": {func(f *inFlight) server {
			return f.serve(must(http.NewRequestWithContext(context.WithValue(t.Context(), http3.ServerContextKey, new(http3.Server)), "POST", "/", nil)))
		}, 1},
		"of one that is not known": {func(f *inFlight) server {
			return f.serve(must(http.NewRequestWithContext(t.Context(), "POST", "/", nil)))
		}, 0},
		"a pack": {func(f *inFlight) server {
			f.beginOf(ofPacks)
			return ofPacks
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var f inFlight
			first, second := c.begin(&f), c.begin(&f)
			during := -1
			f.whenEnded(func() { during = counted() })
			f.endOf(first)
			if during != -1 {
				t.Error("given back while a call is in flight")
			}
			f.endOf(second)
			if during != c.during || counted() != 0 {
				t.Errorf("%d servers had calls when it was given back, want %d; then %d", during, c.during, counted())
			}
		})
	}
}
