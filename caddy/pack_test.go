package alipaycaddy

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// together makes n calls of one end user at once, with temperature 0.
func (g *failoverRig) together(n int, fields ...string) []answer {
	g.t.Helper()
	answers := make([]answer, n)
	var wg sync.WaitGroup
	for i := range n {
		body := strings.Replace(chatBody("question "+strconv.Itoa(i), false), "{", `{"user":"u1","temperature":0,`, 1)
		wg.Go(func() { answers[i] = g.do("POST", chatPath, body, fields...) })
	}
	wg.Wait()
	return answers
}

// TestPackedCalls: calls that leave together say so in header, log and metrics.
func TestPackedCalls(t *testing.T) {
	g := newFailoverRig(t)
	g.load(twoProviders, failoverSite("pack {\nmax_wait 1s\nmax_calls 3\nverify off\n}"))
	before := g.chats()
	for i, got := range g.together(3, g.acme) {
		if got.status != 200 || !strings.Contains(got.body, "You said: question "+strconv.Itoa(i)+`"`) || got.header.Get("X-Alipayai-Packed") != "3" {
			t.Errorf("%+v", got)
		}
		if o := g.outcome(got); o["packed"] != 3.0 || !strings.HasPrefix(o["pack"].(string), "req_") || o["attempts"] != 1.0 {
			t.Errorf("logged %v", o)
		}
	}
	if n := g.chats() - before; n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	if err := g.api.SetFaults(sandbox.Fault{Kind: sandbox.PackMissing}); err != nil {
		t.Fatal(err)
	}
	alone := 0
	for _, got := range g.together(3, g.acme) {
		if o := g.outcome(got); o["asked_alone"] == "missing" {
			alone++
		}
	}
	series := g.scrape()
	for name, want := range map[string]string{
		`caddy_alipayai_pack_calls_count{provider="alipay"}`:                                    "2",
		`caddy_alipayai_pack_calls_sum{provider="alipay"}`:                                      "6",
		`caddy_alipayai_packed_asked_alone_total{provider="alipay",reason="missing"}`:           "1",
		`caddy_alipayai_attempts_total{code="",provider="alipay"}`:                              "3",
		`caddy_alipayai_requests_total{code="",endpoint="chat",provider="alipay",status="200"}`: "6",
	} {
		if series[name] != want {
			t.Errorf("%s is %q, want %q", name, series[name], want)
		}
	}
	if alone != 1 {
		t.Errorf("%d calls were asked alone, want 1", alone)
	}
}

// TestPackingStops: where packs get other answers than calls alone, in other words or those of other calls of the pack,
// the tenant's calls are packed no more, whatever is reloaded, and operators are notified.
func TestPackingStops(t *testing.T) {
	for _, fault := range []sandbox.Kind{sandbox.PackTranslated, sandbox.PackSwapped} {
		t.Run(string(fault), func(t *testing.T) {
			g := newFailoverRig(t)
			global, n := g.alerting(twoProviders)
			site := failoverSite("pack {\nmax_wait 1s\nmax_calls 4\nverify 100%\nagreement 80%\n}")
			g.load(global, site)
			if err := g.api.SetFaults(sandbox.Fault{Kind: fault}); err != nil {
				t.Fatal(err)
			}
			packed := func() bool { return g.together(4, g.acme)[0].header.Get("X-Alipayai-Packed") != "" }
			for packed() { // of the comparisons some are left out, since only a few run at once
			}
			g.wantTold(n, "packing_stopped", "trigger alipay claude")
			if !strings.Contains(g.logs(), "calls are not packed for a while") {
				t.Error("the log does not say so")
			}
			g.load(global, site)
			if packed() {
				t.Error("a reload has turned packing on again")
			}
			if different := g.scrape()[`caddy_alipayai_pack_comparisons_total{provider="alipay",result="different"}`]; len(different) < 1 || different == "0" {
				t.Errorf("%s comparisons differed", different)
			}
			g.wantTold(n, "packing_stopped", "trigger alipay claude")
		})
	}
}
