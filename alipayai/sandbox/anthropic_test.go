package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestMessages(t *testing.T) {
	g := newClaude(t)
	a := g.ask(messagesBody("What is a fund? 你好", `,"system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}],`+
		`"temperature":1,"top_p":0.5,"top_k":3,"metadata":{"user_id":"u"},"service_tier":"auto","stop_sequences":["###"]`), 200)
	if a.Type != "message" || a.Role != "assistant" || a.Model != "claude-haiku-4-5" || !strings.HasPrefix(a.ID, "msg_") {
		t.Errorf("got %+v", a)
	}
	if *a.StopReason != "end_turn" || a.StopSequence != nil || len(a.Content) != 1 || a.Content[0].Type != "text" {
		t.Errorf("got %+v", a)
	}
	if a.Content[0].Text != "You said: What is a fund? 你好" {
		t.Errorf("text %q", a.Content[0].Text)
	}
	if a.Usage.Input != 2+5 || a.Usage.Output != 7 { // "be brief", the prompt; the answer
		t.Errorf("usage %+v", a.Usage)
	}
}

func TestStopReasons(t *testing.T) {
	g := newClaude(t)
	long := strings.Repeat("word ", 30)
	for name, tc := range map[string]struct {
		prompt, extra string
		text, reason  string
		sequence      string
	}{
		"whole":           {"a b", ``, "You said: a b", "end_turn", ""},
		"at most":         {long, `,"max_tokens":3`, "You said: wo", "max_tokens", ""},
		"exactly":         {"ab", `,"max_tokens":3`, "You said: ab", "end_turn", ""},
		"at a stop":       {"one STOP two", `,"stop_sequences":["never","STOP"]`, "You said: one ", "stop_sequence", "STOP"},
		"stop, then most": {long + "STOP", `,"stop_sequences":["STOP"],"max_tokens":3`, "You said: wo", "max_tokens", ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := messagesBody(tc.prompt, tc.extra)
			if strings.Contains(tc.extra, "max_tokens") {
				body = []byte(strings.Replace(string(body), `"max_tokens":4096,`, "", 1))
			}
			a := g.ask(body, 200)
			if a.Content[0].Text != tc.text || *a.StopReason != tc.reason || (a.StopSequence != nil) != (tc.sequence != "") ||
				a.StopSequence != nil && *a.StopSequence != tc.sequence {
				t.Errorf("got %+v, %s, %v", a.Content, *a.StopReason, a.StopSequence)
			}
		})
	}
}

