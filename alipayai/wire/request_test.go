package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestParseChatRequest(t *testing.T) {
	const messages = `"messages":[{"role":"user","content":"hi"}]`
	tests := map[string]struct {
		body string
		want Request // without Body and the span
	}{
		"smallest":            {`{"model":"m",` + messages + `}`, Request{Model: "m"}},
		"model last":          {`{` + messages + `,"model":"m"}`, Request{Model: "m"}},
		"white space":         {" \n{ \"model\" :\t\"m\" , " + messages + " }\r\n", Request{Model: "m"}},
		"escaped model":       {`{"model":"\u006d\/x\"",` + messages + `}`, Request{Model: `m/x"`}},
		"escaped key":         {`{"m\u006fdel":"m",` + messages + `}`, Request{Model: "m"}},
		"stream":              {`{"model":"m","stream":true,` + messages + `}`, Request{Model: "m", Stream: true}},
		"no stream":           {`{"model":"m","stream":false,` + messages + `}`, Request{Model: "m"}},
		"null stream":         {`{"model":"m","stream":null,` + messages + `}`, Request{Model: "m"}},
		"usage":               {`{"model":"m","stream":true,"stream_options":{"x":[1],"include_usage":true},` + messages + `}`, Request{Model: "m", Stream: true, IncludeUsage: true}},
		"no usage":            {`{"model":"m","stream_options":{"include_usage":false},` + messages + `}`, Request{Model: "m"}},
		"null stream options": {`{"model":"m","stream_options":null,` + messages + `}`, Request{Model: "m"}},
		"include_usage elsewhere": {`{"model":"m","include_usage":true,"metadata":{"include_usage":true,"stream":true,"model":"x"},` + messages + `}`,
			Request{Model: "m"}},
		"function tool":         {`{"model":"m","tools":[{"type":"function","function":{"name":"f"}}],` + messages + `}`, Request{Model: "m", HasTools: true}},
		"custom tool":           {`{"model":"m","tools":[{"type":"custom"}],` + messages + `}`, Request{Model: "m", HasTools: true}},
		"flat tool":             {`{"model":"m","tools":[{"type":"function","name":"f"}],` + messages + `}`, Request{Model: "m", HasTools: true, FlatTools: true}},
		"flat custom tool":      {`{"model":"m","tools":[{"name":"f","type":"custom"}],` + messages + `}`, Request{Model: "m", HasTools: true, FlatTools: true}},
		"named twice":           {`{"model":"m","tools":[{"type":"custom","name":"f","custom":{}},{"type":"function","name":null}],` + messages + `}`, Request{Model: "m", HasTools: true}},
		"escaped tool type":     {`{"model":"m","tools":[{"type":"func\u0074ion"}],` + messages + `}`, Request{Model: "m", HasTools: true}},
		"hosted tool":           {`{"model":"m","tools":[{"type":"function"},{"type":"web_search"}],` + messages + `}`, Request{Model: "m", HasTools: true, HostedTools: true}},
		"tool with an odd type": {`{"model":"m","tools":[{"type":"function","TYPE":"mcp"}],` + messages + `}`, Request{Model: "m", HasTools: true, HostedTools: true}},
		"no tools, as null":     {`{"model":"m","tools":null,` + messages + `}`, Request{Model: "m"}},
		"tool of no type":       {`{"model":"m","tools":[{}],` + messages + `}`, Request{Model: "m", HasTools: true, HostedTools: true}},
		"no tools":              {`{"model":"m","tools":[],"functions":[],` + messages + `}`, Request{Model: "m"}},
		"null tools":            {`{"model":"m","tools":null,` + messages + `}`, Request{Model: "m"}},
		"functions":             {`{"model":"m","functions":[{"name":"f"}],` + messages + `}`, Request{Model: "m", HasTools: true}},
		"image":                 {`{"model":"m","messages":[{"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]}]}`, Request{Model: "m", HasImages: true}},
		"image in the text":     {`{"model":"m","messages":[{"content":"{\"type\":\"image_url\"}"},{"content":[{"type":"text","text":"image_url"}]}]}`, Request{Model: "m"}},
		"odd messages":          {`{"model":"m","messages":[{},{"content":null},{"content":[{"type":null}]}]}`, Request{Model: "m"}},
		"unknown fields":        {`{"model":"m","seed":1e400,"x":{"y":[{}]},"日本":null,` + messages + `}`, Request{Model: "m"}},
		"same keys, apart":      {`{"model":"m","a":{"k":1},"b":{"k":1},` + messages + `}`, Request{Model: "m"}},
		"case inside":           {`{"model":"m","metadata":{"Model":"x","STREAM":1},` + messages + `}`, Request{Model: "m"}},
		"as deep as allowed":    {`{"model":"m",` + messages + `,"x":` + nest(DefaultMaxDepth-1) + `}`, Request{Model: "m"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseChatRequest([]byte(tt.body), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			checkSpan(t, got)
			if string(got.Body) != tt.body {
				t.Errorf("Body = %q", got.Body)
			}
			if got.Model != tt.want.Model || got.flags() != tt.want.flags() {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// What bounds a call's cost, and whose it is.
func TestRequestCounts(t *testing.T) {
	tests := map[string]struct {
		body                   string
		user                   string
		maxTokens, n, messages int64
	}{
		"nothing":                 {`"messages":[{}]`, "", 0, 0, 1},
		"all":                     {`"user":"u\u0031","max_tokens":7,"n":2,"messages":[{},{},{}]`, "u1", 7, 2, 3},
		"the newer name":          {`"max_completion_tokens":9,"messages":[{}]`, "", 9, 0, 1},
		"both names":              {`"max_completion_tokens":9,"max_tokens":11,"messages":[{}]`, "", 11, 0, 1},
		"as upstreams may read":   {`"max_tokens":1e3,"n":2.0,"messages":[{}]`, "", 1000, 2, 1},
		"null":                    {`"user":null,"max_tokens":null,"n":null,"messages":[{}]`, "", 0, 0, 1},
		"no whole number from 1":  {`"max_tokens":0,"n":1.5,"messages":[{}]`, "", 0, 0, 1},
		"negative, and too large": {`"max_tokens":-1,"n":1e300,"messages":[{}]`, "", 0, 0, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := ParseChatRequest([]byte(`{"model":"m",`+tt.body+`}`), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if r.User() != tt.user || r.MaxTokens != tt.maxTokens || r.N != tt.n || int64(r.Messages) != tt.messages {
				t.Errorf("user %q, at most %d tokens, %d answers, %d messages", r.User(), r.MaxTokens, r.N, r.Messages)
			}
		})
	}
}

func (r Request) flags() [5]bool {
	return [5]bool{r.Stream, r.IncludeUsage, r.HasTools, r.HostedTools, r.HasImages}
}

// nest returns arrays within arrays, n deep.
func nest(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// checkSpan holds that the span is the model's value.
func checkSpan(t *testing.T, r Request) {
	t.Helper()
	value := r.Body[r.modelStart:r.modelEnd]
	if s, err := jsontext.AppendUnquote(nil, value); err != nil || string(s) != r.Model {
		t.Fatalf("span holds %q, the model is %q", value, r.Model)
	}
}

func TestParseRequestErrors(t *testing.T) {
	const secret = "S3CR3T" // stands for what the client sent, and may not come back
	const messages = `"messages":[{"role":"user","content":"` + secret + `"}]`
	const chat = `{"model":"m",` + messages
	type want struct{ code, param, says string }
	tests := map[string]struct {
		body string
		want want
	}{
		"empty":                  {"", want{CodeInvalidJSON, "", "empty"}},
		"white space":            {" \n", want{CodeInvalidJSON, "", "empty"}},
		"array":                  {`[` + chat + `}]`, want{CodeInvalidJSON, "", "one JSON object"}},
		"string":                 {`"` + secret + `"`, want{CodeInvalidJSON, "", "one JSON object"}},
		"not JSON":               {secret, want{CodeInvalidJSON, "", "not valid JSON at byte 0"}},
		"cut":                    {chat, want{CodeInvalidJSON, "", "ends too early"}},
		"cut in a string":        {`{"model":"` + secret, want{CodeInvalidJSON, "", "ends too early"}},
		"two objects":            {chat + `}{}`, want{CodeInvalidJSON, "", "something follows"}},
		"bytes after":            {chat + `} ` + secret, want{CodeInvalidJSON, "", "something follows"}},
		"byte order mark":        {"\uFEFF" + chat + `}`, want{CodeInvalidJSON, "", "not valid JSON at byte 0"}},
		"comma at the end":       {chat + `,}`, want{CodeInvalidJSON, "", "not valid JSON"}},
		"comma in an array":      {`{"model":"m","messages":[{},]}`, want{CodeInvalidJSON, "", "not valid JSON"}},
		"single quotes":          {`{'model':'m'}`, want{CodeInvalidJSON, "", "not valid JSON at byte 1"}},
		"key without quotes":     {`{model:"m"}`, want{CodeInvalidJSON, "", "not valid JSON at byte 1"}},
		"number as key":          {`{1:"m"}`, want{CodeInvalidJSON, "", "not valid JSON"}},
		"NaN":                    {chat + `,"x":NaN}`, want{CodeInvalidJSON, "", "not valid JSON"}},
		"control character":      {"{\"model\":\"m\n\"," + messages + "}", want{CodeInvalidJSON, "", "not valid JSON"}},
		"invalid UTF-8":          {"{\"model\":\"m\xff\"," + messages + "}", want{CodeInvalidJSON, "", "not valid UTF-8 at byte 11"}},
		"invalid UTF-8 key":      {chat + ",\"\xc0\xaf\":1}", want{CodeInvalidJSON, "", "not valid UTF-8"}},
		"lone surrogate":         {`{"model":"\ud800",` + messages + `}`, want{CodeInvalidJSON, "", "not valid JSON"}},
		"duplicate":              {chat + `,"model":"n"}`, want{CodeDuplicateKey, "", "repeats a key"}},
		"duplicate, escaped":     {chat + `,"mod\u0065l":"n"}`, want{CodeDuplicateKey, "", "repeats a key"}},
		"duplicate, unknown":     {chat + `,"` + secret + `":1,"` + secret + `":2}`, want{CodeDuplicateKey, "", "repeats a key"}},
		"duplicate, inside":      {`{"model":"m","messages":[{"role":"user","role":"system"}]}`, want{CodeDuplicateKey, "", "repeats a key"}},
		"duplicate, deep inside": {chat + `,"x":[{"y":{"k":1,"k":2}}]}`, want{CodeDuplicateKey, "", "repeats a key"}},
		"too deep":               {chat + `,"x":` + nest(DefaultMaxDepth) + `}`, want{CodeNestingTooDeep, "", "at most 64 levels"}},
		"too deep in messages":   {`{"model":"m","messages":` + nest(DefaultMaxDepth) + `}`, want{CodeNestingTooDeep, "", "at most 64 levels"}},
		"hopelessly deep":        {strings.Repeat(`{"a":`, 1<<20), want{CodeNestingTooDeep, "", "at most 64 levels"}},
		"no model":               {`{` + messages + `}`, want{CodeMissingParameter, "model", "'model': expected a string"}},
		"nothing":                {`{}`, want{CodeMissingParameter, "model", "'model': expected a string"}},
		"empty model":            {`{"model":"",` + messages + `}`, want{CodeEmptyString, "model", "non-empty string"}},
		"null model":             {`{"model":null,` + messages + `}`, want{CodeInvalidType, "model", "expected a string, not null"}},
		"number model":           {`{"model":4,` + messages + `}`, want{CodeInvalidType, "model", "expected a string, not number"}},
		"array model":            {`{"model":["` + secret + `"],` + messages + `}`, want{CodeInvalidType, "model", "expected a string, not array"}},
		"malformed model":        {`{"model":tru,` + messages + `}`, want{CodeInvalidJSON, "", "not valid JSON"}},
		"malformed in a model":   {`{"model":{"a":},` + messages + `}`, want{CodeInvalidJSON, "", "not valid JSON"}},
		"no messages":            {`{"model":"` + secret + `"}`, want{CodeMissingParameter, "messages", "expected an array"}},
		"empty messages":         {`{"model":"m","messages":[ ]}`, want{CodeEmptyArray, "messages", "non-empty array"}},
		"null messages":          {`{"model":"m","messages":null}`, want{CodeInvalidType, "messages", "expected an array, not null"}},
		"string messages":        {`{"model":"m","messages":"` + secret + `"}`, want{CodeInvalidType, "messages", "expected an array, not string"}},
		"object messages":        {`{"model":"m","messages":{"a":1}}`, want{CodeInvalidType, "messages", "expected an array, not object"}},
		"string stream":          {chat + `,"stream":"true"}`, want{CodeInvalidType, "stream", "expected a boolean, not string"}},
		"number stream":          {chat + `,"stream":1}`, want{CodeInvalidType, "stream", "expected a boolean, not number"}},
		"key in capitals":        {chat + `,"MODEL":"n"}`, want{CodeUnknownParameter, "model", "'model' only in case"}},
		"folding outside ASCII":  {chat + `,"ſtream":true}`, want{CodeUnknownParameter, "stream", "'stream' only in case"}},
		"capital key, escaped":   {chat + `,"\u004dodel":"n"}`, want{CodeUnknownParameter, "model", "'model' only in case"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseChatRequest([]byte(tt.body), Limits{})
			checkRequestError(t, err, tt.want.code, tt.want.param, tt.want.says)
			if got.Body != nil || got.Model != "" {
				t.Errorf("a request beside the error: %+v", got)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("error quotes the payload: %v", err)
			}
		})
	}
}

func checkRequestError(t *testing.T, err error, code, param, says string) {
	t.Helper()
	var re *RequestError
	if !errors.As(err, &re) {
		t.Fatalf("err = %v, want a *RequestError", err)
	}
	if re.Code != code || re.Param != param || !strings.Contains(re.Message, says) {
		t.Errorf("got  %s, param %q: %s\nwant %s, param %q: ..%s..", re.Code, re.Param, re.Message, code, param, says)
	}
}

func TestParseEmbeddingsRequest(t *testing.T) {
	for name, body := range map[string]string{
		"string":           `{"model":"m","input":"text"}`,
		"strings":          `{"input":["a","b"],"model":"m"}`,
		"tokens":           `{"model":"m","input":[[1,2],[3]]}`,
		"unknown fields":   `{"model":"m","input":"x","dimensions":3,"messages":7,"stream":"x"}`,
		"case, not folded": `{"model":"m","input":"x","Messages":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseEmbeddingsRequest([]byte(body), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			checkSpan(t, got)
			if got.Model != "m" || got.flags() != [5]bool{} {
				t.Errorf("got %+v", got)
			}
		})
	}
	for name, tt := range map[string]struct{ body, code, param, says string }{
		"no input":      {`{"model":"m"}`, CodeMissingParameter, "input", "a string or an array"},
		"no model":      {`{"input":"x"}`, CodeMissingParameter, "model", "a string"},
		"null input":    {`{"model":"m","input":null}`, CodeInvalidType, "input", "a string or an array, not null"},
		"boolean input": {`{"model":"m","input":true}`, CodeInvalidType, "input", "not boolean"},
		"object input":  {`{"model":"m","input":{}}`, CodeInvalidType, "input", "not object"},
		"empty string":  {`{"model":"m","input":""}`, CodeEmptyString, "input", "non-empty string"},
		"empty array":   {`{"model":"m","input":[]}`, CodeEmptyArray, "input", "non-empty array"},
		"duplicate":     {`{"model":"m","input":"a","input":"b"}`, CodeDuplicateKey, "", "repeats a key"},
		"in capitals":   {`{"model":"m","input":"a","Input":"b"}`, CodeUnknownParameter, "input", "only in case"},
		"cut":           {`{"model":"m","input":["a"`, CodeInvalidJSON, "", "ends too early"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseEmbeddingsRequest([]byte(tt.body), Limits{})
			checkRequestError(t, err, tt.code, tt.param, tt.says)
		})
	}
}

func TestLimitsMaxDepth(t *testing.T) {
	body := func(depth int) []byte {
		return []byte(`{"model":"m","messages":[{}],"x":` + nest(depth-1) + `}`)
	}
	for _, limit := range []int{3, 4, 100} {
		if _, err := ParseChatRequest(body(limit), Limits{MaxDepth: limit}); err != nil {
			t.Errorf("%d levels of %d: %v", limit, limit, err)
		}
		_, err := ParseChatRequest(body(limit+1), Limits{MaxDepth: limit})
		checkRequestError(t, err, CodeNestingTooDeep, "", "levels are accepted")
	}

	// Fields that are read are held to the limit as well as those that are skipped.
	read := []byte(`{"model":"m","messages":[{"content":[{"type":"text"}]}]}`)
	if _, err := ParseChatRequest(read, Limits{MaxDepth: 5}); err != nil {
		t.Errorf("5 levels of 5: %v", err)
	}
	for limit := 1; limit < 5; limit++ {
		_, err := ParseChatRequest(read, Limits{MaxDepth: limit})
		checkRequestError(t, err, CodeNestingTooDeep, "", "levels are accepted")
	}
}

func TestRequestErrorHTTP(t *testing.T) {
	_, err := ParseChatRequest([]byte(`{"model":"m"}`), Limits{})
	var re *RequestError
	if !errors.As(err, &re) {
		t.Fatal(err)
	}
	got := re.HTTP()
	if got.Status != http.StatusBadRequest || got.Param != "messages" || got.Code != CodeMissingParameter || got.Message != re.Message {
		t.Errorf("HTTP() = %+v", got)
	}
}

func TestWithModel(t *testing.T) {
	tests := map[string]struct{ body, model, want string }{
		"first":     {`{"model":"a","messages":[{}]}`, "b", `{"model":"b","messages":[{}]}`},
		"last":      {`{"messages":[{}],"model" : "a" }`, "longer-name", `{"messages":[{}],"model" : "longer-name" }`},
		"escaped":   {`{"m\u006fdel":"\u0061","messages":[{"content":"model"}]}`, "b", `{"m\u006fdel":"b","messages":[{"content":"model"}]}`},
		"same":      {`{"model":"\u0061","messages":[{}]}`, "a", `{"model":"\u0061","messages":[{}]}`},
		"to quote":  {`{"model":"a","messages":[{}]}`, "b\"\\\n", `{"model":"b\"\\\n","messages":[{}]}`},
		"not UTF-8": {`{"model":"a","messages":[{}]}`, "b\xff", "{\"model\":\"b\uFFFD\",\"messages\":[{}]}"},
		"elsewhere": {`{"messages":[{"model":"a"}],"model":"a","x":{"model":"a"}}`, "b", `{"messages":[{"model":"a"}],"model":"b","x":{"model":"a"}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := ParseChatRequest([]byte(tt.body), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.WithModel(tt.model); string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if string(r.Body) != tt.body {
				t.Errorf("WithModel changed the body: %s", r.Body)
			}
		})
	}
}

func FuzzParseChatRequest(f *testing.F) {
	f.Add([]byte(`{"model":"a","messages":[{"role":"user","content":"x"}],"stream":true}`), "b")
	f.Add([]byte(`{"messages":[[]],"mod\u0065l" : "\u0061\ud83d\ude00" }`), "\x00\"\\\u2028")
	f.Add([]byte(`{"model":"a","model":"b","messages":[1]}`), "")
	f.Add([]byte(`{"tools":[{"type":"x"}],"messages":[{"content":[{"type":"image_url"}]}],"model":"m"}`), "m")
	f.Add([]byte(strings.Repeat(`{"a":`, 70)), "\xff")
	f.Fuzz(func(t *testing.T, body []byte, model string) {
		before := bytes.Clone(body)
		r, err := ParseChatRequest(body, Limits{})
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			var re *RequestError
			if !errors.As(err, &re) || re.Code == "" || re.Message == "" {
				t.Fatalf("error without a reason: %#v", err)
			}
			return
		}
		if !jsontext.Value(body).IsValid() {
			t.Fatal("accepted what is not strict JSON")
		}
		checkSpan(t, r)
		model = strings.ToValidUTF8(model, "\uFFFD")
		if model == "" {
			return
		}
		changed := r.WithModel(model)
		again, err := ParseChatRequest(changed, Limits{})
		if err != nil {
			t.Fatalf("with model %q: %v", model, err)
		}
		if again.Model != model || again.flags() != r.flags() {
			t.Fatalf("with model %q: %+v", model, again)
		}
		if !bytes.Equal(changed[:again.modelStart], body[:r.modelStart]) || !bytes.Equal(changed[again.modelEnd:], body[r.modelEnd:]) {
			t.Fatalf("WithModel changed more than the model:\n%s\n%s", body, changed)
		}
	})
}

// Asking for the usage changes nothing else.
func TestWithUsage(t *testing.T) {
	const messages = `"messages":[{"role":"user","content":"{"}]`
	for name, test := range map[string]struct{ body, want string }{
		"no stream": {`{"model":"a",` + messages + `}`, `{"model":"b",` + messages + `}`},
		"asked for": {
			`{"model":"a","stream":true,"stream_options":{"include_usage":true},` + messages + `}`,
			`{"model":"b","stream":true,"stream_options":{"include_usage":true},` + messages + `}`,
		},
		"no options": {
			` { "model" : "a" , "stream":true,` + messages + `}`,
			` {"stream_options":{"include_usage":true}, "model" : "b" , "stream":true,` + messages + `}`,
		},
		"null before the model": {
			`{"stream_options": null ,"model":"a","stream":true,` + messages + `}`,
			`{"stream_options": {"include_usage":true} ,"model":"b","stream":true,` + messages + `}`,
		},
		"empty after the model": {
			`{"model":"a","stream":true,"stream_options": { } ,` + messages + `}`,
			`{"model":"b","stream":true,"stream_options": {"include_usage":true} ,` + messages + `}`,
		},
		"refused": {
			`{"stream_options":{"x":[1], "include_usage" : false},"model":"a","stream":true,` + messages + `}`,
			`{"stream_options":{"x":[1], "include_usage" : true},"model":"b","stream":true,` + messages + `}`,
		},
		"null": {
			`{"stream_options":{"include_usage":null},"model":"a","stream":true,` + messages + `}`,
			`{"stream_options":{"include_usage":true},"model":"b","stream":true,` + messages + `}`,
		},
		"other options": {
			`{"model":"a","stream":true,"stream_options":{"x":{"y":1}},` + messages + `}`,
			`{"model":"b","stream":true,"stream_options":{"include_usage":true,"x":{"y":1}},` + messages + `}`,
		},
		"an object for the flag": {
			`{"model":"a","stream":true,"stream_options":{"include_usage":{"a":false},"q":2},` + messages + `}`,
			`{"model":"b","stream":true,"stream_options":{"include_usage":{"a":false},"q":2},` + messages + `}`,
		},
		"an array for the flag": {
			`{"model":"a","stream":true,"stream_options":{"include_usage":[]},` + messages + `}`,
			`{"model":"b","stream":true,"stream_options":{"include_usage":[]},` + messages + `}`,
		},
		"a text for the flag": {
			`{"model":"a","stream":true,"stream_options":{"include_usage":"no"},` + messages + `}`,
			`{"model":"b","stream":true,"stream_options":{"include_usage":"no"},` + messages + `}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseChatRequest([]byte(test.body), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(r.WithUsage().WithModel("b")); got != test.want || !json.Valid([]byte(got)) {
				t.Errorf("\n%s, want\n%s", got, test.want)
			}
			if got := string(r.Body); got != test.body {
				t.Errorf("the body became %s", got)
			}
		})
	}
}
