package failure

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/internal/extremes"
)

// However a vendor says for how long it is throttling, that is how long. Reports of gateways that asked again too early:
// https://github.com/dirge-code/dirge/pull/719, https://github.com/everruns/everruns/pull/2280,
// https://github.com/vectorize-io/hindsight/pull/3508, https://github.com/anthropics/anthropic-sdk-typescript/issues/357.
func TestHowLongAThrottleLasts(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const plain = `{"error":{"message":"slow down","code":429}}`
	openRouter := func(reset string) string {
		return `{"error":{"message":"Rate limit exceeded: free-models-per-min. ","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"20","X-RateLimit-Remaining":"0","X-RateLimit-Reset":` + reset + `},"provider_name":null}}}`
	}
	ms := strconv.FormatInt(now.Add(9*time.Second).UnixMilli(), 10)
	for name, c := range map[string]struct {
		status int
		body   string
		header []string
		want   time.Duration
	}{
		"nothing said":                    {429, plain, nil, 0},
		"seconds":                         {429, plain, []string{"Retry-After", "7"}, 7 * time.Second},
		"seconds with decimals":           {429, plain, []string{"Retry-After", "2.59"}, 2590 * time.Millisecond},
		"a date":                          {429, plain, []string{"Retry-After", now.Add(7 * time.Second).Format(http.TimeFormat)}, 7 * time.Second},
		"a date of a clock that is fast":  {429, plain, []string{"Date", now.Add(time.Hour).Format(http.TimeFormat), "Retry-After", now.Add(time.Hour + 7*time.Second).Format(http.TimeFormat)}, 7 * time.Second},
		"a date of a clock that is slow":  {503, plain, []string{"Date", now.Add(-time.Hour).Format(http.TimeFormat), "Retry-After", now.Add(-time.Hour + 7*time.Second).Format(http.TimeFormat)}, 7 * time.Second},
		"a date, kept on its way":         {429, plain, []string{"Date", now.Add(-5 * time.Second).Format(http.TimeFormat), "Age", "5", "Retry-After", now.Add(7 * time.Second).Format(http.TimeFormat)}, 7 * time.Second},
		"a date, kept for long":           {429, plain, []string{"Date", now.Add(-time.Hour).Format(http.TimeFormat), "Age", "3600", "Retry-After", now.Add(7 * time.Second).Format(http.TimeFormat)}, 7 * time.Second},
		"a date, kept for ever":           {429, plain, []string{"Date", now.Format(http.TimeFormat), "Age", strings.Repeat("9", 400), "Retry-After", now.Add(7 * time.Second).Format(http.TimeFormat)}, 0},
		"a date, and an Age that is none": {429, plain, []string{"Date", now.Format(http.TimeFormat), "Age", "-5s", "Retry-After", now.Add(7 * time.Second).Format(http.TimeFormat)}, 7 * time.Second},
		"a date, and a Date that is none": {429, plain, []string{"Date", "soon", "Retry-After", now.Add(7 * time.Second).Format(http.TimeFormat)}, 7 * time.Second},
		"a reset by a clock that is fast": {429, plain, []string{"Date", now.Add(time.Hour).Format(http.TimeFormat), "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", strconv.FormatInt(now.Add(time.Hour).Unix()+12, 10)}, 12 * time.Second},
		"a stream that fails late":        {200, openRouter(ms), []string{"Date", now.Add(-time.Hour).Format(http.TimeFormat)}, 9 * time.Second},
		"a date with an offset":           {429, plain, []string{"Retry-After", "Sun, 01 Mar 2026 13:00:07 +0100"}, 7 * time.Second},
		"joined":                          {429, plain, []string{"Retry-After", "7, 9"}, 7 * time.Second},
		"joined dates":                    {429, plain, []string{"Retry-After", "Sun, 01 Mar 2026 12:00:07 GMT, Sun, 01 Mar 2026 12:00:09 GMT"}, 0},
		"two fields":                      {429, plain, []string{"Retry-After", "", "Retry-After", "7"}, 7 * time.Second},
		"two fields, the first holds":     {429, plain, []string{"Retry-After", "5", "Retry-After", "7"}, 5 * time.Second},
		// https://github.com/mastra-ai/mastra/issues/23778
		"a negative number":           {429, plain, []string{"Retry-After", "-3"}, 0},
		"a number with a plus":        {429, plain, []string{"Retry-After", "+3"}, 0},
		"a duration":                  {429, plain, []string{"Retry-After", "30s"}, 30 * time.Second},
		"a date of another form":      {429, plain, []string{"Retry-After", "2026-03-01T12:00:07Z"}, 7 * time.Second},
		"a time since 1970":           {429, plain, []string{"Retry-After", strconv.FormatInt(now.Unix()+12, 10)}, 12 * time.Second},
		"Azure's milliseconds":        {429, plain, []string{"Retry-After", "7", "x-ms-retry-after-ms", "1250"}, 1250 * time.Millisecond},
		"Cerebras' tokens":            {429, plain, []string{"x-ratelimit-remaining-requests-day", "9", "x-ratelimit-reset-requests-day", "33011.38", "x-ratelimit-remaining-tokens-minute", "0", "x-ratelimit-reset-tokens-minute", "11.38"}, 11380 * time.Millisecond},
		"Anthropic's subscription":    {429, plain, []string{"anthropic-ratelimit-unified-5h-status", "rejected", "anthropic-ratelimit-unified-5h-reset", strconv.FormatInt(now.Unix()+40, 10), "anthropic-ratelimit-unified-7d-status", "allowed", "anthropic-ratelimit-unified-7d-reset", strconv.FormatInt(now.Unix()+59, 10)}, 40 * time.Second},
		"milliseconds, first":         {429, plain, []string{"Retry-After", "7", "retry-after-ms", "1250"}, 1250 * time.Millisecond},
		"milliseconds that are none":  {429, plain, []string{"Retry-After", "7", "retry-after-ms", "soon"}, 7 * time.Second},
		"OpenAI's requests":           {429, plain, []string{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "1m2.5s"}, time.Minute},
		"OpenAI's tokens":             {429, plain, []string{"x-ratelimit-remaining-requests", "9", "x-ratelimit-reset-requests", "50s", "x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "120ms"}, 120 * time.Millisecond},
		"of two, the longer":          {429, plain, []string{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "5s", "x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "20s"}, 20 * time.Second},
		"something is left":           {429, plain, []string{"x-ratelimit-remaining-requests", "1", "x-ratelimit-reset-requests", "5s"}, 0},
		"Anthropic's date":            {429, `{"type":"error","error":{"type":"rate_limit_error","message":"x"}}`, []string{"anthropic-ratelimit-output-tokens-remaining", "0", "anthropic-ratelimit-output-tokens-reset", "2026-03-01T12:00:30Z"}, 30 * time.Second},
		"seconds since 1970":          {429, plain, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", strconv.FormatInt(now.Unix()+12, 10)}, 12 * time.Second},
		"milliseconds since 1970":     {429, plain, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", ms}, 9 * time.Second},
		"seconds to go":               {429, plain, []string{"RateLimit-Remaining", "0", "RateLimit-Reset", "13"}, 13 * time.Second},
		"has passed":                  {429, plain, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", strconv.FormatInt(now.Unix()-12, 10)}, 0},
		"OpenRouter's body":           {429, openRouter(`"` + ms + `"`), nil, 9 * time.Second},
		"OpenRouter's body, a number": {429, openRouter(ms), nil, 9 * time.Second},
		// https://github.com/NousResearch/hermes-agent/issues/102517
		"OpenRouter's credits":          {402, `{"error":{"message":"m","code":402,"metadata":{"reason":"in_flight_budget_exhausted","headers":{"Retry-After":"20"}}}}`, nil, 20 * time.Second},
		"OpenRouter's credits, a while": {402, `{"error":{"message":"m","code":402,"metadata":{"reason":"in_flight_budget_exhausted","headers":{"Retry-After":"120"}}}}`, nil, time.Minute},
		"OpenRouter's provider":         {429, `{"error":{"message":"Provider returned error","code":429,"metadata":{"retry_after_seconds":11,"retry_after_seconds_raw":10.918}}}`, nil, 11 * time.Second},
		"OpenRouter's header first":     {429, `{"error":{"message":"m","code":429,"metadata":{"retry_after_seconds":11}}}`, []string{"Retry-After", "3"}, 3 * time.Second},
		"OpenRouter's negative":         {429, `{"error":{"message":"m","code":429,"metadata":{"retry_after_seconds":-11,"headers":{"Retry-After":"soon"}}}}`, nil, 0},
		// packages/core/src/utils/googleQuotaErrors.ts of google-gemini/gemini-cli: what it says to wait is not of the day.
		"Google's day":                   {429, `[{"error":{"code":429,"message":"m","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"18s"}]}}]`, nil, time.Minute},
		"Google's minute":                {429, `[{"error":{"code":429,"message":"m","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.07s"}]}}]`, nil, 34070 * time.Millisecond},
		"GLM's day":                      {429, `{"error":{"code":"1304","message":"该 API 已达今日调用次数限额，如有更多需求，请联系客服购买"}}`, nil, time.Minute},
		"Azure's day":                    {429, `{"error":{"code":"429","message":"exceeded token rate limit of your current AIServices S0 pricing tier. Please retry after 86400 seconds."}}`, nil, time.Minute},
		"OpenRouter's, in a day":         {429, openRouter(strconv.FormatInt(now.Add(24*time.Hour).UnixMilli(), 10)), nil, time.Minute},
		"OpenRouter's, no time":          {429, openRouter(`"soon"`), nil, 0},
		"Retry-After before the body":    {429, openRouter(ms), []string{"Retry-After", "3"}, 3 * time.Second},
		"Google's body":                  {429, `[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}]`, nil, 34500 * time.Millisecond},
		"OpenAI's words":                 {429, `{"error":{"message":"Rate limit reached for m in organization o on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. Visit https://platform.openai.com/account/rate-limits to learn more.","code":"rate_limit_exceeded"}}`, nil, 20 * time.Second},
		"Groq's words":                   {429, `{"error":{"message":"Limit 6000, Used 5900. Please try again in 7m12s.","code":"rate_limit_exceeded"}}`, nil, time.Minute},
		"Groq's words, decimals":         {429, `{"error":{"message":"Please try again in 1.5275s. Need more tokens?","code":"rate_limit_exceeded"}}`, nil, 1527500 * time.Microsecond},
		"Google's words":                 {429, `{"error":{"message":"You exceeded your current limit. Please retry in 34.07s.","code":"rate_limit_exceeded"}}`, nil, 34070 * time.Millisecond},
		"Azure's words":                  {429, `{"error":{"message":"Requests have exceeded call rate limit of your tier. Please retry after 26 seconds.","code":"rate_limit_exceeded"}}`, nil, 26 * time.Second},
		"Moonshot's words":               {429, `{"error":{"message":"Your account request reached organization max RPM: 3, please try again after 1 seconds","type":"rate_limit_reached_error"}}`, nil, time.Second},
		"GitHub's words":                 {429, `{"error":{"code":"RateLimitReached","message":"Rate limit of 10 per 60s exceeded. Please wait 58 seconds before retrying."}}`, nil, 58 * time.Second},
		"words of milliseconds":          {429, `{"error":{"message":"Please try again in 250ms.","code":"rate_limit_exceeded"}}`, nil, 250 * time.Millisecond},
		"words without a time":           {429, `{"error":{"message":"Please try again in a while, or retry after some.","code":"rate_limit_exceeded"}}`, nil, 0},
		"Retry-After before the words":   {429, `{"error":{"message":"Rate limit reached for m in organization o on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. Visit https://platform.openai.com/account/rate-limits to learn more.","code":"rate_limit_exceeded"}}`, []string{"Retry-After", "3"}, 3 * time.Second},
		"OpenRouter's, of a day":         {429, `{"error":{"message":"Rate limit exceeded: free-models-per-day. Add 10 credits","code":429}}`, nil, time.Minute},
		"Amazon's, of a day":             {429, `{"message":"Too many tokens per day, please wait before trying again."}`, nil, time.Minute},
		"of a day, with a time":          {429, `{"error":{"message":"Daily limit reached. Please retry in 9s.","code":429}}`, nil, 9 * time.Second},
		"OpenRouter's body, in seconds":  {429, openRouter(strconv.FormatInt(now.Unix()+8, 10)), nil, 8 * time.Second},
		"a gateway's body":               {429, `{"error":{"message":"m","type":"rate_limit_error","retry_after":42,"reset_at":"2026-03-01T12:00:42.000Z"}}`, nil, 42 * time.Second},
		"a gateway's, a text":            {429, `{"error":{"message":"m","retry_after":"4.5"}}`, nil, 4500 * time.Millisecond},
		"a gateway's, milliseconds":      {429, `{"error":{"message":"m","retry_after_ms":2500}}`, nil, 2500 * time.Millisecond},
		"a gateway's, a date":            {429, `{"error":{"message":"m","reset_at":"2026-03-01T12:00:42.000Z"}}`, nil, 42 * time.Second},
		"a gateway's, no time":           {429, `{"error":{"message":"m","retry_after":null,"retry_after_ms":-1,"reset_at":{"a":1}}}`, nil, 0},
		"a gateway's, as long as it may": {429, `{"error":{"message":"m","retry_after":1e99,"reset_at":99999999999999999999}}`, nil, time.Minute},
		"a limit in a 200":               {200, `{"error":{"message":"Please try again in 20s.","code":"rate_limit_exceeded"}}`, nil, 20 * time.Second},
		"of a failure that is no limit":  {503, `{"error":{"message":"down"}}`, []string{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "5s"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			reported := wire.ParseRefusal([]byte(c.body))
			h := make(http.Header)
			for i := 0; i < len(c.header); i += 2 {
				h.Add(c.header[i], c.header[i+1])
			}
			if f := OfUpstream(c.status, h, &reported, nil, false, now); f.RetryAfter != c.want {
				t.Errorf("%v, want %v", f.RetryAfter, c.want)
			}
		})
	}
}

// Whatever an upstream asks for, it is waited for between nothing and a minute.
func FuzzRetryAfter(f *testing.F) {
	for _, number := range extremes.Numbers {
		f.Add(extremes.InHeader(number))
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, time.Unix(1_772_366_400, 0)); got < 0 || got > maxRetryAfter {
			t.Errorf("%q: %v", value, got)
		}
	})
}
