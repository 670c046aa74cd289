package alipayai_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// TestPublicReportsOfCounting has providers of Anthropic's and OpenAI's APIs that have no endpoint which counts: a client gets
// the estimate, and neither zero nor an error. A model that is not there, and other refusals, are no such thing.
func TestPublicReportsOfCounting(t *testing.T) {
	const (
		claude = `{"model":"m","messages":[{"role":"user","content":"one two"}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}`
		openai = `{"model":"m","input":"one two"}`
	)
	for source, test := range map[string]struct {
		path, body string
		status     int
		answer     string
		shown      int
	}{
		"https://github.com/Wei-Shaw/claude-relay-service/issues/731": {"/v1/messages/count_tokens?beta=true", claude, 404, `{"error":{"message":"Invalid URL (POST /v1/messages/count_tokens)","type":"invalid_request_error"}}`, 200},
		"https://github.com/Wei-Shaw/sub2api/pull/657":                {"/v1/messages/count_tokens", claude, 404, "404 page not found", 200},
		"https://github.com/router-for-me/CLIProxyAPI/issues/4410":    {"/v1/messages/count_tokens", claude, 404, `{"detail":"Not Found"}`, 200},
		"https://github.com/router-for-me/CLIProxyAPI/issues/4410 ":   {"/v1/messages/count_tokens", claude, 404, `{"type":"error","error":{"type":"not_found_error","message":"model: m"}}`, 404},
		"https://github.com/BerriAI/litellm/issues/13252":             {"/v1/messages/count_tokens", claude, 405, "", 200},
		"https://github.com/BerriAI/litellm/pull/38902":               {"/v1/messages/count_tokens", claude, 401, `{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}`, 502},
		"https://github.com/router-for-me/CLIProxyAPI/issues/679":     {countPath, openai, 404, `{"error":{"message":"Invalid URL","type":"invalid_request_error","param":null,"code":null}}`, 200},
		"https://github.com/router-for-me/CLIProxyAPI/issues/679 ":    {countPath, openai, 404, `{"error":{"message":"The model m does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}`, 404},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			u := &heardClaude{status: test.status, kind: "application/json", answer: test.answer}
			provider := claudeProvider
			if test.path == countPath {
				provider = plainProvider
			}
			r := startRig(t, u, provider, first(func(p *upstream.Provider) { p.Model, p.Responses = "", test.path == countPath }))
			got := r.post(test.path, test.body, "Anthropic-Version", "2023-06-01")
			estimated := got.header.Get("X-Alipayai-Estimated") == "true" && strings.Contains(got.body, `"input_tokens":`) && !strings.Contains(got.body, `:0}`)
			if got.status != test.shown || estimated != (test.shown == http.StatusOK) {
				t.Errorf("%d %v %s", got.status, got.header, got.body)
			}
			if len(u.bodies) == 0 {
				t.Error("the provider was not asked")
			}
			u.status, u.answer = http.StatusOK, answerOfClaude // the model is not held for it
			if test.path != countPath {
				if got := r.post("/v1/messages", wordOfClaude); got.status != http.StatusOK {
					t.Errorf("a message after it: %d %s", got.status, got.body)
				}
			}
		})
	}
}

