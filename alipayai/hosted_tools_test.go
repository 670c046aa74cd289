package alipayai_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// hostedTools are tools that no upstream of another form has, by door, and how each is named.
var hostedTools = map[string]struct {
	tools map[string]string
	// function is one that each has.
	function string
}{
	"responses": {map[string]string{
		`{"type":"web_search"}`: "tools.web_search", `{"type":"web_search_preview"}`: "tools.web_search_preview", `{"type":"file_search","vector_store_ids":["v"]}`: "tools.file_search",
		`{"type":"code_interpreter","container":{"type":"auto"}}`: "tools.code_interpreter", `{"type":"mcp","server_label":"x","server_url":"https://x"}`: "tools.mcp",
		`{"type":"image_generation"}`: "tools.image_generation", `{"type":"computer_use_preview"}`: "tools.computer_use_preview", `{"type":"local_shell"}`: "tools.local_shell",
		`{"type":"tool_search"}`: "tools.tool_search", `{"type":"of_tomorrow"}`: "tools.of_tomorrow",
	}, `{"type":"function","name":"get_weather","parameters":{"type":"object","properties":{}}}`},
	"messages": {map[string]string{
		`{"type":"web_search_20250305","name":"web_search"}`: "tools.web_search_20250305", `{"type":"code_execution_20250825","name":"code_execution"}`: "tools.code_execution_20250825",
		`{"type":"bash_20250124","name":"bash"}`: "tools.bash_20250124", `{"type":"of_tomorrow","name":"x"}`: "tools.of_tomorrow",
	}, `{"name":"get_weather","input_schema":{"type":"object","properties":{}}}`},
}

// Tools that the upstream does not have are left out, and named unless the operator does not want that, or the call is refused, in
// the door's form and before anything is sent. The other tools are offered all the same.
func TestHostedToolsAtEveryDoor(t *testing.T) {
	for door, c := range hostedTools {
		for _, format := range []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic} {
			if door == "messages" && format == sandbox.Anthropic {
				continue // which has them
			}
			for tool, name := range c.tools {
				for _, choice := range []upstream.OnUnsupported{"", upstream.OnUnsupportedWarn, upstream.OnUnsupportedDrop, upstream.OnUnsupportedReject} {
					t.Run(fmt.Sprintf("%s, %s, %s, %s", door, format, name, choice), func(t *testing.T) {
						t.Parallel()
						l := newLadder(t, []sandbox.Format{format}, func(g *alipayai.Gateway) { g.Providers[0].OnUnsupported = choice })
						f := fronts[door]
						body := strings.Replace(f.body("hello", false), "{", `{"tools":[`+tool+`,`+c.function+`],`, 1)
						got := l.post(f.path, body)
						calls := l.upstreams[0].calls()
						if choice == upstream.OnUnsupportedReject {
							if message, err := f.error([]byte(got.body)); got.status != http.StatusBadRequest || err != nil || !strings.Contains(message, name) || len(calls) != 0 {
								t.Errorf("%d %s (%v), %d calls", got.status, got.body, err, len(calls))
							}
							return
						}
						if text, err := f.said([]byte(got.body)); got.status != http.StatusOK || err != nil || !strings.Contains(text, "hello") {
							t.Errorf("%d %s (%v)", got.status, got.body, err)
						}
						told := name
						if choice == upstream.OnUnsupportedDrop {
							told = ""
						}
						wantHeader(t, got, "X-Alipayai-Unsupported", told)
						if len(calls) != 1 || !strings.Contains(string(calls[0].body), "get_weather") || strings.Contains(string(calls[0].body), strings.TrimPrefix(name, "tools.")) {
							t.Errorf("%d calls, sent %s", len(calls), calls[0].body)
						}
					})
				}
			}
		}
	}
}
