package wire

import (
	"strings"
	"testing"
)

// TestWords has the forms in which vendors say what went wrong: each keeps its words, under a status of failure and, where
// the body says by itself that it is one, under a 200.
func TestWords(t *testing.T) {
	const extra = "Extra inputs are not permitted"
	for name, tt := range map[string]struct {
		body string
		want Failure
		bare bool // nothing but the status says that it is a failure
	}{
		"Mistral, detail in message": {`{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","messages",1,"assistant","reasoning_content"],"msg":"` + extra + `","input":"S3CR3T"}]},"type":"invalid_request_error","param":null,"code":null}`,
			Failure{Type: "invalid_request_error", Message: "body.messages.1.assistant.reasoning_content: " + extra}, false},
		"Mistral, list in message": {`{"object":"Error","message":[{"type":"extra_forbidden","loc":["body","tools"],"msg":"` + extra + `"}],"type":"invalid_request_error","code":3001}`,
			Failure{Code: "3001", Type: "invalid_request_error", Message: "body.tools: " + extra}, false},
		"FastAPI":                {`{"detail":[{"loc":["body","n"],"msg":"` + extra + `"},{"loc":["body","k",0],"msg":"Field required"}]}`, Failure{Message: "body.n: " + extra + "; body.k.0: Field required"}, false},
		"FastAPI, text":          {`{"detail":"Not Found"}`, Failure{Message: "Not Found"}, false},
		"FastAPI, object":        {`{"detail":{"error":{"message":"m"}}}`, Failure{Message: "m"}, false},
		"detail in error":        {`{"error":{"detail":"m"}}`, Failure{Message: "m"}, false},
		"message is an object":   {`{"error":{"message":{"message":"m","code":7}}}`, Failure{Message: "m"}, false},
		"message is a list":      {`{"error":{"message":["a",{"msg":"b"}]}}`, Failure{Message: "a; b"}, false},
		"message alone":          {`{"message":"Requests rate limit exceeded"}`, Failure{Message: "Requests rate limit exceeded"}, true},
		"Portkey":                {`{"status":"failure","message":"Invalid config"}`, Failure{Message: "Invalid config"}, true},
		"Ollama":                 {`{"error":"model 'x' not found"}`, Failure{Message: "model 'x' not found"}, false},
		"a list of errors":       {`{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}`, Failure{Code: "10000", Message: "Authentication error"}, false},
		"errors as texts":        {`{"errors":["a","b"]}`, Failure{Message: "a; b"}, false},
		"error is a list":        {`{"error":[{"code":"C","message":"m"}]}`, Failure{Code: "C", Message: "m"}, false},
		"Google":                 {`[{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"x"}]}}]`, Failure{Code: "429", Type: "RESOURCE_EXHAUSTED", Message: "Quota"}, false},
		"a list, the second":     {"[\n{},\r\n {\"error\":{\"code\":429}},{\"error\":{\"code\":500}}]", Failure{Code: "429"}, false},
		"Google, alone":          {`{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}`, Failure{Code: "503", Type: "UNAVAILABLE", Message: "m"}, false},
		"LiteLLM":                {`{"error":{"message":"m","type":"None","param":"None","code":"429"}}`, Failure{Code: "429", Message: "m"}, false},
		"OpenRouter":             {`{"error":{"code":502,"message":"m","metadata":{"error_type":"provider_unavailable","raw":{}}}}`, Failure{Code: "502", Type: "provider_unavailable", Message: "m"}, false},
		"Spring":                 {`{"timestamp":"t","status":503,"error":"Service Unavailable","path":"/"}`, Failure{Code: "503", Message: "Service Unavailable"}, false},
		"vLLM":                   {`{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}`, Failure{Code: "400", Type: "BadRequestError", Message: "m"}, false},
		"object error, no code":  {`{"object":"error","message":"m"}`, Failure{Message: "m"}, false},
		"in a choice":            {`{"choices":[{"finish_reason":"error","error":{"code":502,"message":"m"}}]}`, Failure{Code: "502", Message: "m"}, false},
		"in a choice, text":      {`{"choices":[{"error":null},{"error":"m"}]}`, Failure{Message: "m"}, false},
		"in a choice and around": {`{"error":{"code":"server_error"},"choices":[{"error":{"code":502}}]}`, Failure{Code: "server_error"}, false},
		"problem details":        {`{"type":"about:blank","title":"Bad n","status":422}`, Failure{Code: "422", Type: "about:blank", Message: "Bad n"}, true},
		"problem, in detail":     {`{"title":"Bad","detail":"n is no number"}`, Failure{Message: "n is no number"}, false},
		"lone surrogate":         {`{"error":{"message":"a\ud83db"}}`, Failure{Message: "a\uFFFDb"}, false},
		"text":                   {"Too Many\r\n Requests\x00 ", Failure{Message: "Too Many Requests"}, true},
		"JSON text":              {`"no healthy upstream"`, Failure{Message: "no healthy upstream"}, true},
		"texts":                  {`["a", "b"]`, Failure{Message: "a; b"}, true},
		"invalid UTF-8":          {"bad \xff", Failure{Message: "bad \uFFFD"}, true},
		"HTML":                   {"\n<html><h1>502 Bad Gateway</h1></html>", Failure{}, true},
		"broken JSON":            {`{"error":{"message":"S3CR3T`, Failure{}, true},
		"nothing":                {"", Failure{}, true},
		"empty object":           {"{}", Failure{}, true},
		"no words":               {`{"error":{"message":{"n":7}}}`, Failure{}, false},
		"deeper than is heard":   {`{"detail":[[[[[[["m"]]]]]]]}`, Failure{}, false},
		// https://github.com/mistralai/platform-docs-public/issues/7
		"JSON in message": {`{"object":"error","message":"{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"n\"],\"msg\":\"` + extra + `\",\"input\":\"S3CR3T\"}]}","type":"internal_error_proxy","param":null,"code":"1000"}`,
			Failure{Code: "1000", Type: "internal_error_proxy", Message: "body.n: " + extra}, false},
		"JSON in JSON":            {`{"error":"{\"error\":{\"message\":\"{\\\"detail\\\":\\\"m\\\"}\"}}"}`, Failure{Message: "m"}, false},
		"JSON without words":      {`{"error":{"code":"C","message":"{\"input\":\"S3CR3T\"}"}}`, Failure{Code: "C"}, false},
		"braces that are no JSON": {`{"error":{"message":"{n} is no number"}}`, Failure{Message: "{n} is no number"}, false},
		"OpenRouter, raw JSON":    {`{"error":{"code":400,"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"too many images\"}}","provider_name":"X"}}}`, Failure{Code: "400", Message: "Provider returned error: too many images"}, false},
		"OpenRouter, raw text":    {`{"error":{"code":429,"message":"Provider returned error","metadata":{"raw":"m is rate-limited upstream"}}}`, Failure{Code: "429", Message: "Provider returned error: m is rate-limited upstream"}, false},
		"OpenRouter, words":       {`{"error":{"code":400,"message":"m","metadata":{"raw":"other"}}}`, Failure{Code: "400", Message: "m"}, false},
		"error in error":          {`{"error":{"error":{"message":"m","code":"C","type":"T"}}}`, Failure{Code: "C", Type: "T", Message: "m"}, false},
		"error in error, both":    {`{"error":{"code":"D","message":"n","error":{"message":"m","code":"C","type":"T"}}}`, Failure{Code: "D", Type: "T", Message: "n"}, false},
		"text in error":           {`{"error":{"code":"C","error":"m"}}`, Failure{Code: "C", Message: "m"}, false},
		"reason in error":         {`{"error":{"type":"T","reason":"m"}}`, Failure{Type: "T", Message: "m"}, false},
		"errors in error":         {`{"error":{"errors":[{"message":"m"},{"message":"n"}]}}`, Failure{Message: "m; n"}, false},
		"an object of errors":     {`{"errors":{"messages":["is empty"]}}`, Failure{Message: "is empty"}, false},
		"Fastify":                 {`{"statusCode":400,"error":"Bad Request","message":"n must be 1"}`, Failure{Code: "400", Message: "n must be 1"}, false},
		"Nest":                    {`{"statusCode":400,"error":"Bad Request","message":["n must be 1","k is unknown"]}`, Failure{Code: "400", Message: "n must be 1; k is unknown"}, false},
		"AWS":                     {`{"Message":"User is not authorized"}`, Failure{Message: "User is not authorized"}, true},
		"AWS Lambda":              {`{"errorMessage":"boom","errorType":"Error"}`, Failure{Message: "boom"}, true},
		"Baidu":                   {`{"error_code":336003,"error_msg":"too long"}`, Failure{Code: "error_code.336003", Message: "too long"}, false},
		"MiniMax":                 {`{"id":"x","choices":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`, Failure{Code: "base_resp.1008", Message: "insufficient balance"}, false}, // https://github.com/RooCodeInc/Roo-Code/pull/9105
		"MiniMax, an answer":      {`{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"base_resp":{"status_code":1000,"status_msg":"m"}}`, Failure{Code: "base_resp.1000", Message: "m"}, true},
		"MiniMax, a success":      {`{"choices":[{"message":{"content":"x"}}],"base_resp":{"status_code":0,"status_msg":""}}`, Failure{}, true},
		"Bedrock":                 {`{"__type":"com.amazon.coral.service#ThrottlingException","message":"m"}`, Failure{Type: "ThrottlingException", Message: "m"}, true},
		"Cloudflare":              {`{"title":"t","error_code":522,"detail":"m"}`, Failure{Code: "522", Message: "m"}, false},

		"OAuth":         {`{"error":{"error_description":"m"}}`, Failure{Message: "m"}, false},
		"Apigee":        {`{"fault":{"faultstring":"Rate limit quota violation","detail":{"errorcode":"policies.ratelimit.QuotaViolation"}}}`, Failure{Message: "Rate limit quota violation"}, true},
		"several lines": {`{"error":{"message":"1 validation error:\n  n\tis no number\r\n"}}`, Failure{Message: "1 validation error:  n is no number"}, false},
		"Google, reason": {`{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}`,
			Failure{Code: "400", Type: "INVALID_ARGUMENT", Reason: "API_KEY_INVALID", Message: "m"}, false},
		// https://github.com/can1357/oh-my-pi/issues/449
		"Google, quoted": {`{"error":{"message":"{\n  \"error\": {\n    \"code\": 400,\n    \"message\": \"m\",\n \"status\": \"INVALID_ARGUMENT\", \"details\": [{\"@type\": \"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\": \"API_KEY_INVALID\"}]}}\n","code":400,"status":"Bad Request"}}`,
			Failure{Code: "400", Type: "INVALID_ARGUMENT", Reason: "API_KEY_INVALID", Message: "m"}, false},
		"TGI":                     {`{"error":"m","error_type":"overloaded"}`, Failure{Type: "overloaded", Message: "m"}, false},
		"an event":                {"data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n", Failure{Code: "429", Message: "m"}, true},
		"a named event":           {": hi\n\nevent: error\r\ndata:{\"error\":{\"message\":\"m\"}}\r\n\r\ndata: [DONE]\n\n", Failure{Message: "m"}, true},
		"text like an event":      {"data: none", Failure{Message: "data: none"}, true},
		"text with a colon":       {"error: no such model", Failure{Message: "error: no such model"}, true},
		"a success by its status": {`{"choices":[{"message":{"content":"x"}}]}`, Failure{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ParseRefusal([]byte(tt.body)); got != tt.want {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
			a, err := ParseBody([]byte(tt.body), Limits{})
			switch {
			case tt.bare && err == nil && a.Failure != nil:
				t.Errorf("under a 200 it is taken for %+v", *a.Failure)
			case !tt.bare && (err != nil || a.Failure == nil || *a.Failure != tt.want):
				t.Errorf("under a 200: %+v, %v", a.Failure, err)
			}
		})
	}
}

// TestNoFailure has members of errors that say that there is none.
func TestNoFailure(t *testing.T) {
	for _, member := range []string{`"error":null`, `"error":{}`, `"error":""`, `"errors":[]`, `"errors":null`, `"detail":null`, `"detail":""`,
		`"detail":"a note"`, `"errors":["a warning"]`, `"message":"ok"`, `"status":503`, `"status":"failure"`} {
		body := `{` + member + `,"choices":[{"index":0,"error":null,"message":{"content":"x"},"finish_reason":"stop"},{"error":{}},{"error":""}]}`
		if a, err := ParseBody([]byte(body), Limits{}); err != nil || a.Failure != nil {
			t.Errorf("%s: %+v, %v", body, a.Failure, err)
		}
	}
}

func FuzzParseRefusal(f *testing.F) {
	for _, body := range []string{
		`[{"error":{"code":429,"status":"S","details":[{}]}}]`, `{"detail":[{"loc":["a",1],"msg":"m"}]}`, `{"errors":[{"code":1}]}`,
		`{"message":{"detail":{"error":[["x"]]}}}`, "text", "<html>", `"text\ud83d"`, "\xff", `{"error":{"message":` + nest(30) + `}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := string(body)
		checkCapped(t, ParseRefusal(body))
		if string(body) != before {
			t.Fatal("the body was changed")
		}
	})
}

// TestLenient has what generated answers hold that requests may not.
func TestLenient(t *testing.T) {
	for name, delta := range map[string]string{
		"half an emoji":      `"content":"ok \ud83d"`,
		"the other half":     `"content":"\ude00!"`,
		"within arguments":   `"tool_calls":[{"function":{"arguments":"\ud83d"}}]`,
		"in a name":          `"content":"a","x\ud83d":1`,
		"reasoning twice":    `"reasoning_content":"hm","reasoning_content":"hm"`,
		"role twice":         `"role":"assistant","role":"assistant","content":"a"`,
		"content twice":      `"content":"","content":"a"`,
		"images":             `"images":[{"type":"image_url"}]`,
		"audio":              `"audio":{"id":"a"}`,
		"reasoning":          `"reasoning":"hm"`,
		"reasoning details":  `"reasoning_details":[{"type":"reasoning.text"}]`,
		"twice in arguments": `"function_call":{"name":"f","name":"f"}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{
				`{"choices":[{"index":0,"delta":{` + delta + `},"finish_reason":null,"finish_reason":null}]}`,
				`{"id":"1","id":"1","model":"a","model":"b","choices":[{"index":0,"message":{` + delta + `}}],"usage":{"x":1,"x":2}}`,
			} {
				if c, err := ParseChunk([]byte(text)); err != nil || !c.Content || c.Failure != nil {
					t.Errorf("%s: %+v, %v", text, c, err)
				}
			}
		})
	}
	t.Run("bytes", func(t *testing.T) { // OpenAI's Python SDK refuses them
		if _, err := ParseChunk([]byte("{\"choices\":[{\"delta\":{\"content\":\"\xf0\x9f\"}}]}")); err == nil {
			t.Error("half a character in bytes is taken")
		}
	})
}