func TestToolUse(t *testing.T) {
	g := newClaude(t)
	for name, tc := range map[string]struct {
		prompt, choice string
		want           string // the function called, "" for words
	}{
		"named in the prompt":       {"call get_weather", "", "get_weather"},
		"use the tool":              {"use the tool", "", "get_time"},
		"any":                       {"hello", `{"type":"any"}`, "get_time"},
		"forced":                    {"hello", `{"type":"tool","name":"get_weather"}`, "get_weather"},
		"forced, another in prompt": {"call get_time", `{"type":"tool","name":"get_weather"}`, "get_weather"},
		"forbidden":                 {"call get_weather", `{"type":"none"}`, ""},
		"not asked for":             {"hello", `{"type":"auto","disable_parallel_tool_use":true}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			extra := claudeTools
			if tc.choice != "" {
				extra += `,"tool_choice":` + tc.choice
			}
			a := g.ask(messagesBody(tc.prompt, extra), 200)
			b := a.Content[0]
			if tc.want == "" {
				if b.Type != "text" || *a.StopReason != "end_turn" {
					t.Errorf("got %+v", a)
				}
				return
			}
			if b.Type != "tool_use" || b.Name != tc.want || !strings.HasPrefix(b.ID, "toolu_") || *a.StopReason != "tool_use" {
				t.Errorf("got %+v", a)
			}
			var input map[string]any
			decode(t, string(b.Input), &input)
			if tc.want == "get_weather" && (input["city"] != tc.prompt || input["days"] != 1.0) {
				t.Errorf("input %v", input)
			}
		})
	}
	t.Run("result", func(t *testing.T) {
		for content, want := range map[string]string{
			`"12 degrees"`: "The tool said: 12 degrees",
			`[{"type":"text","text":"12 "},{"type":"text","text":"degrees"}]`: "The tool said: 12 degrees",
		} {
			a := g.ask([]byte(`{"model":"claude-haiku-4-5","max_tokens":99,"messages":[{"role":"user","content":"use the tool"},`+
				`{"role":"assistant","content":[{"type":"text","text":"well"},{"type":"tool_use","id":"t1","name":"get_time","input":{}}]},`+
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":`+content+`}]}]`+claudeTools+`}`), 200)
			if a.Content[0].Text != want {
				t.Errorf("got %+v, want %q", a.Content, want)
			}
		}
	})
	t.Run("result and words", func(t *testing.T) {
		a := g.ask([]byte(`{"model":"claude-haiku-4-5","max_tokens":99,"messages":[{"role":"user","content":"use the tool"},`+
			`{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"get_time","input":{}}]},`+
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1"},{"type":"text","text":"and now?"}]}]}`), 200)
		if a.Content[0].Text != "You said: and now?" {
			t.Errorf("got %+v", a.Content)
		}
	})
}

func TestClaudeImages(t *testing.T) {
	g := newClaude(t)
	for source, want := range map[string]string{
		`{"type":"base64","media_type":"image/png","data":"AAAA"}`: "You said: look (with 1 image)",
		`{"type":"url","url":"https://example.test/a.png"}`:        "You said: look (with 1 image)",
	} {
		a := g.ask([]byte(`{"model":"claude-haiku-4-5","max_tokens":99,"messages":[{"role":"user","content":[{"type":"image","source":`+
			source+`},{"type":"text","text":"look"}]}]}`), 200)
		if a.Content[0].Text != want || a.Usage.Input != tokensPerImage+1 {
			t.Errorf("got %+v", a)
		}
	}
}

func TestMessagesStream(t *testing.T) {
	g := newClaude(t)
	const stream = `,"stream":true`
	for name, tc := range map[string]struct {
		prompt, extra string
		want          []string
	}{
		"text": {"a[[events:2]]", stream, []string{
			"message_start", "0 content_block_start text", "ping", "0 content_block_delta text_delta", "0 content_block_delta text_delta",
			"0 content_block_stop", "message_delta end_turn", "message_stop",
		}},
		"tool": {"use the tool [[events:1]]", stream + claudeTools, []string{
			"message_start", "0 content_block_start tool_use", "ping", "0 content_block_delta input_json_delta",
			"0 content_block_stop", "message_delta tool_use", "message_stop",
		}},
		"thought and text": {"a[[events:2]]", stream + `,"thinking":{"type":"enabled","budget_tokens":1024}`, []string{
			"message_start", "0 content_block_start thinking", "ping", "0 content_block_delta thinking_delta",
			"0 content_block_delta signature_delta", "0 content_block_stop", "1 content_block_start text",
			"1 content_block_delta text_delta", "1 content_block_stop", "message_delta end_turn", "message_stop",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := g.try(g.keyed("POST", pathMessages, messagesBody(tc.prompt, tc.extra)))
			if got := streamKinds(t, o.body); !slices.Equal(got, tc.want) {
				t.Errorf("got %q\nwant %q", got, tc.want)
			}
		})
	}
	t.Run("start and usage", func(t *testing.T) {
		o := g.try(g.keyed("POST", pathMessages, messagesBody("call get_weather", stream+claudeTools)))
		events := strings.Split(o.body, "\n\n")
		var first, start, last claudeAnswer
		for i, into := range map[int]*claudeAnswer{0: &first, 1: &start, len(events) - 3: &last} {
			_, data, _ := strings.Cut(events[i], "data: ")
			decode(t, data, into)
		}
		if m := first.Message; m == nil || m.Content == nil || len(m.Content) != 0 || m.StopReason != nil || m.Usage.Input == 0 {
			t.Errorf("start %s", events[0])
		}
		if start.Block.Name != "get_weather" || start.Block.ID == "" || last.Usage.Output == 0 {
			t.Errorf("block %+v, usage %+v", start.Block, last.Usage)
		}
		s := anthropicDialect().read(t, true, o.body)
		if !json.Valid([]byte(s.arguments)) || !strings.Contains(s.arguments, "call get_weather") {
			t.Errorf("arguments %s", s.arguments)
		}
	})
	t.Run("cut between thought and text", func(t *testing.T) {
		o := g.try(g.keyed("POST", pathMessages, messagesBody("a [[fault:cut=1]]", stream+`,"thinking":{"type":"enabled","budget_tokens":1024}`)))
		if s := anthropicDialect().read(t, true, o.body); s.text != "Thinking of: a" || s.whole {
			t.Errorf("got %+v", s)
		}
	})
}

func TestClaudeAuthentication(t *testing.T) {
	g := newClaude(t)
	for name, tc := range map[string]struct {
		change func(http.Header)
		status int
		says   string
	}{
		"good":               {func(http.Header) {}, 200, ""},
		"older version":      {func(h http.Header) { h.Set("Anthropic-Version", "2023-01-01") }, 200, ""},
		"no key":             {func(h http.Header) { h.Del("X-Api-Key") }, 401, "x-api-key header is required"},
		"wrong key":          {func(h http.Header) { h.Set("X-Api-Key", DemoAPIKey+"x") }, 401, "invalid x-api-key"},
		"two keys":           {func(h http.Header) { h.Add("X-Api-Key", DemoAPIKey) }, 401, "x-api-key"},
		"bearer":             {func(h http.Header) { h.Del("X-Api-Key"); h.Set("Authorization", "Bearer "+DemoAPIKey) }, 401, "x-api-key"},
		"no version":         {func(h http.Header) { h.Del("Anthropic-Version") }, 400, "anthropic-version: header is required"},
		"unknown version":    {func(h http.Header) { h.Set("Anthropic-Version", "2030-01-01") }, 400, "anthropic-version"},
		"wrong key, version": {func(h http.Header) { h.Set("X-Api-Key", "a"); h.Del("Anthropic-Version") }, 401, "invalid x-api-key"},
	} {
		t.Run(name, func(t *testing.T) {
			g.set(Fault{Kind: SystemError500})
			if tc.status == 200 {
				g.set()
			}
			req := g.keyed("POST", pathMessages, messagesBody("x", ""))
			tc.change(req.Header)
			o := g.try(req)
			var a claudeAnswer
			decode(t, o.body, &a)
			if o.status != tc.status || !strings.Contains(a.Error.Message, tc.says) || a.Error.Type != map[int]string{
				400: "invalid_request_error", 401: "authentication_error",
			}[tc.status] {
				t.Errorf("%d %+v", o.status, a.Error)
			}
			if a.RequestID != "" && a.RequestID != o.header.Get("Request-Id") {
				t.Errorf("request id %s, header %s", a.RequestID, o.header.Get("Request-Id"))
			}
			if strings.Contains(o.body, DemoAPIKey) {
				t.Error("the answer holds the key")
			}
		})
	}
}

func TestClaudeModels(t *testing.T) {
	g := newClaude(t)
	resp, err := g.do(g.keyed("GET", pathModels, nil))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Data []struct {
			Type, ID    string
			DisplayName string `json:"display_name"`
			CreatedAt   string `json:"created_at"`
		}
		HasMore *bool  `json:"has_more"`
		First   string `json:"first_id"`
		Last    string `json:"last_id"`
	}
	g.read(resp, 200, &got)
	if len(got.Data) != 3 || got.Data[0].ID != "claude-haiku-4-5" || got.Data[0].Type != "model" || got.Data[0].DisplayName == "" ||
		got.Data[0].CreatedAt != "2026-01-01T00:00:00Z" || got.HasMore == nil || *got.HasMore || got.First != got.Data[0].ID || got.Last != got.Data[2].ID {
		t.Errorf("got %+v", got)
	}
}
