package alipayai_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// What a server answers that takes each path for another is no answer: tokens are estimated then, and said to be.
func TestAnswersToSomethingElse(t *testing.T) {
	const message = `{"model":"claude-x","messages":[{"role":"user","content":"q"}]}`
	for name, answer := range map[string]string{
		"nothing": `{}`, "below nothing": `{"input_tokens":-5}`, "a text": `{"input_tokens":"5"}`, "a fraction": `{"input_tokens":1.5}`,
		"a list": `{"input_tokens":[5]}`, "null": `{"input_tokens":null}`, "a completion": wholeAnswer, "a page": "<html>",
	} {
		t.Run("messages/"+name, func(t *testing.T) {
			r := startRig(t, &heardClaude{status: http.StatusOK, kind: "application/json", answer: answer}, claudeProvider, first(anyModel))
			got := r.post(messagesPath+"/count_tokens", message)
			if got.status != http.StatusOK || got.header.Get("X-Alipayai-Estimated") != "true" || !strings.HasPrefix(got.body, `{"input_tokens":1`) {
				t.Errorf("%d %v %s", got.status, got.header, got.body)
			}
		})
		t.Run("responses/"+name, func(t *testing.T) {
			r := startRig(t, &heardClaude{status: http.StatusOK, kind: "application/json", answer: answer}, plainProvider, first(responsesProvider))
			got := r.post(responsesPath+"/input_tokens", `{"model":"m","input":"q"}`)
			if got.status != http.StatusOK || got.header.Get("X-Alipayai-Estimated") != "true" {
				t.Errorf("%d %v %s", got.status, got.header, got.body)
			}
		})
		t.Run("moderations/"+name, func(t *testing.T) {
			r := startRig(t, &heardClaude{status: http.StatusOK, kind: "application/json", answer: answer}, plainProvider, first(func(p *upstream.Provider) {
				p.Model, p.Paths = "", map[upstream.Endpoint]string{upstream.EndpointModerations: "/moderations"}
			}))
			if got := r.post("/v1/moderations", `{"model":"m","input":"q"}`); got.status != http.StatusBadGateway {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

func TestModerationsPass(t *testing.T) {
	for name, answer := range map[string]string{"results": `{"id":"modr-1","model":"m","results":[{"flagged":false}]}`, "none": `{"results":[]}`} {
		t.Run(name, func(t *testing.T) {
			r := startRig(t, &heardClaude{status: http.StatusOK, kind: "application/json", answer: answer}, plainProvider, first(func(p *upstream.Provider) {
				p.Model, p.Paths = "", map[upstream.Endpoint]string{upstream.EndpointModerations: "/moderations"}
			}))
			if got := r.post("/v1/moderations", `{"model":"m","input":"q"}`); got.status != http.StatusOK || got.body != answer {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

// A call without a name calls nothing, in an answer that is whole as in a stream.
func TestCallsWithoutAName(t *testing.T) {
	for name, member := range map[string]string{"none": ``, "empty": `"name":"",`, "null": `"name":null,`, "the word null": `"name":"null",`} {
		t.Run(name, func(t *testing.T) {
			answer := `{"model":"m","choices":[{"index":0,"message":{"content":"a","tool_calls":[{"id":"c1","type":"function","function":{` + member + `"arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`
			r := startRig(t, &heardClaude{status: http.StatusOK, kind: "application/json", answer: answer}, plainProvider, first(anyModel))
			for path, body := range map[string]string{
				responsesPath: `{"model":"m","input":"q"}`,
				messagesPath:  `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"}]}`,
			} {
				got := r.post(path, body)
				if got.status != http.StatusOK || strings.Contains(got.body, "call\"") || strings.Contains(got.body, "tool_use") || !strings.Contains(got.body, `"text":"a"`) {
					t.Errorf("%s: %d %s", path, got.status, got.body)
				}
			}
		})
	}
}

// What follows a gzipped answer is no part of it; what belongs to it counts, in as many members as it comes.
func TestGzippedAnswers(t *testing.T) {
	gzipped := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, text)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	whole := gzipped(wholeAnswer)
	for name, c := range map[string]struct {
		sent string
		ok   bool
	}{
		"as it is":      {whole, true},
		"junk after it": {whole + "junk that follows", true},
		"a byte":        {whole + "\x1f", true},
		"zeros":         {whole + strings.Repeat("\x00", 64), true},
		"two members":   {gzipped(wholeAnswer[:40]) + gzipped(wholeAnswer[40:]), true},
		"empty members": {gzipped("") + whole + gzipped(""), true},
		"cut":           {whole[:len(whole)-12], false},
		"cut, and junk": {whole[:len(whole)/2] + "junk that follows", false},
		"half of it":    {gzipped(wholeAnswer[:40]) + "junk that follows", false},
		"cut member":    {whole + whole[:12], false},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = io.WriteString(w, c.sent)
			}), plainProvider, first(anyModel))
			got := r.post("/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"q"}]}`)
			if c.ok && (got.status != http.StatusOK || got.body != wholeAnswer) || !c.ok && got.status != http.StatusBadGateway {
				t.Errorf("%d %q", got.status, got.body)
			}
		})
	}
}
