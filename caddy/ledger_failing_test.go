package alipaycaddy

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// A ledger that another process has is refused within seconds, by a message that names the option, and the configuration
// that runs goes on; when the file is free it is taken.
func TestALedgerThatAnotherHas(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.load(oneProvider, proxySite)
	other := ledger.New(ledger.Options{Path: filepath.Join(g.vars["dir"], "ledger.db")})
	other.Open()
	began := time.Now()
	err := g.reload(pricedProvider, proxySite)
	if err == nil || !strings.Contains(err.Error(), "another process has the file open; give each gateway a file of its own, by ledger <path>") ||
		!strings.Contains(err.Error(), filepath.Join(g.vars["dir"], "ledger.db")) {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if a := g.chat("hello"); a.header.Get("X-Alipayai-Cost") != "" {
		t.Errorf("the configuration that was refused serves: %v", a.header)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	g.load(pricedProvider, proxySite)
	if a := g.chat("hello"); a.header.Get("X-Alipayai-Cost") == "" {
		t.Errorf("no cost: %v", a.header)
	}
}

// The zone of a ledger does not change by a reload, whose message says what does it; the configuration that runs goes on.
func TestALedgerOfAnotherZone(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	g.load(pricedProvider, proxySite)
	const file = "ledger ${dir}/ledger.db"
	if !strings.Contains(pricedProvider, file) {
		t.Fatal("the ledger is another")
	}
	zoned := strings.Replace(pricedProvider, file, file+" {\nzone Asia/Shanghai\n}", 1)
	err := g.reload(zoned, proxySite)
	want := "ledger " + filepath.Join(g.vars["dir"], "ledger.db") + ": this gateway has the file open with another zone, which a reload does not change: restart it, or name another file"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want %s", err, want)
	}
	if strings.Contains(g.logs(), "another process") {
		t.Error("the log has it that another process has the file")
	}
	if a := g.chat("hello"); a.header.Get("X-Alipayai-Cost") == "" {
		t.Errorf("no cost: %v", a.header)
	}
	g.load(strings.Replace(zoned, "ledger.db", "other.db", 1), proxySite)
}

// While the ledger cannot be written calls go on, within their budget, and operators know: by an alert, a log line, and
// a metric of what is written; what is lost in the end is in the log.
func TestALedgerThatCannotBeWritten(t *testing.T) {
	g := newFailoverRig(t)
	blocked := g.file("folder", "a file in place of the folder")
	g.vars["budget"] = "0.2"
	global, n := g.alerting(strings.Replace(pricedProvider, "${dir}/ledger.db", "${dir}/folder/ledger.db", 1))
	path := filepath.Join(blocked, "ledger.db")
	g.load(global, budgetSite)
	calls, cost := g.untilRefused()
	if calls == 0 || calls > 6 {
		t.Errorf("%d calls for %s", calls, cost)
	}
	g.wantTold(n, "ledger_failing", "trigger "+path)
	if logs := g.logs(); !strings.Contains(logs, "the ledger cannot be written: calls go on, and their lines wait in memory") || !strings.Contains(logs, path) {
		t.Error("the log says nothing")
	}
	g.load(strings.Replace(global, "folder/ledger.db", "other.db", 1), budgetSite) // the last call of the old one ends it
	g.eventually("the log of what is lost", func() bool {
		for line := range strings.SplitSeq(g.logs(), "\n") {
			var entry struct {
				Msg, Amount, Currency string
				Attempts              int
			}
			if json.Unmarshal([]byte(line), &entry) == nil && strings.HasPrefix(entry.Msg, "what attempts have cost is lost") {
				return entry.Amount == cost.String() && entry.Currency == "CNY" && entry.Attempts == calls
			}
		}
		return false
	})
	if metrics := g.read(g.send("admin", "GET", "/metrics", "", "Origin: http://"+g.vars["admin"])).body; !strings.Contains(metrics, `caddy_alipayai_ledger_lines_total{result="dropped"}`) {
		t.Error("the metrics say nothing")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	g.load(global, budgetSite)
	g.wantTold(n, "ledger_failing", "trigger "+path, "resolve "+path)
}

// {http.alipayai.cost} is what the header or the trailer says of a call, in every form of an answer; empty for one that
// has cost nothing since it was not sent.
func TestCostPlaceholder(t *testing.T) {
	g := newFailoverRig(t)
	g.load(strings.Replace(pricedProvider, "price alipay-fin-1", "limit off\nprice alipay-fin-1", 1), `
http://${gateway} {
	log
	log_append seen {http.alipayai.cost}
	alipayai_auth {
		key acme ${acme}
		key zeta ${zeta}
	}
	alipayai_proxy alipay {
		budget zeta 0.000001 CNY month
	}
}`)
	seen := func(a answer) (seen string) {
		found := false
		g.eventually("the access log", func() bool {
			for line := range strings.SplitSeq(g.logs(), "\n") {
				var entry struct {
					Seen     string
					Alipayai map[string]any
				}
				if json.Unmarshal([]byte(line), &entry) == nil && entry.Alipayai["request_id"] == a.header.Get("X-Request-Id") {
					seen, found = entry.Seen, true
				}
			}
			return found
		})
		return seen
	}
	const cost = "0.03036 CNY" // the minimum charge and the echo
	for _, tt := range []struct {
		name, body, key, tenant string
		status                  int
		want, header            string
	}{
		{"whole", chatBody("yes yes", false), "", g.acme, http.StatusOK, cost, cost},
		{"stream", chatBody("yes yes", true), "", g.acme, http.StatusOK, cost, ""},
		{"with a key", chatBody("yes yes", false), "Idempotency-Key: k1", g.acme, http.StatusOK, cost, cost},
		{"given again", chatBody("yes yes", false), "Idempotency-Key: k1", g.acme, http.StatusOK, "0", "0"},
		{"refused", chatBody("yes yes", false), "", g.zeta, http.StatusTooManyRequests, "", ""},
		{"not known", chatBody("[[fault:reset_after]] yes yes", false), "", g.acme, http.StatusBadGateway, "0.102 CNY;at_most", "0.102 CNY;at_most"},
	} {
		fields := []string{tt.tenant}
		if tt.key != "" {
			fields = append(fields, tt.key)
		}
		a := g.do("POST", chatPath, tt.body, fields...)
		if got, header := seen(a), a.header.Get("X-Alipayai-Cost"); a.status != tt.status || got != tt.want || header != tt.header {
			t.Errorf("%s: status %d, placeholder %q, header %q; want %d, %q and %q", tt.name, a.status, got, header, tt.status, tt.want, tt.header)
		}
	}
}

// What was under way when a process ended before is in the totals of this one, at most, and in the log.
func TestAttemptsThatWereInFlight(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	before := ledger.New(ledger.Options{Path: filepath.Join(g.vars["dir"], "ledger.db")})
	before.Open()
	before.Begin(ledger.Line{Time: time.Now(), Tenant: "shop", Provider: "alipay", Model: "alipay-fin-1", Currency: "CNY", Amount: 5e9, Outcome: ledger.Unknown})
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	g.load(pricedProvider, proxySite)
	if logs := g.logs(); !strings.Contains(logs, "attempts were under way when the process ended before") || !strings.Contains(logs, `"attempts":1`) {
		t.Error("the log says nothing")
	}
	if usage := g.read(g.send("admin", "GET", "/alipayai/usage", "", "Origin: http://"+g.vars["admin"])).body; !strings.Contains(usage, `"unknown_at_most": "5"`) {
		t.Errorf("usage %s", usage)
	}
}
