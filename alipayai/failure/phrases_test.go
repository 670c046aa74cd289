package failure_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// What is used up is the operator's under each status of who asks, and its words reach no client; under a status of what is asked
// the same words may be the request's own.
func TestWhoseWordsTheyAre(t *testing.T) {
	for _, message := range []string{
		"you (somebody) have reached your weekly usage limit, upgrade for higher limits",
		"Organization spend limit reached", "Your project has exceeded its monthly spending cap.", "Your prepayment credits are depleted.",
		"This request would exceed your available credits", "insufficient funds", "the account is in arrears", "账户已欠费", "额度已用完",
	} {
		for status, operators := range map[int]bool{401: true, 403: true, 412: true, 429: true, 400: false, 404: false, 409: false, 422: false} {
			reported := wire.Failure{Message: message}
			f := failure.OfUpstream(status, nil, &reported, nil, false, time.Unix(0, 0))
			if got := f.Class == failure.AccountExhausted; got != operators {
				t.Errorf("%d %s is of class %s", status, message, f.Class)
			}
			if operators && (f.Status != 502 || strings.Contains(f.Message, message) || f.MayHaveExecuted()) {
				t.Errorf("%d %s: a client gets %d %q, may have executed: %t", status, message, f.Status, f.Message, f.MayHaveExecuted())
			}
		}
	}
}

// What is worded as used up and comes back within a minute is a throttle, whoever says when; a wait of a minute may be a longer one.
func TestWhatComesBackSoonIsNotUsedUp(t *testing.T) {
	const words = "You have reached your usage limit."
	for name, c := range map[string]struct {
		header  http.Header
		message string
		soon    bool
	}{
		"no wait":                   {nil, words, false},
		"Retry-After":               {http.Header{"Retry-After": {"5"}}, words, true},
		"Retry-After, a day":        {http.Header{"Retry-After": {"86400"}}, words, false},
		"Retry-After-Ms":            {http.Header{"Retry-After-Ms": {"1500"}}, words, true},
		"the message":               {nil, words + " Please try again in 20s.", true},
		"the message, hours":        {nil, words + " Please try again in 3h20m.", false},
		"Retry-After first, a day":  {http.Header{"Retry-After": {"86400"}}, words + " Please try again in 20s.", false},
		"a code that says it, soon": {http.Header{"Retry-After": {"5"}}, "insufficient balance", false},
	} {
		reported := wire.Failure{Message: c.message}
		if name == "a code that says it, soon" {
			reported.Code = "insufficient_quota"
		}
		want := failure.AccountExhausted
		if c.soon {
			want = failure.Throttle
		}
		if f := failure.OfUpstream(http.StatusTooManyRequests, c.header, &reported, nil, false, time.Unix(0, 0)); f.Class != want {
			t.Errorf("%s: %s, want %s", name, f.Class, want)
		}
	}
}

// Where a refusal says which part of the request it is of, or that it is of the model, its message has the client's own words:
// these choose no class, or a client could have the gateway report that an account is exhausted.
func TestWordsOfTheRequest(t *testing.T) {
	for _, words := range []string{"insufficient balance", "key limit exceeded", "incorrect api key provided", "content exists risk", "Virtual Network/Firewall rules"} {
		for name, c := range map[string]struct {
			status   int
			reported wire.Failure
		}{
			"a parameter":  {400, wire.Failure{Code: "invalid_value", Param: "reasoning_effort", Message: "Invalid value: '" + words + "'."}},
			"another":      {422, wire.Failure{Type: "invalid_request_error", Param: "messages[0].role", Message: words + " is not one of user, system"}},
			"a model":      {404, wire.Failure{Code: "model_not_found", Message: "The model `" + words + "` does not exist or you do not have access to it."}},
			"by its type":  {404, wire.Failure{Type: "model_not_found", Message: "no model " + words}},
			"Mistral's":    {400, wire.Failure{Type: "invalid_model", Code: "1500", Message: "Invalid model: " + words}},
			"by its words": {404, wire.Failure{Type: "not_found_error", Message: "model: " + words}},
		} {
			if f := failure.OfUpstream(c.status, nil, &c.reported, nil, false, time.Unix(0, 0)); f.Class != failure.Fail || f.Status != c.status || f.Message != c.reported.Message {
				t.Errorf("%s, %s: %d %q of class %s", name, words, f.Status, f.Message, f.Class)
			}
		}
	}
}

