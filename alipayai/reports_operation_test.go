package alipayai_test

import (
	"testing"

	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// What says nothing of the request is no answer to it, whatever its status: the next provider is asked. Alone, the client gets
// it, and a call that may have executed is sent once.
func TestPublicReportsOfStatuses(t *testing.T) {
	const plain, html = "text/plain", "text/html"
	typed := func(status int, body, contentType string) turn {
		return says(status, body, "Content-Type", contentType)
	}
	for source, test := range map[string]struct {
		turn   turn
		status int // alone
		sent   int // alone, and before the next provider is asked
		unsafe bool
	}{
		// The API has nothing at the path, or what stands before it has not.
		"https://github.com/langwatch/langwatch/pull/5358":      {typed(404, "404 page not found\n", plain), 404, 1, false},
		"https://github.com/langwatch/langwatch/pull/5358 ":     {says(404, `{"detail":"Not Found"}`), 404, 1, false},
		"https://github.com/mozilla-ai/otari/pull/173":          {says(405, `{"detail":"Method Not Allowed"}`), 405, 1, false},
		"https://github.com/mozilla-ai/otari/pull/173 ":         {typed(405, "<html><h1>405 Not Allowed</h1></html>", html), 405, 1, false},
		"https://github.com/tashfeenahmed/freellmapi/issues/66": {says(404, `{"error":{"message":"Provider returned error","code":404}}`), 404, 1, false},
		"nginx's 404":     {typed(404, "<html><h1>404 Not Found</h1></html>", html), 404, 1, false},
		"nginx's 400":     {typed(400, "<html><h1>400 Bad Request</h1>The plain HTTP request was sent to HTTPS port</html>", html), 400, 1, false},
		"nginx's 413":     {typed(413, "<html><h1>413 Request Entity Too Large</h1></html>", html), 413, 1, false},
		"Kong's":          {says(404, `{"message":"no Route matched with those values","request_id":"r"}`), 404, 1, false},
		"APISIX's":        {says(404, `{"error_msg":"404 Route Not Found"}`), 404, 1, false},
		"Azure's":         {says(404, `{"error":{"code":"404","message":"Resource not found"}}`), 404, 1, false},
		"OpenAI's":        {says(404, `{"error":{"message":"Invalid URL (POST /v1/chat/completions)","type":"invalid_request_error","param":null,"code":null}}`), 404, 1, false},
		"OpenAI's, later": {says(404, `{"error":{"message":"Unknown request URL: POST /chat/completions.","type":"invalid_request_error","param":null,"code":"unknown_url"}}`), 404, 1, false},
		// The status is of the way there, and not of the request.
		"https://github.com/mnfst/llm-gateway/issues/1407": {typed(424, "Failed Dependency", plain), 424, 1, true},
		"https://github.com/mnfst/llm-gateway/pull/1126":   {says(424, `{"error":{"message":"All models failed","type":"fallback_exhausted"}}`), 424, 1, true},
		"https://github.com/laravel/ai/pull/925":           {says(498, `{"error":{"message":"Flex tier capacity exceeded","type":"invalid_request_error","code":null}}`), 498, 3, true},
		"https://github.com/can1357/oh-my-pi/issues/11841": {typed(499, "", plain), 502, 1, true},
		"a proxy on the way":                               {typed(407, "Proxy Authentication Required", plain), 502, 1, true},
		"a connection to another host":                     {says(421, `{"error":{"message":"misdirected"}}`), 421, 3, true},
		"early data":                                       {typed(425, "Too Early", plain), 425, 3, true},
		// The upstream asks not to be asked again.
		"https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py":    {says(500, `{"error":{"message":"m","type":"server_error"}}`, "X-Should-Retry", "false"), 500, 1, true},
		"https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py ":   {says(429, `{"error":{"message":"m","type":"rate_limit_error"}}`, "X-Should-Retry", "False", "Retry-After", "1"), 429, 1, true},
		"https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py  ":  {says(503, `{"error":{"message":"m","type":"server_error"}}`, "X-Should-Retry", "false", "Retry-After", "1"), 503, 1, true},
		"https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py   ": {says(502, `{"error":{"message":"m","type":"server_error","code":"upstream_truncated_response"}}`, "X-Should-Retry", "false"), 502, 1, true},
	} {
		t.Run(source, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn}, {good}})
				if got := s.call(chatBody("hello")); got.status != 200 || got.header.Get("X-Alipayai-Provider") != "second" {
					t.Errorf("%d %v %s", got.status, got.header, got.body)
				}
				s.wantCalls(test.sent, 1)
			})
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.turn}})
				got := s.call(chatBody("hello"))
				wantFailure(t, got, test.status)
				s.wantCalls(test.sent)
				if unsafe := got.header.Get("X-Should-Retry") == "false"; unsafe != test.unsafe {
					t.Errorf("%v", got.header)
				}
			})
		})
	}
}

