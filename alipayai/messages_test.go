package alipayai_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

const messagesPath = "/v1/messages"

// wordOfClaude is a request with much that OpenAI's form has nothing for, written as no encoder would.
const wordOfClaude = `{ "model":"claude-x", "max_tokens" : 100,
 "system":[{"type":"text","text":"one","cache_control":{"type":"ephemeral"}},{"type":"text","text":"two"}],
 "context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}, "thinking":{"type":"adaptive"},
 "messages":[{"role":"user","content":"hello"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"c2ln"},{"type":"text","text":"hi"}]},{"role":"user","content":"and?"}]}`

const answerOfClaude = `{"id":"msg_1","type":"message","role":"assistant","model":"claude-x-1","content":[ {"type":"thinking","thinking":"so","signature":"eHl6"},{"type":"text","text":"yes"}],"stop_reason":"end_turn","stop_sequence":null,"container":null,"usage":{"input_tokens":1,"output_tokens":2,"service_tier":"standard"}}`

const streamOfClaude = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x-1\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n" +
	"event: ping\ndata: {\"type\": \"ping\"}\n\n" +
	"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n" +
	"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"so\"}}\n\n" +
	"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"eHl6\"}}\n\n" +
	"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n" +
	"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
	"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"yes\"}}\n\n" +
	"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n" +
	"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":2}}\n\n" +
	"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

// heardClaude is an upstream of Anthropic's form, and what it was sent.
type heardClaude struct {
	status int
	kind   string
	answer string
	bodies []string
	header []http.Header
	paths  []string
}

func (h *heardClaude) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.bodies, h.header, h.paths = append(h.bodies, string(body)), append(h.header, r.Header), append(h.paths, r.URL.RequestURI())
	w.Header().Set("Content-Type", h.kind)
	w.WriteHeader(h.status)
	_, _ = io.WriteString(w, h.answer)
}

// anyModel makes a provider serve models by their own names.
func anyModel(p *upstream.Provider) { p.Model = "" }

