package alipayai_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// wantFailure is wantError whatever the code.
func wantFailure(t *testing.T, got reply, status int) (message string) {
	t.Helper()
	var body struct {
		Error struct{ Code *string }
	}
	_ = json.Unmarshal([]byte(got.body), &body) // or wantError says so
	code := ""
	if body.Error.Code != nil {
		code = *body.Error.Code
	}
	return wantError(t, got, status, code)
}

// breaksOff is a connection that breaks.
func breaksOff(context.Context) error { return io.ErrUnexpectedEOF }

// roleEvent has no content yet.
const roleEvent = `{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`

// failurePlaces are where upstreams put an error inside a 200.
var failurePlaces = map[string]struct {
	body   string
	answer func(failure string) turn
}{
	"JSON":              {chatBody("hello"), func(f string) turn { return says(200, `{"error":`+f+`,"user_id":"org_EXAMPLE"}`) }},
	"a choice":          {chatBody("hello"), func(f string) turn { return says(200, inChoice(f)) }},
	"first event":       {streamBody("hello"), func(f string) turn { return streams(nil, `{"error":`+f+`}`) }},
	"after the role":    {streamBody("hello"), func(f string) turn { return streams(nil, roleEvent, `{"error":`+f+`,"choices":[]}`, "[DONE]") }},
	"a choice's event":  {streamBody("hello"), func(f string) turn { return streams(nil, roleEvent, inChoice(f), "[DONE]") }},
	"JSON for a stream": {streamBody("hello"), func(f string) turn { return says(200, `{"error":`+f+`}`, "Content-Type", "text/event-stream") }},
}

func inChoice(failure string) string {
	return `{"choices":[{"index":0,"delta":{"content":""},"message":{"content":""},"finish_reason":"error","error":` + failure + `}]}`
}

