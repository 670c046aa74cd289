package alipayai_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// TestPublicReports has answers that users of other gateways reported: where the next provider has to be asked, and what the
// client must not get where there is none.
func TestPublicReports(t *testing.T) {
	const (
		overloaded = `{"type":"error","error":{"type":"overloaded_error","message":"m"}}`
		keyLimit   = `{"error":{"message":"Key limit exceeded (monthly limit). Manage it using https://openrouter.ai/settings/keys","code":403}}`
		event      = "Content-Type"
		sse        = "text/event-stream"
	)
	for source, test := range map[string]struct {
		body   string
		turn   turn
		status int    // alone
		lacks  string // alone
	}{
		"https://github.com/ENTERPILOT/GoModel/issues/947":                {chatBody("hello"), says(200, `{"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":0,"total_tokens":1}}`), 502, "choices\":"},
		"https://github.com/zai-org/GLM-5/issues/91":                      {chatBody("hello"), says(200, `{"id":"","object":"","created":0,"model":"","system_fingerprint":null,"choices":null,"usage":null}`), 502, "system_fingerprint"},
		"https://github.com/musistudio/claude-code-router/pull/1759":      {streamBody("hello"), says(200, ": PING\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nevent: error\ndata: "+overloaded+"\n\n", event, sse), 503, sse},
		"https://github.com/preloop/preloop/pull/121":                     {streamBody("hello"), says(200, "", event, sse), 502, sse},
		"https://github.com/maximhq/bifrost/issues/4005":                  {chatBody("hello"), says(502, "<html><head><title>502 Bad Gateway</title></head><body>nginx/1.30.2</body></html>", event, "text/html"), 502, "nginx"},
		"https://github.com/Portkey-AI/gateway/issues/165":                {chatBody("hello"), says(401, `{"error":{"message":"Incorrect API key provided: sk-1","code":"invalid_api_key"}}`), 502, "sk-1"},
		"https://github.com/gptme/gptme/issues/1449":                      {chatBody("hello"), says(403, keyLimit), 502, "openrouter.ai"},
		"https://github.com/Kong/kong/issues/14680":                       {streamBody("hello"), says(200, `[{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}]`), 502, sse},
		"https://portkey.ai/docs/api-reference/inference-api/error-codes": {chatBody("hello"), says(408, `{"status":"failure","message":"timed out"}`), 408, "failure\""},
	} {
		t.Run(source, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn, test.turn, test.turn}, {good}})
				got := s.call(test.body)
				if got.status != http.StatusOK || got.err != nil || got.header.Get("X-Alipayai-Provider") != "second" {
					t.Errorf("%d %v %s", got.status, got.header, got.body)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn, test.turn, test.turn}}, caching(), claiming)
				got := s.call(test.body, keyed...)
				wantFailure(t, got, test.status)
				if strings.Contains(got.body, test.lacks) || got.header.Get("Content-Type") != "application/json" {
					t.Errorf("%v %s", got.header, got.body)
				}
				if again := s.call(test.body); again.header.Get("Cache-Status") != "" {
					t.Errorf("it was kept: %s", again.body)
				}
			})
		})
	}
}

// TestPublicReportsOfStreams has streams of such reports: those that are whole, and one that is cut after its first words.
func TestPublicReportsOfStreams(t *testing.T) {
	bare := func(content string) string { return `{"choices":[{"index":0,"delta":{"content":"` + content + `"}}]}` }
	for source, test := range map[string]struct {
		turn  turn
		whole bool
	}{
		"https://github.com/mlflow/mlflow/pull/24111":        {streams(nil, bare("a"), bare("b"), finishEvent, "[DONE]"), true},
		"https://github.com/Portkey-AI/gateway/issues/1797":  {streams(breaksOff, deltaEvent, deltaEvent), false},
		"https://github.com/Portkey-AI/gateway/issues/1797 ": {streams(nil, deltaEvent, deltaEvent), false},
	} {
		t.Run(source, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn}, {good}}, claiming)
				got := s.call(streamBody("hello"), keyed...)
				done := strings.HasSuffix(got.body, "data: [DONE]\n\n")
				if told := strings.Contains(got.body, `"error"`); done != test.whole || told == test.whole || (got.err == nil) != test.whole {
					t.Errorf("done %t, told %t, %v: %s", done, told, got.err, got.body)
				}
				s.wantCalls(1, 0)
			})
		})
	}
}
