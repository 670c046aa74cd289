package e2e

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

const (
	pathMessages = "/v1/messages"
	modelClaude  = "claude-haiku-4-5"

	bothProviders = "alipay claude"
	// impatient is the provider of a test that does not wait long for it.
	impatient = "timeout 800ms\n" + newConnections
)

// service is how a call was served, as its answer's header tells.
type service struct {
	provider, reason string
	attempts         int
}

func serviceOf(resp *http.Response) service {
	attempts, _ := strconv.Atoi(resp.Header.Get("X-Alipayai-Attempts"))
	return service{resp.Header.Get("X-Alipayai-Provider"), resp.Header.Get("X-Alipayai-Reason"), attempts}
}

// checkAsked compares how often each API was asked since the last time.
func (g *gateway) checkAsked(t *testing.T, alipay, claude int) {
	t.Helper()
	if got := g.api.take(pathChat); len(got) != alipay {
		t.Errorf("the Alipay AI API was asked %d times, want %d", len(got), alipay)
	}
	if got := g.claude.take(pathMessages); len(got) != claude {
		t.Errorf("Anthropic's API was asked %d times, want %d", len(got), claude)
	}
}

// checkAnswer wants the whole answer to a prompt, of one provider's making.
func checkAnswer(t *testing.T, answer openai.ChatCompletion, err error, provider, prompt string) {
	t.Helper()
	model, id := modelChat, "chatcmpl-"
	if provider == "claude" {
		model, id = modelClaude, "msg_"
	}
	if got, want := text(answer), "You said: "+prompt; err != nil || got != want {
		t.Errorf("answer %q, %v; want %q", got, err, want)
	}
	if answer.Model != model || !strings.HasPrefix(answer.ID, id) {
		t.Errorf("answer %s is of model %s, want one of %s's", answer.ID, answer.Model, provider)
	}
}

// TestFailover: whatever goes wrong at the first provider before the client has
// any of its answer, the second one answers, once, and the client's SDK has
// nothing to repeat.
func TestFailover(t *testing.T) {
	cases := map[string]struct {
		fault  sandbox.Fault
		form   string // json or stream; empty: either
		reason string
		asked  int // the first provider
	}{
		"SYSTEM_ERROR in a 200":             {sandbox.Fault{Kind: sandbox.SystemError200}, "", "system_error", 1},
		"SYSTEM_ERROR in a 500":             {sandbox.Fault{Kind: sandbox.SystemError500}, "", "system_error", 1},
		"SYSTEM_ERROR as the first event":   {sandbox.Fault{Kind: sandbox.SystemErrorFirst}, "stream", "system_error", 1},
		"SYSTEM_ERROR before any content":   {sandbox.Fault{Kind: sandbox.SystemErrorFirst, Shape: sandbox.ShapeNextBuilder}, "stream", "system_error", 1},
		"unavailable":                       {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, Code: "PROCESS_BUSY"}, "json", "server_error", 3},
		"unavailable for longer":            {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, Code: "PROCESS_BUSY", RetryAfter: 9}, "", "server_error", 1},
		"credentials refused":               {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 403, Code: "ACCESS_DENIED"}, "", "credentials", 1},
		"no head in time":                   {sandbox.Fault{Kind: sandbox.Latency, Delay: time.Minute}, "", "upstream_timeout", 1},
		"nothing but the head in time":      {sandbox.Fault{Kind: sandbox.Stall}, "", "upstream_timeout", 1},
		"reset before the head":             {sandbox.Fault{Kind: sandbox.ResetBefore}, "", "upstream_truncated_response", 1},
		"reset in the body":                 {sandbox.Fault{Kind: sandbox.ResetAfter}, "", "upstream_truncated_response", 1},
		"half a body":                       {sandbox.Fault{Kind: sandbox.TruncatedBody}, "json", "upstream_truncated_response", 1},
		"a body that is no JSON":            {sandbox.Fault{Kind: sandbox.MalformedJSON}, "json", "upstream_malformed_response", 1},
		"a signature that is wrong":         {sandbox.Fault{Kind: sandbox.WrongResponseSignature}, "json", "invalid_response_signature", 1},
		"a stream without events":           {sandbox.Fault{Kind: sandbox.EmptyStream}, "stream", "upstream_truncated_response", 1},
		"a stream of its end alone":         {sandbox.Fault{Kind: sandbox.DoneFirst}, "stream", "upstream_truncated_response", 1},
		"a stream whose first event is bad": {sandbox.Fault{Kind: sandbox.MalformedChunk}, "stream", "upstream_malformed_response", 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, options{providers: bothProviders, provider: impatient})
			g.api.setFaults(t, tc.fault)
			g.overEachProtocol(t, func(t *testing.T, c *client) {
				for form, streamed := range forms {
					if tc.form != "" && tc.form != form {
						continue
					}
					prompt := "Who answers over " + t.Name() + " in " + form + "?"
					var resp *http.Response
					answer, err := c.complete(t.Context(), streamed, ask(prompt),
						option.WithMaxRetries(defaultRetries), option.WithResponseInto(&resp))
					checkAnswer(t, answer, err, "claude", prompt)
					if got, want := serviceOf(resp), (service{"claude", tc.reason, tc.asked + 1}); got != want {
						t.Errorf("%s: served %+v, want %+v", form, got, want)
					}
					g.checkAsked(t, tc.asked, 1)
				}
			})
		})
	}
}

