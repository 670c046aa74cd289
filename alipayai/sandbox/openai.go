package sandbox

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
)

// Paths of [OpenAI], besides those of adminPrefix.
const (
	pathChat         = "/v1/chat/completions"
	pathEmbeddings   = "/v1/embeddings"
	pathModels       = "/v1/models"
	pathModerations  = "/v1/moderations"
	pathToken        = "/oauth2/token"
	pathGateway      = "/gateway.do"
	pathApply        = "/ams/api/v1/authorizations/applyToken"
	pathApplySandbox = "/ams/sandbox/api/v1/authorizations/applyToken"
)

// openAI is the Alipay AI API: chat completions in OpenAI's form, with the
// signatures, tokens and errors of Ant's interfaces.
type openAI struct{}

func (openAI) credentials() (required, optional []string) {
	return []string{"Keys", "OAuthSecret"}, []string{"RefreshToken", "Contract", "Request", "Answer", "TokenAnswer", "TokenSigned"}
}

func (openAI) models() []string { return []string{"alipay-fin-1", "alipay-fin-mini", "alipay-embed-1"} }

func (openAI) endpoint(path string) (endpoint, bool) {
	switch path {
	case pathChat:
		return endpoint{method: http.MethodPost, serve: authorized((*call).chat)}, true
	case pathEmbeddings:
		return endpoint{method: http.MethodPost, serve: authorized((*call).embeddings)}, true
	case pathModerations:
		return endpoint{method: http.MethodPost, serve: authorized((*call).moderations)}, true
	case pathModels:
		return endpoint{method: http.MethodGet, serve: authorized((*call).listModels)}, true
	case pathAuthorize, pathAuthorizeOpen, pathAuthorizeGlobal:
		return endpoint{method: http.MethodGet, token: true, serve: (*call).consent}, true
	case pathToken:
		return endpoint{method: http.MethodPost, token: true, serve: (*call).oauthToken}, true
	case pathGateway:
		return endpoint{method: http.MethodPost, token: true, serve: (*call).gatewayToken}, true
	case pathApply, pathApplySandbox:
		return endpoint{method: http.MethodPost, token: true, serve: (*call).applyToken}, true
	}
	return endpoint{}, false
}

// authorized lets calls with a good access token through.
func authorized(serve func(*call)) func(*call) {
	return func(c *call) {
		if code, reason := c.verifyToken(); code != "" {
			c.fail(http.StatusUnauthorized, code, reason)
			return
		}
		serve(c)
	}
}

func (openAI) caller(c *call) *app {
	id, ok := single(c.r.Header, "Client-Id")
	if !ok {
		return c.contractor()
	}
	return c.srv.apps[id]
}

func (openAI) verify(c *call) *refusal {
	verify := c.verifySignature
	if c.app == nil {
		c.app = c.signatory()
	}
	if c.app != nil && c.app.contract != nil {
		verify = c.verifyContract
	}
	if code, reason := verify(); code != "" {
		return &refusal{http.StatusUnauthorized, code, reason}
	}
	return nil
}

func (openAI) callID(r *http.Request, _ []byte) string { return r.Header.Get("Idempotency-Key") }

func (openAI) refusal(status int, code string) (int, string) {
	return status, cmp.Or(code, statusCode(status))
}

func (openAI) shapes() (body, event Shape) { return ShapeAlipay, ShapeOpenAI }

type toolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function toolFunction `json:"function"`
}

type toolFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

func (a *answer) usage() usage {
	return usage{a.promptTokens, a.answerTokens, a.promptTokens + a.answerTokens}
}

func (a *answer) toolCall() toolCall {
	id := "call_" + a.id[len("chatcmpl-"):]
	return toolCall{id, "function", toolFunction{a.function, a.arguments}}
}

func (openAI) finishReason(a *answer) string {
	if a.finish != "" {
		return a.finish
	}
	switch a.end {
	case endsInCall:
		return "tool_calls"
	case endsAtMost:
		return "length"
	}
	return "stop"
}

