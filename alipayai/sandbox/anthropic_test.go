package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// ask sends a Messages request and reads the answer, which must have that status.
func (g *rig) ask(body []byte, status int) (a claudeAnswer) {
	g.t.Helper()
	resp, err := g.do(g.keyed("POST", pathMessages, body))
	if err != nil {
		g.t.Fatal(err)
	}
	g.read(resp, status, &a)
	if resp.Header.Get("Request-Id") == "" {
		g.t.Error("no Request-Id")
	}
	return a
}

func newClaude(t *testing.T) *rig {
	return newRig(t, Config{Format: Anthropic, RequestsPerSecond: -1})
}

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

const claudeTools = `,"tools":[{"name":"get_time","input_schema":{"type":"object"}},{"name":"get_weather","description":"d","type":"custom",` +
	`"input_schema":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city","days"]}}]`

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

// kinds lists the events of a stream, with the index and type of blocks and deltas.
func streamKinds(t *testing.T, body string) (out []string) {
	t.Helper()
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		name, data, _ := strings.Cut(event, "\n")
		var a claudeAnswer
		decode(t, strings.TrimPrefix(data, "data: "), &a)
		kind := a.Type
		switch {
		case a.Block.Type != "":
			kind += " " + a.Block.Type
		case a.Delta.Type != "":
			kind += " " + a.Delta.Type
		case a.Delta.StopReason != nil:
			kind += " " + *a.Delta.StopReason
		}
		if strings.Contains(kind, "content_block") {
			kind = string(rune('0'+a.Index)) + " " + kind
		}
		if "event: "+a.Type != name {
			t.Errorf("%s has the data of %s", name, a.Type)
		}
		out = append(out, kind)
	}
	return out
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