// TestFailoverWhileThrottled: a provider that takes no more calls is not asked
// again until it does.
func TestFailoverWhileThrottled(t *testing.T) {
	g := startGateway(t, options{providers: bothProviders})
	g.api.setFaults(t, sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 30})
	asked := 1
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for _, streamed := range forms {
			answer, err := c.complete(t.Context(), streamed, ask("Tea?"), option.WithMaxRetries(defaultRetries))
			checkAnswer(t, answer, err, "claude", "Tea?")
			g.checkAsked(t, asked, 1)
			asked = 0
		}
	})
}

// TestNoSecondModelAfterContent: once the client has some of an answer, no other
// answer follows it, and its SDK does not ask anew.
func TestNoSecondModelAfterContent(t *testing.T) {
	g := startGateway(t, options{providers: bothProviders, provider: impatient})
	faults := map[string]sandbox.Fault{
		"SYSTEM_ERROR":                {Kind: sandbox.SystemErrorMidstream, AfterEvents: 3},
		"upstream_truncated_response": {Kind: sandbox.ResetAfter, AfterEvents: 3},
		"upstream_timeout":            {Kind: sandbox.Stall, AfterEvents: 3},
		"upstream_malformed_response": {Kind: sandbox.MalformedChunk, AfterEvents: 3},
	}
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for code, fault := range faults {
			g.api.setFaults(t, fault)
			answer, err := c.complete(t.Context(), true, ask("one two three four five"), option.WithMaxRetries(defaultRetries))
			var broken *ssestream.StreamError
			if !errors.As(err, &broken) || !strings.Contains(string(broken.Event.Data), code) {
				t.Errorf("%s: error %T %v, want an error event with that code", code, err, err)
			}
			if len(answer.Choices) != 1 || answer.Choices[0].Message.Content != "You said: one " || answer.Choices[0].FinishReason != "" {
				t.Errorf("%s: what came is %+v, want three words and no end", code, answer.Choices)
			}
			g.checkAsked(t, 1, 0)
		}
	})
}

// TestBreaker: the fourth system error in a row opens it, in any form of call; then
// the first provider is skipped until a call that tries it again is answered.
func TestBreaker(t *testing.T) {
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, options{providers: bothProviders, breaker: "3 5m 1s"})
			c := g.client(t, p)
			call := func(streamed bool) service {
				t.Helper()
				var resp *http.Response
				answer, err := c.complete(t.Context(), streamed, ask("Tea?"), option.WithMaxRetries(defaultRetries), option.WithResponseInto(&resp))
				got := serviceOf(resp)
				checkAnswer(t, answer, err, got.provider, "Tea?")
				return got
			}
			g.api.setFaults(t, sandbox.Fault{Kind: sandbox.SystemError200})
			for n := range 4 {
				if got, want := call(n%2 == 0), (service{"claude", "system_error", 2}); got != want {
					t.Errorf("call %d: served %+v, want %+v", n+1, got, want)
				}
			}
			g.checkAsked(t, 4, 4)
			g.api.setFaults(t)
			for form, streamed := range forms {
				if got, want := call(streamed), (service{"claude", "breaker_open", 1}); got != want {
					t.Errorf("%s: served %+v, want %+v", form, got, want)
				}
			}
			g.checkAsked(t, 0, 2)
			eventually(t, "the breaker to admit a call", func() error {
				if got := call(true); got.provider != "alipay" {
					return errors.New(got.reason)
				}
				return nil
			})
			if got, want := call(false), (service{"alipay", "", 1}); got != want {
				t.Errorf("after it has closed: served %+v, want %+v", got, want)
			}
		})
	}
}