// To a provider of Anthropic's form go the bytes, the version and the betas as they came, and its answers come back so.
func TestMessagesPassAsTheyAre(t *testing.T) {
	for name, c := range map[string]struct {
		body, answer, kind string
		edit               func(*upstream.Provider)
		sent               string
		path               string
	}{
		"answer":      {body: wordOfClaude, answer: answerOfClaude, kind: "application/json", edit: anyModel, sent: wordOfClaude},
		"stream":      {body: strings.Replace(wordOfClaude, "{", `{"stream":true,`, 1), answer: streamOfClaude, kind: "text/event-stream", edit: anyModel, sent: strings.Replace(wordOfClaude, "{", `{"stream":true,`, 1)},
		"beta query":  {body: wordOfClaude, answer: answerOfClaude, kind: "application/json", edit: anyModel, sent: wordOfClaude, path: messagesPath + "?beta=true"},
		"model map":   {body: wordOfClaude, answer: answerOfClaude, kind: "application/json", edit: func(p *upstream.Provider) { p.ModelMap = map[string]string{"claude-x": "claude-y"} }, sent: strings.Replace(wordOfClaude, "claude-x", "claude-y", 1)},
		"not signed":  {body: strings.Replace(wordOfClaude, `"c2ln"`, `""`, 1), answer: answerOfClaude, kind: "application/json", edit: anyModel, sent: `{"model":"claude-x","max_tokens":100,"system":[{"type":"text","text":"one","cache_control":{"type":"ephemeral"}},{"type":"text","text":"two"}],"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]},"thinking":{"type":"adaptive"},"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":[{"type":"text","text":"hi"}]},{"role":"user","content":"and?"}]}`},
		"hosted tool": {body: strings.Replace(wordOfClaude, "{", `{"tools":[{"type":"web_search_20250305","name":"web_search"}],`, 1), answer: answerOfClaude, kind: "application/json", edit: anyModel, sent: strings.Replace(wordOfClaude, "{", `{"tools":[{"type":"web_search_20250305","name":"web_search"}],`, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claude := &heardClaude{status: http.StatusOK, kind: c.kind, answer: c.answer}
			r := startRig(t, claude, claudeProvider, first(c.edit))
			if c.path == "" {
				c.path = messagesPath
			}
			got := r.post(c.path, c.body, "Anthropic-Version", "2099-01-01", "Anthropic-Beta", "a-1,b-2", "Anthropic-Beta", "c-3", "X-Api-Key", "the tenant's", "Authorization", "Bearer the tenant's", "X-Stainless-Lang", "js",
				"X-Claude-Code-Session-Id", "s-1", "X-Claude-Code-Agent-Id", "not\tvisible")
			if got.status != http.StatusOK || got.body != c.answer || got.err != nil {
				t.Errorf("%d %s (%v)", got.status, got.body, got.err)
			}
			wantHeader(t, got, "X-Alipayai-Unsupported", "", "Content-Type", c.kind, "X-Alipayai-Model", "claude-x-1")
			if len(claude.bodies) != 1 || claude.bodies[0] != c.sent || claude.paths[0] != "/v1/messages" {
				t.Fatalf("sent to %s: %s", claude.paths, claude.bodies)
			}
			h := claude.header[0]
			if v, b := h["Anthropic-Version"], strings.Join(h["Anthropic-Beta"], "|"); len(v) != 1 || v[0] != "2099-01-01" || b != "a-1,b-2|c-3" {
				t.Errorf("version %q, betas %q", v, b)
			}
			if h["Authorization"] != nil || len(h["X-Api-Key"]) != 1 || strings.Contains(h["X-Api-Key"][0], "tenant") || h["X-Stainless-Lang"] != nil {
				t.Errorf("header %v", h)
			}
			o := r.outcome()
			if o.Session != "s-1" || o.Agent != "" {
				t.Errorf("session %q, agent %q", o.Session, o.Agent)
			}
			if !o.Usage.OK || o.Usage.Completion != 2 || o.UpstreamModel != "claude-x-1" {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// A request whose provider or model the gateway chose goes without what that model refuses, such as adaptive thinking, which a
// client asks of its own model: https://github.com/mnfst/llm-gateway/pull/1928.
func TestMessagesToAModelOfTheGateway(t *testing.T) {
	const asked = `{ "model":"%","max_tokens":100,"messages":[{"role":"user","content":"hi"}],"thinking":{"type":"adaptive"}}`
	const without = `{"model":"%","max_tokens":100,"messages":[{"role":"user","content":"hi"}]}`
	haiku := func(p *upstream.Provider) {
		p.Model, p.ModelMap = "", map[string]string{"claude-sonnet-4-6": "claude-haiku-4-5"}
	}
	for name, c := range map[string]struct {
		model, goesTo, sent, left string
		edit                      func(*upstream.Provider)
		fallback                  bool // the first provider cannot be asked
		counting                  bool
		status                    int
	}{
		"the client's model":        {model: "claude-haiku-4-5", goesTo: "claude-haiku-4-5", sent: asked, status: 200},
		"the provider's model":      {model: "claude-sonnet-4-6", goesTo: "claude-haiku-4-5", sent: without, left: "thinking", edit: haiku, status: 200},
		"its tokens":                {model: "claude-sonnet-4-6", goesTo: "claude-haiku-4-5", sent: without, left: "thinking", edit: haiku, counting: true, status: 200},
		"a model that takes it":     {model: "claude-opus-4-6", goesTo: "claude-opus-4-6", sent: asked, edit: haiku, status: 200},
		"a fallback":                {model: "claude-haiku-4-5", goesTo: "claude-haiku-4-5", sent: without, left: "thinking", fallback: true, status: 200},
		"what cannot be, is wanted": {model: "claude-sonnet-4-6", edit: func(p *upstream.Provider) { haiku(p); p.OnUnsupported = upstream.OnUnsupportedReject }, status: 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claude := &heardClaude{status: http.StatusOK, kind: "application/json", answer: answerOfClaude}
			path := messagesPath
			if c.counting {
				claude.answer, path = `{"input_tokens":3}`, messagesPath+"/count_tokens"
			}
			url, _ := startServer(t, claude)
			p := claudeProvider(t, url)
			if c.edit != nil {
				c.edit(p)
			}
			edits := []func(*alipayai.Gateway){}
			if c.fallback {
				away := claudeProvider(t, "http://127.0.0.1:1") // where nothing listens
				away.Name = "away"
				edits = append(edits, func(g *alipayai.Gateway) { g.Providers = []*upstream.Provider{away, p} })
			}
			r := startGateway(t, p, edits...)
			got := r.post(path, strings.ReplaceAll(asked, "%", c.model), "Anthropic-Version", "2023-06-01")
			if got.status != c.status {
				t.Fatalf("%d %s (%v)", got.status, got.body, got.err)
			}
			wantHeader(t, got, "X-Alipayai-Unsupported", c.left)
			var want []string
			if c.sent != "" {
				want = append(want, strings.ReplaceAll(c.sent, "%", c.goesTo))
			}
			if !slices.Equal(claude.bodies, want) {
				t.Errorf("sent %s, want %s", claude.bodies, want)
			}
		})
	}
}

// Claude Code recovers by the wording of Anthropic's errors, and of members that only it reads. What concerns the
// gateway's own account is for the operator.
func TestMessagesErrorsPassAsTheyAre(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		answer string
		calls  int
		passes bool
		shown  int
	}{
		"too long":      {400, `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"},"request_id":"req_1"}`, 1, true, 400},
		"too large":     {413, `{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}`, 1, true, 413},
		"not found":     {404, `{"type":"error","error":{"type":"not_found_error","message":"model: claude-x"}}`, 1, true, 404},
		"more members":  {400, `{"type":"error","error":{"type":"invalid_request_error","message":"no","details":{"error_visibility":"user_facing"}}}`, 1, true, 400},
		"rate limit":    {429, `{"type":"error","error":{"type":"rate_limit_error","message":"Number of request tokens has exceeded your per-minute rate limit"}}`, 3, true, 429},
		"overloaded":    {529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, 3, true, 529},
		"the gateway's": {401, `{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}`, 1, false, 502},
		"its account":   {400, `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}`, 1, false, 502},
		"no JSON":       {502, `<html>Bad Gateway</html>`, 3, false, 502},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				claude := &heardClaude{status: c.status, kind: "application/json", answer: c.answer}
				r := startRig(t, claude, claudeProvider, first(anyModel))
				got := r.post(messagesPath, wordOfClaude)
				if got.status != c.shown || (got.body == c.answer) != c.passes {
					t.Errorf("%d %s", got.status, got.body)
				}
				if !strings.Contains(got.body, `"type":"error"`) {
					t.Errorf("not in the form of the API: %s", got.body)
				}
				if len(claude.bodies) != c.calls && !(c.calls > 1 && len(claude.bodies) <= alipayai.MaxAttempts) {
					t.Errorf("asked %d times", len(claude.bodies))
				}
			})
		})
	}
}