func TestFinishReasons(t *testing.T) {
	for reasons, want := range map[string]string{
		"stop": "stop", "": "", "stop,length": "length", "length,stop": "length", "stop,error": "error", "error,stop": "error",
		"tool_calls,stop": "tool_calls", "sensitive,error": "sensitive",
	} {
		var choices []string
		for reason := range strings.SplitSeq(reasons, ",") {
			choices = append(choices, `{"finish_reason":"`+reason+`"}`)
		}
		a, err := ParseBody([]byte(`{"choices":[`+strings.Join(choices, ",")+`]}`), Limits{})
		if err != nil || a.FinishReason != want {
			t.Errorf("%s: %q, %v, want %q", reasons, a.FinishReason, err, want)
		}
	}
	// What OpenRouter says in native_finish_reason counts only where a word of a failure contradicts the finish reason.
	for choice, want := range map[string]string{
		`"finish_reason":"stop","native_finish_reason":"network_error"`:       "network_error",
		`"native_finish_reason":"NETWORK_ERROR","finish_reason":"tool_calls"`: "network_error",
		`"finish_reason":"stop","native_finish_reason":"completed"`:           "stop",
		`"finish_reason":"stop","native_finish_reason":"STOP"`:                "stop",
		`"finish_reason":"stop","native_finish_reason":null`:                  "stop",
		`"finish_reason":null,"native_finish_reason":"network_error"`:         "",
		`"finish_reason":"length","native_finish_reason":"max_output_tokens"`: "length",
		`"finish_reason":"error","native_finish_reason":"abort"`:              "error",
		`"finish_reason":"stop","native_finish_reason":{"reason":"odd"}`:      "stop",
	} {
		if a, err := ParseBody([]byte(`{"choices":[{`+choice+`}]}`), Limits{}); err != nil || a.FinishReason != want {
			t.Errorf("%s: %q, %v, want %q", choice, a.FinishReason, err, want)
		}
	}
	for reason, want := range map[string]Ending{
		"": EndingWhole, "stop": EndingWhole, "STOP": EndingWhole, "tool_calls": EndingWhole, "function_call": EndingWhole,
		"end_turn": EndingWhole, "eos": EndingWhole, "stop_sequence": EndingWhole, "length": EndingCut, "max_tokens": EndingCut, "content_filter": EndingCut,
		"error": EndingUnknown, "insufficient_system_resource": EndingUnknown, "network_error": EndingUnknown,
		"sensitive": EndingUnknown, "model_length": EndingUnknown, "abort": EndingUnknown, "stopped": EndingUnknown,
	} {
		if got := EndingOf(reason); got != want {
			t.Errorf("%q: %d, want %d", reason, got, want)
		}
	}
}