func (f openAI) whole(a *answer) any {
	type msg struct {
		Role      string     `json:"role"`
		Content   *string    `json:"content"`
		ToolCalls []toolCall `json:"tool_calls,omitempty"`
	}
	type choice struct {
		Index        int    `json:"index"`
		Message      msg    `json:"message"`
		FinishReason string `json:"finish_reason"`
	}
	m := msg{Role: "assistant", Content: &a.text}
	if a.end == endsInCall {
		m.Content, m.ToolCalls = nil, []toolCall{a.toolCall()}
	}
	return struct {
		ID      string   `json:"id"`
		Object  string   `json:"object"`
		Created int64    `json:"created"`
		Model   string   `json:"model"`
		Choices []choice `json:"choices"`
		Usage   usage    `json:"usage"`
	}{a.id, "chat.completion", a.created.Unix(), a.model, []choice{{0, m, f.finishReason(a)}}, a.usage()}
}

// script is a role chunk, the content, a finish chunk, usage if asked for, and
// [DONE].
func (f openAI) script(a *answer) script {
	s := newChunks(a)
	out := script{
		open:   [][]byte{s.chunk(`{"role":"assistant","content":""}`, "")},
		finish: [][]byte{s.chunk(`{}`, f.finishReason(a))},
		end:    []byte("data: [DONE]\n\n"),
	}
	switch {
	case a.usageAtEnd:
		out.finish = [][]byte{s.last(f.finishReason(a), a.usage())}
	case a.withUsage:
		out.finish = append(out.finish, s.usage(a.usage()))
	}
	if a.withEnd {
		out.finish = append(out.finish, out.end)
	}
	if a.end != endsInCall {
		for _, p := range split(a.text, a.events) {
			out.content = append(out.content, s.chunk(string(append(appendString([]byte(`{"content":`), p), '}')), ""))
		}
		return out
	}
	t := a.toolCall()
	first := mustJSON(toolCall{t.ID, t.Type, toolFunction{Name: t.Function.Name}})
	out.content = [][]byte{s.chunk(`{"tool_calls":[{"index":0,`+string(first[1:])+`]}`, "")}
	for _, p := range split(a.arguments, a.events-1) {
		b := appendString([]byte(`{"tool_calls":[{"index":0,"function":{"arguments":`), p)
		out.content = append(out.content, s.chunk(string(append(b, `}}]}`...)), ""))
	}
	return out
}

// chunks renders the chunks of one stream.
type chunks struct{ prefix, suffix string }

func newChunks(a *answer) chunks {
	var b []byte
	b = append(b, `data: {"id":`...)
	b = appendString(b, a.id)
	b = append(b, `,"object":"chat.completion.chunk","created":`...)
	b = strconv.AppendInt(b, a.created.Unix(), 10)
	b = append(b, `,"model":`...)
	b = appendString(b, a.model)
	b = append(b, `,"choices":[`...)
	s := chunks{prefix: string(b), suffix: "]}\n\n"}
	if a.withUsage {
		s.suffix = "],\"usage\":null}\n\n"
	}
	return s
}

// chunk renders a delta, given as JSON, with finish as its reason or none.
func (s chunks) chunk(delta, finish string) []byte {
	reason := "null"
	if finish != "" {
		reason = `"` + finish + `"`
	}
	return slices.Concat([]byte(s.prefix), []byte(`{"index":0,"delta":`), []byte(delta), []byte(`,"finish_reason":`), []byte(reason+"}"), []byte(s.suffix))
}

// last renders the chunk that an answer ends with, where that has the usage.
func (s chunks) last(finish string, u usage) []byte {
	return slices.Concat([]byte(s.prefix), []byte(`{"index":0,"delta":{"content":""},"finish_reason":"`+finish+`"}],"usage":`), mustJSON(u), []byte("}\n\n"))
}

func (s chunks) usage(u usage) []byte {
	return []byte(s.prefix + `],"usage":` + string(mustJSON(u)) + "}\n\n")
}
