package alipayai_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

const wordOfResponses = `{ "model":"m", "input":[{"role":"user","content":"one"}],
 "tools":[{"type":"web_search"}], "include":["reasoning.encrypted_content"], "wish" : 1}`

const nativeResponse = `{"id":"resp_of_theirs","object":"response","status":"completed","model":"m-1","output":[ {"type":"web_search_call","id":"ws_1","status":"completed"},{"type":"message","id":"msg_of_theirs","role":"assistant","status":"completed","content":[{"type":"output_text","text":"found","annotations":[]}]}],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5},"extra":{"a":1}}`

const nativeStream = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_of_theirs\",\"status\":\"in_progress\",\"model\":\"m-1\",\"output\":[]}}\n\n" +
	"event: response.web_search_call.searching\ndata: {\"type\":\"response.web_search_call.searching\",\"sequence_number\":1,\"item_id\":\"ws_1\",\"output_index\":0}\n\n" +
	"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":2,\"item_id\":\"msg_of_theirs\",\"output_index\":1,\"content_index\":0,\"delta\":\"found\"}\n\n" +
	"event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":3,\"response\":" + nativeResponse + "}\n\n"

// To a provider that has the Responses API go the bytes as they came, and so its answers come back; what a follow-up goes on
// from is put into it, since the gateway keeps it for the tenant.
func TestResponsesPassAsTheyAre(t *testing.T) {
	for name, answer := range map[string]string{"whole": nativeResponse, "stream": nativeStream} {
		t.Run(name, func(t *testing.T) {
			theirs := &heardClaude{status: http.StatusOK, kind: "application/json", answer: answer}
			body := wordOfResponses
			if name == "stream" {
				theirs.kind = "text/event-stream"
				body = strings.Replace(body, "{", `{"stream":true,`, 1)
			}
			r := startRig(t, theirs, plainProvider, first(func(p *upstream.Provider) { p.Model, p.Responses = "", true }), keeping)
			got := r.post(responsesPath, body)
			if got.status != http.StatusOK || got.body != answer || got.err != nil {
				t.Fatalf("%d %s (%v)", got.status, got.body, got.err)
			}
			wantHeader(t, got, "X-Alipayai-Unsupported", "", "X-Alipayai-Model", "m-1")
			if len(theirs.bodies) != 1 || theirs.bodies[0] != body || !strings.HasSuffix(theirs.paths[0], "/responses") {
				t.Fatalf("sent to %s: %s", theirs.paths, theirs.bodies)
			}
			if o := r.outcome(); !o.Usage.OK || o.Usage.Completion != 2 || o.UpstreamModel != "m-1" {
				t.Errorf("outcome %+v", o)
			}
			if again := r.do(t.Context(), http.MethodGet, responsesPath+"/resp_of_theirs", ""); !sameJSON(t, again.body, nativeResponse) {
				t.Errorf("kept is %s", again.body)
			}
			r.post(responsesPath, strings.Replace(body, `"input":[`, `"previous_response_id":"resp_of_theirs","input":[{"type":"item_reference","id":"msg_of_theirs"},`, 1))
			if len(theirs.bodies) != 2 || strings.Contains(theirs.bodies[1], "previous_response_id") || strings.Contains(theirs.bodies[1], "item_reference") || strings.Count(theirs.bodies[1], `"found"`) != 2 || strings.Count(theirs.bodies[1], `"one"`) != 2 {
				t.Errorf("sent %s", theirs.bodies[len(theirs.bodies)-1])
			}
			if got := r.post(responsesPath, `{"model":"m","input":"q","previous_response_id":"resp_of_theirs"}`, tenantHeader, "zeta"); got.status != http.StatusBadRequest {
				t.Errorf("to another tenant: %d %s", got.status, got.body)
			}
			if got := r.post(responsesPath, `{"model":"m","input":[{"type":"item_reference","id":"msg_of_theirs"}]}`, tenantHeader, "zeta"); got.status != http.StatusBadRequest {
				t.Errorf("an item, to another tenant: %d %s", got.status, got.body)
			}
		})
	}
}

// Failures in a provider's own responses are failures, before content and after.
func TestNativeResponsesFail(t *testing.T) {
	created, _, _ := strings.Cut(nativeStream, "event: response.web_search")
	failed := "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":9,\"response\":{\"id\":\"resp_of_theirs\",\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"broken\"}}}\n\n"
	for name, c := range map[string]struct {
		kind, answer string
		within       bool
	}{
		"whole":         {"application/json", `{"id":"resp_1","object":"response","status":"failed","error":{"code":"server_error","message":"broken"},"output":[]}`, false},
		"stream":        {"text/event-stream", created + failed, false},
		"error":         {"text/event-stream", created + "event: error\ndata: {\"type\":\"error\",\"sequence_number\":1,\"code\":\"server_error\",\"message\":\"broken\",\"param\":null}\n\n", false},
		"after content": {"text/event-stream", nativeStream[:strings.Index(nativeStream, "event: response.completed")] + failed, true},
	} {
		t.Run(name, func(t *testing.T) {
			theirs := &heardClaude{status: http.StatusOK, kind: c.kind, answer: c.answer}
			r := startRig(t, theirs, plainProvider, first(func(p *upstream.Provider) { p.Model, p.Responses = "", true }))
			got := r.post(responsesPath, `{"model":"m","input":"q","stream":`+fmt.Sprint(c.kind != "application/json")+`}`)
			if !c.within && got.status < 500 || c.within && (got.err == nil || !strings.Contains(got.body, "event: error")) {
				t.Errorf("%d %s (%v)", got.status, got.body, got.err)
			}
			if !c.within {
				return
			}
			// https://github.com/zyycn/codex-proxy-rs/pull/90
			_, end, _ := strings.Cut(got.body, "event: error\n")
			for _, want := range []string{`"message":"broken"`, `"sequence_number":3}`, "event: response.failed\n", `"response":{"id":"resp_of_theirs"`, `"status":"failed"`, `"message":"broken"`, `"sequence_number":4}`} {
				_, after, ok := strings.Cut(end, want)
				if !ok {
					t.Errorf("no %s in its place: %s", want, got.body)
				}
				end = after
			}
			if strings.Count(got.body, "response.created\n") != 1 {
				t.Errorf("begun again: %s", got.body)
			}
		})
	}
}

