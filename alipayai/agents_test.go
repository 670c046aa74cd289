package alipayai_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// claudeCode is what Claude Code sends beside a body. Its facts are in its documentation on gateways, and in what it says of
// itself: https://code.claude.com/docs/en/llm-gateway
var claudeCode = []string{
	"Accept", "application/json", "User-Agent", "claude-cli/2.1.0 (external, cli)", "X-App", "cli",
	"Anthropic-Version", "2023-06-01", "Anthropic-Dangerous-Direct-Browser-Access", "true",
	"Anthropic-Beta", "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,prompt-caching-scope-2026-01-05",
	"X-Stainless-Lang", "js", "X-Stainless-Retry-Count", "0", "X-Stainless-Timeout", "600",
	"X-Claude-Code-Session-Id", "0b5e7d1c-6f0f-4b0e-9f59-3f1d5a3f3c11",
}

// codex is what Codex sends beside a body: codex-rs/core/src/client.rs in https://github.com/openai/codex.
var codex = []string{
	"Accept", "text/event-stream", "Originator", "codex_cli_rs", "User-Agent", "codex_cli_rs/0.99.0 (Debian 13; x86_64) xterm",
	"Version", "0.99.0", "Session_id", "0199f4e2-5d3c-7d21-8a1f-1d2c3b4a5968", "Conversation_id", "0199f4e2-5d3c-7d21-8a1f-1d2c3b4a5968",
	"X-Codex-Turn-Metadata", `{"turn_id":"1","sandbox":"none"}`, "Openai-Beta", "responses=experimental",
}

const (
	claudeHead = `"max_tokens":32000,"metadata":{"user_id":"{\"device_id\":\"5f4dcc3b5aa765d61d8327deb882cf99\",\"account_uuid\":\"\",\"session_id\":\"0b5e7d1c-6f0f-4b0e-9f59-3f1d5a3f3c11\"}"},` +
		`"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.0; cc_entrypoint=cli;"},` +
		`{"type":"text","text":"You are Claude Code, Anthropic's official CLI for Claude.","cache_control":{"type":"ephemeral"}},` +
		`{"type":"text","text":"\nYou are an interactive agent.\n","cache_control":{"type":"ephemeral","ttl":"1h"}}],`
	claudeTools = `"tools":[{"name":"Bash","description":"Runs a command","input_schema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"command":{"type":"string","description":"The command"},"timeout":{"type":"number"},"run_in_background":{"type":"boolean"}},"required":["command"],"additionalProperties":false}},` +
		`{"name":"Read","description":"Reads a file","input_schema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"file_path":{"type":"string"},"offset":{"type":"integer","minimum":0},"limit":{"type":"integer","exclusiveMinimum":0}},"required":["file_path"],"additionalProperties":false}},` +
		`{"name":"mcp__docs__search","description":"","input_schema":{"type":"object","properties":{"query":{"type":"string"}}},"cache_control":{"type":"ephemeral"}}],`
	claudeMore = `"thinking":{"type":"adaptive"},"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},"output_config":{"effort":"high"},`

	codexHead = `"instructions":"You are Codex, a coding agent.","tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"effort":"medium","summary":"auto"},"store":false,` +
		`"include":["reasoning.encrypted_content"],"prompt_cache_key":"0199f4e2-5d3c-7d21-8a1f-1d2c3b4a5968","text":{"verbosity":"low"},"client_metadata":{"x-codex-installation-id":"1"},` +
		`"tools":[{"type":"function","name":"exec_command","description":"Runs a command","strict":false,"parameters":{"type":"object","properties":{"cmd":{"type":"string"},"yield_time_ms":{"type":"number"}},"required":["cmd"],"additionalProperties":false}},` +
		`{"type":"custom","name":"apply_patch","description":"Edits files","format":{"type":"grammar","syntax":"lark","definition":"start: begin_patch hunk+ end_patch"}},` +
		`{"type":"namespace","name":"mcp__docs","description":"Docs","tools":[{"type":"function","name":"search","description":"Searches","strict":false,"parameters":{"type":"object","properties":{"query":{"type":"string"}}}}]},` +
		`{"type":"web_search","external_web_access":true},{"type":"image_generation","output_format":"png"}],`
	codexOpening = `{"type":"message","role":"developer","content":[{"type":"input_text","text":"<permissions instructions>"}]},` +
		`{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>"}]},`
)

