package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/failover"
)

// A site knows its connections, also those that are taken from it and those that idle.
func TestSiteCountsConnections(t *testing.T) {
	u := quiet(t).alipay
	transport := new(http.Transport)
	got := send(transport, u.site.url, asks(false))
	if got.judge() != lost || got.status != http.StatusUnauthorized { // which is not in OpenAI's form
		t.Errorf("%s: %+v", got.judge(), got)
	}
	if n := u.site.open.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	transport.CloseIdleConnections()
	if n := settled(0, func() int { return int(u.site.open.Load()) }); n != 0 {
		t.Errorf("%d connections, want none", n)
	}
	if got := send(transport, "http://127.0.0.1:0", asks(false)); got.judge() != lost || got.err == nil {
		t.Errorf("%s: %+v", got.judge(), got)
	}
}

func TestUpstreamNotes(t *testing.T) {
	u := quiet(t).alipay
	for _, a := range []struct{ replica, id, body string }{
		{"0", "a", `"[[events:3]] tenant-1 asks 7"`}, {"1", "a", `"tenant-1 asks 7"`}, {"1", "b", `"tenant-1 asks 7"`},
		{"1", "c", `"tenant-2 asks 7"`}, {"", "d", ""},
	} {
		u.note(newArrival(a.replica, a.id), []byte(a.body))
	}
	models := newArrival("0", "e")
	models.URL.Path = "/v1/models"
	u.note(models, nil)
	if u.arrived[0] != 1 || u.arrived[1] != 3 || u.arrived[-1] != 1 || len(u.mixed) > 0 {
		t.Errorf("arrived %v, mixed %v", u.arrived, u.mixed)
	}
	u.whole["a"], u.whole["b"] = map[string]bool{"c-1": true}, map[string]bool{"c-2": true}
	got := u.answered()
	slices.Sort(got["tenant-1 asks 7"])
	if len(got) != 1 || !slices.Equal(got["tenant-1 asks 7"], []string{"c-1", "c-2"}) {
		t.Errorf("answered %v", got)
	}
}

func TestWitness(t *testing.T) {
	l := newLedger()
	a, b := &witness{ledger: l}, &witness{ledger: l, replica: 1}
	a.Attempted(alipayai.Attempt{RequestID: "one", Provider: first, Number: 1, Code: "upstream_timeout"})
	b.Attempted(alipayai.Attempt{RequestID: "three", Provider: first, Number: 1})
	b.Attempted(alipayai.Attempt{RequestID: "three", Provider: second, Number: 1, Code: "queue_deadline"}) // is not sent
	a.Attempted(alipayai.Attempt{RequestID: "one", Provider: second, Number: 2, Code: "SYSTEM_ERROR"})
	a.Attempted(alipayai.Attempt{RequestID: "one", Provider: second, Number: 3})
	a.Attempted(alipayai.Attempt{RequestID: "two", Provider: second, Number: 1})
	for at, want := range map[asked]int{{0, first}: 1, {1, first}: 1, {0, second}: 2, {1, second}: 0} {
		if l.calls[at] != want {
			t.Errorf("%v: %d calls, want %d", at, l.calls[at], want)
		}
	}
	a.Settled(withKey(t.Context(), "tenant-1", "k"), alipayai.Outcome{RequestID: "one", Attempts: 3})
	a.Settled(withKey(t.Context(), "tenant-1", ""), alipayai.Outcome{RequestID: "two", Attempts: 1})
	if runs := l.keyed["tenant-1 k"]; len(l.keyed) != 1 || len(l.runs) != 1 || len(runs) != 1 || runs[0] != (keyedRun{sent: true, served: true, rejected: 1}) {
		t.Errorf("keyed %+v, in flight %v", l.keyed, l.runs)
	}
	a.FellOver(first, "system_error")
	for _, state := range []failover.State{failover.Open, failover.HalfOpen, failover.Open, failover.Closed, failover.Open} {
		a.BreakerChanged("tenant-1", first, state)
	}
	b.BreakerChanged("tenant-1", first, failover.Open)
	if l.opened != 3 {
		t.Errorf("%d breakers opened, want 3", l.opened)
	}
	if text := (report{reasons: l.fallen, memory: true}).String(); !strings.Contains(text, "system_error (1)") || !strings.Contains(text, "not installed") {
		t.Errorf("the report says %q", text)
	}
}

// Tenants use the same keys for prompts of their own.
func TestClientsKeys(t *testing.T) {
	l := newLoad(short, quiet(t))
	keys := make(map[string]string)
	for tenant := range 2 {
		c := &client{load: l, tenant: tenant, draws: short.draws(drawClients)}
		for range 3 {
			q := c.request()
			if before, ok := keys[c.key(q)]; ok && before == q.prompt {
				t.Errorf("%q is asked twice", q.prompt)
			}
			keys[c.key(q)] = q.prompt
		}
	}
	if len(keys) != 3 || keys["order-3"] != "tenant-1 asks 3" {
		t.Errorf("keys %v", keys)
	}
}