// Codex's own backend has the items of a stream in it, and none in the response at its end: what is kept of it has them, in their
// places. See https://github.com/commontoolsinc/labs/pull/5092.
func TestNativeResponsesAreKeptWithTheirItems(t *testing.T) {
	const found = `{"type":"message","id":"msg_of_theirs","role":"assistant","status":"completed","content":[{"type":"output_text","text":"found","annotations":[]}]}`
	done := func(place int, item string) string {
		return fmt.Sprintf("event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"sequence_number\":2,\"output_index\":%d,\"item\":%s}\n\n", place, item)
	}
	items := done(1, found) + done(0, `{"type":"web_search_call","id":"ws_1","status":"completed"}`)
	for name, output := range map[string]string{"no output": `"output":[],`, "no member": ""} {
		t.Run(name, func(t *testing.T) {
			before, after, _ := strings.Cut(nativeResponse, `"output":`)
			_, rest, _ := strings.Cut(after, `}],"usage"`)
			begun, _, _ := strings.Cut(nativeStream, "event: response.completed")
			answer := begun + items + "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":3,\"response\":" + before + output + `"usage"` + rest + "}\n\n"
			theirs := &heardClaude{status: http.StatusOK, kind: "text/event-stream", answer: answer}
			kept := &counting{Cache: replay.NewMemoryCache(time.Now).Within(1 << 20)}
			r := startRig(t, theirs, plainProvider, first(func(p *upstream.Provider) { p.Model, p.Responses = "", true }), func(g *alipayai.Gateway) {
				keptBy.Store(g, &door.Conversations{Cache: kept, TTL: time.Hour})
			})
			if got := r.post(responsesPath, strings.Replace(wordOfResponses, "{", `{"stream":true,`, 1)); got.status != http.StatusOK || got.body != answer || got.err != nil {
				t.Fatalf("%d %s (%v)", got.status, got.body, got.err)
			}
			if kept.puts != 1 { // with what points to it
				t.Errorf("the store was written %d times", kept.puts)
			}
			var whole responseResource
			again := r.do(t.Context(), http.MethodGet, responsesPath+"/resp_of_theirs", "")
			if err := json.Unmarshal([]byte(again.body), &whole); err != nil || len(whole.Output) != 2 || whole.Output[1].ID != "msg_of_theirs" || !strings.Contains(again.body, `"extra":{"a":1}`) {
				t.Errorf("kept is %s (%v)", again.body, err)
			}
			r.post(responsesPath, `{"model":"m","previous_response_id":"resp_of_theirs","input":[{"type":"item_reference","id":"msg_of_theirs"},{"role":"user","content":"and?"}]}`)
			if len(theirs.bodies) != 2 || strings.Count(theirs.bodies[1], `"found"`) != 2 || strings.Contains(theirs.bodies[1], "item_reference") {
				t.Errorf("sent %s", theirs.bodies[len(theirs.bodies)-1])
			}
		})
	}
}

// sameJSON reports whether two texts are the same but for spaces.
func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y bytes.Buffer
	if err := errors.Join(json.Compact(&x, []byte(a)), json.Compact(&y, []byte(b))); err != nil {
		t.Error(err)
	}
	return x.String() == y.String()
}

// A model that the gateway chose is asked for nothing that it is known to refuse; to one that the client named goes what it sent.
func TestNativeResponsesToAnotherModel(t *testing.T) {
	const asked = `{"model":"gpt-5","input":"q","reasoning":{"effort":"low"},"temperature":0.2}`
	for name, c := range map[string]struct {
		model, sent, unsupported string
	}{
		"another":          {"gpt-4o", `{"model":"gpt-4o","input":"q","temperature":0.2}`, "reasoning"},
		"the client's own": {"", asked, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs := &heardClaude{status: http.StatusOK, kind: "application/json", answer: nativeResponse}
			r := startRig(t, theirs, plainProvider, first(func(p *upstream.Provider) { p.Model, p.Responses = c.model, true }))
			got := r.post(responsesPath, asked)
			if got.status != http.StatusOK || strings.Join(theirs.bodies, "") != c.sent {
				t.Errorf("%d %s, sent\n%s, want\n%s", got.status, got.body, theirs.bodies, c.sent)
			}
			wantHeader(t, got, "X-Alipayai-Unsupported", c.unsupported)
		})
	}
}
