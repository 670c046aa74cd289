package alipaycaddy

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestReloadUnderLoad reloads again and again while calls wait: none is
// dropped, and the permits that were given still count.
func TestReloadUnderLoad(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	global := patientlyLimited()
	g.load(global, limitedSite)
	began := time.Now()
	wait := g.inBackground(120, toChat)
	g.allCome(120) // one that comes while listeners change may be reset by Caddy
	for n := int64(51); n < 120; n += 11 {
		g.eventually("more calls to arrive", func() bool { return g.chats() >= n })
		g.load(global, limitedSite)
	}
	g.wantServed(wait())
	g.wantPaced(began)
}

// TestWaitingCallsOutliveTheirProvider reloads to a configuration that no
// longer has the provider which calls wait for.
func TestWaitingCallsOutliveTheirProvider(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(limited("limit 2 400ms"), limitedSite)
	wait := g.inBackground(8, toChat)
	g.allCome(8)
	g.load("", "http://${gateway} {\nrespond new\n}")
	g.wantServed(wait())
	g.eventually("the state to be given back", func() bool { return len(references()) == 0 })
}

// TestReloadChangesTheLimit counts the permits of before against the limit that
// holds now.
func TestReloadChangesTheLimit(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	load := func(limit string) { g.load(limited("limit "+limit+" 1h", "queue {\nmax_wait 1s\n}"), limitedSite) }
	call := func() int { return g.do("POST", chatPath, chatBody("hello", false), "Connection: close").status }
	load("50")
	for range 3 {
		if status := call(); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	for _, step := range []struct {
		limit string
		want  int
	}{{"3", http.StatusTooManyRequests}, {"4", http.StatusOK}, {"4", http.StatusTooManyRequests}, {"2", http.StatusTooManyRequests}, {"5", http.StatusOK}} {
		load(step.limit)
		if got := g.gauge("rate_limit_requests"); got != step.limit {
			t.Errorf("rate %s, want %s", got, step.limit)
		}
		if status := call(); status != step.want {
			t.Errorf("status %d with limit %s, want %d", status, step.limit, step.want)
		}
	}
	// The upstream is the same under any name and spelling.
	g.load(`
alipayai {
	provider other {
		profile sandbox
		base_url http://${api}
		limit 5 1h
		queue {
			max_wait 1s
		}
	}
}`, "http://${gateway} {\nalipayai_proxy other\n}")
	if status := call(); status != http.StatusTooManyRequests {
		t.Errorf("status %d under another name, want 429", status)
	}
}

// TestRejectedReloadKeepsTheLimit loads what takes the limit away, and fails.
func TestRejectedReloadKeepsTheLimit(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(limited("limit 1 1h", "queue {\nmax_wait 1s\n}"), limitedSite)
	g.chat("hello")
	before := references()
	for _, global := range []string{limited("limit off"), limited("limit 50 1s"), oneProvider} {
		if err := g.reload(global, limitedSite+"\nhttp://${gone} {\nalipayai_proxy unknown\n}"); err == nil {
			t.Fatal("it was accepted")
		}
		if a := g.do("POST", chatPath, chatBody("one too many", false)); a.code() != "queue_deadline" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if after := references(); len(after) != len(before) {
		t.Errorf("the pool held %v, now %v", before, after)
	}
}