// A proxy in front passes a stream on as it comes (https://github.com/xorbitsai/xagent/issues/1358,
// https://github.com/LostRuins/koboldcpp/pull/1168), and need not do so with a whole answer.
func TestStreamsAreNotBufferedInFront(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want string
	}{"a stream": {streamBody("hello"), "no"}, "an answer": {chatBody("hello"), ""}} {
		t.Run(name, func(t *testing.T) {
			s := perform(t, [][]turn{{streams(nil, deltaEvent, finishEvent, "[DONE]")}})
			if name == "an answer" {
				s.scripts[0].turns = []turn{good}
			}
			if got := s.call(test.body); got.status != 200 || got.header.Get("X-Accel-Buffering") != test.want {
				t.Errorf("%d %v", got.status, got.header)
			}
		})
	}
}

// A body is JSON whatever stands around its type and before its text; what is called otherwise is refused, since a browser sends
// that for any page (https://github.com/diegosouzapw/OmniRoute/issues/6414).
func TestPublicReportsOfBodies(t *testing.T) {
	for source, test := range map[string]struct {
		contentType, before string
		status              int
	}{
		"https://github.com/openai/openai-openapi/issues/194": {"application/json; charset=utf-8", "", 200},
		"https://github.com/540co/ads-bpa/issues/255":         {"application/json; utf-8", "", 200},
		"twice":                        {"application/json, application/json", "", 200},
		"in other letters":             {"Application/JSON ;charset=UTF-8", "", 200},
		"a byte order mark":            {"application/json", "\ufeff", 200},
		"two of them":                  {"application/json", "\ufeff\ufeff", 400},
		"text":                         {"text/plain", "", 415},
		"text, with a word":            {"text/plain; application/json", "", 415},
		"text, with another":           {"text/plain, application/json", "", 415},
		"a type that begins like JSON": {"application/json-seq", "", 415},
		"none":                         {"", "", 415},
	} {
		t.Run(source, func(t *testing.T) {
			s := perform(t, [][]turn{{good}})
			got := s.call(test.before+chatBody("hello"), "Content-Type", test.contentType)
			if got.status != test.status {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if got.status == 200 && string(s.scripts[0].seen[0].body) != chatBody("hello") {
				t.Errorf("the provider got %q", s.scripts[0].seen[0].body)
			}
		})
	}
}

// What is said of the request itself is the client's, also under those statuses, and so is a name that the vendor does not know.
func TestRefusalsOfTheRequest(t *testing.T) {
	for name, refusal := range map[string]turn{
		"a model":        says(404, `{"error":{"message":"The model x does not exist","type":"invalid_request_error","code":"model_not_found"}}`),
		"a file":         says(404, `{"error":{"message":"No such File object: file-1","type":"invalid_request_error","param":"id","code":null}}`),
		"not found":      says(404, `{"type":"error","error":{"type":"not_found_error","message":"file not found"}}`),
		"a field":        says(400, `{"error":{"message":"bad temperature","type":"invalid_request_error"}}`),
		"a field, plain": says(400, "temperature must be at most 2", "Content-Type", "text/plain"),
		"an object":      says(400, "{}"),
		"a code":         says(404, `{"error":{"message":"Not Found","code":"MODEL_NOT_FOUND"}}`),
		"a conflict":     says(409, "", "Content-Type", "text/plain"),
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{refusal}, {good}})
				if got := s.call(chatBody("hello")); got.status < 400 || got.header.Get("X-Alipayai-Provider") != "first" {
					t.Errorf("%d %v %s", got.status, got.header, got.body)
				}
				s.wantCalls(1, 0)
			})
		})
	}
}