// TestVendorsFailures has each form of a code, in each place of a 200: what a vendor means by it decides who is asked, how
// often, and what a client sees that no other provider can serve.
func TestVendorsFailures(t *testing.T) {
	for name, test := range map[string]struct {
		failure  string
		reason   string
		attempts int // at the first provider, with another one behind it
		status   int // where there is no other
		code     string
		message  string
	}{
		"a status":              {`{"code":502,"message":"why"}`, "server_error", 3, 502, "502", "why"},
		"a status as text":      {`{"code":"503","message":"why"}`, "server_error", 3, 503, "503", "why"},
		"throttled":             {`{"code":429,"message":"why"}`, "throttled", 1, 429, "429", "why"},
		"throttled, type":       {`{"code":null,"type":"rate_limit_error","message":"why"}`, "throttled", 1, 429, "rate_limit_error", "why"},
		"throttled, Qwen":       {`{"code":"Throttling.RateQuota","message":"why"}`, "throttled", 1, 429, "Throttling.RateQuota", "why"},
		"server_error":          {`{"code":null,"type":"server_error","message":"why"}`, "server_error", 3, 500, "server_error", "why"},
		"server_error, code":    {`{"code":"server_error","message":"why"}`, "server_error", 3, 500, "server_error", "why"},
		"vLLM":                  {`{"object":"error","type":"InternalServerError","code":500,"message":"why"}`, "server_error", 3, 500, "500", "why"},
		"Google":                {`{"code":503,"status":"UNAVAILABLE","message":"why"}`, "server_error", 3, 503, "503", "why"},
		"no code":               {`{"message":"why"}`, "server_error", 3, 503, "", "why"},
		"text":                  {`"why"`, "server_error", 3, 503, "", "why"},
		"timeout":               {`{"code":408,"message":"why"}`, "server_error", 1, 408, "408", "why"},
		"timeout, 504":          {`{"code":504,"message":"why"}`, "server_error", 1, 504, "504", "why"},
		"timeout, 522":          {`{"code":522,"message":"why"}`, "server_error", 1, 522, "522", "why"},
		"timeout, 524":          {`{"code":"524","message":"why"}`, "server_error", 1, 524, "524", "why"},
		"timeout, word":         {`{"code":"RequestTimeOut","message":"why"}`, "server_error", 1, 504, "RequestTimeOut", "why"},
		"timeout, type":         {`{"code":529,"type":"timeout_error","message":"why"}`, "server_error", 1, 529, "529", "why"},
		"timeout, gRPC":         {`{"status":"DEADLINE_EXCEEDED","message":"why"}`, "server_error", 1, 504, "DEADLINE_EXCEEDED", "why"},
		"timeout, in words":     {`{"code":502,"message":"upstream idle timeout exceeded"}`, "server_error", 1, 502, "502", "upstream idle timeout exceeded"},
		"empty account":         {`{"code":402,"message":"why"}`, "account_exhausted", 1, 502, "402", "the provider refuses the gateway's account"},
		"empty account, OpenAI": {`{"code":"insufficient_quota","message":"why"}`, "account_exhausted", 1, 502, "insufficient_quota", "the provider refuses the gateway's account"},
		"empty account, Qwen":   {`{"code":"Arrearage","message":"why"}`, "account_exhausted", 1, 502, "Arrearage", "the provider refuses the gateway's account"},
		"empty account, 429":    {`{"code":"429","type":"insufficient_quota","message":"why"}`, "account_exhausted", 1, 502, "429", "the provider refuses the gateway's account"},
		"key":                   {`{"code":401,"message":"why"}`, "credentials", 1, 502, "401", "the provider refuses the gateway's credentials"},
		"key, type":             {`{"type":"authentication_error","message":"why"}`, "credentials", 1, 502, "authentication_error", "the provider refuses the gateway's credentials"},
		"request":               {`{"code":400,"message":"why"}`, "", 1, 400, "400", "why"},
		"request, type":         {`{"type":"invalid_request_error","message":"why"}`, "", 1, 400, "invalid_request_error", "why"},
		"model":                 {`{"code":404,"message":"why"}`, "", 1, 404, "404", "why"},
		"blocked":               {`{"code":"DataInspectionFailed","message":"why"}`, "", 1, 403, "DataInspectionFailed", "why"},
		"unknown":               {`{"code":"odd","message":"why"}`, "", 1, 502, "odd", "why"},
	} {
		for place, at := range failurePlaces {
			t.Run(name+", "+place, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					s := perform(t, [][]turn{{at.answer(test.failure)}, {good}})
					got := s.call(at.body)
					if test.reason == "" {
						wantError(t, got, test.status, test.code)
						s.wantCalls(1, 0)
					} else {
						wantHeader(t, got, "X-Alipayai-Provider", "second", "X-Alipayai-Reason", test.reason)
						s.wantCalls(test.attempts, 1)
					}
				})
				testwait.Bubble(t, func(t *testing.T) {
					s := perform(t, [][]turn{{at.answer(test.failure)}})
					got := s.call(at.body)
					if message := wantError(t, got, test.status, test.code); message != test.message {
						t.Errorf("message %q, want %q", message, test.message)
					}
					if strings.Contains(got.body, "org_EXAMPLE") {
						t.Errorf("the provider's body is shown: %s", got.body)
					}
					// After a throttling that was waited out twice a client need not come again either.
					if unsafe := got.header.Get("X-Should-Retry") == "false"; unsafe == (test.status == http.StatusForbidden) {
						t.Errorf("X-Should-Retry is %q", got.header.Get("X-Should-Retry"))
					}
				})
			})
		}
	}
}

// TestFailuresAfterContent holds that no failure after content ends cleanly.
func TestFailuresAfterContent(t *testing.T) {
	for name, event := range map[string]string{
		"a status":            `{"error":{"code":502,"message":"why"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}`,
		"a word":              `{"error":{"code":"server_error","message":"why"},"choices":[]}`,
		"a text":              `{"error":"why"}`,
		"in a choice":         inChoice(`{"code":502,"message":"why"}`),
		"words for content":   `{"choices":[{"index":0,"delta":{"content":"Throttling: TPM(10/10)"},"finish_reason":"error_finish"}]}`,
		"a bare finish":       `{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}`,
		"Google's array":      `[{"error":{"code":503,"message":"why","status":"UNAVAILABLE"}}]`,
		"an object of errors": `{"object":"error","message":"why","type":"InternalServerError","code":500}`,
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{streams(nil, deltaEvent, event, "[DONE]")}, {good}}, caching())
				got := s.call(streamBody("hello"))
				if got.status != http.StatusOK || got.err == nil || !strings.Contains(got.body, `"error":{`) || strings.Contains(got.body, "[DONE]") {
					t.Errorf("%d, %v: %s", got.status, got.err, got.body)
				}
				s.wantCalls(1, 0)
			})
		})
	}
}