// What a vendor says of the account, of a key or of its policy under a status of what is asked counts where its message begins with
// it, by itself or behind a gateway's names; the same words counts for nothing where the message is of the request, which repeats
// the client's words in quotes or without them.
func TestSentencesUnderWhatIsAsked(t *testing.T) {
	for said, class := range map[string]failure.Class{
		"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.":            failure.AccountExhausted,
		"You have reached your specified API usage limits. You will regain access on 2025-07-01 at 00:00 UTC.": failure.AccountExhausted,
		"Insufficient Balance": failure.AccountExhausted,
		"Budget has been exceeded! Current cost: 11.2, Max budget: 10.0": failure.AccountExhausted,
		"Content Exists Risk":                        failure.Blocked,
		"Output blocked by content filtering policy": failure.Blocked,
		"The response was filtered due to the prompt triggering Azure OpenAI’s content management policy.": failure.Blocked,
		"Incorrect API key provided: xa***ys. You can obtain an API key from https://console.x.ai.":        failure.RefreshToken,
		"API key not valid. Please pass a valid API key.":                                                  failure.RefreshToken,
	} {
		quoted, _ := json.Marshal(map[string]any{"error": map[string]string{"message": said}})
		for form, want := range map[string]failure.Class{
			"%s":   class,
			"  %s": class,
			"litellm.BadRequestError: DeepseekException - %s":                                                                                                 class,
			"litellm.APIError: APIError: OpenrouterException - " + string(quoted):                                                                             class,
			"litellm.BadRequestError: AnthropicException - b'" + string(quoted) + "'. Received Model Group=m\nAvailable Model Group Fallbacks=[{'m': ['n']}]": class,
			"litellm.BadRequestError: AnthropicException BadRequestError - " + string(quoted) + ". Received Model Group=m":                                    class,
			"Error code: 400 - {'error': {'message': '%s', 'type': 'x'}}":                                                                                     class,
			"Provider returned error: %s": class,
			"anthropic error: %s":         class,
			"Invalid value: '%s'. Supported values are: 'user', 'system'.":     failure.Fail,
			"messages.0.role: Input should be 'user' or 'assistant', not '%s'": failure.Fail,
			"Invalid role: %s":                      failure.Fail,
			"unknown field `%s`":                    failure.Fail,
			"Unknown tool \"%s\" in request":        failure.Fail,
			"Invalid value: " + string(quoted):      failure.Fail,
			"the last message was: %s":              failure.Fail,
			"'%s' is not one of ['user', 'system']": failure.Fail,
		} {
			for _, status := range []int{400, 404, 413, 422} {
				message := strings.ReplaceAll(form, "%s", said)
				f := failure.OfUpstream(status, nil, &wire.Failure{Type: "invalid_request_error", Message: message}, nil, false, time.Unix(0, 0))
				if f.Class != want {
					t.Errorf("%d %s: %s, want %s", status, message, f.Class, want)
				}
				if hidden := f.Status == http.StatusBadGateway; hidden != want.Policy().Credentials {
					t.Errorf("%d %s: a client gets %d", status, message, f.Status)
				}
			}
		}
	}
	// How much one request may hold is no limit that ends by itself: https://github.com/weaviate/weaviate/issues/11275.
	for message, class := range map[string]failure.Class{
		"Too many requests, maximum 100 per batch":                                       failure.Fail,
		"Too many requests. A batch may hold 100, and 101 are in the batch.":             failure.Fail,
		"* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch": failure.Fail,
		"Rate limit exceeded: at most 5 tools per request":                               failure.Fail,
		"Too many requests in this batch.":                                               failure.Fail,
		"Too many inputs in request, split into more batches.":                           failure.Fail,
		"Too many requests, please try again later.":                                     failure.Throttle,
		"Too many requests. Please slow down.":                                           failure.Throttle,
		"Too many concurrent requests.":                                                  failure.Throttle,
		"Rate limit reached for requests per min. Limit: 3 / min.":                       failure.Throttle,
		"Rate limit exceeded: 10 requests per 60 s":                                      failure.Throttle,
		// What is counted in a time, or waits, is no request's.
		"Rate limit exceeded: number of input tokens per minute":                                     failure.Throttle,
		"Rate limit reached for m: number of request tokens has exceeded your per-minute rate limit": failure.Throttle,
		"Rate limit exceeded. Reduce the number of prompt tokens or the frequency of request.":       failure.Throttle,
		"Too many requests, and 12 are in the request queue":                                         failure.Throttle,
		"Too many requests. At most 100 per minute and 5 in one batch.":                              failure.Throttle,
		"Too many requests. Please try again in 6s, with less in one batch.":                         failure.Throttle,
	} {
		f := failure.OfUpstream(400, nil, &wire.Failure{Type: "invalid_request_error", Message: message}, nil, false, time.Unix(0, 0))
		if f.Class != class || class == failure.Fail && (f.Status != 400 || f.FallsOver()) {
			t.Errorf("%s: %d of class %s", message, f.Status, f.Class)
		}
	}
	for _, message := range []string{
		"insufficient balance is not one of user, system", "content exists risk, which is no role", "Error: key limit exceeded, and more",
		"User said: user location is not supported", "the role organization must be verified is unknown",
	} {
		f := failure.OfUpstream(400, nil, &wire.Failure{Message: message}, nil, false, time.Unix(0, 0))
		if f.Class != failure.Fail || f.Status != 400 || f.FallsOver() {
			t.Errorf("%s: %d of class %s", message, f.Status, f.Class)
		}
	}
	for said, status := range map[string]int{
		"Access denied due to Virtual Network/Firewall rules.":              403,
		"User location is not supported for the API use.":                   400,
		"Your organization must be verified to use the model `gpt-5`.":      400,
		"This organization has been disabled.":                              400,
		"Provider returned error: User location is not supported for this.": 400,
	} {
		f := failure.OfUpstream(status, nil, &wire.Failure{Message: said}, nil, false, time.Unix(0, 0))
		if f.Class != failure.Fail || f.Status != 502 || !f.FallsOver() {
			t.Errorf("%s: %d of class %s", said, f.Status, f.Class)
		}
	}
}

