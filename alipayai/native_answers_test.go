package alipayai_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

func responsesProvider(p *upstream.Provider) { p.Model, p.Responses = "", true }

// askedNatively asks a provider in its client's own form, once whole or as a stream.
func askedNatively(t *testing.T, api, body string, status int, answer string, stream bool) (*rig, reply) {
	t.Helper()
	theirs := &heardClaude{status: status, kind: "application/json", answer: answer}
	if stream {
		theirs.kind = "text/event-stream"
		body = strings.Replace(body, "{", `{"stream":true,`, 1)
	}
	if api == messagesPath {
		r := startRig(t, theirs, claudeProvider, first(anyModel))
		return r, r.post(api, body)
	}
	r := startRig(t, theirs, plainProvider, first(responsesProvider), keeping)
	return r, r.post(api, body)
}

// A whole answer is paid for: a usage that cannot be counted is no reason to refuse it. Its tokens are unknown, which is not none.
func TestNativeUsageThatCannotBeCounted(t *testing.T) {
	const usage = `{"input_tokens":3,"output_tokens":2,"total_tokens":5}`
	for name, c := range map[string]struct {
		usage       string
		implausible bool
	}{
		"texts":          {`{"input_tokens":"three","output_tokens":"2","total_tokens":"5"}`, true},
		"as texts":       {`{"input_tokens":"3","output_tokens":"2","total_tokens":"5"}`, false},
		"fractions":      {`{"input_tokens":3.5,"output_tokens":2,"total_tokens":5.5}`, true},
		"large":          {`{"input_tokens":1e30,"output_tokens":2,"total_tokens":5}`, true},
		"larger":         {`{"input_tokens":99999999999999999999,"output_tokens":2}`, true},
		"below nothing":  {`{"input_tokens":-3,"output_tokens":-2,"total_tokens":-5}`, true},
		"lists":          {`{"input_tokens":[3],"output_tokens":{"a":2}}`, true},
		"a list":         {`[1]`, false},
		"a text":         {`"five"`, false},
		"null":           {`null`, false},
		"empty":          {`{}`, false},
		"odd details":    {`{"input_tokens":3,"output_tokens":2,"input_tokens_details":[1],"output_tokens_details":"x"}`, false},
		"odd in details": {`{"input_tokens":3,"output_tokens":2,"input_tokens_details":{"cached_tokens":"x"}}`, false},
		"as floats":      {`{"input_tokens":3.0,"output_tokens":2e0}`, false},
	} {
		for form, answer := range map[string]string{"whole": nativeResponse, "stream": nativeStream} {
			t.Run(name+"/"+form, func(t *testing.T) {
				answer := strings.Replace(answer, usage, c.usage, 1)
				r, got := askedNatively(t, responsesPath, `{"model":"m","input":"q"}`, http.StatusOK, answer, form == "stream")
				if got.status != http.StatusOK || got.body != answer || got.err != nil {
					t.Fatalf("%d %s (%v)", got.status, got.body, got.err)
				}
				o := r.outcome()
				if o.UsageEstimated != c.implausible || !c.implausible && strings.Contains(c.usage, `s":3`) && o.Usage.Completion != 2 {
					t.Errorf("usage %+v, estimated: %t", o.Usage, o.UsageEstimated)
				}
			})
		}
	}
}

// Text that is none is refused at each door alike: OpenAI's Python SDK could not read it.
func TestNativeAnswersAreText(t *testing.T) {
	const body = `{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"q"}],"input":"q"}`
	for name, c := range map[string]struct{ api, answer, said string }{
		"responses": {responsesPath, nativeResponse, `"found"`},
		"messages":  {messagesPath, answerOfClaude, `"role"`},
	} {
		t.Run(name+"/whole", func(t *testing.T) {
			_, got := askedNatively(t, c.api, body, http.StatusOK, strings.Replace(c.answer, c.said, strings.Replace(c.said, `"`, "\"\xff", 1), 1), false)
			if got.status != http.StatusBadGateway {
				t.Errorf("%d %q", got.status, got.body)
			}
		})
	}
	for name, c := range map[string]struct{ api, answer, said string }{
		"responses": {responsesPath, nativeStream, `"delta":"found"`},
		"messages":  {messagesPath, streamOfClaude, `"text_delta","text":"`},
	} {
		t.Run(name+"/stream", func(t *testing.T) {
			at := strings.Index(c.answer, c.said)
			if at < 0 {
				t.Fatalf("no %s in %s", c.said, c.answer)
			}
			at += len(c.said) - 1
			if c.api == messagesPath {
				at++
			}
			_, got := askedNatively(t, c.api, body, http.StatusOK, c.answer[:at]+"\xff"+c.answer[at:], true)
			if got.status != http.StatusBadGateway && got.err == nil || strings.Contains(got.body, "\xff") {
				t.Errorf("%d %q", got.status, got.body)
			}
		})
	}
}

