package nextbuilder

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// sent is a request as the platform reads it.
type sent struct {
	AgentID       string `json:"agent_id"`
	OuterUserID   string `json:"outer_user_id"`
	Query         string `json:"query"`
	RequestID     string `json:"request_id"`
	SessionID     string `json:"session_id"`
	LLMThinking   *bool  `json:"llm_thinking"`
	ConfigVersion string `json:"config_version"`
}

func encode(t *testing.T, f Format, ask wire.Ask) (sent, []string) {
	t.Helper()
	encoded, err := f.EncodeRequest(ask)
	if err != nil {
		t.Fatal(err)
	}
	var s sent
	decoder := json.NewDecoder(strings.NewReader(string(encoded.Body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		t.Fatalf("%v in %s", err, encoded.Body)
	}
	return s, encoded.Unsupported
}

const hello = `{"role":"user","content":"hello"}`

func TestEncodeRequest(t *testing.T) {
	f := format
	f.Thinking, f.ConfigVersion = true, "v7"
	encoded, err := f.EncodeRequest(askFor(t, `{"model":"m","messages":[`+hello+`],"user":"jane@example.com"}`))
	if err != nil {
		t.Fatal(err)
	}
	// The hashes are part of the contract: another way to make them loses every session.
	const want = `{"agent_id":"202405AP00045923","outer_user_id":"31d9b81bb360ef4fc2b946ade76ccd17","query":"hello",` +
		`"request_id":"call-1","session_id":"2c3d5554-47de-847e-842a-c3901ccbfc9c","llm_thinking":true,"config_version":"v7"}`
	if got := string(encoded.Body); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if len(encoded.Unsupported) != 0 {
		t.Errorf("unsupported %q", encoded.Unsupported)
	}
}

func TestEncodeRequestFields(t *testing.T) {
	body := func(members string) string { return `{"model":"m","messages":[` + hello + `],` + members + `}` }
	tests := map[string]struct {
		body string
		want []string
	}{
		"delivery":          {body(`"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}`), nil},
		"one caller twice":  {body(`"user":"u","safety_identifier":"u"`), nil},
		"either caller":     {body(`"user":"","safety_identifier":"s"`), nil},
		"two callers":       {body(`"safety_identifier":"s","user":"u"`), []string{"safety_identifier"}},
		"empty caller":      {body(`"safety_identifier":"","user":"u"`), nil},
		"session":           {body(`"metadata":{"session_id":"s"}`), nil},
		"no metadata":       {body(`"metadata":null,"user":null,"safety_identifier":null`), nil},
		"nulls":             {body(`"temperature":null,"tools":null,"seed":null,"unheard_of":null`), nil},
		"defaults":          {body(`"n":1,"temperature":1.0,"top_p":1e0,"logprobs":false,"store":false,"presence_penalty":0,"frequency_penalty":-0`), nil},
		"empty":             {body(`"tools":[ ],"functions":[],"stop":[],"logit_bias":{ }`), nil},
		"text":              {body(`"response_format":{ "type" : "te\u0078t" },"modalities":["text"],"verbosity":"medium","service_tier":"auto"`), nil},
		"no tools to call":  {body(`"tool_choice":"none","parallel_tool_calls":false,"function_call":"auto"`), nil},
		"sampling":          {body(`"temperature":0.2,"top_p":0.9,"seed":1,"presence_penalty":1,"frequency_penalty":1`), []string{"frequency_penalty", "presence_penalty", "seed", "temperature", "top_p"}},
		"length":            {body(`"max_tokens":5,"max_completion_tokens":5,"stop":"x"`), []string{"max_completion_tokens", "max_tokens", "stop"}},
		"tools":             {body(`"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required"`), []string{"tool_choice", "tools"}},
		"several":           {body(`"n":2,"logprobs":true,"top_logprobs":3,"logit_bias":{"1":2}`), []string{"logit_bias", "logprobs", "n", "top_logprobs"}},
		"shape":             {body(`"response_format":{"type":"json_object"},"modalities":["text","audio"],"audio":{}`), []string{"audio", "modalities", "response_format"}},
		"effort":            {body(`"reasoning_effort":"low","web_search_options":{}`), []string{"reasoning_effort", "web_search_options"}},
		"labels":            {body(`"metadata":{"a":"1","b":"2","session_id":"s"},"store":true`), []string{"metadata", "store"}},
		"unknown":           {body(`"unheard_of":0`), []string{"unheard_of"}},
		"no name":           {body(`"":0`), []string{"?"}},
		"long name":         {body(`"` + strings.Repeat("x", 100) + `":0`), []string{strings.Repeat("x", 64)}},
		"unfit for headers": {body(`"a\r\nb: c\u00e9\u7528":0`), []string{"a??b:?c??"}},
		"same when cut":     {body(`"` + strings.Repeat("x", 64) + `a":0,"` + strings.Repeat("x", 64) + `b":0`), []string{strings.Repeat("x", 64)}},
		"other case":        {body(`"User":"u","METADATA":{}`), []string{"METADATA", "User"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, unsupported := encode(t, format, askFor(t, tt.body))
			if !slices.Equal(unsupported, tt.want) {
				t.Errorf("unsupported %q, want %q", unsupported, tt.want)
			}
			if s.Query != "hello" || s.AgentID != format.AgentID || s.RequestID != "call-1" || s.LLMThinking != nil || s.ConfigVersion != "" {
				t.Errorf("sent %+v", s)
			}
		})
	}
}

func TestEncodeRequestMessages(t *testing.T) {
	const turns = `{"role":"user","content":"earlier"},{"role":"assistant","content":"yes?","tool_calls":[{"id":"1"}]},`
	const session = `,"metadata":{"session_id":"s"}`
	tests := map[string]struct {
		messages, more string
		query          string
		want           []string
	}{
		"one":                    {hello, "", "hello", nil},
		"parts":                  {`{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`, "", "a\nb", nil},
		"text as sent":           {`{"role":"user","content":" \u7528\ud83d\ude00\"\n "}`, "", " 用😀\"\n ", nil},
		"history":                {turns + hello, "", "hello", []string{"messages.history"}},
		"history in the session": {turns + hello, session, "hello", nil},
		"session without a name": {turns + hello, `,"metadata":{"session_id":""}`, "hello", []string{"messages.history"}},
		"system":                 {`{"role":"system","content":"s"},` + hello, "", "hello", []string{"messages.system"}},
		"system in a session":    {`{"role":"system","content":"s"},{"role":"developer","content":"d"},` + turns + hello, session, "hello", []string{"messages.developer", "messages.system"}},
		"result of a tool":       {turns + `{"role":"tool","tool_call_id":"1","content":"42"},` + hello, session, "hello", []string{"messages.tool"}},
		"result of a function":   {`{"role":"function","name":"f","content":"42"},` + hello, "", "hello", []string{"messages.function"}},
		"tool called last":       {hello + `,{"role":"assistant","tool_calls":[{"id":"1"}]},{"role":"tool","tool_call_id":"1","content":"42"}`, session, "hello", []string{"messages.history", "messages.tool"}},
		"begun answer":           {hello + `,{"role":"assistant","content":"The answer is"}`, session, "hello", []string{"messages.history"}},
		"image":                  {`{"role":"user","content":[{"type":"text","text":"what?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}`, "", "what?", []string{"messages.content.image_url"}},
		"other media":            {`{"role":"user","content":[{"type":"input_audio"},{"type":"file"},{"type":"text","text":"what?"}]}`, "", "what?", []string{"messages.content.file", "messages.content.input_audio"}},
		"unknown part":           {`{"role":"user","content":[{"type":"secret of the client"},{"type":"text","text":"what?"}]}`, "", "what?", []string{"messages.content"}},
		"name":                   {`{"role":"user","content":"hello","name":"jane","audio":null}`, "", "hello", []string{"messages.name"}},
		"images of the session":  {`{"role":"user","content":[{"type":"image_url"}]},{"role":"assistant","content":"a cat"},` + hello, session, "hello", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, unsupported := encode(t, format, askFor(t, `{"model":"m","messages":[`+tt.messages+`]`+tt.more+`}`))
			if s.Query != tt.query {
				t.Errorf("query %q, want %q", s.Query, tt.query)
			}
			if !slices.Equal(unsupported, tt.want) {
				t.Errorf("unsupported %q, want %q", unsupported, tt.want)
			}
		})
	}
}

func TestEncodeRequestRefuses(t *testing.T) {
	messages := func(m string) string { return `{"model":"m","messages":[` + m + `]}` }
	tests := map[string]struct{ body, param, code string }{
		"no user":               {messages(`{"role":"assistant","content":"a"}`), "messages", wire.CodeMissingParameter},
		"no messages":           {`{"model":"m"}`, "messages", wire.CodeMissingParameter},
		"empty text":            {messages(`{"role":"user","content":""}`), "messages", wire.CodeEmptyString},
		"blank text":            {messages(`{"role":"user","content":" \n"}`), "messages", wire.CodeEmptyString},
		"null text":             {messages(`{"role":"user","content":null}`), "messages", wire.CodeEmptyString},
		"no text":               {messages(`{"role":"user"}`), "messages", wire.CodeEmptyString},
		"image alone":           {messages(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}`), "messages", wire.CodeEmptyString},
		"last text empty":       {messages(hello + `,{"role":"user","content":""}`), "messages", wire.CodeEmptyString},
		"content a number":      {messages(`{"role":"user","content":7}`), "messages", wire.CodeInvalidType},
		"content an object":     {messages(`{"role":"user","content":{"text":"a"}}`), "messages", wire.CodeInvalidType},
		"part a string":         {messages(`{"role":"user","content":["a"]}`), "messages", wire.CodeInvalidType},
		"part's text a number":  {messages(`{"role":"user","content":[{"type":"text","text":7}]}`), "messages", wire.CodeInvalidType},
		"message a string":      {messages(`"hello"`), "messages", wire.CodeInvalidType},
		"message null":          {messages(`null,` + hello), "messages", wire.CodeInvalidType},
		"role a number":         {messages(`{"role":7,"content":"a"}`), "messages", wire.CodeInvalidType},
		"role unknown":          {messages(`{"role":"pirate","content":"a"},` + hello), "messages", wire.CodeInvalidType},
		"messages a string":     {`{"messages":"hello"}`, "messages", wire.CodeInvalidType},
		"user a number":         {`{"messages":[` + hello + `],"user":7}`, "user", wire.CodeInvalidType},
		"identifier an array":   {`{"messages":[` + hello + `],"safety_identifier":[]}`, "safety_identifier", wire.CodeInvalidType},
		"body an array":         {`[]`, "", wire.CodeInvalidType},
		"body cut":              {`{"messages":[`, "", wire.CodeInvalidJSON},
		"body empty":            {``, "", wire.CodeInvalidJSON},
		"body with a key twice": {`{"user":"a","user":"b"}`, "", wire.CodeInvalidJSON},
		"body not UTF-8":        {"{\"user\":\"\xff\"}", "", wire.CodeInvalidJSON},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			encoded, err := format.EncodeRequest(wire.Ask{Request: wire.Request{Body: []byte(tt.body)}, ID: "call-1", Tenant: "acme"})
			wrong, ok := errors.AsType[*wire.RequestError](err)
			if !ok {
				t.Fatalf("%v, %s", err, encoded.Body)
			}
			if wrong.Param != tt.param || wrong.Code != tt.code {
				t.Errorf("param %q, code %q, want %q, %q", wrong.Param, wrong.Code, tt.param, tt.code)
			}
			for _, word := range []string{"pirate", "hello"} {
				if strings.Contains(wrong.Message, word) {
					t.Errorf("the message holds what the client sent: %s", wrong.Message)
				}
			}
			if encoded.Body != nil {
				t.Errorf("a body beside the error: %s", encoded.Body)
			}
		})
	}
}
