package anthropic

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// encode gives the request for body, and what was left out of it.
func encode(t testing.TB, body string) (string, []string) {
	t.Helper()
	encoded, err := format().EncodeRequest(ask(t, body))
	if err != nil {
		t.Fatal(err)
	}
	if !jsontext.Value(encoded.Body).IsValid() {
		t.Fatalf("not valid JSON: %s", encoded.Body)
	}
	return string(encoded.Body), encoded.Unsupported
}

func checkLeft(t *testing.T, got []string, want string) {
	t.Helper()
	if strings.Join(got, " ") != want {
		t.Errorf("left out %q, want %q", got, want)
	}
}

func TestFields(t *testing.T) {
	const messages = `"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]`
	const tools = `,"tools":[{"name":"f","input_schema":{"type":"object"}}]`
	const f = `,"tools":[{"type":"function","function":{"name":"f"}}]`
	const closed = `{ "type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}`
	const asked = "Answer with one JSON object that has neither words nor a code fence around it"
	const user = `,"metadata":{"user_id":"ea086357d69ec3202faf29aba28b963c6cc6f44f394aef20386b12cce2a12027"}` // li@example.com of acme
	tests := map[string]struct {
		fields string
		limit  string // empty: 8192
		want   string // after the messages
		left   string
		system string // a text before them
	}{
		"none":                       {},
		"null":                       {fields: `,"max_tokens":null,"tools":null,"tool_choice":null,"stop":null,"temperature":null,"user":null,"seed":null,"n":null,"x":null,"thinking":null,"stream_options":null,"parallel_tool_calls":null`},
		"defaults":                   {fields: `,"n":1.0,"frequency_penalty":0,"presence_penalty":0.00,"logit_bias":{ },"logprobs":false,"top_logprobs":0,"metadata":{},"modalities":["text"],"response_format":{"type":"text"},"service_tier":"auto","store":false,"temperature":1,"top_p":1.0,"functions":[],"function_call":"none","verbosity":"medium","reasoning_effort":"none","tools":[],"stop":[]`},
		"max_tokens":                 {fields: `,"max_tokens":7`, limit: "7"},
		"max_completion_tokens":      {fields: `,"max_completion_tokens":9`, limit: "9"},
		"both limits":                {fields: `,"max_completion_tokens":9,"max_tokens":7`, limit: "9"},
		"temperature":                {fields: `,"temperature":0.70`, want: `,"temperature":0.70`},
		"temperature zero":           {fields: `,"temperature":0`, want: `,"temperature":0`},
		"temperature above one":      {fields: `,"temperature":1.5`, left: "temperature"},
		"top_p":                      {fields: `,"top_p":0.9`, want: `,"top_p":0.9`},
		"temperature and top_p":      {fields: `,"top_p":0.9,"temperature":0.5`, want: `,"temperature":0.5`, left: "top_p"},
		"default and top_p":          {fields: `,"top_p":0.9,"temperature":1`, want: `,"top_p":0.9`},
		"stop":                       {fields: `,"stop":"\u4eca"`, want: `,"stop_sequences":["\u4eca"]`},
		"stops":                      {fields: `,"stop":["a","","b"]`, want: `,"stop_sequences":["a","b"]`},
		"blank stop":                 {fields: `,"stop":[" \n","b"]`, want: `,"stop_sequences":["b"]`, left: "stop"},
		"user":                       {fields: `,"user":"li@example.com"`, want: user},
		"safety_identifier":          {fields: `,"safety_identifier":"li@example.com"`, want: user},
		"two users":                  {fields: `,"safety_identifier":"li@example.com","user":"x"`, want: user, left: "user"},
		"one user twice":             {fields: `,"safety_identifier":"li@example.com","user":"li@example.com"`, want: user},
		"empty user":                 {fields: `,"user":""`},
		"stream":                     {fields: `,"stream":true`, want: `,"stream":true`},
		"no stream":                  {fields: `,"stream":false`},
		"stream options":             {fields: `,"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}`, want: `,"stream":true`},
		"obfuscation":                {fields: `,"stream":true,"stream_options":{"include_obfuscation":true}`, want: `,"stream":true`, left: "stream_options.include_obfuscation"},
		"thinking":                   {fields: `,"thinking":{"type":"enabled","budget_tokens":2048}`, limit: "10240", want: `,"thinking":{"type":"enabled","budget_tokens":2048}`},
		"thinking in a limit":        {fields: `,"max_tokens":4096,"thinking":{"type":"enabled","budget_tokens":2048}`, limit: "4096", want: `,"thinking":{"type":"enabled","budget_tokens":2048}`},
		"thinking without end":       {fields: `,"thinking":{"budget_tokens":9223372036854775807}`, limit: "12288", want: `,"thinking":{"type":"enabled","budget_tokens":4096}`, left: "thinking.budget_tokens"},
		"tool choice auto":           {fields: f + `,"tool_choice":"auto"`, want: tools},
		"tool choice none":           {fields: f + `,"tool_choice":"none"`, want: tools + `,"tool_choice":{"type":"none"}`},
		"tool choice required":       {fields: f + `,"tool_choice":"required"`, want: tools + `,"tool_choice":{"type":"any"}`},
		"tool choice named":          {fields: f + `,"tool_choice":{"type":"function","function":{"name":"f"}}`, want: tools + `,"tool_choice":{"type":"tool","name":"f"}`},
		"functions":                  {fields: `,"functions":[{"name":"f"}]`, want: tools + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`},
		"functions, one of them":     {fields: `,"function_call":{"name":"f"},"functions":[{"name":"f"}]`, want: tools + `,"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}`},
		"functions, none of them":    {fields: `,"function_call":"none","functions":[{"name":"f"}]`, want: tools + `,"tool_choice":{"type":"none"}`},
		"functions beside tools":     {fields: `,"functions":[{"name":"g"}]` + f, want: `,"tools":[{"name":"g","input_schema":{"type":"object"}},{"name":"f","input_schema":{"type":"object"}}]`},
		"tool choice allowed":        {fields: `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}},"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]`, want: tools + `,"tool_choice":{"type":"any"}`},
		"tool choice allowed, auto":  {fields: f + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}`, want: tools},
		"no tool allowed":            {fields: f + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}`},
		"tool choice custom":         {fields: f + `,"tool_choice":{"type":"custom","custom":{"name":"x"}}`, want: tools, left: "tool_choice.custom"},
		"tool choice unknown":        {fields: f + `,"tool_choice":{"type":"S3CR3T","of":1}`, want: tools, left: "tool_choice.of tool_choice.type"},
		"one at a time":              {fields: f + `,"parallel_tool_calls":false`, want: tools + `,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`},
		"one at a time, required":    {fields: f + `,"parallel_tool_calls":false,"tool_choice":"required"`, want: tools + `,"tool_choice":{"type":"any","disable_parallel_tool_use":true}`},
		"one at a time, named":       {fields: f + `,"parallel_tool_calls":false,"tool_choice":{"type":"function","function":{"name":"f"}}`, want: tools + `,"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}`},
		"one at a time, none":        {fields: f + `,"parallel_tool_calls":false,"tool_choice":"none"`, want: tools + `,"tool_choice":{"type":"none"}`},
		"parallel":                   {fields: f + `,"parallel_tool_calls":true`, want: tools},
		"choice without tools":       {fields: `,"tool_choice":"auto","parallel_tool_calls":false`},
		"demand without tools":       {fields: `,"tool_choice":"required"`, left: "tool_choice"},
		"demand for a hosted tool":   {fields: `,"tools":[{"type":"web_search"}],"tool_choice":"required"`, left: "tool_choice tools.type"},
		"what has no counterpart":    {fields: `,"n":2,"logprobs":true,"top_logprobs":3,"seed":1,"frequency_penalty":0.5,"presence_penalty":-1,"logit_bias":{"50256":-100},"audio":{"voice":"alloy"},"modalities":["text","audio"],"prediction":{"type":"content","content":"x"},"service_tier":"flex","store":true,"metadata":{"k":"v"},"reasoning_effort":"high","verbosity":"low","web_search_options":{},"prompt_cache_key":"k"`, left: "audio frequency_penalty logit_bias logprobs metadata modalities n prediction presence_penalty prompt_cache_key reasoning_effort seed service_tier store top_logprobs verbosity web_search_options"},
		"response schema":            {fields: `,"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":` + closed + `}}`, want: `,"output_config":{"format":{"type":"json_schema","schema":` + closed + `}}`},
		"response schema, described": {fields: `,"response_format":{"json_schema":{"schema":` + closed + `,"description":"d"},"type":"json_schema"}`, want: `,"output_config":{"format":{"type":"json_schema","schema":` + closed + `}}`, left: "response_format.json_schema.description"},
		"response schema and tools":  {fields: `,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":` + closed + `}}` + f, want: tools + `,"output_config":{"format":{"type":"json_schema","schema":` + closed + `}}`},
		"response schema, open":      {fields: `,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}}`, left: "response_format", system: asked + "."},
		"response schema, none":      {fields: `,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":null}}`, left: "response_format", system: asked + "."},
		"response schema, a record":  {fields: `,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","additionalProperties":{"type":"number"}}}}`, left: "response_format", system: asked + `, and that fits this JSON schema: {\"type\":\"object\",\"additionalProperties\":{\"type\":\"number\"}}`},
		"response of text":           {fields: `,"response_format":{"type":"text"}`},
		"response of JSON":           {fields: `,"response_format":{"type":"json_object","x":1}`, left: "response_format response_format.x", system: asked + "."},
		"response of JSON, schema":   {fields: `,"response_format":{"schema":` + closed + `,"type":"json_object"}`, want: `,"output_config":{"format":{"type":"json_schema","schema":` + closed + `}}`},
		"response of JSON, bounded":  {fields: `,"response_format":{"type":"json_object","schema":{"type":"object","properties":{"a":{"type":"string","pattern":"a"}},"required":["a"],"additionalProperties":false}}`, left: "response_format.schema.pattern", want: `,"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string","description":"{pattern: \"a\"}"}},"additionalProperties":false,"required":["a"]}}}`},
		"response of JSON, a record": {fields: `,"response_format":{"type":"json_object","schema":{"type":"object","additionalProperties":{"type":"number"}}}`, left: "response_format", system: asked + `, and that fits this JSON schema: {\"type\":\"object\",\"additionalProperties\":{\"type\":\"number\"}}`},
		"response of text, schema":   {fields: `,"response_format":{"type":"text","schema":{"type":"object"}}`, left: "response_format.schema"},
		"response of another kind":   {fields: `,"response_format":{"type":"S3CR3T"}`, left: "response_format"},
		"unknown":                    {fields: `,"enable_search":false`, left: "enable_search"},
		"unknown, hostile":           {fields: `,"a\r\nX-Evil: \u65e5b":1`, left: "a??X-Evil:??b"},
		"unknown, nothing to see":    {fields: `,"\u65e5":1,"":1`, left: "?"},
		"unknown, long":              {fields: `,"` + strings.Repeat("x", 100) + `":1`, left: strings.Repeat("x", 64)},
		"unknown, in a known object": {fields: `,"tools":[{"type":"function","cache_control":{},"function":{"name":"f","x":1}}]`, want: tools, left: "tools.cache_control tools.function.x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, left := encode(t, `{"model":"gpt","messages":[{"role":"user","content":"hi"}]`+tt.fields+`}`)
			limit := tt.limit
			if limit == "" {
				limit = "8192"
			}
			system := ""
			if tt.system != "" {
				system = `"system":[{"type":"text","text":"` + tt.system + `"}],`
			}
			if want := `{"model":"claude-haiku-4-5","max_tokens":` + limit + `,` + system + messages + tt.want + `}`; got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			checkLeft(t, left, tt.left)
		})
	}
}

