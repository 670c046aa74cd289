package anthropic

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// same reports whether two texts are the same JSON.
func same(t *testing.T, got, want string) bool {
	t.Helper()
	var a, b any
	if err := errors.Join(json.Unmarshal([]byte(got), &a), json.Unmarshal([]byte(want), &b)); err != nil {
		t.Errorf("%v: %s", err, got)
		return false
	}
	return reflect.DeepEqual(a, b)
}

// Requests of the Messages API, and what they are in OpenAI's form. Members that every request has are left out here.
func TestClientRequests(t *testing.T) {
	const user = `"messages":[{"role":"user","content":"q"}]`
	for name, c := range map[string]struct {
		in, out     string // without model and max_tokens
		unsupported string
		hosted      bool
		thinks      bool
	}{
		"text":          {in: user, out: user},
		"blocks":        {in: `"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}]}]`, out: `"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`},
		"system":        {in: `"system":"s",` + user, out: `"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}]`},
		"system blocks": {in: `"system":[{"type":"text","text":"a\n"},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}],` + user, out: `"messages":[{"role":"system","content":"a\n\n\nb"},{"role":"user","content":"q"}]`},
		"stream":        {in: `"stream":true,` + user, out: `"stream":true,"stream_options":{"include_usage":true},` + user},
		"numbers":       {in: `"temperature":0.5,"top_p":0.9,"top_k":5,` + user, out: `"temperature":0.5,"top_p":0.9,` + user, unsupported: "top_k"},
		"stop":          {in: `"stop_sequences":["a","b"],` + user, out: `"stop":["a","b"],` + user},
		"many stops":    {in: `"stop_sequences":["a","b","c","d","e"],` + user, out: `"stop":["a","b","c","d"],` + user, unsupported: "stop_sequences"},
		"user":          {in: `"metadata":{"user_id":"u1"},` + user, out: `"user":"u1",` + user},
		"long user":     {in: `"metadata":{"user_id":"` + strings.Repeat("u", 65) + `"},` + user, out: user},
		"images": {
			in:  `"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},{"type":"image","source":{"type":"url","url":"https://x/y.png"}},{"type":"image","source":{"type":"file","file_id":"f"}}]}]`,
			out: `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"image_url","image_url":{"url":"https://x/y.png"}},{"type":"text","text":"[image left out]"}]}]`, unsupported: "messages.content.image.file",
		},
		"documents": {
			in:  `"messages":[{"role":"user","content":[{"type":"document","title":"T","context":"C","source":{"type":"text","media_type":"text/plain","data":"words"},"citations":{"enabled":true}},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}},{"type":"document","source":{"type":"url","url":"https://x/y.pdf"}}]}]`,
			out: `"messages":[{"role":"user","content":[{"type":"text","text":"T"},{"type":"text","text":"C"},{"type":"text","text":"words"},{"type":"file","file":{"filename":"document.pdf","file_data":"data:application/pdf;base64,JVBE"}},{"type":"file","file":{"file_data":"https://x/y.pdf"}}]}]`, unsupported: "messages.content.citations",
		},
		"search results": {
			in:  `"messages":[{"role":"user","content":[{"type":"search_result","source":"https://x","title":"T","content":[{"type":"text","text":"found"}]}]}]`,
			out: `"messages":[{"role":"user","content":[{"type":"text","text":"T"},{"type":"text","text":"https://x"},{"type":"text","text":"found"}]}]`,
		},
		"tools": {
			in:  `"tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}},{"type":"custom","name":"g","input_schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false},"strict":true}],"tool_choice":{"type":"any","disable_parallel_tool_use":true},` + user,
			out: `"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false},"strict":true}}],"tool_choice":"required","parallel_tool_calls":false,` + user,
		},
		"one tool": {
			in:  `"tools":[{"name":"f","input_schema":{"type":"object"},"strict":true,"defer_loading":true}],"tool_choice":{"type":"tool","name":"f"},` + user,
			out: `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":{"type":"function","function":{"name":"f"}},` + user, unsupported: "tools.defer_loading, tools.strict",
		},
		"tools of Anthropic's": {
			in:  `"tools":[{"type":"web_search_20250305","name":"web_search"},{"type":"bash_20250124","name":"bash"}],"tool_choice":{"type":"auto"},` + user,
			out: user, unsupported: "tools.bash_20250124, tools.web_search_20250305", hosted: true,
		},
		"tools of the client's": {in: `"tools":[{"type":"text_editor_20250728","name":"e"}],` + user, out: user, unsupported: "tools.text_editor_20250728"},
		"servers of tools":      {in: `"mcp_servers":[{"type":"url","url":"https://x","name":"n"}],` + user, out: user, unsupported: "mcp_servers", hosted: true},
		"a round of tools": {
			in:  `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"redacted_thinking","data":"zz"},{"type":"text","text":"ok"},{"type":"tool_use","id":"t1","name":"f","input":{ "a":1}},{"type":"tool_use","id":"t2","name":"g","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"one"},{"type":"tool_result","tool_use_id":"t2","is_error":true,"content":[{"type":"text","text":"no"},{"type":"image","source":{"type":"url","url":"https://x"}}]},{"type":"text","text":"go on"}]}]`,
			out: `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"ok","reasoning_content":"hm","tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{ \"a\":1}"}},{"id":"t2","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","tool_call_id":"t1","content":"one"},{"role":"tool","tool_call_id":"t2","content":"Error: no"},{"role":"user","content":[{"type":"text","text":"Shown by the tool call t2:"},{"type":"image_url","image_url":{"url":"https://x"}},{"type":"text","text":"go on"}]}]`,
		},
		"calls alone": {in: `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]}]`, out: `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"t","content":""}]`},
		// What Claude Code 2.1.332 sends after its ToolSearch.
		"tools found": {
			in:  `"tools":[{"name":"ToolSearch","input_schema":{"type":"object"}},{"name":"Monitor","input_schema":{"type":"object"},"defer_loading":true}],"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"ToolSearch","input":{"query":"select:Monitor,WebFetch"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"tool_reference","tool_name":"Monitor"},{"type":"tool_reference","tool_name":"WebFetch"}],"cache_control":{"type":"ephemeral"}}]}]`,
			out: `"tools":[{"type":"function","function":{"name":"ToolSearch","parameters":{"type":"object"}}},{"type":"function","function":{"name":"Monitor","parameters":{"type":"object"}}}],"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"ToolSearch","arguments":"{\"query\":\"select:Monitor,WebFetch\"}"}}]},{"role":"tool","tool_call_id":"t","content":"Tool found: Monitor\nTool found: WebFetch"}]`, unsupported: "tools.defer_loading",
		},
		"a tool found, shown": {in: `"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"a"},{"type":"tool_reference"}]},{"type":"tool_reference","tool_name":"f"}]}]`, out: `"messages":[{"role":"user","content":[{"type":"text","text":"a\n[block left out]"},{"type":"text","text":"[block left out]"}]}]`, unsupported: "messages.content.tool_reference, messages.content.tool_use_id"},
		"system between turns": {
			in:  `"messages":[{"role":"user","content":"q"},{"role":"system","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"tool_removal","tool":{"type":"tool_reference","name":"f"}},{"type":"text","text":"b"}]},{"role":"assistant","content":"r"},{"role":"user","content":"q"},{"role":"system","content":"c"}]`,
			out: `"messages":[{"role":"user","content":"q"},{"role":"system","content":"a\n\nb"},{"role":"assistant","content":"r"},{"role":"user","content":"q"},{"role":"system","content":"c"}]`, unsupported: "messages.content.tool_removal",
		},
		"a change of tools alone": {in: `"messages":[{"role":"user","content":"q"},{"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_reference","name":"f"}}]}]`, out: user, unsupported: "messages.content.tool_addition"},
		"system in a turn":        {in: `"messages":[{"role":"user","content":[{"type":"mid_conv_system","content":[{"type":"text","text":"s"}],"cache_control":{"type":"ephemeral"}},{"type":"text","text":"q"}]}]`, out: `"messages":[{"role":"user","content":"q"},{"role":"system","content":"s"}]`},
		"what others ran":         {in: `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"web_search_tool_result","tool_use_id":"s","content":[]},{"type":"text","text":"found"}]},{"role":"user","content":"?"}]`, out: `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"found"},{"role":"user","content":"?"}]`, unsupported: "messages.content.server_tool_use, messages.content.web_search_tool_result"},
		"what others ran, alone":  {in: `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"redacted_thinking","data":"zz"},{"type":"server_tool_use","id":"s","name":"web_search","input":{}}]},{"role":"user","content":"?"}]`, out: `"messages":[{"role":"user","content":"q"},{"role":"user","content":"?"}]`, unsupported: "messages.content.server_tool_use"},
		"https://github.com/maximhq/bifrost/issues/3596": {
			in:  `"tool_choice":{"type":"tool","name":"web_search","disable_parallel_tool_use":true},"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"f","input_schema":{"type":"object"}}],` + user,
			out: `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"parallel_tool_calls":false,` + user, unsupported: "tool_choice.tool, tools.web_search_20250305", hosted: true,
		},
		"prefill":           {in: `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"{"}]`, out: `"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"{"}]`, unsupported: "messages.prefill"},
		"adaptive":          {in: `"thinking":{"type":"adaptive"},` + user, out: user, thinks: true},
		"thinking":          {in: `"thinking":{"type":"enabled","budget_tokens":2048},` + user, out: user, unsupported: "thinking", thinks: true},
		"no thinking":       {in: `"thinking":{"type":"disabled"},` + user, out: user},
		"a schema":          {in: `"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}},` + user, out: `"response_format":{"type":"json_schema","json_schema":{"name":"output","strict":true,"schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}},"reasoning_effort":"low",` + user},
		"an effort":         {in: `"output_config":{"effort":"max"},` + user, out: `"reasoning_effort":"max",` + user},
		"the usual effort":  {in: `"output_config":{"effort":"high"},` + user, out: user},
		"an unknown effort": {in: `"output_config":{"effort":"huge"},` + user, out: user, unsupported: "output_config.effort"},
		"a loose one":       {in: `"output_format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false}},` + user, out: `"response_format":{"type":"json_schema","json_schema":{"name":"output","schema":{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false}}},` + user},
		"Claude Code's":     {in: `"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},"service_tier":"auto","cache_control":{"type":"ephemeral"},` + user, out: user, unsupported: "context_management"},
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte(`{"model":"m","max_tokens":9,` + c.in + `}`)
			got, err := ParseClientRequest(body, false)
			if err != nil {
				t.Fatal(err)
			}
			want := `{"model":"m","max_tokens":9,` + c.out + `}`
			canonical := string(got.Canonical.Body)
			if name == "long user" { // a hash
				var fields struct{ User string }
				if err := json.Unmarshal([]byte(canonical), &fields); err != nil || len(fields.User) != 64 || strings.Contains(fields.User, "uu") {
					t.Errorf("user %q, %v", fields.User, err)
				}
			} else if !same(t, canonical, want) {
				t.Errorf("is\n%s\nwant\n%s", canonical, want)
			}
			if names := strings.Join(got.Unsupported, ", "); names != c.unsupported {
				t.Errorf("unsupported %q, want %q", names, c.unsupported)
			}
			if got.Canonical.HostedTools != c.hosted || got.Thinks != c.thinks {
				t.Errorf("hosted %v, thinks %v", got.Canonical.HostedTools, got.Thinks)
			}
			if string(got.Sent.Body) != string(body) || string(got.Sendable.Body) != string(body) {
				t.Error("the body has changed")
			}
		})
	}
}