// TestCountsOfProvidersThatFail has two providers of which none counts. Where one of them lacks the endpoint, there is an estimate, as
// where it is alone (https://github.com/anthropics/claude-code/issues/84549); else what both have said.
func TestCountsOfProvidersThatFail(t *testing.T) {
	type says struct {
		status int
		text   string
	}
	lacks := says{404, "404 page not found"}
	refuses := says{401, `{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}`}
	fails := says{529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`}
	for name, test := range map[string]struct {
		first, second says
		status        int
	}{
		"lacks it, refuses":        {lacks, refuses, 200},
		"lacks it, fails":          {lacks, fails, 200},
		"fails, lacks it":          {fails, lacks, 200},
		"both lack it":             {lacks, lacks, 200},
		"refuses, fails":           {refuses, fails, 503},
		"lacks it, and one counts": {lacks, says{200, `{"input_tokens":7}`}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			second := httptest.NewServer(&heardClaude{status: test.second.status, kind: "application/json", answer: test.second.text})
			t.Cleanup(second.Close)
			r := startRig(t, &heardClaude{status: test.first.status, kind: "application/json", answer: test.first.text}, claudeProvider, first(anyModel), func(g *alipayai.Gateway) {
				p := claudeProvider(t, second.URL)
				p.Name = "second"
				anyModel(p)
				g.Providers = append(g.Providers, p)
			})
			got := r.post("/v1/messages/count_tokens", `{"model":"m","messages":[{"role":"user","content":"one two"}]}`)
			estimated := got.header.Get("X-Alipayai-Estimated") == "true"
			if got.status != test.status || estimated != (test.status == 200 && test.second.status != 200) {
				t.Errorf("%d, estimated %t: %s", got.status, estimated, got.body)
			}
			if got.status == http.StatusOK && !strings.Contains(got.body, `"input_tokens":`) {
				t.Error(got.body)
			}
		})
	}
}

// TestPublicReportsOfEstimates has the words of a conversation of an agent where its tokens are, which is seldom in texts: a client
// compacts by their number (https://github.com/decolua/9router/issues/2337).
func TestPublicReportsOfEstimates(t *testing.T) {
	words := strings.Repeat("word ", 1000)
	for name, body := range map[string]string{
		"system":      `{"model":"m","system":[{"type":"text","text":"` + words + `"}],"messages":[{"role":"user","content":"q"}]}`,
		"tool use":    `{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"file":"` + words + `"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]}`,
		"tool result": `{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"` + words + `"}]}]}]}`,
		"tool":        `{"model":"m","messages":[{"role":"user","content":"q"}],"tools":[{"name":"f","input_schema":{"type":"object","description":"` + words + `"}}]}`,
		"document":    `{"model":"m","messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"` + words + `"}}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := startRig(t, &heardClaude{}, plainProvider, first(anyModel)).post("/v1/messages/count_tokens", body)
			var count struct {
				Tokens int `json:"input_tokens"`
			}
			if err := json.Unmarshal([]byte(got.body), &count); err != nil || count.Tokens < 900 || count.Tokens > 3000 {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

// TestPublicReportsOfUsageAtTheBeginning has streams that begin with an estimate of the prompt's tokens, by which Claude Code shows
// how full the context is, and end with what the provider has counted; the estimate again where it does not count.
func TestPublicReportsOfUsageAtTheBeginning(t *testing.T) {
	body := `{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"` + strings.Repeat("word ", 1000) + `"}]}`
	counted := `{"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":1234,"completion_tokens":2,"total_tokens":1236}}`
	answer := chunksOf(`"delta":{"content":"x"}`, `"delta":{},"finish_reason":"stop"`)
	for source, test := range map[string]struct {
		answer string
		last   int // the prompt's tokens at the end; 0 for those at the beginning
	}{
		"https://github.com/router-for-me/CLIProxyAPI/issues/1700": {strings.Replace(answer, "data: [DONE]", "data: "+counted+"\n\ndata: [DONE]", 1), 1234},
		"https://github.com/vercel/ai/issues/17326":                {answer, 0},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			u := &heardClaude{status: http.StatusOK, kind: "text/event-stream", answer: test.answer}
			got := startRig(t, u, plainProvider, first(anyModel)).post(messagesPath, body)
			var inputs []int
			for line := range strings.Lines(got.body) {
				var event struct {
					Message struct {
						Usage struct {
							Tokens *int `json:"input_tokens"`
						}
					}
					Usage struct {
						Tokens *int `json:"input_tokens"`
					}
				}
				data, _ := strings.CutPrefix(line, "data: ")
				_ = json.Unmarshal([]byte(data), &event) // what is none has none
				for _, n := range []*int{event.Message.Usage.Tokens, event.Usage.Tokens} {
					if n != nil {
						inputs = append(inputs, *n)
					}
				}
			}
			if len(inputs) != 2 || inputs[0] < 900 || inputs[0] > 3000 || inputs[1] != cmp.Or(test.last, inputs[0]) {
				t.Errorf("%v of %s", inputs, got.body)
			}
		})
	}
}

// TestCallsAreNamedForClientsOfMessages has the id of a call where Anthropic's SDKs look for it, which give it as _request_id: in
// Request-Id (https://github.com/anthropics/anthropic-sdk-typescript#request-ids). It is the gateway's, whose log has it.
func TestCallsAreNamedForClientsOfMessages(t *testing.T) {
	refusal := `{"type":"error","error":{"type":"invalid_request_error","message":"no"},"request_id":"req_of_theirs"}`
	for name, test := range map[string]struct {
		provider   func(testing.TB, string) *upstream.Provider
		path, body string
		status     int
		kind, says string
	}{
		"a message":             {claudeProvider, "/v1/messages", wordOfClaude, 200, "application/json", answerOfClaude},
		"a stream":              {claudeProvider, "/v1/messages", strings.Replace(wordOfClaude, "{", `{"stream":true,`, 1), 200, "text/event-stream", streamOfClaude},
		"of another API":        {plainProvider, "/v1/messages", wordOfClaude, 200, "application/json", completionOf(`"message":{"content":"x"},"finish_reason":"stop"`, "")},
		"the provider's error":  {claudeProvider, "/v1/messages", wordOfClaude, 400, "application/json", refusal},
		"the gateway's error":   {claudeProvider, "/v1/messages", "{", 200, "application/json", answerOfClaude},
		"tokens":                {claudeProvider, "/v1/messages/count_tokens", `{"model":"m","messages":[{"role":"user","content":"q"}]}`, 200, "application/json", `{"input_tokens":1}`},
		"tokens, estimated":     {plainProvider, "/v1/messages/count_tokens", `{"model":"m","messages":[{"role":"user","content":"q"}]}`, 200, "application/json", ""},
		"tokens, estimated too": {claudeProvider, "/v1/messages/count_tokens", `{"model":"m","messages":[{"role":"user","content":"q"}]}`, 404, "text/plain", "404 page not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, &heardClaude{status: test.status, kind: test.kind, answer: test.says}, test.provider, first(anyModel))
			got := r.post(test.path, test.body)
			if id := got.header["Request-Id"]; len(id) != 1 || !strings.HasPrefix(id[0], "req_") || id[0] != got.header.Get("X-Request-Id") || id[0] == "req_of_theirs" {
				t.Errorf("%d, named %q and %q", got.status, id, got.header.Get("X-Request-Id"))
			}
			if other := r.post(chatPath, chatBody("hello")); len(other.header["Request-Id"]) != 0 {
				t.Errorf("OpenAI's clients get it as well: %v", other.header)
			}
		})
	}
}