func TestNamesAreBounded(t *testing.T) {
	for n, want := range map[int]int{translate.MaxNames: translate.MaxNames, translate.MaxNames + 1: translate.MaxNames + 1, 1000: translate.MaxNames + 1} {
		var fields strings.Builder
		for i := range n {
			fmt.Fprintf(&fields, `,"f%03d":1`, i)
		}
		_, left := encode(t, `{"model":"m","messages":[{"role":"user","content":"hi"}]`+fields.String()+`}`)
		if len(left) != want || !slices.IsSorted(left) || !slices.Contains(left, "f000") || slices.Contains(left, "...") != (n > translate.MaxNames) {
			t.Errorf("%d of %d names: %q", len(left), n, left)
		}
	}
}

func TestUserIDs(t *testing.T) {
	id := func(tenant, user string) string {
		a := ask(t, `{"model":"m","user":"`+user+`","messages":[{"role":"user","content":"hi"}]}`)
		a.Tenant = tenant
		encoded, err := format().EncodeRequest(a)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(encoded.Body), `"metadata":{"user_id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		if len(id) != 64 {
			t.Fatalf("user_id = %q", id)
		}
		return id
	}
	if first, again := id("acme", "li"), id("acme", "li"); first != again {
		t.Errorf("one user has two ids: %q, %q", first, again)
	}
	ids := []string{id("acme", "li"), id("acme", "wu"), id("bank", "li"), id("acm", "eli"), id("acmel", "i")}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 5 {
		t.Errorf("two users have one id: %q", ids)
	}
}

func TestRequestErrors(t *testing.T) {
	const secret = "S3CR3T" // stands for what the client sent, and may not come back
	call := func(function string) string {
		return `"messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function"` + function + `}]}]`
	}
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	image := func(url string) string {
		return `"messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":` + url + `}]}]`
	}
	const arguments, url = "messages[1].tool_calls[1].function.arguments", "messages[0].content[1].image_url.url"
	tests := map[string]struct{ fields, code, param string }{
		"no turns":                   {`"messages":[{"role":"system","content":""}]`, wire.CodeInvalidValue, "messages"},
		"empty turns":                {`"messages":[{"role":"user","content":""},{"role":"assistant","content":null}]`, wire.CodeInvalidValue, "messages"},
		"message that is none":       {`"messages":["` + secret + `"]`, wire.CodeInvalidType, "messages[0]"},
		"no role":                    {`"messages":[{"content":"hi"}]`, wire.CodeMissingParameter, "messages[0].role"},
		"role of another type":       {`"messages":[{"role":1}]`, wire.CodeInvalidType, "messages[0].role"},
		"unknown role":               {`"messages":[{"role":"` + secret + `","content":"hi"}]`, wire.CodeInvalidValue, "messages[0].role"},
		"content of another type":    {`"messages":[{"role":"user","content":7}]`, wire.CodeInvalidType, "messages[0].content"},
		"part that is none":          {`"messages":[{"role":"user","content":["` + secret + `"]}]`, wire.CodeInvalidType, "messages[0].content[0]"},
		"part without type":          {`"messages":[{"role":"user","content":[{"text":"hi"}]}]`, wire.CodeMissingParameter, "messages[0].content[0].type"},
		"text part without text":     {`"messages":[{"role":"user","content":[{"type":"text"}]}]`, wire.CodeMissingParameter, "messages[0].content[0].text"},
		"text of another type":       {`"messages":[{"role":"user","content":[{"type":"text","text":["` + secret + `"]}]}]`, wire.CodeInvalidType, "messages[0].content[0].text"},
		"image without image_url":    {`"messages":[{"role":"user","content":[{"type":"image_url"}]}]`, wire.CodeMissingParameter, "messages[0].content[0].image_url"},
		"image as a string":          {image(`"` + secret + `"`), wire.CodeInvalidValue, "messages[0].content[1].image_url"},
		"image without url":          {image(`{}`), wire.CodeMissingParameter, url},
		"image of another scheme":    {image(`{"url":"file:///etc/` + secret + `"}`), wire.CodeInvalidValue, url},
		"image of no scheme":         {image(`{"url":"` + secret + `"}`), wire.CodeInvalidValue, url},
		"image of another type":      {image(`{"url":"data:image/svg+xml;base64,` + secret + `"}`), wire.CodeInvalidValue, url},
		"image not in base64":        {image(`{"url":"data:image/png,` + secret + `"}`), wire.CodeInvalidValue, url},
		"image without data":         {image(`{"url":"data:image/png;base64,"}`), wire.CodeInvalidValue, url},
		"image without comma":        {image(`{"url":"data:image/png;base64"}`), wire.CodeInvalidValue, url},
		"tool calls of another type": {`"messages":[{"role":"assistant","tool_calls":{}}]`, wire.CodeInvalidType, "messages[0].tool_calls"},
		"call that is none":          {`"messages":[{"role":"assistant","tool_calls":[7]}]`, wire.CodeInvalidType, "messages[0].tool_calls[0]"},
		"call without id":            {`"messages":[{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"}}]}]`, wire.CodeMissingParameter, "messages[0].tool_calls[0].id"},
		"call without function":      {call(``), wire.CodeMissingParameter, "messages[1].tool_calls[1].function"},
		"call without name":          {call(`,"function":{"arguments":"{}"}`), wire.CodeMissingParameter, "messages[1].tool_calls[1].function.name"},
		"call without arguments":     {call(`,"function":{"name":"f"}`), wire.CodeMissingParameter, arguments},
		"arguments as an object":     {call(`,"function":{"name":"f","arguments":{"k":"` + secret + `"}}`), wire.CodeInvalidType, arguments},
		"result without id":          {`"messages":[{"role":"tool","content":"1"}]`, wire.CodeMissingParameter, "messages[0].tool_call_id"},
		"result of another type":     {`"messages":[{"role":"tool","tool_call_id":"a","content":{}}]`, wire.CodeInvalidType, "messages[0].content"},
		"limit below one":            {hi + `,"max_tokens":0`, wire.CodeInvalidValue, "max_tokens"},
		"limit with a fraction":      {hi + `,"max_completion_tokens":1.5`, wire.CodeInvalidValue, "max_completion_tokens"},
		"limit as a string":          {hi + `,"max_tokens":"7"`, wire.CodeInvalidType, "max_tokens"},
		"temperature too high":       {hi + `,"temperature":2.1`, wire.CodeInvalidValue, "temperature"},
		"temperature below zero":     {hi + `,"temperature":-0.1`, wire.CodeInvalidValue, "temperature"},
		"temperature as a string":    {hi + `,"temperature":"0"`, wire.CodeInvalidType, "temperature"},
		"top_p too high":             {hi + `,"top_p":1e999`, wire.CodeInvalidValue, "top_p"},
		"stop of another type":       {hi + `,"stop":{"a":1}`, wire.CodeInvalidType, "stop"},
		"stop holds a number":        {hi + `,"stop":["a",1]`, wire.CodeInvalidType, "stop[1]"},
		"user of another type":       {hi + `,"user":["` + secret + `"]`, wire.CodeInvalidType, "user"},
		"parallel of another type":   {hi + `,"parallel_tool_calls":"no"`, wire.CodeInvalidType, "parallel_tool_calls"},
		"options of another type":    {hi + `,"stream_options":[]`, wire.CodeInvalidType, "stream_options"},
		"functions of another type":  {hi + `,"functions":{}`, wire.CodeInvalidType, "functions"},
		"function that is none":      {hi + `,"functions":[null]`, wire.CodeInvalidType, "functions[0]"},
		"function without name":      {hi + `,"functions":[{}]`, wire.CodeMissingParameter, "functions[0].name"},
		"function called with none":  {`"messages":[{"role":"assistant","function_call":{"name":"f"}}]`, wire.CodeMissingParameter, "messages[0].function_call.arguments"},
		"tools of another type":      {hi + `,"tools":{}`, wire.CodeInvalidType, "tools"},
		"tool that is none":          {hi + `,"tools":[null]`, wire.CodeInvalidType, "tools[0]"},
		"tool without function":      {hi + `,"tools":[{"type":"function"}]`, wire.CodeMissingParameter, "tools[0].function"},
		"tool without name":          {hi + `,"tools":[{"type":"function","function":{}}]`, wire.CodeMissingParameter, "tools[0].function.name"},
		"description of numbers":     {hi + `,"tools":[{"type":"function","function":{"name":"f","description":1}}]`, wire.CodeInvalidType, "tools[0].function.description"},
		"parameters of text":         {hi + `,"tools":[{"type":"function","function":{"name":"f","parameters":"` + secret + `"}}]`, wire.CodeInvalidType, "tools[0].function.parameters"},
		"strict of text":             {hi + `,"tools":[{"type":"function","function":{"name":"f","strict":"yes"}}]`, wire.CodeInvalidType, "tools[0].function.strict"},
		"response format of text":    {hi + `,"response_format":"` + secret + `"`, wire.CodeInvalidType, "response_format"},
		"response without schema":    {hi + `,"response_format":{"type":"json_schema"}`, wire.CodeMissingParameter, "response_format.json_schema"},
		"response schema of text":    {hi + `,"response_format":{"type":"json_schema","json_schema":"` + secret + `"}`, wire.CodeInvalidType, "response_format.json_schema"},
		"unknown choice":             {hi + `,"tool_choice":"` + secret + `"`, wire.CodeInvalidValue, "tool_choice"},
		"choice of another type":     {hi + `,"tool_choice":7`, wire.CodeInvalidType, "tool_choice"},
		"choice without function":    {hi + `,"tool_choice":{"type":"function"}`, wire.CodeMissingParameter, "tool_choice.function"},
		"choice without name":        {hi + `,"tool_choice":{"type":"function","function":{}}`, wire.CodeMissingParameter, "tool_choice.function.name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			// A wrong type is refused by whoever reads it first.
			request, err := wire.ParseChatRequest([]byte(`{"model":"m",`+tt.fields+`}`), wire.Limits{})
			var encoded wire.Encoded
			if err == nil {
				if tt.code == wire.CodeInvalidType {
					t.Error("the door takes it, and another provider would be sent it")
				}
				encoded, err = format().EncodeRequest(wire.Ask{Request: request, UpstreamModel: "claude-haiku-4-5", ID: "call", Tenant: "acme"})
			}
			re, ok := errors.AsType[*wire.RequestError](err)
			if !ok {
				t.Fatalf("err = %v, body %s: want a *wire.RequestError", err, encoded.Body)
			}
			if re.Code != tt.code || re.Param != tt.param || !strings.Contains(re.Message, "'"+tt.param+"'") {
				t.Errorf("got %s, param %q: %s; want %s, param %q", re.Code, re.Param, re.Message, tt.code, tt.param)
			}
			if strings.Contains(re.Message, secret) {
				t.Errorf("the error quotes the payload: %s", re.Message)
			}
			if encoded.Body != nil || re.HTTP().Status != http.StatusBadRequest {
				t.Errorf("a body beside the error: %s", encoded.Body)
			}
		})
	}
	t.Run("body that no gateway accepts", func(t *testing.T) {
		for _, body := range []string{"", "[]", `{"messages":[{"role":"user"`, `{"a":1}{}`} {
			_, err := format().EncodeRequest(wire.Ask{Request: wire.Request{Body: []byte(body)}})
			if _, ok := errors.AsType[*wire.RequestError](err); !ok {
				t.Errorf("%q: err = %v", body, err)
			}
		}
	})
}