// What a client has from answers of other providers is sent to Anthropic's in a form that they take: calls and results stay
// together, and the rest as it was.
func TestClientSendable(t *testing.T) {
	const before, after = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},`, `],"x":{"id":"a:b"}}`
	call := func(id string) string { return `{"type":"tool_use","id":"` + id + `","name":"f","input":{"id":"a:b"}}` }
	said := func(blocks string) string { return `{"role":"assistant","content":[` + blocks + `]}` }
	gave := func(id string) string {
		return `{"role":"user","content":[{"type":"tool_result","tool_use_id":"` + id + `","content":"r"}]}`
	}
	other, again := toolUseID("a:b"), toolUseID("a:")
	for name, c := range map[string]struct{ in, out string }{
		"fine ids":       {said(call("a")+","+call("b")) + "," + gave("a"), said(call("a")+","+call("b")) + "," + gave("a")},
		"another form":   {said(call("a:b")) + "," + gave("a:b"), said(call(other)) + "," + gave(other)},
		"escaped":        {said(call(`a\u003ab`)) + "," + gave("a:b"), said(call(other)) + "," + gave(other)},
		"repeated":       {said(call("a")) + "," + gave("a") + "," + said(call("a")) + "," + gave("a"), said(call("a")) + "," + gave("a") + "," + said(call(again)) + "," + gave(again)},
		"twice at once":  {said(call("a")+","+call("a")) + "," + gave("a") + "," + gave("a"), said(call("a")+","+call(again)) + "," + gave("a") + "," + gave(again)},
		"thinking apart": {said(`{"type":"thinking","thinking":"t"},` + call("a")), said(call("a"))},
		"nothing else":   {said(`{"type":"thinking","thinking":"t","signature":""}`) + "," + gave("a"), gave("a")},
		"an empty text":  {said(`{"type":"text","text":""},` + call("a")), said(call("a"))},
		"only spaces":    {said(`{"type":"text","text":"\n\u0020"}`) + "," + gave("a"), gave("a")},
		"empty content":  {`{"role":"assistant","content":""},` + gave("a"), gave("a")},
		"no blocks":      {said(" ") + "," + gave("a"), gave("a")},
		"a word":         {`{"role":"assistant", "content":"x"},` + gave("a"), `{"role":"assistant", "content":"x"},` + gave("a")},
		"signed":         {said(`{"type":"thinking","thinking":"t","signature":"s"},` + call("a:b")), said(`{"type":"thinking","thinking":"t","signature":"s"},` + call(other))},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseClientRequest([]byte(before+c.in+after), false)
			if want := before + c.out + after; err != nil || string(got.Sendable.Body) != want {
				t.Errorf("is\n%s\nwant\n%s (%v)", got.Sendable.Body, want, err)
			}
		})
	}
}

// What is wrong is said by the field's name, and never by a value.
func TestClientRequestErrors(t *testing.T) {
	for name, c := range map[string]struct{ body, param, code string }{
		"no JSON":           {`{`, "", wire.CodeInvalidJSON},
		"no model":          {`{"max_tokens":1,"messages":[{"role":"user","content":"q"}]}`, "model", wire.CodeMissingParameter},
		"no max_tokens":     {`{"model":"m","messages":[{"role":"user","content":"q"}]}`, "max_tokens", wire.CodeMissingParameter},
		"odd max_tokens":    {`{"model":"m","max_tokens":-1,"messages":[{"role":"user","content":"q"}]}`, "max_tokens", wire.CodeInvalidValue},
		"no messages":       {`{"model":"m","max_tokens":1}`, "messages", wire.CodeMissingParameter},
		"empty":             {`{"model":"m","max_tokens":1,"messages":[]}`, "messages", wire.CodeMissingParameter},
		"null":              {`{"model":"m","max_tokens":1,"messages":null}`, "messages", wire.CodeInvalidType},
		"role":              {`{"model":"m","max_tokens":1,"messages":[{"role":"secret","content":"q"}]}`, "messages[0].role", wire.CodeInvalidValue},
		"no content":        {`{"model":"m","max_tokens":1,"messages":[{"role":"user"}]}`, "messages[0].content", wire.CodeMissingParameter},
		"block":             {`{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"text":"q"}]}]}`, "messages[0].content[0].type", wire.CodeMissingParameter},
		"tool_use":          {`{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"secret"}]}]}`, "messages[0].content[0]", wire.CodeInvalidValue},
		"tool_result":       {`{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_result"}]}]}`, "messages[0].content[0].tool_use_id", wire.CodeMissingParameter},
		"no schema":         {`{"model":"m","max_tokens":1,"tools":[{"name":"f"}],"messages":[{"role":"user","content":"q"}]}`, "tools[0].input_schema", wire.CodeMissingParameter},
		"result of no form": {`{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":{"a":1}}]}]}`, "messages[0].content[0].content", wire.CodeInvalidType},
		"choice":            {`{"model":"m","max_tokens":1,"tool_choice":{"type":"secret"},"messages":[{"role":"user","content":"q"}]}`, "tool_choice.type", wire.CodeInvalidValue},
		"stream":            {`{"model":"m","max_tokens":1,"stream":"secret","messages":[{"role":"user","content":"q"}]}`, "stream", wire.CodeInvalidType},
		"temperature":       {`{"model":"m","max_tokens":1,"temperature":1.5,"messages":[{"role":"user","content":"q"}]}`, "temperature", wire.CodeInvalidValue},
		"differs in case":   {`{"model":"m","Model":"secret","max_tokens":1,"messages":[{"role":"user","content":"q"}]}`, "model", wire.CodeUnknownParameter},
		"repeated":          {`{"model":"m","model":"secret","max_tokens":1,"messages":[{"role":"user","content":"q"}]}`, "", wire.CodeDuplicateKey},
		"format of others":  {`{"model":"m","max_tokens":1,"output_config":{"format":{"type":"secret"}},"messages":[{"role":"user","content":"q"}]}`, "output_config.format.type", wire.CodeInvalidValue},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseClientRequest([]byte(c.body), false)
			e, ok := errors.AsType[*wire.RequestError](err)
			if !ok || e.Param != c.param || e.Code != c.code {
				t.Fatalf("%+v, want %s of %s", err, c.code, c.param)
			}
			if strings.Contains(e.Message, "secret") {
				t.Errorf("says %q", e.Message)
			}
		})
	}
}

