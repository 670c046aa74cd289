package failure

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryAfter reads how long to wait, and gives 0 where that is not said. It is a minute at most. Retry-After-Ms, in
// milliseconds, is OpenAI's and Azure's, whose SDKs read it first, the latter under another name as well (azure-core's
// get_retry_after); Retry-After is in seconds, which some vendors write with decimals, or a date (RFC 9110, section 10.2.3),
// or in a form that they have for the end of limits. now is the time at the vendor: see [vendorsTime].
func RetryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if d, ok := decimal(h.Get(name), time.Millisecond); ok && d > 0 {
			return d
		}
	}
	for _, value := range h["Retry-After"] { // each proxy on the way may have added one
		if d := retryAfter(value, now); d > 0 {
			return d
		}
		if value, _, _ = strings.Cut(value, ","); retryAfter(value, now) > 0 { // or has joined them
			return retryAfter(value, now)
		}
	}
	return 0
}

func retryAfter(value string, now time.Time) time.Duration {
	if d, ok := decimal(value, time.Second); ok && sinceEpoch(value).IsZero() {
		return d
	}
	return reset(value, now)
}

// decimal reads a number of units as JSON has them without an exponent, up to maxRetryAfter.
func decimal(text string, unit time.Duration) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if text == "" || strings.Trim(text, "0123456789.") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, false
	}
	return time.Duration(math.Min(n*float64(unit), float64(maxRetryAfter))), true
}

// vendorsTime is the time at the vendor when it answered, by its own Date where it says one: a date to wait for is by the same clock,
// which may be wrong (https://github.com/xorbitsai/xllamacpp/pull/155, https://github.com/wso2/carbon-apimgt/pull/7059). Where the
// answer has been kept on its way, Age is how long (RFC 9111, section 5.1). A stream may fail long after its Date.
func vendorsTime(status int, h http.Header, now time.Time) time.Time {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || status < http.StatusBadRequest {
		return now
	}
	age, _ := strconv.ParseInt(h.Get("Age"), 10, 32)
	return date.Add(time.Duration(max(age, 0)) * time.Second)
}

// until is how long it is to a time, a minute at most; 0 for one that has passed, or is none.
func until(at, now time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// resets are the header fields that say when a limit is renewed, and those that say what is left of it: OpenAI's and Groq's
// (https://platform.openai.com/docs/guides/rate-limits), Anthropic's (https://docs.anthropic.com/en/api/rate-limits), and
// the one that OpenRouter, Mistral and GitHub have (draft-ietf-httpapi-ratelimit-headers, in its older form).
var resets = [...]struct{ left, reset string }{
	{"X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"},
	{"X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"},
	{"Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset"},
	{"Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset"},
	{"Anthropic-Ratelimit-Input-Tokens-Remaining", "Anthropic-Ratelimit-Input-Tokens-Reset"},
	{"Anthropic-Ratelimit-Output-Tokens-Remaining", "Anthropic-Ratelimit-Output-Tokens-Reset"},
	{"X-Ratelimit-Remaining", "X-Ratelimit-Reset"},
	{"Ratelimit-Remaining", "Ratelimit-Reset"},
	// Cerebras': https://github.com/QwenLM/qwen-code/pull/670
	{"X-Ratelimit-Remaining-Requests-Day", "X-Ratelimit-Reset-Requests-Day"},
	{"X-Ratelimit-Remaining-Tokens-Minute", "X-Ratelimit-Reset-Tokens-Minute"},
	// Anthropic's of subscriptions, whose status is "rejected": https://github.com/lidge-jun/opencodex/pull/3809
	{"Anthropic-Ratelimit-Unified-Status", "Anthropic-Ratelimit-Unified-Reset"},
	{"Anthropic-Ratelimit-Unified-5h-Status", "Anthropic-Ratelimit-Unified-5h-Reset"},
	{"Anthropic-Ratelimit-Unified-7d-Status", "Anthropic-Ratelimit-Unified-7d-Reset"},
}

// resetAfter is how long it is to the last renewal of the limits of which nothing is left; 0 where that is not said.
func resetAfter(h http.Header, now time.Time) (longest time.Duration) {
	for _, r := range resets {
		if left := strings.TrimSpace(h.Get(r.left)); left == "0" || left == "rejected" {
			longest = max(longest, reset(h.Get(r.reset), now))
		}
	}
	return longest
}

// reset reads a time in any of the forms that vendors have: how long, as 6m0s or in seconds; or when, as a date, or since
// 1970 in seconds or milliseconds. What lies more than a year ahead in seconds is a time since 1970.
func reset(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return until(at, now)
	}
	if at, err := http.ParseTime(text); err == nil {
		return until(at, now)
	}
	if at, err := time.Parse(time.RFC1123Z, text); err == nil {
		return until(at, now)
	}
	if at := sinceEpoch(text); !at.IsZero() {
		return until(at, now)
	}
	if d, ok := decimal(text, time.Second); ok {
		return d
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return min(d, maxRetryAfter)
	}
	return 0
}

// sinceEpoch reads a time since 1970 in seconds or, from 10^12 on, in milliseconds; zero for what is none from 2001 on.
func sinceEpoch(text string) time.Time {
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || !(n >= 1e9) || n >= 1e13:
		return time.Time{}
	case n >= 1e12:
		return time.UnixMilli(int64(n))
	default:
		return time.Unix(int64(n), 0)
	}
}

// waits are the words that a time to wait follows in messages: "Please try again in 7m12s" is OpenAI's and Groq's, "Please
// retry in 34.07s" Google's, "retry after 26 seconds" Azure's, "please try again after 1 seconds" Moonshot's, and "Please wait
// 10 hours 58 minutes" GitHub's (https://github.com/microsoft/vscode-copilot-release/issues/3519). "Your quota will reset after
// 15h57m40s" is Google's (https://github.com/agent-tools-org/ai-dispatch/issues/57).
var waits = [...]string{
	"try again in ", "retry in ", "retry after ", "try again after ", "please wait ", "reset after ", "resets after ", "reset in ", "resets in ",
}

// units are those of times in messages, whose beginnings tell them apart.
var units = [...]struct {
	name string
	unit time.Duration
}{{"ms", time.Millisecond}, {"milli", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}}

// saidWait is how long a message says to wait, a minute at most; 0 where it does not say so. Some vendors say it nowhere else:
// https://github.com/Kilo-Org/kilocode/pull/14269.
func saidWait(message string) time.Duration {
	message = strings.ToLower(message)
	for _, words := range waits {
		if _, rest, ok := strings.Cut(message, words); ok {
			if wait := spoken(rest); wait > 0 {
				return wait
			}
		}
	}
	return 0
}

// spoken reads the time that a text begins with: numbers, each with its unit behind it.
func spoken(text string) (wait time.Duration) {
	for {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789."))
		n, err := strconv.ParseFloat(text[:digits], 64)
		if err != nil {
			return wait
		}
		text = strings.TrimPrefix(text[digits:], " ")
		known := false
		for _, u := range units {
			if strings.HasPrefix(text, u.name) {
				known = true
				wait = time.Duration(math.Min(float64(wait)+n*float64(u.unit), float64(maxRetryAfter)))
				break
			}
		}
		if !known {
			return wait
		}
		text = strings.TrimLeft(text, "abcdefghijklmnopqrstuvwxyz")
	}
}