// TestNoRepeatOfWhatWasGenerated fails behind content that a guard holds back, so that no client has seen any: it was generated, and
// is asked for no second time where it would be paid for again. Another provider may answer.
func TestNoRepeatOfWhatWasGenerated(t *testing.T) {
	for name, test := range map[string]struct {
		before string
		failed string
		asked  int
	}{
		"a limit":                 {deltaEvent, `{"error":{"code":429,"message":"why"}}`, 1},
		"a fault":                 {deltaEvent, `{"error":{"code":503,"message":"why"}}`, 1},
		"words for content":       {deltaEvent, `{"choices":[{"index":0,"delta":{"content":"Throttling: why"},"finish_reason":"error_finish"}]}`, 1},
		"words, before content":   {roleEvent, `{"choices":[{"index":0,"delta":{"content":"Throttling: why"},"finish_reason":"error_finish"}]}`, 3},
		"a limit, before content": {roleEvent, `{"error":{"code":429,"message":"why"}}`, 3},
		"a fault, before content": {roleEvent, `{"error":{"code":503,"message":"why"}}`, 3},
	} {
		for _, alone := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, alone: %t", name, alone), func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					failed := streams(nil, test.before, test.failed)
					turns := [][]turn{{failed, failed, failed}}
					if !alone {
						turns = append(turns, []turn{good})
					}
					s := perform(t, turns)
					ctx := alipayai.WithModeration(t.Context(), alipayai.Moderation{Guard: &alipayai.OutputGuard{Rules: outputRules(t, "secret handshake"), Name: "law", Window: 64}})
					got := s.callAt(ctx, chatPath, streamBody("hello"))
					if (got.status == http.StatusOK) == alone {
						t.Errorf("%d %s", got.status, got.body)
					}
					if asked := s.scripts[0].count(); alone && asked != test.asked || asked > test.asked {
						t.Errorf("asked %d times, want %d", asked, test.asked)
					}
				})
			})
		}
	}
}

// TestWordsForContent holds that what went wrong is no answer where it stands in the place of one, as Qwen's endpoints have it:
// packages/core/src/core/openaiContentGenerator/pipeline.ts of QwenLM/qwen-code.
func TestWordsForContent(t *testing.T) {
	for name, test := range map[string]struct {
		words   string
		reason  string
		status  int
		message string
	}{
		"a text":   {"Throttling: TPM(10/10)", "throttled", 429, "Throttling: TPM(10/10)"},
		"JSON":     {`{\"message\":\"Too many tokens, please wait before trying again.\"}`, "throttled", 429, "Too many tokens, please wait before trying again."},
		"a code":   {`{\"code\":\"Arrearage\",\"message\":\"why\"}`, "account_exhausted", 502, "the provider refuses the gateway's account"},
		"unknown":  {"why", "server_error", 503, "why"},
		"no words": {"", "server_error", 503, "the provider broke its answer off"},
	} {
		failed := streams(nil, roleEvent, `{"choices":[{"index":0,"delta":{"content":"`+test.words+`"},"finish_reason":"error_finish"}]}`, "[DONE]")
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{failed}, {good}})
				wantHeader(t, s.call(streamBody("hello")), "X-Alipayai-Provider", "second", "X-Alipayai-Reason", test.reason)
			})
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{failed}})
				if message := wantFailure(t, s.call(streamBody("hello")), test.status); message != test.message {
					t.Errorf("message %q, want %q", message, test.message)
				}
			})
		})
	}
}