// An Idempotency-Key of one form is no key to the answer of another, and an answer of Anthropic's is given again as it was.
func TestMessagesAreGivenAgain(t *testing.T) {
	t.Parallel()
	claude := &heardClaude{status: http.StatusOK, kind: "application/json", answer: answerOfClaude}
	r := startRig(t, claude, claudeProvider, first(anyModel), claiming)
	const both = `{"model":"m","max_tokens":10,"messages":[{"role":"user","content":"x"}]}`
	for range 2 {
		if got := r.post(messagesPath, both, "Idempotency-Key", "k"); got.body != answerOfClaude {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if got := r.post(chatPath, both, "Idempotency-Key", "k"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("another form: %d %s", got.status, got.body)
	}
	if got := r.post(messagesPath, both, "Idempotency-Key", "k", "Anthropic-Beta", "x-1"); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, failure.CodeIdempotencyReused) {
		t.Errorf("another beta: %d %s", got.status, got.body)
	}
	if len(claude.bodies) != 1 {
		t.Errorf("asked %d times", len(claude.bodies))
	}
}

// The smaller routes, in the form of whoever asks.
func TestSmallRoutes(t *testing.T) {
	t.Parallel()
	l := newLadder(t, []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic}, func(g *alipayai.Gateway) {
		g.Providers[0].Models, g.Providers[0].ModelMap = []string{"alipay-fin-1", "claude-alias"}, map[string]string{"claude-alias": "alipay-fin-1"}
		g.Providers[1].Models = []string{"claude-haiku-4-5"}
	})
	version := []string{"Anthropic-Version", "2023-06-01"}
	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		want               string // a part of the answer
	}{
		"models":                    {http.MethodGet, "/v1/models", "", nil, 200, `{"object":"list","data":[{"id":"claude-alias"`},
		"trailing slash":            {http.MethodGet, "/v1/models/", "", nil, 200, `{"object":"list"`},
		"one model":                 {http.MethodGet, "/v1/models/alipay-fin-1", "", nil, 200, `{"id":"alipay-fin-1","object":"model"`},
		"no such model":             {http.MethodGet, "/v1/models/x/y", "", nil, 404, `"code":"model_not_found"`},
		"HEAD":                      {http.MethodHead, "/v1/models", "", nil, 200, ""},
		"anybody there":             {http.MethodHead, "/", "", nil, 200, ""},
		"Claude's models":           {http.MethodGet, "/v1/models?limit=1000", "", version, 200, `{"data":[{"type":"model","id":"claude-alias","display_name":"claude-alias","created_at":"1970-01-01T00:00:00Z"}`},
		"Claude's page":             {http.MethodGet, "/v1/models?limit=1&after_id=claude-alias", "", version, 200, `"has_more":true,"first_id":"alipay-fin-1","last_id":"alipay-fin-1"`},
		"Claude's bad page":         {http.MethodGet, "/v1/models?limit=x", "", version, 400, `{"type":"error","error":{"type":"invalid_request_error"`},
		"one of Claude's":           {http.MethodGet, "/v1/models/claude-alias", "", version, 200, `{"type":"model","id":"claude-alias"`},
		"none of Claude's":          {http.MethodGet, "/v1/models/x", "", version, 404, `"type":"not_found_error"`},
		"wrong path":                {http.MethodGet, "/v1/nothing", "", nil, 404, `"code":"unknown_url"`},
		"Claude's, wrong":           {http.MethodPost, "/v1/messages/batches", "{}", version, 404, `{"type":"error","error":{"type":"not_found_error"`},
		"images":                    {http.MethodPost, "/v1/images/generations", "{}", nil, 404, "\"message\":\"images are not served, since moderators read text only; this gateway serves POST /v1/messages,"},
		"audio":                     {http.MethodPost, "/v1/audio/speech", "{}", nil, 404, "\"message\":\"audio is not served, since moderators read text only; this gateway serves"},
		"reranking":                 {http.MethodPost, "/v1/rerank", "{}", nil, 404, "\"message\":\"reranking is not served, since moderators read text only; this gateway serves"},
		"another method":            {http.MethodGet, "/v1/messages", "", nil, 405, `{"type":"error"`},
		"counted":                   {http.MethodPost, "/v1/messages/count_tokens", `{"model":"claude-haiku-4-5","messages":[{"role":"user","content":"one two"}]}`, version, 200, `{"input_tokens":`},
		"estimated":                 {http.MethodPost, "/v1/messages/count_tokens", `{"model":"alipay-fin-1","messages":[{"role":"user","content":"12345678"}]}`, nil, 200, `{"input_tokens":2}`},
		"estimated, a picture":      {http.MethodPost, "/v1/messages/count_tokens", `{"model":"alipay-fin-1","messages":[{"role":"user","content":[{"type":"text","text":"12345678"},{"type":"image","source":{"type":"url","url":"https://a.example/b.png"}}]}]}`, nil, 200, `{"input_tokens":1602}`},
		"not counted":               {http.MethodPost, "/v1/messages/count_tokens", `{"model":"alipay-fin-1"}`, nil, 400, `"type":"invalid_request_error"`},
		"moderations":               {http.MethodPost, "/v1/moderations", `{"input":"hello"}`, nil, 404, `"code":"model_not_found"`},
		"completions":               {http.MethodPost, "/v1/completions", `{"model":"alipay-fin-1","prompt":["hello"],"suffix":"x"}`, nil, 200, `"object":"text_completion"`},
		"several prompts":           {http.MethodPost, "/v1/completions", `{"model":"alipay-fin-1","prompt":["a","b"]}`, nil, 400, `"param":"prompt"`},
		"a refused message":         {http.MethodPost, "/v1/messages", `{"model":"alipay-fin-1"}`, nil, 400, `{"type":"error","error":{"type":"invalid_request_error","message":"missing required parameter 'max_tokens'`},
		"no provider has the model": {http.MethodPost, "/v1/messages", `{"model":"x","max_tokens":1,"messages":[{"role":"user","content":"q"}]}`, nil, 404, `"type":"not_found_error"`},
	} {
		t.Run(name, func(t *testing.T) {
			got := l.do(t.Context(), c.method, c.path, c.body, c.header...)
			if got.status != c.status || !strings.Contains(got.body, c.want) || got.err != nil {
				t.Errorf("%d %s (%v)", got.status, got.body, got.err)
			}
			estimated := ""
			if strings.HasPrefix(name, "estimated") {
				estimated = "true"
			}
			wantHeader(t, got, "X-Alipayai-Estimated", estimated)
			if name == "completions" {
				wantHeader(t, got, "X-Alipayai-Unsupported", "suffix")
			}
		})
	}
}