// Answers in OpenAI's form as messages.
func TestClientAnswers(t *testing.T) {
	const refused = `"refusal","stop_details":{"type":"refusal","category":null,"explanation":null}`
	for name, c := range map[string]struct{ in, content, stop, usage string }{
		"text":       {`{"id":"chatcmpl-1","model":"m","choices":[{"message":{"content":"a\"b"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4}}}`, `[{"type":"text","text":"a\"b"}]`, `"end_turn"`, `{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":2}`},
		"reasoned":   {`{"id":"1","model":"m","choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":9,"total_tokens":19,"completion_tokens_details":{"reasoning_tokens":7}}}`, `[{"type":"text","text":"a"}]`, `"end_turn"`, `{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":9,"output_tokens_details":{"thinking_tokens":7}}`},
		"cut":        {`{"id":"1","model":"m","choices":[{"message":{"content":"a"},"finish_reason":"length"}]}`, `[{"type":"text","text":"a"}]`, `"max_tokens"`, ""},
		"filtered":   {`{"id":"1","model":"m","choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}`, `[]`, refused, ""},
		"refused":    {`{"id":"1","model":"m","choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]}`, `[{"type":"text","text":"no"}]`, refused, ""},
		"thought":    {`{"id":"1","model":"m","choices":[{"message":{"reasoning_content":"hm","content":"a"},"finish_reason":"stop"}]}`, `[{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"a"}]`, `"end_turn"`, ""},
		"calls":      {`{"id":"1","model":"m","choices":[{"message":{"content":"a","tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"c2","function":{"name":"g","arguments":""}}]},"finish_reason":"tool_calls"}]}`, `[{"type":"text","text":"a"},{"type":"tool_use","id":"c1","name":"f","input":{"x":1}},{"type":"tool_use","id":"c2","name":"g","input":{}}]`, `"tool_use"`, ""},
		"stop, call": {`{"id":"1","model":"m","choices":[{"message":{"tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{"}}]},"finish_reason":"stop"}]}`, `[{"type":"tool_use","id":"c1","name":"f","input":{"INVALID_JSON":"{"}}]`, `"tool_use"`, ""},
		"no reason":  {`{"id":"1","model":"m","choices":[{"message":{"content":"a"}}]}`, `[{"type":"text","text":"a"}]`, `"end_turn"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := ClientWriter{Model: "asked", Thinks: true}
			got, err := w.Whole(nil, []byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if c.usage == "" {
				c.usage = `{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}`
			}
			want := `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":` + c.content + `,"stop_reason":` + c.stop + `,"stop_sequence":null,"usage":` + c.usage + `}`
			if !same(t, string(got), want) {
				t.Errorf("is\n%s\nwant\n%s", got, want)
			}
		})
	}
	w := ClientWriter{}
	if _, err := w.Whole(nil, []byte(`{"choices":[]}`)); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("of nothing: %v", err)
	}
}