func TestMessagesRefusals(t *testing.T) {
	g := newClaude(t)
	turns := func(list string) string {
		return `{"model":"claude-haiku-4-5","max_tokens":9,"messages":[` + list + `]}`
	}
	user := func(content string) string { return `{"role":"user","content":` + content + `}` }
	const (
		call   = `{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{}},{"type":"tool_use","id":"t2","name":"f","input":{}}]}`
		result = `{"type":"tool_result","tool_use_id":"t1"},{"type":"tool_result","tool_use_id":"t2"}`
	)
	with := func(extra string) string { return string(messagesBody("x", ","+extra)) }
	without := func(field string) string { return strings.Replace(string(messagesBody("x", "")), field, "", 1) }
	for name, tc := range map[string]struct{ body, says string }{
		"no JSON":               {`{`, "Input should be an object"},
		"a list":                {`[]`, "Input should be an object"},
		"null":                  {`null`, "Input should be an object"},
		"no model":              {without(`"model":"claude-haiku-4-5",`), "model: Field required"},
		"no max_tokens":         {without(`"max_tokens":4096,`), "max_tokens: Field required"},
		"max_tokens zero":       {strings.Replace(with(`"stream":false`), "4096", "0", 1), "max_tokens: Input should be greater"},
		"max_tokens fraction":   {strings.Replace(with(`"stream":false`), "4096", "1.5", 1), "max_tokens: Input should be a valid integer"},
		"max_tokens null":       {strings.Replace(with(`"stream":false`), "4096", "null", 1), "max_tokens: Input should be a valid integer"},
		"unknown field":         {with(`"seed":1`), "seed: Extra inputs are not permitted"},
		"OpenAI's field":        {with(`"max_completion_tokens":1`), "max_completion_tokens: Extra inputs are not permitted"},
		"OpenAI's stop":         {with(`"stop":["a"]`), "stop: Extra inputs are not permitted"},
		"temperature high":      {with(`"temperature":1.1`), "temperature: Input should be 0 to 1"},
		"temperature negative":  {with(`"temperature":-1`), "temperature"},
		"temperature word":      {with(`"temperature":"1"`), "temperature: Input should be a valid number"},
		"top_p":                 {with(`"top_p":2`), "top_p"},
		"top_k":                 {with(`"top_k":-1`), "top_k"},
		"stream word":           {with(`"stream":"yes"`), "stream: Input should be a valid boolean"},
		"service tier":          {with(`"service_tier":"flex"`), "service_tier"},
		"metadata":              {with(`"metadata":{"user":"x"}`), "metadata.user: Extra inputs are not permitted"},
		"blank stop":            {with(`"stop_sequences":["a"," "]`), "stop_sequences.1: each stop sequence must contain non-whitespace"},
		"stop word":             {with(`"stop_sequences":"a"`), "stop_sequences"},
		"system role":           {turns(`{"role":"system","content":"x"},` + user(`"x"`)), `Unexpected role "system"`},
		"unknown role":          {turns(user(`"x"`) + `,{"role":"tool","content":"x"}`), "messages.1.role: Input should be 'user' or 'assistant'"},
		"no role":               {turns(`{"content":"x"}`), "messages.0.role: Field required"},
		"no content":            {turns(`{"role":"user"}`), "messages.0.content: Field required"},
		"content null":          {turns(user(`null`)), "messages.0.content: Input should be a valid string"},
		"content number":        {turns(user(`7`)), "messages.0.content: Input should be a valid string"},
		"field of a turn":       {turns(`{"role":"user","content":"x","name":"n"}`), "messages.0.name: Extra inputs are not permitted"},
		"no turns":              {turns(``), "messages: at least one message is required"},
		"no messages":           {`{"model":"m","max_tokens":9}`, "messages: Field required"},
		"assistant first":       {turns(`{"role":"assistant","content":"x"}`), `first message must use the "user" role`},
		"two users":             {turns(user(`"x"`) + "," + user(`"y"`)), `found multiple "user" roles in a row`},
		"empty content":         {turns(user(`""`)), "non-empty content"},
		"blank content":         {turns(user(`" "`)), "non-empty content"},
		"no blocks":             {turns(user(`[]`)), "non-empty content"},
		"empty text block":      {turns(user(`[{"type":"text","text":""},{"type":"text","text":"a"}]`)), "text content blocks must be non-empty"},
		"block without type":    {turns(user(`[{"text":"a"}]`)), "messages.0.content.0: Unable to extract tag"},
		"block that is none":    {turns(user(`["a"]`)), "messages.0.content.0: Unable to extract tag"},
		"OpenAI's image":        {turns(user(`[{"type":"image_url","image_url":{"url":"u"}}]`)), `messages.0.content.0: Input tag "image_url" found`},
		"field of a block":      {turns(user(`[{"type":"text","text":"a","x":1}]`)), "messages.0.content.0.text.x: Extra inputs are not permitted"},
		"image without source":  {turns(user(`[{"type":"image"}]`)), "messages.0.content.0.image.source: Field required"},
		"image of unknown kind": {turns(user(`[{"type":"image","source":{"type":"hex"}}]`)), "source.type: Input should be one of"},
		"image, kind missing":   {turns(user(`[{"type":"image","source":{"url":"https://x"}}]`)), "source.type: Field required"},
		"image, bad base64":     {turns(user(`[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"***"}}]`)), "source.data"},
		"image as data URL":     {turns(user(`[{"type":"image","source":{"type":"url","url":"data:image/png;base64,AAAA"}}]`)), "Only HTTPS URLs are supported"},
		"image by http":         {turns(user(`[{"type":"image","source":{"type":"url","url":"http://x"}}]`)), "source.url: Only HTTPS URLs are supported"},
		"blank at the end":      {turns(user(`"x"`) + `,{"role":"assistant","content":"The answer is "}`), "messages: final assistant content cannot end with trailing whitespace"},
		"blank block at last":   {turns(user(`"x"`) + `,{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"text","text":"b\n"}]}`), "trailing whitespace"},
		"call by the user":      {turns(user(`[{"type":"tool_use","id":"t","name":"f","input":{}}]`)), `Input tag "tool_use" found`},
		"result by assistant":   {turns(user(`"x"`) + `,{"role":"assistant","content":[{"type":"tool_result","tool_use_id":"t"}]}`), `Input tag "tool_result" found`},
		"result without call":   {turns(user(`[{"type":"tool_result","tool_use_id":"t"}]`)), "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t."},
		"call without result":   {turns(user(`"x"`) + "," + call + "," + user(`"y"`)), "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1, t2."},
		"one result missing":    {turns(user(`"x"`) + "," + call + "," + user(`[{"type":"tool_result","tool_use_id":"t2"}]`)), "immediately after: t1."},
		"words before results":  {turns(user(`"x"`) + "," + call + "," + user(`[{"type":"text","text":"a"},`+result+`]`)), "messages.1: `tool_use` ids were found"},
		"call id repeats":       {turns(user(`"x"`) + "," + call + "," + user(`[`+result+`]`) + "," + call + "," + user(`[`+result+`]`)), "messages.3.content.0: `tool_use` ids must be unique"},
		"unknown tool found":    {turns(user(`"x"`) + "," + call + "," + user(`[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"tool_reference","tool_name":"gone"}]},{"type":"tool_result","tool_use_id":"t2"}]`)), "Tool reference 'gone' has no corresponding tool definition"},
		"tool found by a user":  {turns(user(`[{"type":"tool_reference","tool_name":"gone"}]`)), `Input tag "tool_reference" found`},
		"result twice":          {turns(user(`"x"`) + "," + call + "," + user(`[`+result+`,{"type":"tool_result","tool_use_id":"t1"}]`)), "single result"},
		"call at the end":       {turns(user(`"x"`) + "," + call), "messages.1: `tool_use` ids were found"},
		"call with text input":  {turns(user(`"x"`) + `,{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":"{}"}]},` + user(`"x"`)), "input: Input should be a valid object"},
		"tool without schema":   {with(`"tools":[{"name":"f"}]`), "tools.0.input_schema: Field required"},
		"tool, schema's type":   {with(`"tools":[{"name":"f","input_schema":{}}]`), "tools.0.input_schema.type"},
		"tool without name":     {with(`"tools":[{"input_schema":{"type":"object"}}]`), "tools.0.name: Field required"},
		"tool, name":            {with(`"tools":[{"name":"a b","input_schema":{"type":"object"}}]`), "tools.0.name: String should match pattern"},
		"tools with one name":   {with(`"tools":[{"name":"f","input_schema":{"type":"object"}},{"name":"f","input_schema":{"type":"object"}}]`), "unique"},
		"OpenAI's tool":         {with(`"tools":[{"type":"function","function":{"name":"f"}}]`), "tools.0.function: Extra inputs are not permitted"},
		"choice without tools":  {with(`"tool_choice":{"type":"auto"}`), "tool_choice"},
		"OpenAI's choice":       {with(`"tool_choice":"auto"` + claudeTools), "tool_choice: Input should be an object"},
		"choice of unknown":     {with(`"tool_choice":{"type":"tool","name":"g"}` + claudeTools), "Tool 'g' not found"},
		"choice, kind":          {with(`"tool_choice":{"type":"required"}` + claudeTools), "tool_choice.type"},
		"choice without kind":   {with(`"tool_choice":{}` + claudeTools), "tool_choice.type: Field required"},
		"thinking, budget":      {with(`"thinking":{"type":"enabled","budget_tokens":10}`), "thinking.budget_tokens"},
		"thinking, most":        {with(`"thinking":{"type":"enabled","budget_tokens":5000}`), "`max_tokens` must be greater"},
		"thinking, temperature": {with(`"temperature":0.5,"max_tokens":4096,"thinking":{"type":"enabled","budget_tokens":1024}`), "`temperature` may only be set to 1"},
		"thinking, top_p":       {with(`"top_p":0.5,"max_tokens":4096,"thinking":{"type":"enabled","budget_tokens":1024}`), "`top_p` must be greater"},
		"thinking, forced tool": {with(`"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"},"max_tokens":4096,"thinking":{"type":"enabled","budget_tokens":1024}`), "forces tool use"},
		"tool, union":           {with(`"tools":[{"name":"f","input_schema":{"type":"object","anyOf":[]}}]`), "does not support oneOf, allOf, or anyOf"},
		"thinking, kind":        {with(`"thinking":{"type":"on"}`), "thinking.type"},
		"bad mark":              {string(messagesBody("[[events:0]]", "")), "events"},
	} {
		t.Run(name, func(t *testing.T) {
			a := g.ask([]byte(tc.body), 400)
			if a.Error.Type != "invalid_request_error" || !strings.Contains(a.Error.Message, tc.says) {
				t.Errorf("got %+v, want %q", a.Error, tc.says)
			}
		})
	}
	for name, tc := range map[string]struct {
		request *http.Request
		status  int
		code    string
	}{
		"unknown model": {g.keyed("POST", pathMessages, []byte(strings.Replace(string(messagesBody("x", "")), "haiku", "opus", 1))), 404, "not_found_error"},
		"unknown path":  {g.keyed("POST", "/v1/complete", nil), 404, "not_found_error"},
		"chat path":     {g.keyed("POST", pathChat, nil), 404, "not_found_error"},
		"wrong method":  {g.keyed("GET", pathMessages, nil), 405, "invalid_request_error"},
		"too large":     {g.keyed("POST", pathMessages, make([]byte, maxBody+1)), 413, "request_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			o := g.try(tc.request)
			if s := anthropicDialect().body(t, o.body); o.status != tc.status || s.failure != tc.code {
				t.Errorf("%d %s", o.status, o.body)
			}
		})
	}
}