// TestEveryProviderFails: the client gets one error that says what was tried. Its
// SDK does not repeat the call where that may cost twice, and may repeat it where
// no provider has executed it.
func TestEveryProviderFails(t *testing.T) {
	cases := map[string]struct {
		alipay, claude sandbox.Fault
		want           apiError
		retries        string
		tried          []string
	}{
		"system errors": {
			sandbox.Fault{Kind: sandbox.SystemError200}, sandbox.Fault{Kind: sandbox.SystemError500},
			apiError{status: 503, retryAfter: "1"}, "false", []string{"alipay: system_error (SYSTEM_ERROR)", "claude: system_error (api_error)"},
		},
		"timeouts": {
			sandbox.Fault{Kind: sandbox.Latency, Delay: time.Minute}, sandbox.Fault{Kind: sandbox.Stall},
			apiError{status: 504, retryAfter: "1"}, "false", []string{"alipay: upstream_timeout", "claude: upstream_timeout"},
		},
		"a reset, then unavailable": {
			sandbox.Fault{Kind: sandbox.ResetBefore}, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, Code: "api_busy", RetryAfter: 9},
			apiError{status: 503, retryAfter: "9"}, "false", []string{"alipay: upstream_truncated_response", "claude: server_error"},
		},
		"unavailable": {
			sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, Code: "PROCESS_BUSY", RetryAfter: 7}, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, Code: "api_busy", RetryAfter: 9},
			apiError{status: 503, retryAfter: "7"}, "", []string{"alipay: server_error", "claude: server_error"},
		},
	}
	g := startGateway(t, options{
		providers: bothProviders, provider: impatient, claude: impatient + "on api_error system_error", proxy: "deadline 3s",
	})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for name, tc := range cases {
			for form, streamed := range forms {
				t.Run(name+"/"+form, func(t *testing.T) {
					g.api.setFaults(t, tc.alipay)
					g.claude.setFaults(t, tc.claude)
					retries := option.WithMaxRetries(defaultRetries)
					if tc.retries == "" {
						retries = option.WithMaxRetries(0) // or it takes the seconds that it is asked to
					}
					_, err := c.complete(t.Context(), streamed, ask("Tea?"), retries)
					tc.want.code, tc.want.typ = "all_providers_failed", "server_error"
					got := checkError(t, err, tc.want)
					if retry := got.Response.Header.Get("X-Should-Retry"); retry != tc.retries {
						t.Errorf("X-Should-Retry is %q, want %q", retry, tc.retries)
					}
					for _, failed := range tc.tried {
						if !strings.Contains(got.Message, failed) {
							t.Errorf("the message %q does not say %q", got.Message, failed)
						}
					}
					g.checkAsked(t, 1, 1)
				})
			}
		}
	})
}

// TestSDKComesBack after Retry-After, where all providers have refused a call: a
// repeat cannot cost twice.
func TestSDKComesBack(t *testing.T) {
	g := startGateway(t, options{providers: bothProviders, proxy: "deadline 900ms"})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		g.api.setFaults(t, sandbox.Fault{Kind: sandbox.Throttle, Times: 1, RetryAfter: 1})
		g.claude.setFaults(t, sandbox.Fault{Kind: sandbox.Throttle, Times: 1, RetryAfter: 1})
		answer, err := c.complete(t.Context(), true, ask("Tea?"), option.WithMaxRetries(defaultRetries))
		if got, want := text(answer), "You said: Tea?"; err != nil || got != want {
			t.Errorf("answer %q, %v; want %q", got, err, want)
		}
		if alipay, claude := len(g.api.take(pathChat)), len(g.claude.take(pathMessages)); alipay+claude != 3 {
			t.Errorf("the APIs were asked %d and %d times, want once each, and one of them again", alipay, claude)
		}
	})
}
