package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

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