func TestMessagesAccepts(t *testing.T) {
	g := newClaude(t)
	for name, turns := range map[string]string{
		"prefill":          `{"role":"user","content":"x"},{"role":"assistant","content":"The answer is ("}`,
		"empty at the end": `{"role":"user","content":"x"},{"role":"assistant","content":""}`,
		"thinking back": `{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},` +
			`{"type":"redacted_thinking","data":"d"},{"type":"text","text":"a"}]},{"role":"user","content":"y"}`,
		"document": `{"role":"user","content":[{"type":"document","title":"t","source":{"type":"text","media_type":"text/plain","data":"d"}},{"type":"text","text":"a"}]}`,
		"results, then words": `{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"x":1}},` +
			`{"type":"tool_use","id":"b","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"b","is_error":true,"content":"no"},` +
			`{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":{"type":"url","url":"https://x"}}]},{"type":"text","text":"so?"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			g.ask([]byte(`{"model":"claude-haiku-4-5","max_tokens":9,"messages":[`+turns+`]}`), 200)
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

func FuzzParseMessages(f *testing.F) {
	f.Add(messagesBody("hello", `,"stream":true,"temperature":0.5`))
	f.Add(messagesBody("use the tool", claudeTools+`,"tool_choice":{"type":"any"}`))
	f.Add([]byte(`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"a"}]}]}]}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64"}}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := parseMessages(body)
		if err != nil {
			if err.Error() == "" {
				t.Error("a refusal without words")
			}
			return
		}
		if q.most < 1 || len(q.texts) == 0 {
			t.Fatalf("accepted %s as %+v", body, q)
		}
		// What was accepted is refused with one field more.
		var fields map[string]json.RawMessage
		decode(t, string(body), &fields)
		fields["no such field"] = json.RawMessage("1")
		more, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseMessages(more); err == nil || !strings.Contains(err.Error(), "no such field: Extra inputs are not permitted") {
			t.Errorf("%v with another field in %s", err, body)
		}
	})
}