// TestChunkReaderFinished holds when a stream lacks nothing but its end.
func TestChunkReaderFinished(t *testing.T) {
	chunk := func(index, delta, finish string) string {
		return `{"choices":[{` + index + `"delta":{"content":"` + delta + `"},"finish_reason":` + finish + `}]}`
	}
	for name, tt := range map[string]struct {
		chunks []string
		want   bool
	}{
		"nothing":             {nil, false},
		"no choices":          {[]string{`{"choices":[]}`}, false},
		"unfinished":          {[]string{chunk(`"index":0,`, "a", "null"), chunk(`"index":0,`, "b", "null")}, false},
		"finished":            {[]string{chunk(`"index":0,`, "a", "null"), chunk(`"index":0,`, "", `"stop"`)}, true},
		"usage after":         {[]string{chunk(`"index":0,`, "a", `"stop"`), `{"choices":[],"usage":{}}`}, true},
		"no index":            {[]string{chunk("", "a", "null"), chunk("", "", `"stop"`)}, true},
		"one of two":          {[]string{chunk(`"index":0,`, "a", `"stop"`), chunk(`"index":1,`, "b", "null")}, false},
		"both of two":         {[]string{chunk(`"index":1,`, "a", `"stop"`), chunk(`"index":0,`, "b", `"length"`)}, true},
		"two in one":          {[]string{`{"choices":[{"index":0,"finish_reason":"stop"},{"index":1,"finish_reason":""}]}`}, false},
		"too many to be told": {[]string{chunk(`"index":63,`, "a", `"stop"`)}, false},
		"an odd index":        {[]string{chunk(`"index":-1,`, "a", `"stop"`)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var r ChunkReader
			for _, data := range tt.chunks {
				if _, err := r.Read(Event{Data: []byte(data)}); err != nil {
					t.Fatal(err)
				}
			}
			if r.Finished() != tt.want {
				t.Errorf("%t, want %t", r.Finished(), tt.want)
			}
		})
	}
}