// agentRequests are requests as the agents send them, of a session each. The simulators repeat what a user or a tool has said
// last.
var agentRequests = map[string]struct {
	door   string
	header []string
	body   string // without model and stream
	// said is in the answer, of all but Next Builder, which takes a text alone: shown is in its answer, where that is another.
	said, shown string
	// left out for an upstream of OpenAI's form.
	left string
	// sent is in the request to an upstream of OpenAI's form, and to one of Anthropic's.
	sent [2]string
}{
	"claude code, quota": {
		"messages", claudeCode, `"max_tokens":1,"messages":[{"role":"user","content":"quota"}],"metadata":{"user_id":"{\"session_id\":\"s\"}"}`, "", "", "", [2]string{`"max_tokens":1`, `"metadata":{"user_id":"{`},
	},
	"claude code, title": {
		"messages", claudeCode, claudeHead + `"temperature":1,"tools":[],"thinking":{"type":"disabled"},"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"title":{"type":"string"}},"required":["title"],"additionalProperties":false}}},` +
			`"messages":[{"role":"user","content":[{"type":"text","text":"Name this session."}]}]`, "Name this session.", "", "", [2]string{`"response_format":{"type":"json_schema","json_schema":{"name":"output"`, `"output_config":{"format":{"type":"json_schema"`},
	},
	"claude code, first turn": {
		"messages", claudeCode, claudeHead + claudeTools + claudeMore +
			`"messages":[{"role":"user","content":[{"type":"text","text":"<system-reminder>\nBe careful.\n</system-reminder>"},{"type":"text","text":"hello","cache_control":{"type":"ephemeral"}}]}]`, "hello", "", "context_management", [2]string{`{"type":"function","function":{"name":"mcp__docs__search"`, `"edits":[{"type":"clear_thinking_20251015"`},
	},
	"claude code, results in parallel": {
		"messages", claudeCode, claudeHead + claudeTools + claudeMore +
			`"messages":[{"role":"user","content":"look"},{"role":"assistant","content":[{"type":"thinking","thinking":"Two files.","signature":""},{"type":"text","text":"I look."},` +
			`{"type":"tool_use","id":"toolu_1","name":"Read","input":{"file_path":"/a"}},{"type":"tool_use","id":"toolu_2","name":"Bash","input":{"command":"ls"}},{"type":"tool_use","id":"toolu_3","name":"Bash","input":{}}]},` +
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"package a"}]},{"type":"tool_result","tool_use_id":"toolu_2","content":"a.go","is_error":false},` +
			`{"type":"tool_result","tool_use_id":"toolu_3","content":"no command","is_error":true,"cache_control":{"type":"ephemeral"}}]}]`, "no command", "look", "context_management, messages.reasoning_content", [2]string{`{"role":"tool","tool_call_id":"toolu_2","content":"a.go"},{"role":"tool","tool_call_id":"toolu_3","content":"Error: no command"}]`, `"ttl":"1h"`},
	},
	"claude code, interrupted": {
		"messages", claudeCode, claudeHead + claudeTools + claudeMore +
			`"messages":[{"role":"user","content":"look"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"Read","input":{"file_path":"/a"}}]},` +
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"rejected","is_error":true},{"type":"text","text":"[Request interrupted by user]"},{"type":"text","text":"stop it"}]}]`, "stop it", "", "context_management", [2]string{`{"role":"tool","tool_call_id":"toolu_1","content":"Error: rejected"}`, `"is_error":true`},
	},
	"claude code, tools found": { // by its own search, 2.1.332
		"messages", append(slices.Clip(claudeCode[:10]), "Anthropic-Beta", "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,thinking-token-count-2026-05-13,advanced-tool-use-2025-11-20,effort-2025-11-24,thinking-display-updates-2026-08-18"),
		claudeHead + `"tools":[{"name":"ToolSearch","description":"Loads tools","input_schema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"query":{"description":"Which","type":"string"}},"required":["query"],"additionalProperties":false}},` +
			`{"name":"Monitor","description":"Watches","input_schema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"command":{"type":"string"}}},"defer_loading":true},` +
			`{"name":"DeferredToolPlaceholder","description":"Reserved placeholder that keeps deferred tool loading active; never call this tool.","input_schema":{"type":"object","properties":{}},"defer_loading":true}],` +
			`"thinking":{"type":"adaptive","display":"updates"},"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},"output_config":{"effort":"high"},` +
			`"messages":[{"role":"user","content":[{"type":"text","text":"<system-reminder>\nThe following deferred tools are now available via ToolSearch.\n</system-reminder>"},{"type":"text","text":"watch it"}]},` +
			`{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"ToolSearch","input":{"query":"select:Monitor"}}]},` +
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"tool_reference","tool_name":"Monitor"}],"cache_control":{"type":"ephemeral"}}]}]`, "Monitor", "watch it", "context_management, tools.defer_loading", [2]string{`{"role":"tool","tool_call_id":"toolu_1","content":"Tool found: Monitor"}`, `[{"type":"tool_reference","tool_name":"Monitor"}]`},
	},
	"codex, first turn": {
		"responses", codex, codexHead + `"input":[` + codexOpening + `{"type":"message","role":"user","content":[{"type":"input_text","text":"hello"}]}]`, "hello", "", "tools.image_generation, tools.web_search", [2]string{`{"role":"system","content":"You are Codex, a coding agent."},{"role":"system","content":"<permissions instructions>"}`, `"name":"mcp__docs__search"`},
	},
	"codex, results in parallel": {
		"responses", codex, codexHead + `"input":[` + codexOpening + `{"type":"message","role":"user","content":[{"type":"input_text","text":"fix it"}]},` +
			`{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"content":null,"encrypted_content":null},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"I look."}]},` +
			`{"type":"function_call","name":"exec_command","arguments":"{\"cmd\":\"ls\"}","call_id":"call_1"},{"type":"custom_tool_call","status":"completed","call_id":"call_2","name":"apply_patch","input":"*** Begin Patch\n*** End Patch"},` +
			`{"type":"function_call","namespace":"mcp__docs","name":"search","arguments":"{}","call_id":"call_3"},{"type":"function_call_output","call_id":"call_1","output":"a.go"},` +
			`{"type":"custom_tool_call_output","call_id":"call_2","output":"{\"output\":\"done\",\"metadata\":{\"exit_code\":0}}"},{"type":"function_call_output","call_id":"call_3","output":[{"type":"input_text","text":"found"}]}]`, "found", "fix it", "messages.reasoning_content, tools.image_generation, tools.web_search", [2]string{`{"role":"tool","tool_call_id":"call_3","content":"found"}`, `{"type":"tool_result","tool_use_id":"call_3"`},
	},
	"codex, compacting": { // where the vendor is not OpenAI it asks for a summary, without tools
		"responses", codex, `"instructions":"You are Codex, a coding agent.","tools":[],"tool_choice":"auto","parallel_tool_calls":false,"reasoning":{"effort":"medium","summary":"auto"},"store":false,"include":["reasoning.encrypted_content"],"prompt_cache_key":"k",` +
			`"input":[` + codexOpening + `{"type":"message","role":"user","content":[{"type":"input_text","text":"fix it"}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Done."}]},` +
			`{"type":"message","role":"user","content":[{"type":"input_text","text":"You are performing a CONTEXT CHECKPOINT COMPACTION."}]}]`, "COMPACTION", "", "", [2]string{`"content":"Done."`, `"text":"Done."`},
	},
	"codex, after a compaction at OpenAI": {
		"responses", codex, codexHead + `"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"fix it"}]},{"type":"compaction","encrypted_content":"gAAA"},` +
			`{"type":"message","role":"user","content":[{"type":"input_text","text":"go on"}]}]`, "go on", "", "input.compaction, tools.image_generation, tools.web_search", [2]string{`"content":"fix it"`, `"text":"fix it"`},
	},
	"codex, probe": {
		"responses", codex, `"instructions":"","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"ping"}]}],"tools":[],"store":false,"max_output_tokens":1`, "", "", "", [2]string{`"max_tokens":1`, `"max_tokens":1`},
	},
}

// What coding agents send is taken by each format of provider, whose validator sees what became of it, and its answer is read by
// the rules of their dialect. They are configured with an address and a key, and read no header of the gateway's.
func TestAgentsAtEveryProvider(t *testing.T) {
	for name, c := range agentRequests {
		for _, format := range []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic, sandbox.NextBuilder} {
			for _, stream := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, stream %v", name, format, stream), func(t *testing.T) {
					t.Parallel()
					l := newLadder(t, []sandbox.Format{format}, func(g *alipayai.Gateway) {
						if format == sandbox.Anthropic { // one that takes what they ask of it
							g.Providers[0].Model = "claude-opus-4-8"
						}
					})
					f := fronts[c.door]
					path := f.path
					if c.door == "messages" {
						path += "?beta=true"
					}
					got := l.post(path, fmt.Sprintf(`{"model":"alipay-fin-1","stream":%v,%s}`, stream, c.body), c.header...)
					if got.status != http.StatusOK || got.err != nil {
						t.Fatalf("%d %s (%v)", got.status, got.body, got.err)
					}
					text := ""
					if stream {
						text = f.events(t, got).content
					} else if c.said != "" {
						var err error
						if text, err = f.said([]byte(got.body)); err != nil {
							t.Error(err)
						}
					}
					want := c.said
					if format == sandbox.NextBuilder {
						want = cmp.Or(c.shown, c.said)
					}
					if !strings.Contains(text, want) {
						t.Errorf("answered %q, want %q", text, want)
					}
					calls := l.upstreams[0].calls()
					if len(calls) != 1 {
						t.Fatalf("%d calls", len(calls))
					}
					switch sent := string(calls[0].body); format {
					case sandbox.OpenAI:
						wantHeader(t, got, "X-Alipayai-Unsupported", c.left)
						if !strings.Contains(sent, c.sent[0]) {
							t.Errorf("sent %s\nwant %s", sent, c.sent[0])
						}
					case sandbox.Anthropic:
						if !strings.Contains(sent, c.sent[1]) {
							t.Errorf("sent %s\nwant %s", sent, c.sent[1])
						}
						if c.door == "messages" {
							wantHeader(t, got, "X-Alipayai-Unsupported", "")
						}
					}
				})
			}
		}
	}
}
