package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// looselyServed answers chats and embeddings as the loosest servers of OpenAI's form do, and has the rest from the API at addr.
func looselyServed(t *testing.T, addr string) *httptest.Server {
	t.Helper()
	api := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/embeddings"):
			fmt.Fprint(w, `{"data":[{"embedding":[0.5,-0.5]}],"usage":{"total_tokens":2}}`)
			return
		case !strings.HasSuffix(r.URL.Path, "/chat/completions"):
			api.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		said := string(body)
		switch {
		case strings.Contains(said, `"stream":true`):
			w.Header().Set("Content-Type", "text/event-stream")
			for _, chunk := range []string{
				`{"choices":[{"delta":{"content":"You said: "},"finish_reason":""}],"created":"1744857525"}`,
				`{"id":null,"choices":[{"delta":{"role":"","content":"Hello."},"finish_reason":""}],"usage":{}}`,
				`{"choices":null}`,
				`{"choices":[{"finish_reason":"stop"}],"service_tier":"standard"}`,
				`{"usage":{"prompt_tokens":3,"completion_tokens":null}}`,
				`[DONE]`,
			} {
				fmt.Fprintf(w, "data: %s\n\n", chunk)
			}
		case strings.Contains(said, `"tools":`) && !strings.Contains(said, `"role":"tool"`):
			fmt.Fprint(w, `{"id":7,"choices":[{"message":{"tool_calls":[{"function":{"name":"weather","arguments":{"city":"Hangzhou"}}}]},"finish_reason":"stop"}]}`)
		default:
			fmt.Fprint(w, `{"created":1744857525.254391,"choices":[{"message":{"content":"You said: Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":null},"service_tier":"on_demand"}`)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// Clients for Node that fail with a server's answers, or see half of them, read the same answers through the gateway.
func TestLooseAnswers(t *testing.T) {
	want := map[string]string{
		"openai chat":          `["string","chat.completion",true,"string",0,"assistant",` + said + `,3,"default"]`,
		"openai stream helper": `["string","chat.completion","assistant",` + said + `,"stop"]`,
		"ai text":              `[` + said + `,"stop"]`,
		"ai stream":            `[` + said + `,"stop"]`,
		"ai tools":             `[` + said + `,2]`,
		"langchain chat":       `["ai",` + said + `]`,
		"langchain stream":     `["ai",` + said + `]`,
		"openai embeddings":    `["list","embedding",0,2,2]`,
	}
	var servers []*httptest.Server
	g := startGateway(t, options{between: func(addr string) string {
		servers = append(servers, looselyServed(t, addr))
		return strings.TrimPrefix(servers[len(servers)-1].URL, "http://")
	}})
	var direct, seen map[string]json.RawMessage
	runNode(t, "loose.mjs", site{Base: servers[0].URL, Key: g.key, Model: modelChat}, &direct)
	runNode(t, "loose.mjs", site{Base: "http://" + g.addr, Key: g.key, Model: modelChat}, &seen)
	for step, want := range want {
		if string(seen[step]) != want {
			t.Errorf("%s saw %s, want %s", step, seen[step], want)
		}
		if string(direct[step]) == want {
			t.Errorf("%s has no need of the gateway", step)
		}
	}
}
