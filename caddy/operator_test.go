package alipaycaddy

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
)

// command gives what `caddy alipayai` prints with these arguments, asking the rig's admin API.
func (g *rig) command(args ...string) string {
	g.t.Helper()
	out, err := runCommand(g.t, append(args, "--address", g.vars["admin"])...)
	if err != nil {
		g.t.Errorf("caddy alipayai %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// keyRow gives the columns of a version in what `caddy alipayai calendar` prints; none where it is not there.
func keyRow(out, version string) []string {
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == version {
			return fields
		}
	}
	return nil
}

// A day of an operator, who sees alerts and what commands print, and nothing else: a key is overdue and rotated, a wrong
// one is put there and taken away again, and a canary fails.
func TestOperatorIsNotified(t *testing.T) {
	keys, s := newCalendarRig(t)
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	g := &canaryRig{&failoverRig{rig: keys}, must(sandbox.New(sandbox.Config{RequestsPerSecond: -1, APIVersion: 2}))}
	server := httptest.NewServer(g.next)
	t.Cleanup(server.Close)
	g.vars["next"] = server.Listener.Addr().String()
	key, hash := tenants.NewKey()
	g.acme, g.vars["acme"] = "Authorization: Bearer "+key, hash.String()
	global, n := g.alerting(strings.Replace(calendarSite(""), "\tprovider alipay {", strings.TrimSuffix(withCandidate, "\n\tprovider claude {")+"\n\tprovider alipay {", 1))
	g.load(global, `
http://${gateway} {
	log
	alipayai_auth {
		key acme ${acme}
	}
	alipayai_proxy alipay {
		canary alipay next {
			share 40% 1h
			guard tool_calls
			on_pass promote
		}
	}
}`)
	says := func(what string) func() bool {
		return func() bool { return strings.Contains(g.command("calendar"), what) }
	}

	g.eventually("the calendar to have the first check", func() bool {
		row := keyRow(g.command("calendar"), "1")
		return len(row) > 6 && row[1] == "signs" && row[2] == "2026-01-01" && row[4] == "2026-01-31" && row[6] == "taken"
	})
	if out := g.command("calendar"); !strings.Contains(out, "alipay: key 1 signs, next end: key 1 on 2026-01-31 (overdue)") {
		t.Errorf("the calendar is\n%s", out)
	}
	g.wantTold(n, "key_overdue", "trigger alipay")

	today := time.Now().UTC()
	g.replace("keys/2-"+today.Format(time.DateOnly), fmt.Sprintf(calendarKey, 2))
	g.eventually("the second key to sign", says("alipay: key 2 signs, next end: key 2 on "+today.Add(30*24*time.Hour).Format(time.DateOnly)+" (fine)"))
	g.wantTold(n, "key_overdue", "trigger alipay", "resolve alipay")
	if first := keyRow(g.command("calendar"), "1"); first[1] != "ready" {
		t.Errorf("the first key is %v", first)
	}

	wrong := "keys/3-" + today.Format(time.DateOnly)
	g.replace(wrong, "a-key-that-the-vendor-does-not-know")
	g.wantTold(n, "key_check_failing", "trigger alipay")
	if third := keyRow(g.command("calendar"), "3"); len(third) < 8 || third[1] != "waiting" || third[6] != "refused:" {
		t.Errorf("the wrong key is %v", third)
	}
	signed := s.of("completions 2")
	if a := g.chat("hello", g.acme); a.status != 200 {
		t.Errorf("a call ends with %d", a.status)
	}
	if s.of("completions 3") != 0 || s.of("completions 2")+int(g.next.Stats().Paths[chatPath]) != signed+1 {
		t.Error("the call was not signed with the second key")
	}
	if err := os.Remove(filepath.Join(g.vars["dir"], wrong)); err != nil {
		t.Fatal(err)
	}
	g.wantTold(n, "key_check_failing", "trigger alipay", "resolve alipay")
	if out := g.command("calendar"); keyRow(out, "3") != nil || !says("alipay: key 2 signs")() {
		t.Errorf("the calendar is\n%s", out)
	}

	for conversation := 0; g.status("admin").Phase != "rolled_back" && conversation < 400; conversation++ {
		g.turn("gateway", fmt.Sprintf(`{"role":"user","content":"use the tool, %d"}`, conversation))
	}
	g.wantTold(n, "canary_rolled_back", "trigger alipay:next")
	if out := g.command("canary", "status"); !strings.Contains(out, "alipay:next: rolled_back since") || !strings.Contains(out, "by tool_calls") {
		t.Errorf("the canary is\n%s", out)
	}
	for _, out := range []string{g.command("calendar", "--format", "json"), g.command("canary", "status", "--format", "json"), fmt.Sprint(n.at("/webhook"))} {
		for _, secret := range []string{fmt.Sprintf(calendarKey, 1), fmt.Sprintf(calendarKey, 2), "vendor-does-not-know", oauthSecret} {
			if strings.Contains(out, secret) {
				t.Errorf("a secret is in %s", out)
			}
		}
	}
}

// Without a calendar there is nothing to print, and the command says why.
func TestCalendarCommandWithout(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, proxySite)
	if out, err := runCommand(t, "calendar", "--address", g.vars["admin"]); err == nil || !strings.Contains(err.Error(), "no calendar of keys is configured") {
		t.Errorf("%v: %s", err, out)
	}
}
