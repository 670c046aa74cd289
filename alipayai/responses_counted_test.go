package alipayai_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/ledger"
	"github.com/caddy-alipayai/gateway/alipayai/residency"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

const (
	countPath   = responsesPath + "/input_tokens"
	compactPath = responsesPath + "/compact"

	countedInput = `{"object":"response.input_tokens","input_tokens":11}`
	compacted    = `{"id":"resp_c","object":"response.compaction","created_at":1,"output":[{"type":"message","role":"user","content":[{"type":"input_text","text":"one"}]},{"id":"cmp_1","type":"compaction","encrypted_content":"gAAA"}],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}`
)

// A provider that has the Responses API counts and compacts by itself: the bytes pass as they are both ways, with what a
// follow-up goes on from put in.
func TestResponsesAreCountedAndCompactedByTheirProvider(t *testing.T) {
	for path, answer := range map[string]string{countPath: countedInput, compactPath: compacted} {
		t.Run(path, func(t *testing.T) {
			theirs := &heardClaude{status: http.StatusOK, kind: "application/json", answer: nativeResponse}
			r := startRig(t, theirs, plainProvider, first(func(p *upstream.Provider) { p.Model, p.Responses = "", true }), keeping)
			one, _ := r.ask(`{"model":"m","input":"one"}`)
			r.outcome()
			theirs.answer = answer
			const body = `{ "model":"m","input":"two", "personality":"pragmatic"}`
			got := r.post(path, body)
			if got.status != http.StatusOK || got.body != answer {
				t.Fatalf("%d %s", got.status, got.body)
			}
			wantHeader(t, got, "X-Alipayai-Estimated", "", "X-Alipayai-Unsupported", "")
			if theirs.bodies[1] != body || !strings.HasSuffix(theirs.paths[1], path) {
				t.Errorf("sent to %s: %s", theirs.paths[1], theirs.bodies[1])
			}
			if o := r.outcome(); path == compactPath && (!o.Usage.OK || o.Usage.Prompt != 3 || o.Usage.Completion != 2) {
				t.Errorf("outcome %+v", o)
			}
			r.post(path, `{"model":"m","input":"two","previous_response_id":"`+one.ID+`"}`)
			if sent := theirs.bodies[2]; strings.Contains(sent, "previous_response_id") || !strings.Contains(sent, `"one"`) || !strings.Contains(sent, `"found"`) || !strings.Contains(sent, `"two"`) {
				t.Errorf("sent %s", sent)
			}
		})
	}
}

// Other providers' requests are counted by the estimate of prices, with what they go on from; and compacted by none.
func TestResponsesAreCountedByTheGateway(t *testing.T) {
	h := new(heard)
	r := startRig(t, h, plainProvider, first(anyModel), keeping)
	one, _ := r.ask(`{"model":"m","input":"12345678"}`)
	for name, c := range map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"estimated":               {countPath, `{"model":"m","input":"12345678"}`, 200, `{"object":"response.input_tokens","input_tokens":2}`},
		"with items":              {countPath, `{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"12345678"}]}],"instructions":"1234"}`, 200, `"input_tokens":3}`},
		"with what it goes on":    {countPath, `{"model":"m","input":"12345678","previous_response_id":"` + one.ID + `"}`, 200, `"input_tokens":6}`},
		"nothing to count":        {countPath, `{"model":"m"}`, 400, `"param":"input"`},
		"of no model":             {countPath, `{"input":"q"}`, 400, `"param":"model"`},
		"counted as a stream":     {countPath, `{"model":"m","input":"q","stream":true}`, 400, `"param":"stream"`},
		"from what is not kept":   {countPath, `{"model":"m","input":"q","previous_response_id":"resp_0"}`, 400, `"code":"previous_response_not_found"`},
		"compacted":               {compactPath, `{"model":"m","input":"q"}`, 404, "api responses"},
		"compacted as a stream":   {compactPath, `{"model":"m","input":"q","stream":true}`, 400, `"param":"stream"`},
		"compacted, with a wrong": {compactPath, `{"model":"m","input":7}`, 400, `"param":"input"`},
	} {
		t.Run(name, func(t *testing.T) {
			got := r.post(c.path, c.body)
			if got.status != c.status || !strings.Contains(got.body, c.want) {
				t.Errorf("%d %s, want %d %s", got.status, got.body, c.status, c.want)
			}
			if estimated := got.header.Get("X-Alipayai-Estimated"); (estimated == "true") != (c.status == 200) {
				t.Errorf("estimated is %q", estimated)
			}
		})
	}
	if len(h.bodies) != 1 {
		t.Errorf("%d requests reached the provider, want one", len(h.bodies))
	}
}

// A count is free, a compaction is paid for.
func TestCompactionsAreCharged(t *testing.T) {
	for path, c := range map[string]struct {
		answer string
		lines  int
	}{countPath: {countedInput, 0}, compactPath: {compacted, 1}} {
		t.Run(path, func(t *testing.T) {
			theirs := &heardClaude{status: http.StatusOK, kind: "application/json", answer: c.answer}
			l := new(lines)
			r := startRig(t, theirs, plainProvider, first(func(p *upstream.Provider) { p.Model, p.Responses = "", true }), spends(l, alipayPrice()))
			r.post(path, `{"model":"m","input":"two"}`)
			r.outcome()
			all := l.taken()
			if len(all) != c.lines || c.lines == 1 && (all[0].Outcome != ledger.Known || all[0].Prompt != 3 || all[0].Completion != 2) {
				t.Errorf("lines %+v", all)
			}
		})
	}
}

// A tenant's text is counted by the provider that would serve it: one outside of its regions is not asked, nor waited for.
func TestTokensAreCountedWithinTheTenantsRegions(t *testing.T) {
	for name, c := range map[string]struct {
		path, body string
		pinned     map[string][]string
		status     int
		estimated  string
		asked      int
	}{
		"anywhere":              {"/v1/messages/count_tokens", `{"model":"m","messages":[{"role":"user","content":"one two"}]}`, nil, 200, "", 1},
		"elsewhere":             {"/v1/messages/count_tokens", `{"model":"m","messages":[{"role":"user","content":"one two"}]}`, map[string][]string{"acme": {"cn"}}, 200, "true", 0},
		"elsewhere, a response": {countPath, `{"model":"m","input":"one two"}`, map[string][]string{"acme": {"cn"}}, 200, "true", 0},
		"another tenant's":      {"/v1/messages/count_tokens", `{"model":"m","messages":[{"role":"user","content":"one two"}]}`, map[string][]string{"zeta": {"cn"}}, 200, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			claude := &heardClaude{status: http.StatusOK, kind: "application/json", answer: `{"input_tokens":11}`}
			r := startRig(t, claude, claudeProvider, first(anyModel), first(func(p *upstream.Provider) { p.Region = "us" }), func(g *alipayai.Gateway) {
				near := plainProvider(t, "http://127.0.0.1:1")
				near.Name, near.Region = "near", "cn"
				g.Providers, g.AllowCrossRegion = append(g.Providers, near), true
				if c.pinned == nil {
					return
				}
				var err error
				if g.Residency, err = residency.New(c.pinned); err != nil {
					t.Fatal(err)
				}
			})
			got := r.post(c.path, c.body)
			if got.status != c.status || len(claude.bodies) != c.asked {
				t.Errorf("%d %s, asked %d times", got.status, got.body, len(claude.bodies))
			}
			wantHeader(t, got, "X-Alipayai-Estimated", c.estimated)
		})
	}
}