// TestBareFailures holds that a failure counts that stands in a stream without the name of a field, and nothing else that does:
// https://github.com/googleapis/js-genai/issues/1973.
func TestBareFailures(t *testing.T) {
	const quota = `{"error":{"code":429,"message":"why","status":"RESOURCE_EXHAUSTED"}}`
	head, half := "data: "+roleEvent+"\n\n", "data: "+deltaEvent+"\n\n"
	whole := "data: " + `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
	for name, test := range map[string]struct {
		stream string
		second int    // requests at another provider
		has    string // of what a client gets, where there are none
	}{
		"at the end":             {head + quota, 1, ""},
		"with a line's end":      {head + quota + "\n", 1, ""},
		"with a blank line":      {head + quota + "\n\n", 1, ""},
		"over lines":             {head + "[{\n  \"error\": {\n \"code\": 503, \"message\": \"why\"}}]\n\n", 1, ""},
		"of a filter":            {head + `{"error":{"code":"prohibited_content","message":"why"}}` + "\n", 0, `"code":"prohibited_content"`},
		"after content":          {head + half + quota + "\n", 0, `"error":{"message":"why"`},
		"no failure":             {head + "{\"a\":1}\n\n" + half + whole, 0, "[DONE]"},
		"no JSON":                {head + "{\n\n" + half + whole, 0, "[DONE]"},
		"beside what is a field": {head + quota + "\n" + half + whole, 0, "[DONE]"},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{says(200, test.stream, "Content-Type", "text/event-stream")}, {good}})
				got := s.call(streamBody("hello"))
				if s.scripts[1].count() != test.second || test.second == 0 && !strings.Contains(got.body, test.has) {
					t.Errorf("%d requests at another, %d %s", s.scripts[1].count(), got.status, got.body)
				}
			})
		})
	}
}

// TestStatusesOfFailures has what comes with an HTTP status of its own.
func TestStatusesOfFailures(t *testing.T) {
	for name, test := range map[string]struct {
		status   int
		body     string
		reason   string
		attempts int
		alone    int
		message  string
	}{
		"408":                            {408, `{}`, "server_error", 1, 408, "the provider answered Request Timeout"},
		"504":                            {504, `{"error":{"message":"why"}}`, "server_error", 1, 504, "why"},
		"522, Cloudflare's text":         {522, "error code: 522", "server_error", 1, 522, "error code: 522"},
		"524, Cloudflare's page":         {524, "<!DOCTYPE html><title>524: A timeout occurred</title>", "server_error", 1, 524, "the provider answered 524"},
		"520":                            {520, "error code: 520", "server_error", 3, 520, "error code: 520"},
		"529, overloaded":                {529, `{"type":"error","error":{"type":"overloaded_error","message":"why"}}`, "server_error", 3, 529, "why"},
		"503, one-api without a channel": {503, `{"error":{"message":"当前分组 default 下对于模型 gpt-5 无可用渠道 (request id: 2025)","type":"one_api_error"}}`, "server_error", 1, 503, "当前分组 default 下对于模型 gpt-5 无可用渠道 (request id: 2025)"},
		"503, new-api without a channel": {503, `{"error":{"code":"model_not_found","message":"why","type":"new_api_error"}}`, "server_error", 1, 503, "why"},
		"500, new-api's words":           {500, `{"error":{"code":"sensitive_words_detected","message":"why","type":"new_api_error"}}`, "", 1, 403, "why"},
		"402, OpenRouter's, for now":     {402, `{"error":{"message":"why","code":402,"metadata":{"reason":"in_flight_budget_exhausted","headers":{"Retry-After":"120"}}}}`, "throttled", 1, 429, "why"},
		"403, Kimi's of calls at once":   {403, `{"error":{"message":"You've reached your concurrent request limit.","type":"permission_error"}}`, "throttled", 1, 429, "You've reached your concurrent request limit."},
		"400, NVIDIA's, degraded":        {400, `{"detail":"Function id 'f': DEGRADED function cannot be invoked"}`, "server_error", 1, 503, "Function id 'f': DEGRADED function cannot be invoked"},
		"400, a fault behind it":         {400, `{"error":{"message":"Upstream request failed"}}`, "server_error", 3, 502, "Upstream request failed"},
		"500, llama.cpp's, too long":     {500, `{"error":{"code":500,"message":"why","type":"exceed_context_size_error"}}`, "", 1, 400, "why"},
		"401, Baidu's of the model":      {401, `{"error":{"code":"invalid_model","message":"why","type":"invalid_request_error"}}`, "", 1, 404, "why"},
		"400, Hunyuan's of the request":  {400, `{"error":{"message":"why","type":"invalid_request_error","param":null,"code":"1001"}}`, "", 1, 400, "why"},
		"529, timeout":                   {529, `{"error":{"type":"timeout","message":"why"}}`, "server_error", 1, 529, "why"},
		"500, timed out":                 {500, `{"error":{"message":"Request timed out."}}`, "server_error", 1, 500, "Request timed out."},
		"402":                            {402, `{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}`, "account_exhausted", 1, 502, "the provider refuses the gateway's account"},
		"402, text":                      {402, "pay", "account_exhausted", 1, 502, "the provider refuses the gateway's account"},
		"400, Arrearage":                 {400, `{"code":"Arrearage","message":"why"}`, "account_exhausted", 1, 502, "the provider refuses the gateway's account"},
		"400, credit":                    {400, `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}`, "account_exhausted", 1, 502, "the provider refuses the gateway's account"},
		"400, LiteLLM's 402":             {400, `{"error":{"message":"litellm.BadRequestError: DeepseekException - {\"error\":{\"message\":\"Insufficient Balance\"}}","type":null,"code":"400"}}`, "account_exhausted", 1, 502, "the provider refuses the gateway's account"},
		"429, quota":                     {429, `{"error":{"message":"why","type":"insufficient_quota","code":"insufficient_quota"}}`, "account_exhausted", 1, 502, "the provider refuses the gateway's account"},
		"429, tokens":                    {429, `{"error":{"message":"why","type":"tokens","code":"rate_limit_exceeded"}}`, "throttled", 1, 429, "why"},
		"429, request":                   {429, `{"error":{"message":"why","type":"invalid_request_error"}}`, "throttled", 1, 429, "why"},
		"400, Qwen's throttling":         {400, `{"code":"Throttling.AllocationQuota","message":"why"}`, "throttled", 1, 400, "why"},
		"500, in the type's name":        {500, `{"error":{"type":"invalid_request_error","message":"why"}}`, "server_error", 3, 500, "why"},
		"400, a server's fault":          {400, `{"error":{"type":"server_error","message":"why"}}`, "server_error", 3, 400, "why"},
		"401, OpenAI":                    {401, `{"error":{"type":"invalid_request_error","code":"invalid_api_key","message":"why"}}`, "credentials", 1, 502, "the provider refuses the gateway's credentials"},
		"404":                            {404, `{"error":{"type":"invalid_request_error","code":"model_not_found","message":"why"}}`, "", 1, 404, "why"},
		"422, FastAPI":                   {422, `{"detail":[{"loc":["body","n"],"msg":"why"}]}`, "", 1, 422, "body.n: why"},
		"400, text":                      {400, "why\x00\n", "", 1, 400, "why"},
		"400, list":                      {400, `[{"error":{"code":400,"message":"why","status":"INVALID_ARGUMENT"}}]`, "", 1, 400, "why"},
		"446, Portkey":                   {446, `{"error":{"message":"why","type":"hooks_failed"}}`, "", 1, 446, "why"},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{says(test.status, test.body)}, {good}})
				got := s.call(chatBody("hello"))
				if test.reason == "" {
					s.wantCalls(1, 0)
				} else {
					wantHeader(t, got, "X-Alipayai-Provider", "second", "X-Alipayai-Reason", test.reason)
					s.wantCalls(test.attempts, 1)
				}
				alone := perform(t, [][]turn{{says(test.status, test.body)}})
				got = alone.call(chatBody("hello"))
				if message := wantFailure(t, got, test.alone); message != test.message {
					t.Errorf("message %q, want %q", message, test.message)
				}
			})
		})
	}
}

// TestMoneyIsSentOnce holds that nothing of the above repeats a call that may move money.
func TestMoneyIsSentOnce(t *testing.T) {
	for _, failure := range []string{`{"code":502}`, `{"type":"server_error"}`, `{"code":408}`, `{"code":429}`, `{"code":402}`, `"why"`} {
		for place, at := range failurePlaces {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{at.answer(failure)}, {good}}, money)
				s.call(at.body)
				if n := s.scripts[0].count() + s.scripts[1].count(); n != 1 {
					t.Errorf("%s, %s: %d requests", failure, place, n)
				}
			})
		}
	}
}