// chunks makes a stream of the choices' deltas.
func chunks(deltas ...string) string {
	var s strings.Builder
	for _, d := range deltas {
		s.WriteString(`data: {"id":"chatcmpl-1","model":"m","choices":[{"index":0,` + d + "}]}\n\n")
	}
	return s.String() + "data: {\"id\":\"chatcmpl-1\",\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\ndata: [DONE]\n\n"
}

// Streams in OpenAI's form, and the events that they are, in short: the kind, index and what it brings.
func TestClientStreams(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"text":                      {chunks(`"delta":{"role":"assistant","content":""}`, `"delta":{"content":"a"}`, `"delta":{"content":"b"}`, `"delta":{"content":"\n"}`, `"delta":{},"finish_reason":"stop"`), []string{"start", "block 0 text", "0 a", "0 b", "0 \n", "stop 0", "end end_turn 3 4", "bye"}},
		"CRLF":                      {strings.ReplaceAll(chunks(`"delta":{"content":"a"}`, `"delta":{},"finish_reason":"stop"`), "\n", "\r\n"), []string{"start", "block 0 text", "0 a", "stop 0", "end end_turn 3 4", "bye"}},
		"a call first":              {chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}`, `"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}`, `"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}`, `"delta":{},"finish_reason":"tool_calls"`), []string{"start", "block 0 tool_use c f", `0 {"a"`, "0 :1}", "stop 0", "end tool_use 3 4", "bye"}},
		"thought, text, calls":      {chunks(`"delta":{"reasoning_content":"hm"}`, `"delta":{"content":"x"}`, `"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]}`, `"delta":{"tool_calls":[{"index":1,"id":"d","function":{"name":"g"}}]}`, `"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]},"finish_reason":"stop"`), []string{"start", "block 0 thinking", "0 hm", "stop 0", "block 1 text", "1 x", "stop 1", "block 2 tool_use c f", "2 {}", "stop 2", "block 3 tool_use d g", "3 {}", "stop 3", "end tool_use 3 4", "bye"}},
		"arguments before the name": {chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"arguments":"{"}}]}`, `"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"}"}}]}`, `"delta":{},"finish_reason":"tool_calls"`), []string{"start", "block 0 tool_use c f", "0 {}", "stop 0", "end tool_use 3 4", "bye"}},
		"two calls of one index":    {chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]}`, `"delta":{"content":"x"}`, `"delta":{"tool_calls":[{"index":0,"id":"d","function":{"name":"f","arguments":"{"}}]}`, `"delta":{"tool_calls":[{"index":0,"id":"d","function":{"name":"f","arguments":"}"}}]}`, `"delta":{},"finish_reason":"stop"`), []string{"start", "block 0 tool_use c f", "0 {}", "stop 0", "block 1 text", "1 x", "stop 1", "block 2 tool_use d f", "2 {", "2 }", "stop 2", "end tool_use 3 4", "bye"}},
		"calls mingled": {chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}},{"index":1,"id":"d","function":{"name":"g","arguments":""}}]}`, `"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}`, `"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{\"b\":"}}]}`, `"delta":{"tool_calls":[{"index":0,"function":{"arguments":":\"}\"}"}},{"index":1,"function":{"arguments":"2}"}}]}`, `"delta":{},"finish_reason":"tool_calls"`),
			[]string{"start", "block 0 tool_use c f", `0 {"a"`, `0 :"}"}`, "stop 0", "block 1 tool_use d g", `1 {"b":`, "1 2}", "stop 1", "end tool_use 3 4", "bye"}},
		"mingled, the second is over first": {chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{"}}]}`, `"delta":{"tool_calls":[{"index":1,"id":"d","function":{"name":"g","arguments":"{}"}}]}`, `"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}`, `"delta":{},"finish_reason":"tool_calls"`),
			[]string{"start", "block 0 tool_use c f", "0 {", "0 }", "stop 0", "block 1 tool_use d g", "1 {}", "stop 1", "end tool_use 3 4", "bye"}},
		"a call without arguments first": {chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f"}}]}`, `"delta":{"tool_calls":[{"index":1,"id":"d","function":{"name":"g","arguments":"{}"}}]}`, `"delta":{},"finish_reason":"tool_calls"`),
			[]string{"start", "block 0 tool_use c f", "stop 0", "block 1 tool_use d g", "1 {}", "stop 1", "end tool_use 3 4", "bye"}},
		"a text within a call": {chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{"}}]}`, `"delta":{"content":"x"}`, `"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"}"}}]}`, `"delta":{"content":"y"}`, `"delta":{},"finish_reason":"tool_calls"`),
			[]string{"start", "block 0 tool_use c f", "0 {", "0 }", "stop 0", "block 1 text", "1 x", "1 y", "stop 1", "end tool_use 3 4", "bye"}},
		"a text after a name": {chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f"}}]}`, `"delta":{"content":"x"}`, `"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, `"delta":{},"finish_reason":"tool_calls"`),
			[]string{"start", "block 0 text", "0 x", "stop 0", "block 1 tool_use c f", "1 {}", "stop 1", "end tool_use 3 4", "bye"}},
		"nothing more of a call that is over": {chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]}`, `"delta":{"content":"x"}`, `"delta":{"tool_calls":[{"index":0,"function":{"arguments":""}}]}`, `"delta":{"content":"y"}`, `"delta":{},"finish_reason":"tool_calls"`),
			[]string{"start", "block 0 tool_use c f", "0 {}", "stop 0", "block 1 text", "1 x", "1 y", "stop 1", "end tool_use 3 4", "bye"}},
		"a call, and all of it again": {chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"a\""}}]}`, `"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":":1}"}}]}`, `"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"a\":1}"}}]}`, `"delta":{},"finish_reason":"tool_calls"`),
			[]string{"start", "block 0 tool_use c f", `0 {"a"`, "0 :1}", "stop 0", "end tool_use 3 4", "bye"}},
		"an empty object before the arguments": {chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]}`, `"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}`, `"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}`, `"delta":{},"finish_reason":"tool_calls"`),
			[]string{"start", "block 0 tool_use c f", `0 {"a"`, "0 :1}", "stop 0", "end tool_use 3 4", "bye"}},
		"no name in words": {chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"a\""}}]}`, `"delta":{"tool_calls":[{"index":0,"id":"","function":{"name":"null","arguments":":1}"}}]}`, `"delta":{},"finish_reason":"tool_calls"`),
			[]string{"start", "block 0 tool_use c f", `0 {"a"`, "0 :1}", "stop 0", "end tool_use 3 4", "bye"}},
		"calls without ids and indices": {chunks(`"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}`, `"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{\"a\":1}"}}]}`, `"delta":{},"finish_reason":"tool_calls"`),
			[]string{"start", "block 0 tool_use call_0 f", "0 {}", "stop 0", "block 1 tool_use call_1 f", `1 {"a":1}`, "stop 1", "end tool_use 3 4", "bye"}},
		"refusal": {chunks(`"delta":{"refusal":"no"}`, `"delta":{},"finish_reason":"stop"`), []string{"start", "block 0 text", "0 no", "stop 0", "end refusal 3 4", "bye"}},
		"nothing": {chunks(`"delta":{},"finish_reason":"length"`), []string{"start", "end max_tokens 3 4", "bye"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, piece := range []int{1, 2, len(c.in)} { // how many events come at once
				w := ClientWriter{Thinks: true}
				var out []byte
				end := "\n\n"
				if strings.Contains(c.in, "\r") {
					end = "\r\n\r\n"
				}
				for events := range slices.Chunk(strings.SplitAfter(c.in, end), piece) {
					var err error
					if out, err = w.Events(out, []byte(strings.Join(events, ""))); err != nil {
						t.Fatal(err)
					}
				}
				if got := brief(t, string(out)); !slices.Equal(got, c.want) {
					t.Errorf("by %d:\n%q\nwant\n%q", piece, got, c.want)
				}
			}
		})
	}
	text := `"delta":{"content":"` + strings.Repeat("x", 1<<20) + `"}`
	endless := []string{`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{"}}]}`}
	for range 9 {
		endless = append(endless, text)
	}
	var w ClientWriter
	if out, err := w.Events(nil, []byte(chunks(endless...))); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("texts without end beside a call become %d bytes (%v)", len(out), err)
	}
}