// A refusal of the account's own settings, its address or its plan is another provider's chance, and no client's business.
func TestRefusalsOfTheAccount(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		message string
		account bool
	}{
		"azure, its address":        {403, "Access denied due to Virtual Network/Firewall rules.", true},
		"openrouter, its policy":    {404, "No endpoints found matching your data policy (Free model publication). Configure: https://openrouter.ai/settings/privacy", true},
		"openrouter, guardrails":    {404, "No endpoints available matching your guardrail restrictions and data policy.", true},
		"ollama, its plan":          {403, "this model requires a subscription, upgrade for access: https://ollama.com/upgrade", true},
		"ollama, tools":             {400, "registry.ollama.ai/library/gemma3:latest does not support tools", false},
		"vllm, tools":               {400, "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set", false},
		"openrouter, what is asked": {404, "No endpoints found that support tool use.", false},
	} {
		reported := wire.Failure{Message: c.message}
		f := failure.OfUpstream(c.status, nil, &reported, nil, false, time.Unix(0, 0))
		if hidden := f.Status == 502 && f.Message != c.message; hidden != c.account || !f.FallsOver() {
			t.Errorf("%s: a client gets %d %q, another provider: %t", name, f.Status, f.Message, f.FallsOver())
		}
	}
}

// What stands before a vendor and has reached nothing behind it has served nothing, so that nothing is charged, nor is a repeat
// unsafe. Of what may have been reached that is not known.
func TestWhatWasNeverServed(t *testing.T) {
	cloudflare := http.Header{"Server": {"cloudflare"}}
	for name, c := range map[string]struct {
		status   int
		header   http.Header
		code     string
		executed bool
	}{
		"the origin is down":           {521, cloudflare, "", false},
		"the origin is unreachable":    {523, cloudflare, "", false},
		"no handshake":                 {525, cloudflare, "", false},
		"no valid certificate":         {526, cloudflare, "", false},
		"no tunnel, or no name":        {530, cloudflare, "", false},
		"an answer that is none":       {520, cloudflare, "", true},
		"no answer to the connection":  {522, cloudflare, "", true},
		"no answer in time":            {524, cloudflare, "", true},
		"another server's 521":         {521, nil, "", true},
		"no channel for the model":     {503, nil, "model_not_found", false},
		"no channel, after some":       {500, nil, "get_channel_failed", true},
		"the model's server is broken": {500, nil, "model_not_found", true},
		"a server that is busy":        {503, nil, "", true},
	} {
		f := failure.OfUpstream(c.status, c.header, &wire.Failure{Code: c.code, Message: "m"}, nil, false, time.Unix(0, 0))
		if f.MayHaveExecuted() != c.executed || f.Class != failure.Retry || !f.FallsOver() {
			t.Errorf("%s: may have executed: %t, class %s", name, f.MayHaveExecuted(), f.Class)
		}
	}
}
