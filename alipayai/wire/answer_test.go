package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestParseBody(t *testing.T) {
	tests := map[string]struct {
		body string
		want Answer
	}{
		"chat": {
			`{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},` +
				`"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1}}}`,
			Answer{Model: "m", Usage: Usage{Prompt: 3, Cached: 1, Completion: 4, Total: 7, OK: true}, HasChoices: true, Content: true, FinishReason: "stop"},
		},
		"embeddings": {
			`{"object":"list","data":[{"embedding":[0.1],"index":0}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}`,
			Answer{Model: "m", Usage: Usage{Prompt: 3, Total: 3, OK: true}, HasChoices: true},
		},
		"tool call": {
			`{"choices":[{"message":{"content":null,"tool_calls":[{"id":"1"}]},"finish_reason":"tool_calls"}]}`,
			Answer{HasChoices: true, Content: true, FinishReason: "tool_calls"},
		},
		"empty message":          {`{"choices":[{"message":{"content":"","tool_calls":[]},"finish_reason":"length"}]}`, Answer{HasChoices: true, FinishReason: "length"}},
		"second choice":          {`{"choices":[{"message":{"content":""}},{"message":{"content":"x"},"finish_reason":"stop"}]}`, Answer{HasChoices: true, Content: true, FinishReason: "stop", Unfinished: true}},
		"finish of nothing":      {`{"choices":[{"message":{"content":"x"},"finish_reason":null}]}`, Answer{HasChoices: true, Content: true, Unfinished: true}},
		"unknown finish reason":  {`{"choices":[{"finish_reason":"eos\u0000"}]}`, Answer{HasChoices: true, FinishReason: "eos"}},
		"null error":             {`{"error":null,"choices":[{}]}`, Answer{HasChoices: true, Unfinished: true}},
		"false error":            {`{"error":false,"choices":[{}]}`, Answer{HasChoices: true, Unfinished: true}},
		"empty errors":           {`{"error":{},"x":{"error":""},"choices":[{}]}`, Answer{HasChoices: true, Unfinished: true}},
		"empty object":           {`{}`, Answer{}},
		"no choices":             {`{"choices":[],"data":[]}`, Answer{}},
		"odd choices":            {`{"choices":{"a":1},"data":{"a":1},"usage":[],"model":7}`, Answer{}},
		"odd elements":           {`{"choices":[1,null,{"message":"x","delta":[1],"finish_reason":{}}]}`, Answer{HasChoices: true, Unfinished: true}},
		"error deep in content":  {`{"choices":[{"message":{"content":"{\"error\":{}}","error":{"code":"x"}}}],"metadata":{"code":"SYSTEM_ERROR"}}`, Answer{HasChoices: true, Content: true, Unfinished: true}},
		"wrapped success":        {`{"code":200,"message":"ok","data":{"text":"x"}}`, Answer{}},
		"success, v2 code":       {`{"code":"10000","msg":"Success"}`, Answer{}},
		"success in words":       {`{"code":"Success","message":"x"}`, Answer{}},
		"code beside content":    {`{"code":500,"choices":[{"message":{"content":"x"}}]}`, Answer{HasChoices: true, Content: true, Unfinished: true}},
		"code beside a finish":   {`{"code":"PARTIAL","choices":[{"finish_reason":"stop"}]}`, Answer{HasChoices: true, FinishReason: "stop"}},
		"code beside data":       {`{"code":"PARTIAL","data":[{}]}`, Answer{HasChoices: true}},
		"null code":              {`{"code":null,"message":"x"}`, Answer{}},
		"empty code":             {`{"code":"","message":"x"}`, Answer{}},
		"code of no use":         {`{"code":{"a":1}}`, Answer{}},
		"result S":               {`{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"}}`, Answer{}},
		"result A":               {`{"result":{"resultCode":"ACCEPT","resultStatus":"A"}}`, Answer{}},
		"result of another kind": {`{"result":"F"}`, Answer{}},
		"v2 success":             {`{"a_b_response":{"code":"10000","msg":"Success"},"sign":"x"}`, Answer{}},
		"v2 without code":        {`{"alipay_system_oauth_token_response":{"access_token":"x","expires_in":1}}`, Answer{}},
		"v2 of another kind":     {`{"last_response":"20000"}`, Answer{}},
		"message and type only":  {`{"type":"message","message":"x"}`, Answer{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseBody([]byte(tt.body), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Failure != nil {
				t.Fatalf("taken for a failure: %+v", *got.Failure)
			}
			got.Loose = false // see TestLoose
			if got != tt.want {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseBodyFailures(t *testing.T) {
	tests := map[string]struct {
		body string
		want Failure
		bare string // of the code, if it is another
	}{
		"v3":                  {`{"code":"SYSTEM_ERROR","message":"busy"}`, Failure{Code: "SYSTEM_ERROR", Message: "busy"}, ""},
		"v3, links array":     {`{"code":"invalid-auth-token","message":"m","links":[{"link":"u"}]}`, Failure{Code: "invalid-auth-token", Message: "m"}, ""},
		"v3, links string":    {`{"links":"u","message":"m","code":"unknow-error"}`, Failure{Code: "unknow-error", Message: "m"}, ""},
		"number":              {`{"code":50001,"msg":"m"}`, Failure{Code: "50001", Message: "m"}, ""},
		"null data":           {`{"code":"SYSTEM_ERROR","data":null,"choices":[]}`, Failure{Code: "SYSTEM_ERROR"}, ""},
		"data as details":     {`{"code":"SYSTEM_ERROR","data":{"traceId":"1"}}`, Failure{Code: "SYSTEM_ERROR"}, ""},
		"object error":        {`{"object":"error","message":"m","type":"BadRequestError","param":"p","code":400}`, Failure{Code: "400", Message: "m", Type: "BadRequestError", Param: "p"}, ""},
		"object of an answer": {`{"object":"chat.completion","choices":[],"code":"SYSTEM_ERROR"}`, Failure{Code: "SYSTEM_ERROR"}, ""},

		"OpenAI": {`{"error":{"message":"m","type":"invalid_request_error","param":"model","code":"model_not_found"}}`,
			Failure{Code: "model_not_found", Message: "m", Type: "invalid_request_error", Param: "model"}, ""},
		"OpenAI, nulls":         {`{"error":{"message":"m","type":"server_error","param":null,"code":null}}`, Failure{Message: "m", Type: "server_error"}, ""},
		"OpenAI, number":        {`{"error":{"message":"m","code":429}}`, Failure{Code: "429", Message: "m"}, ""},
		"OpenAI, odd members":   {`{"error":{"message":7,"code":{"a":1},"extra":[{}]}}`, Failure{}, ""},
		"error as text":         {`{"error":"model not found"}`, Failure{Message: "model not found"}, ""},
		"error is true":         {`{"error":true,"message":"m","code":"C"}`, Failure{Code: "C", Message: "m"}, ""},
		"error is a number":     {`{"error":7}`, Failure{}, ""},
		"error is a list":       {`{"error":["x"],"message":"m"}`, Failure{Message: "m"}, ""},
		"code beside nothing":   {`{"code":500,"message":"m","choices":[{"message":{"content":""},"finish_reason":null}]}`, Failure{Code: "500", Message: "m"}, ""},
		"error and choices":     {`{"choices":[{"message":{"content":"x"}}],"error":{"code":"C"}}`, Failure{Code: "C"}, ""},
		"error text and code":   {`{"message":"long","error":"Bad Gateway","code":"SYSTEM_ERROR"}`, Failure{Code: "SYSTEM_ERROR", Message: "long"}, ""},
		"error and success":     {`{"code":"200","error":{"code":null,"message":"m"}}`, Failure{Message: "m"}, ""},
		"Anthropic":             {`{"type":"error","error":{"type":"overloaded_error","message":"m"}}`, Failure{Message: "m", Type: "overloaded_error"}, ""},
		"escaped names":         {`{"\u0065rror":{"c\u006fde":"C"}}`, Failure{Code: "C"}, ""},
		"result U":              {`{"result":{"resultCode":"SYSTEM_ERROR","resultStatus":"U","resultMessage":"m"}}`, Failure{Code: "SYSTEM_ERROR", Message: "m", Status: "U"}, ""},
		"result F":              {`{"result":{"resultStatus":"F","resultCode":"INVALID_SIGNATURE","resultCodeId":"1"}}`, Failure{Code: "INVALID_SIGNATURE", Status: "F"}, ""},
		"result F, success top": {`{"code":"SUCCESS","result":{"resultStatus":"F","resultCode":"X"}}`, Failure{Code: "X", Status: "F"}, ""},

		"v2":              {`{"x_y_response":{"code":"20000","msg":"Service","sub_code":"aop.ACQ.SYSTEM_ERROR","sub_msg":"busy"},"sign":"s"}`, Failure{Code: "aop.ACQ.SYSTEM_ERROR", Message: "busy", GatewayCode: "20000"}, "SYSTEM_ERROR"},
		"v2, ACQ":         {`{"x_y_response":{"code":"40004","msg":"Business","sub_code":"ACQ.SYSTEM_ERROR"}}`, Failure{Code: "ACQ.SYSTEM_ERROR", Message: "Business", GatewayCode: "40004"}, "SYSTEM_ERROR"},
		"v2, isp":         {`{"x_y_response":{"code":"20000","sub_code":"isp.unknow-error"}}`, Failure{Code: "isp.unknow-error", GatewayCode: "20000"}, "unknow-error"},
		"v2, isv":         {`{"x_y_response":{"code":"40005","sub_code":"isv.app-call-limited"}}`, Failure{Code: "isv.app-call-limited", GatewayCode: "40005"}, "app-call-limited"},
		"v2, no sub_code": {`{"error_response":{"code":"20001","msg":"m"}}`, Failure{Code: "20001", Message: "m", GatewayCode: "20001"}, ""},
		"v2, number":      {`{"sign":"s","x_response":{"msg":"m","code":40006}}`, Failure{Code: "40006", Message: "m", GatewayCode: "40006"}, ""},

		"nextbuilder":             {`{"payload":"{\"errorCode\":\"Resource-Not-Found\"}","type":"error"}`, Failure{Code: "Resource-Not-Found"}, ""},
		"nextbuilder, other way":  {`{"type":"error","payload":"{\"errorCode\":\"SYSTEM_ERROR\",\"errorMessage\":\"m\"}"}`, Failure{Code: "SYSTEM_ERROR", Message: "m"}, ""},
		"nextbuilder, object":     {`{"type":"error","payload" : {"errorCode":"SYSTEM_ERROR"}}`, Failure{Code: "SYSTEM_ERROR"}, ""},
		"nextbuilder, plain text": {`{"type":"error","payload":"out of\n order"}`, Failure{Message: "out of order"}, ""},
		"nextbuilder, no payload": {`{"type":"error"}`, Failure{}, ""},
		"type error with a code":  {`{"type":"error","code":"C","message":"m","param":null}`, Failure{Code: "C", Message: "m"}, ""},

		"control characters": {`{"code":"A\u0000B\r\nC\u001b","message":"\u0085a\tb"}`, Failure{Code: "ABC", Message: "a b"}, ""},
		"only control":       {`{"error":{"code":"\n"},"code":"C"}`, Failure{Code: "C"}, ""},
		"dots that are ours": {`{"code":"gpt-4.1_not_found"}`, Failure{Code: "gpt-4.1_not_found"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseBody([]byte(tt.body), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Failure == nil {
				t.Fatalf("taken for a success: %+v", got)
			}
			if *got.Failure != tt.want {
				t.Errorf("\n got %+v\nwant %+v", *got.Failure, tt.want)
			}
			bare := tt.bare
			if bare == "" {
				bare = tt.want.Code
			}
			if got.Failure.BareCode() != bare {
				t.Errorf("BareCode() = %q, want %q", got.Failure.BareCode(), bare)
			}
		})
	}
}

// TestSuccessCodes holds the list of codes that are none of a failure, in both JSON types and any case.
func TestSuccessCodes(t *testing.T) {
	for code, success := range map[string]bool{
		`0`: true, `"0"`: true, `200`: true, `10000`: true, `"SUCCESS"`: true, `"success"`: true, `"Ok"`: true,
		`1`: false, `-1`: false, `500`: false, `"10001"`: false, `"SUCCESSFUL"`: false, `"FAIL"`: false,
	} {
		got, err := ParseBody([]byte(`{"code":`+code+`,"message":"m"}`), Limits{})
		if err != nil || (got.Failure == nil) != success {
			t.Errorf("code %s: failure %v, %v, want success %t", code, got.Failure, err, success)
		}
	}
}

func TestFailureIsCapped(t *testing.T) {
	long := strings.Repeat("é", 40_000)
	bodies := map[string]string{
		"top":    `{"code":"` + long + `","message":"` + long + `","type":"` + long + `","param":"` + long + `"}`,
		"OpenAI": `{"error":{"code":"` + long + `","message":"` + long + `","type":"` + long + `","param":"` + long + `"}}`,
		"number": `{"error":{"code":1` + strings.Repeat("0", 9999) + `,"message":"` + long + `"}}`,
		"text":   `{"error":"` + long + `"}`,
		"v2":     `{"x_response":{"code":"` + long + `","sub_code":"` + long + `","sub_msg":"` + long + `"}}`,
		"global": `{"result":{"resultStatus":"F","resultCode":"` + long + `","resultMessage":"` + long + `"}}`,
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			got, err := ParseBody([]byte(body), Limits{})
			if err != nil || got.Failure == nil {
				t.Fatalf("%+v, %v", got, err)
			}
			checkCapped(t, *got.Failure)
			if len(got.Failure.Message) < maxMessage-1 && len(got.Failure.Code) < maxWord-1 {
				t.Errorf("cut too short: code %d bytes, message %d", len(got.Failure.Code), len(got.Failure.Message))
			}
		})
	}
}

func checkCapped(t *testing.T, f Failure) {
	t.Helper()
	for _, word := range []string{f.Code, f.Type, f.Param, f.Status, f.GatewayCode} {
		if len(word) > maxWord {
			t.Errorf("%d bytes kept, at most %d wanted", len(word), maxWord)
		}
	}
	if len(f.Message) > maxMessage {
		t.Errorf("message of %d bytes kept, at most %d wanted", len(f.Message), maxMessage)
	}
	all := f.Code + f.Type + f.Param + f.Status + f.GatewayCode + f.Message
	if strings.ToValidUTF8(all, "") != all {
		t.Error("cut within a character")
	}
	if strings.ContainsAny(all, "\x00\r\n\x1b\x7f") {
		t.Errorf("control characters kept: %q", all)
	}
}

func TestUsage(t *testing.T) {
	tests := map[string]struct {
		usage string
		want  Usage
	}{
		"full":                {`{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}`, Usage{Prompt: 1, Completion: 2, Total: 3, OK: true}},
		"no total":            {`{"completion_tokens":2,"prompt_tokens":1}`, Usage{Prompt: 1, Completion: 2, Total: 3, OK: true}},
		"zeros":               {`{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`, Usage{OK: true}},
		"no total in fact":    {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":0}`, Usage{Prompt: 10, Completion: 5, Total: 15, OK: true}},
		"too small a total":   {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":10}`, Usage{Prompt: 10, Completion: 5, Total: 15, OK: true}},
		"exponent":            {`{"prompt_tokens":1e3}`, Usage{Prompt: 1000, Total: 1000, OK: true}},
		"whole fraction":      {`{"prompt_tokens":7.0}`, Usage{Prompt: 7, Total: 7, OK: true}},
		"beyond floats":       {`{"prompt_tokens":1e400}`, Usage{Implausible: true}},
		"an object":           {`{"prompt_tokens":{}}`, Usage{Implausible: true}},
		"null member":         {`{"prompt_tokens":1,"completion_tokens":null,"total_tokens":1}`, Usage{Prompt: 1, Total: 1, OK: true}},
		"null":                {`null`, Usage{}},
		"empty":               {`{}`, Usage{}},
		"other names":         {`{"input_tokens":7,"output_tokens":2,"input_tokens_details":{"cached_tokens":5}}`, Usage{Prompt: 7, Completion: 2, Total: 9, Cached: 5, OK: true}},
		"both names":          {`{"input_tokens":7,"prompt_tokens":12,"completion_tokens":3,"output_tokens":3}`, Usage{Prompt: 12, Completion: 3, Total: 15, OK: true}},
		"no names":            {`{"tokens":7}`, Usage{}},
		"negative":            {`{"prompt_tokens":-1,"completion_tokens":2}`, Usage{Implausible: true}},
		"fraction":            {`{"prompt_tokens":1.5,"completion_tokens":2}`, Usage{Implausible: true}},
		"huge":                {`{"prompt_tokens":9e99,"completion_tokens":2}`, Usage{Implausible: true}},
		"overflow":            {`{"prompt_tokens":9223372036854775807,"completion_tokens":9223372036854775807}`, Usage{Implausible: true}},
		"a text":              {`{"prompt_tokens":"one","total_tokens":1}`, Usage{Implausible: true}},
		"a number as a text":  {`{"prompt_tokens":"1","total_tokens":1}`, Usage{Prompt: 1, Total: 1, OK: true}},
		"the largest":         {`{"prompt_tokens":1099511627776}`, Usage{Prompt: 1 << 40, Total: 1 << 40, OK: true}},
		"one more":            {`{"prompt_tokens":1099511627777}`, Usage{Implausible: true}},
		"not an object":       {`7`, Usage{}},
		"reasoning":           {`{"prompt_tokens":1,"completion_tokens":5,"total_tokens":6,"completion_tokens_details":{"reasoning_tokens":4}}`, Usage{Prompt: 1, Completion: 5, Total: 6, Reasoning: 4, OK: true}},
		"xAI's":               {`{"prompt_tokens":10120,"completion_tokens":1499,"total_tokens":14428,"prompt_tokens_details":{"cached_tokens":128},"completion_tokens_details":{"reasoning_tokens":2809}}`, Usage{Prompt: 10120, Completion: 4308, Total: 14428, Cached: 128, Reasoning: 2809, OK: true}},
		"Gemini's":            {`{"prompt_tokens":7,"completion_tokens":20,"total_tokens":497}`, Usage{Prompt: 7, Completion: 490, Total: 497, OK: true}},
		"beside a cache":      {`{"prompt_tokens":7,"completion_tokens":20,"total_tokens":32,"prompt_tokens_details":{"cached_tokens":5}}`, Usage{Prompt: 12, Completion: 20, Total: 32, Cached: 5, OK: true}},
		"beside a larger one": {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":1015,"prompt_tokens_details":{"cached_tokens":1000}}`, Usage{Prompt: 1010, Completion: 5, Total: 1015, Cached: 1000, OK: true}},
		// https://github.com/earendil-works/pi/issues/8075
		"Moonshot's cache": {`{"prompt_tokens":19,"completion_tokens":13,"total_tokens":32,"cached_tokens":12}`, Usage{Prompt: 19, Completion: 13, Total: 32, Cached: 12, OK: true}},
		// https://github.com/BerriAI/litellm/pull/28009
		"LiteLLM's cache": {`{"prompt_tokens":30,"completion_tokens":1,"total_tokens":31,"cache_read_input_tokens":20,"cache_creation_input_tokens":5}`, Usage{Prompt: 30, Completion: 1, Total: 31, Cached: 20, Written: 5, OK: true}},
		// https://github.com/mindroom-ai/mindroom/pull/2134
		"written to OpenAI's cache": {`{"prompt_tokens":2600,"completion_tokens":3,"total_tokens":2603,"prompt_tokens_details":{"cached_tokens":2000,"cache_write_tokens":400}}`, Usage{Prompt: 2600, Completion: 3, Total: 2603, Cached: 2000, Written: 400, OK: true}},
		"written beside":            {`{"prompt_tokens":7,"completion_tokens":20,"total_tokens":37,"prompt_tokens_details":{"cached_tokens":5,"cache_write_tokens":5}}`, Usage{Prompt: 17, Completion: 20, Total: 37, Cached: 5, Written: 5, OK: true}},
		"more written than sent":    {`{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"prompt_tokens_details":{"cached_tokens":5,"cache_write_tokens":5}}`, Usage{Prompt: 12, Completion: 2, Total: 14, Cached: 5, Written: 5, OK: true}},
		"two counts of one cache":   {`{"prompt_tokens":19,"completion_tokens":13,"total_tokens":32,"cached_tokens":12,"prompt_tokens_details":{"cached_tokens":0}}`, Usage{Prompt: 19, Completion: 13, Total: 32, Cached: 12, OK: true}},
		// https://github.com/langwatch/langwatch/pull/7021
		"sound":               {`{"prompt_tokens":20,"completion_tokens":47,"total_tokens":67,"prompt_tokens_details":{"audio_tokens":5},"completion_tokens_details":{"audio_tokens":34}}`, Usage{Prompt: 20, Completion: 47, Total: 67, AudioIn: 5, AudioOut: 34, OK: true}},
		"pictures":            {`{"prompt_tokens":20,"completion_tokens":47,"total_tokens":67,"prompt_tokens_details":{"image_tokens":5},"completion_tokens_details":{"image_tokens":99}}`, Usage{Prompt: 20, Completion: 47, Total: 67, ImageIn: 5, ImageOut: 47, OK: true}},
		"odd reasoning":       {`{"prompt_tokens":7,"completion_tokens":20,"total_tokens":32,"completion_tokens_details":{"reasoning_tokens":9}}`, Usage{Prompt: 7, Completion: 25, Total: 32, Reasoning: 9, OK: true}},
		"more than reasoning": {`{"prompt_tokens":100,"completion_tokens":10,"total_tokens":620,"completion_tokens_details":{"reasoning_tokens":500}}`, Usage{Prompt: 100, Completion: 520, Total: 620, Reasoning: 500, OK: true}},
		"more than a cache":   {`{"prompt_tokens":100,"completion_tokens":10,"total_tokens":160,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":5}}`, Usage{Prompt: 100, Completion: 60, Total: 160, Cached: 40, Reasoning: 5, OK: true}},
		"no reasoning":        {`{"prompt_tokens":1,"completion_tokens":2,"completion_tokens_details":null}`, Usage{Prompt: 1, Completion: 2, Total: 3, OK: true}},
		"nested details":      {`{"prompt_tokens":1,"prompt_tokens_details":{"total_tokens":9}}`, Usage{Prompt: 1, Total: 1, OK: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseBody([]byte(`{"choices":[],"usage":`+tt.usage+`}`), Limits{})
			if err != nil || got.Usage != tt.want {
				t.Errorf("got %+v, %v, want %+v", got.Usage, err, tt.want)
			}
		})
	}
}

// malformed are texts that no parser of answers may accept, with a word of the reason. S3CR3T may not come back.
var malformed = map[string]struct{ text, says string }{
	"empty":          {"", "empty"},
	"HTML":           {"<html>S3CR3T</html>", "syntax error at byte 0"},
	"cut":            {`{"choices":[{"message":{"content":"S3CR3T`, "ends too early"},
	"cut after all":  {`{"choices":[]`, "ends too early"},
	"array":          {`[{"choices":"S3CR3T"}]`, "not an object"},
	"array of texts": {`["S3CR3T"]`, "not an object"},
	"empty array":    {`[]`, "not an object"},
	"array and more": {`[{"error":"S3CR3T"}]{}`, "something follows"},
	"null":           {`null`, "not an object"},
	"string":         {`"S3CR3T"`, "not an object"},
	"two objects":    {`{}{}`, "something follows the object at byte"},
	"bytes after":    {`{} S3CR3T`, "something follows the object"},
	"duplicate":      {`{"choices":[{"delta":"S3CR3T"}],"choices":[]}`, "repeats a key"},
	"duplicate data": {`{"data":[{}],"data":["S3CR3T"]}`, "repeats a key"},
	"two errors":     {`{"error":{"code":"S3CR3T"},"error":null}`, "repeats a key"},
	"two codes":      {`{"code":"S3CR3T","code":200}`, "repeats a key"},
	"two types":      {`{"type":"error","type":"S3CR3T"}`, "repeats a key"},
	"two results":    {`{"result":{"resultStatus":"F"},"result":{"S3CR3T":1}}`, "repeats a key"},
	"two payloads":   {`{"payload":{},"payload":{"S3CR3T":1}}`, "repeats a key"},
	"duplicate code": {`{"error":{"code":"a","code":"b"}}`, "repeats a key"},
	"bad UTF-8":      {"{\"model\":\"\xff\"}", "syntax error"},
	"bad choice":     {`{"choices":[{"finish_reason":x}]}`, "syntax error"},
	"bad usage":      {`{"usage":{"prompt_tokens":01}}`, "syntax error"},
	"bad code":       {`{"code":}`, "syntax error"},
	"too deep":       {`{"x":` + nest(DefaultMaxDepth) + `}`, "nested deeper than 64 levels"},
	"bad response":   {`{"a_response":{"code":"20000",}}`, "syntax error"},
	"bad result":     {`{"result":{"resultStatus":"F"]}`, "syntax error"},
	"bad payload":    {`{"type":"error","payload":{"a":}}`, "syntax error"},
}

func checkMalformed(t *testing.T, err error, says string) {
	t.Helper()
	if !errors.Is(err, ErrMalformed) {
		t.Fatalf("err = %v, want ErrMalformed", err)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("err = %v, want it to say %q", err, says)
	}
	if strings.Contains(err.Error(), "S3CR3T") {
		t.Errorf("the error quotes the answer: %v", err)
	}
}

func TestParseBodyMalformed(t *testing.T) {
	for name, tt := range malformed {
		t.Run(name, func(t *testing.T) {
			got, err := ParseBody([]byte(tt.text), Limits{})
			checkMalformed(t, err, tt.says)
			if got != (Answer{}) {
				t.Errorf("an answer beside the error: %+v", got)
			}
		})
	}
}

func FuzzParseBody(f *testing.F) {
	for _, body := range []string{
		`{"code":"SYSTEM_ERROR","message":"m"}`, `{"error":{"code":null,"type":"t"}}`, `{"error":[1]}`,
		`{"result":{"resultStatus":"U","resultCode":"C"}}`, `{"x_response":{"code":20000,"sub_code":"aop.ACQ.X"}}`,
		`{"type":"error","payload":"{\"errorCode\":\"\\u0000\"}"}`, `{"type":"error","payload":{"code":1}}`,
		`{"choices":[{"delta":{"content":[]},"finish_reason":"x"}],"usage":{"prompt_tokens":1e2}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := string(body)
		a, err := ParseBody(body, Limits{})
		if string(body) != before {
			t.Fatal("the body was changed")
		}
		if err != nil && (!errors.Is(err, ErrMalformed) || a != (Answer{})) {
			t.Fatalf("%+v, %v", a, err)
		}
		if a.Failure != nil {
			checkCapped(t, *a.Failure)
		}
		if u := a.Usage; u.Prompt < 0 || u.Completion < 0 || u.Total < 0 || !u.OK && u != (Usage{}) {
			t.Fatalf("usage %+v", u)
		}
	})
}
