package alipaycaddy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/caddy-alipayai/gateway/alipayai/evidence"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// testified seals evidence for the key in ${dir}/key.txt and gives the global
// option that says so.
func (g *failoverRig) testified(dir string) (global string) {
	g.t.Helper()
	identity := must(age.GenerateX25519Identity())
	g.vars["identity"] = g.file("key.txt", "# made for a test\n"+identity.String()+"\n")
	g.vars["recipient"] = identity.Recipient().String()
	return strings.Replace(twoProviders, "alipayai {", "alipayai {\nevidence {\nrecipient ${recipient}\ndir "+dir+"\n}", 1)
}

// private is what a log must not show of a payload.
var private = []string{"4111111111111111", "13812345678", "tea@example.com"}

// TestEvidence finds a system error in outline in the log, and completely in a
// sealed file, for the owner of the key.
func TestEvidence(t *testing.T) {
	g := newFailoverRig(t)
	global := g.testified("${dir}/evidence")
	g.load(global, failoverSite())
	if info, err := os.Stat(g.vars["dir"] + "/evidence"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is not there, for the owner alone: %v, %v", info, err)
	}
	g.fail(g.api, sandbox.Fault{Kind: sandbox.SystemError500})
	prompt := "tea for " + strings.Join(private, ", ")
	a := g.chat(prompt, g.acme)
	sealed := func() []string { return must(filepath.Glob(g.vars["dir"] + "/evidence/*.json.age")) }
	g.eventually("the sealed record", func() bool { return len(sealed()) == 1 })
	g.load(global, failoverSite())
	g.chat("after a reload", g.acme)
	g.eventually("a second one", func() bool { return len(sealed()) == 2 })
	g.eventually("both to be counted", func() bool {
		series := g.scrape()
		return series[`caddy_alipayai_evidence_total{result="sealed"}`] == "2" && series[`caddy_alipayai_evidence_total{result="logged"}`] == "2"
	})

	output, err := runCommand(t, "evidence", "open", "--identity", g.vars["identity"], sealed()[0])
	if err != nil {
		t.Fatal(err)
	}
	var record evidence.Record
	if err := json.Unmarshal([]byte(output), &record); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if record.RequestID != a.header.Get("X-Request-Id") || record.Tenant != "acme" || record.Provider != "alipay" || record.Endpoint != "chat" ||
		record.Code != "SYSTEM_ERROR" || record.Attempt != 1 || record.Response.Status != 500 || len(record.Response.Header) == 0 ||
		string(record.Request.Body) != chatBody(prompt, false) || !strings.Contains(string(record.Response.Body), "SYSTEM_ERROR") {
		t.Errorf("the record is %s", output)
	}
	content, err := os.ReadFile(sealed()[0])
	if err != nil || strings.Contains(string(content), "tea") {
		t.Errorf("the file is not sealed: %v", err)
	}
	for path, want := range map[string]os.FileMode{g.vars["dir"] + "/evidence": 0o700, sealed()[0]: 0o600} {
		if got := must(os.Stat(path)).Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
	g.wantLogged(record.RequestID)
	for _, secret := range []string{"Bearer ", "signature=", strings.TrimPrefix(g.acme, "Authorization: Bearer ")} {
		if strings.Contains(output, secret) {
			t.Errorf("the record holds credentials: %q in %s", secret, output)
		}
	}
}

// wantLogged looks for the redacted record of the call in the log.
func (g *failoverRig) wantLogged(requestID string) {
	g.t.Helper()
	found := 0
	for line := range strings.SplitSeq(g.logs(), "\n") {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil || entry["logger"] != "alipayai.evidence" || entry["request_id"] != requestID {
			continue
		}
		found++
		if body, _ := entry["request_body"].(string); !strings.Contains(body, "tea for") || entry["provider"] != "alipay" ||
			entry["code"] != "SYSTEM_ERROR" || entry["status"] != 500.0 || !strings.Contains(entry["response_body"].(string), "SYSTEM_ERROR") {
			g.t.Errorf("the log says %s", line)
		}
	}
	if found != 1 {
		g.t.Errorf("%d entries of the call in the log, want 1", found)
	}
	for _, text := range private {
		if strings.Contains(g.logs(), text) {
			g.t.Errorf("%s is in the log", text)
		}
	}
}

// TestEvidenceThatCannotBeWritten delays and fails no call.
func TestEvidenceThatCannotBeWritten(t *testing.T) {
	g := newFailoverRig(t)
	g.load(g.testified("${dir}/a-file"), failoverSite("breaker off"))
	if err := os.RemoveAll(g.vars["dir"] + "/a-file"); err != nil {
		t.Fatal(err)
	}
	g.file("a-file", "in the way")
	g.fail(g.api, systemError)
	for range 5 {
		g.chat("tea", g.acme).answeredBy(t, "claude", "claude-haiku-4-5", "system_error")
	}
	g.eventually("the failures to be counted", func() bool {
		return g.scrape()[`caddy_alipayai_evidence_total{result="seal_failed"}`] == "5"
	})
	if !strings.Contains(g.logs(), "a-file") {
		t.Error("the log does not say what is in the way")
	}
}

// A folder that cannot be made fails the configuration, and the one before serves on.
func TestEvidenceWithoutItsFolder(t *testing.T) {
	g := newFailoverRig(t)
	g.load(g.testified("${dir}/evidence"), failoverSite("breaker off"))
	g.file("a-file", "in the way")
	err := g.reload(g.testified("${dir}/a-file/evidence"), failoverSite("breaker off"))
	if err == nil || !strings.Contains(err.Error(), "evidence: dir") || !strings.Contains(err.Error(), "a-file") {
		t.Errorf("loaded with %v", err)
	}
	g.chat("tea", g.acme).answeredBy(t, "alipay", "alipay-fin-1", "")
}

func TestEvidenceOpenRefuses(t *testing.T) {
	g := newFailoverRig(t)
	identity := g.file("key.txt", must(age.GenerateX25519Identity()).String()+"\n")
	garbage := g.file("garbage", "neither a key nor a record")
	tests := map[string][]string{
		"no identity":      {garbage},
		"no record":        {"--identity", identity},
		"two records":      {"--identity", identity, garbage, garbage},
		"missing identity": {"--identity", identity + "x", garbage},
		"missing record":   {"--identity", identity, garbage + "x"},
		"not a key":        {"--identity", garbage, garbage},
		"not a record":     {"--identity", identity, garbage},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			output, err := runCommand(t, append([]string{"evidence", "open"}, args...)...)
			if err == nil || strings.Contains(output, "request_id") {
				t.Errorf("error %v, printed %q", err, output)
			}
			if strings.Contains(output+err.Error(), "AGE-SECRET-KEY") {
				t.Errorf("the key shows: %v %s", err, output)
			}
		})
	}
}

// TestEvidenceOfAnother cannot be opened with another key.
func TestEvidenceOfAnother(t *testing.T) {
	g := newFailoverRig(t)
	g.load(g.testified("${dir}/evidence"), failoverSite())
	g.fail(g.api, systemError)
	g.chat("tea", g.acme)
	sealed := func() []string { return must(filepath.Glob(g.vars["dir"] + "/evidence/*.json.age")) }
	g.eventually("the sealed record", func() bool { return len(sealed()) == 1 })
	other := g.file("other.txt", must(age.GenerateX25519Identity()).String()+"\n")
	if output, err := runCommand(t, "evidence", "open", "--identity", other, sealed()[0]); err == nil {
		t.Errorf("it was opened: %s", output)
	}
}