// An answer is one by what it holds: servers that call it created mean the same.
func TestAnswersOfOtherGoodStatuses(t *testing.T) {
	const body = `{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"q"}]}`
	for name, c := range map[string]struct{ api, body, answer string }{
		"responses":            {responsesPath, `{"model":"m","input":"q"}`, nativeResponse},
		"messages":             {messagesPath, body, answerOfClaude},
		"responses as streams": {responsesPath, `{"model":"m","input":"q"}`, nativeStream},
		"messages as streams":  {messagesPath, body, streamOfClaude},
	} {
		t.Run(name, func(t *testing.T) {
			r, got := askedNatively(t, c.api, c.body, http.StatusCreated, c.answer, strings.HasPrefix(c.answer, "event:"))
			if got.status != http.StatusCreated || got.body != c.answer || got.err != nil {
				t.Errorf("%d %s (%v)", got.status, got.body, got.err)
			}
			if o := r.outcome(); o.Code != "" || !o.Usage.OK {
				t.Errorf("outcome %+v", o)
			}
		})
	}
	t.Run("translated", func(t *testing.T) {
		r := startRig(t, &heardClaude{status: http.StatusCreated, kind: "application/json", answer: answerOfClaude}, claudeProvider, first(anyModel))
		for path, c := range map[string]struct{ body, word string }{
			"/v1/chat/completions": {`{"model":"claude-x","messages":[{"role":"user","content":"q"}]}`, `"object":"chat.completion"`},
			responsesPath:          {`{"model":"claude-x","input":"q"}`, `"object":"response"`},
		} {
			if got := r.post(path, c.body); got.status != http.StatusCreated || !strings.Contains(got.body, c.word) {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		}
	})
}

// However a provider's own stream breaks, its client learns by an event how: the two that it knows, with the numbers that follow.
func TestNativeResponsesBreakOff(t *testing.T) {
	begun, _, _ := strings.Cut(nativeStream, "event: response.completed")
	for name, end := range map[string]string{
		"it ends":       "",
		"it is cut":     "event: response.output_te",
		"its failure":   "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":3,\"response\":{\"id\":\"resp_of_theirs\",\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"broken\"}}}\n\n",
		"its error":     "event: error\ndata: {\"type\":\"error\",\"sequence_number\":3,\"code\":\"server_error\",\"message\":\"broken\",\"param\":null}\n\n",
		"no number":     "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"broken\",\"param\":null}\n\n",
		"no JSON":       "data: {\n\n",
		"not text":      "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\xff\"}\n\n",
		"another error": "data: {\"error\":{\"code\":\"server_error\",\"message\":\"broken\"}}\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, got := askedNatively(t, responsesPath, `{"model":"m","input":"q"}`, http.StatusOK, begun+end, true)
			after, ok := strings.CutPrefix(got.body, begun)
			if got.err == nil || !ok {
				t.Fatalf("%d %s (%v)", got.status, got.body, got.err)
			}
			for _, want := range []string{"event: error\n", `"sequence_number":3}`, "event: response.failed\n", `"response":{"id":"resp_of_theirs"`, `"status":"failed"`, `"sequence_number":4}`} {
				if _, after, ok = strings.Cut(after, want); !ok {
					t.Errorf("no %s in its place: %s", want, got.body)
				}
			}
			if after != "\n\n" {
				t.Errorf("%q follows", after)
			}
		})
	}
}