// brief tells the events of a stream.
func brief(t *testing.T, stream string) (events []string) {
	t.Helper()
	for event := range strings.SplitSeq(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		kind, data, _ := strings.Cut(strings.TrimPrefix(event, "event: "), "\ndata: ")
		var e struct {
			Type         string
			Index        json.Number
			ContentBlock struct{ Type, ID, Name string } `json:"content_block"`
			Delta        struct {
				Text, Thinking string
				PartialJSON    string `json:"partial_json"`
				StopReason     string `json:"stop_reason"`
			}
			Usage struct {
				Input  json.Number `json:"input_tokens"`
				Output json.Number `json:"output_tokens"`
			}
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil || e.Type != kind {
			t.Errorf("%q: %v", event, err)
		}
		switch kind {
		case "message_start":
			events = append(events, "start")
		case "content_block_start":
			events = append(events, strings.TrimSpace("block "+e.Index.String()+" "+e.ContentBlock.Type+" "+e.ContentBlock.ID+" "+e.ContentBlock.Name))
		case "content_block_delta":
			events = append(events, e.Index.String()+" "+e.Delta.Text+e.Delta.Thinking+e.Delta.PartialJSON)
		case "content_block_stop":
			events = append(events, "stop "+e.Index.String())
		case "message_delta":
			events = append(events, "end "+e.Delta.StopReason+" "+e.Usage.Input.String()+" "+e.Usage.Output.String())
		case "message_stop":
			events = append(events, "bye")
		default:
			t.Errorf("an unknown event %q", event)
		}
	}
	return events
}

// Whatever JSON a client sends, it is a request in OpenAI's form or an error that names a field; and what Anthropic's own
// providers are sent stays JSON.
func FuzzClientRequest(f *testing.F) {
	f.Add(`{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"x"}],"is_error":true}]},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":""},{"type":"tool_use","id":"i","name":"n","input":{}}]}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"}}`)
	f.Add(`{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"a"}}]}}]}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		got, err := ParseClientRequest([]byte(body), false)
		if err != nil {
			if _, ok := errors.AsType[*wire.RequestError](err); !ok {
				t.Fatalf("%v", err)
			}
			return
		}
		if !json.Valid(got.Canonical.Body) || !json.Valid(got.Sendable.Body) || string(got.Sent.Body) != body {
			t.Fatalf("%s\n%s", got.Canonical.Body, got.Sendable.Body)
		}
	})
}

// Whatever chunks come, the events are JSON, in any split.
func FuzzClientStream(f *testing.F) {
	f.Add(chunks(`"delta":{"content":"a"}`, `"delta":{"content":"b"}`, `"delta":{},"finish_reason":"stop"`))
	f.Add(chunks(`"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{"}}]}`))
	f.Fuzz(func(t *testing.T, stream string) {
		w := ClientWriter{Thinks: true}
		out, err := w.Events(nil, []byte(stream))
		if err != nil {
			return
		}
		for event := range strings.SplitSeq(string(out), "\n\n") {
			if _, data, ok := strings.Cut(event, "\ndata: "); ok && !json.Valid([]byte(data)) && json.Valid([]byte(strings.ToValidUTF8(stream, ""))) {
				t.Fatalf("not JSON: %q", event)
			}
		}
	})
}
