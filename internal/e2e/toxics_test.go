package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// impatience is how long providers may take: more than what serves takes on a busy machine.
const impatience = 1500 * time.Millisecond

// TestToxics: whatever happens on the way to the first provider and back, the
// client gets one whole answer, and neither provider is asked twice.
func TestToxics(t *testing.T) {
	const (
		broken  = "upstream_truncated_response"
		timeout = "upstream_timeout"
	)
	cases := map[string]struct {
		toxics []toxic
		reason string // why the second provider answers; empty: the first does
		asked  int
	}{
		"reset of the answer":       {[]toxic{{"reset_peer", "downstream", map[string]int{"timeout": 0}}}, broken, 1},
		"reset after a while":       {[]toxic{{"reset_peer", "downstream", map[string]int{"timeout": 50}}}, broken, 1},
		"reset of the request":      {[]toxic{{"reset_peer", "upstream", map[string]int{"timeout": 0}}}, broken, 0},
		"black hole back":           {[]toxic{{"timeout", "downstream", map[string]int{"timeout": 0}}, {"slow_close", "downstream", map[string]int{"delay": 2000}}}, timeout, 1},
		"black hole there":          {[]toxic{{"timeout", "upstream", map[string]int{"timeout": 0}}}, timeout, 0},
		"silence, then the end":     {[]toxic{{"timeout", "downstream", map[string]int{"timeout": 50}}}, broken, 1},
		"too late":                  {[]toxic{{"latency", "downstream", map[string]int{"latency": 5000}}}, timeout, 1},
		"late":                      {[]toxic{{"latency", "downstream", map[string]int{"latency": 40, "jitter": 20}}}, "", 1},
		"late request":              {[]toxic{{"latency", "upstream", map[string]int{"latency": 40, "jitter": 20}}}, "", 1},
		"slices":                    {[]toxic{{"slicer", "downstream", map[string]int{"average_size": 3, "size_variation": 2, "delay": 10}}}, "", 1},
		"sliced request":            {[]toxic{{"slicer", "upstream", map[string]int{"average_size": 3, "size_variation": 2, "delay": 10}}}, "", 1},
		"no byte of the answer":     {[]toxic{{"limit_data", "downstream", map[string]int{"bytes": 0}}}, broken, 1},
		"some bytes of the head":    {[]toxic{{"limit_data", "downstream", map[string]int{"bytes": 60}}}, broken, 1},
		"some bytes of the request": {[]toxic{{"limit_data", "upstream", map[string]int{"bytes": 100}}}, broken, 0},
		"slow close":                {[]toxic{{"slow_close", "downstream", map[string]int{"delay": 2000}}}, "", 1},
	}
	g, c, alipay, claude := startRelayed(t, impatience)
	for name, tc := range cases {
		for form, streamed := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				alipay.set(t, tc.toxics...)
				prompt := "Who answers " + t.Name() + "?"
				var resp *http.Response
				answer, err := c.complete(t.Context(), streamed, ask(prompt),
					option.WithMaxRetries(defaultRetries), option.WithResponseInto(&resp))
				want, fallbacks := service{"alipay", "", 1}, 0
				if tc.reason != "" {
					want, fallbacks = service{"claude", tc.reason, 2}, 1
				}
				checkAnswer(t, answer, err, want.provider, prompt)
				if got := serviceOf(resp); got != want {
					t.Errorf("served %+v, want %+v", got, want)
				}
				g.checkAsked(t, tc.asked, fallbacks)
			})
		}
	}
	t.Run("no upstream", func(t *testing.T) {
		alipay.stop()
		var resp *http.Response
		answer, err := c.complete(t.Context(), true, ask("Tea?"), option.WithResponseInto(&resp))
		checkAnswer(t, answer, err, "claude", "Tea?")
		if got, want := serviceOf(resp), (service{"claude", "upstream_unreachable", 4}); got != want {
			t.Errorf("served %+v, want %+v", got, want)
		}
		g.checkAsked(t, 0, 1)

		// Nothing was ever sent, but it has been tried often enough.
		claude.stop()
		_, err = c.complete(t.Context(), true, ask("Tea?"), option.WithMaxRetries(defaultRetries))
		failed := checkError(t, err, apiError{status: 503, code: "all_providers_failed", typ: "server_error", retryAfter: "1"})
		if retry := failed.Response.Header.Get("X-Should-Retry"); retry != "false" {
			t.Errorf("X-Should-Retry is %q", retry)
		}
		g.checkAsked(t, 0, 0)
	})
}

// TestCutAnywhere breaks the answer off after every so many bytes: what the
// client gets is whole, of one provider's making, or says that it is not.
func TestCutAnywhere(t *testing.T) {
	const (
		prompt = "one two three four five"
		step   = 29
		most   = 8192 // more than an answer has
	)
	g, c, alipay, claude := startRelayed(t, impatience)
	cases := map[string]struct {
		relay    *relay
		streamed bool
		outcomes string // those that must be met, one way or the other
	}{
		"first/json":    {alipay, false, "alipay claude"},
		"first/stream":  {alipay, true, "alipay broken claude"},
		"second/json":   {claude, false, "claude failed"},
		"second/stream": {claude, true, "broken claude failed"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			alipay.set(t)
			claude.set(t)
			first := tc.relay == alipay
			if first {
				g.api.setFaults(t)
			} else {
				g.api.setFaults(t, sandbox.Fault{Kind: sandbox.SystemError200})
			}
			met := make(map[string]bool)
			for bytes := 0; bytes < most; bytes += step {
				tc.relay.set(t, toxic{"limit_data", "downstream", map[string]int{"bytes": bytes}})
				var resp *http.Response
				answer, err := c.complete(t.Context(), tc.streamed, ask(prompt),
					option.WithMaxRetries(defaultRetries), option.WithResponseInto(&resp))
				was := outcome(resp, answer, err)
				met[was] = true
				asked := 1
				switch was {
				case "alipay", "claude":
					checkAnswer(t, answer, err, was, prompt)
				case "broken":
					checkBroken(t, answer, err, "You said: "+prompt)
				}
				if was == "alipay" || was == "broken" && first {
					asked = 0
				}
				g.checkAsked(t, 1, asked)
				if t.Failed() {
					t.Fatalf("after %d bytes: %s", bytes, was)
				}
				if first && was == "alipay" || !first && was == "claude" {
					break // whole: more bytes change nothing
				}
			}
			for was := range strings.FieldsSeq(tc.outcomes) {
				if !met[was] {
					t.Errorf("no answer was %s", was)
				}
				delete(met, was)
			}
			if len(met) > 0 {
				t.Errorf("answers were %v as well", met)
			}
		})
	}
}

// outcome is the provider that answered, or else broken for a stream that ends with
// an error, and failed for an error because no provider answered.
func outcome(resp *http.Response, answer openai.ChatCompletion, err error) string {
	var broken *ssestream.StreamError
	var failed *openai.Error
	switch {
	case err == nil:
		return resp.Header.Get("X-Alipayai-Provider")
	case errors.As(err, &broken):
		return "broken"
	case errors.As(err, &failed) && failed.Code == "all_providers_failed" && failed.StatusCode == http.StatusServiceUnavailable &&
		failed.Response.Header.Get("X-Should-Retry") == "false" && len(answer.Choices) == 0:
		return "failed"
	}
	return err.Error()
}

// checkBroken wants the beginning of an answer, and an error event after it.
func checkBroken(t *testing.T, answer openai.ChatCompletion, err error, whole string) {
	t.Helper()
	var broken *ssestream.StreamError
	var event struct {
		Error errorObject `json:"error"`
	}
	if !errors.As(err, &broken) || json.Unmarshal(broken.Event.Data, &event) != nil || event.Error.Code != "upstream_truncated_response" {
		t.Errorf("error %T %v, want an event that says that the stream broke off", err, err)
	}
	if len(answer.Choices) != 1 || answer.Choices[0].Message.Content == "" || !strings.HasPrefix(whole, answer.Choices[0].Message.Content) {
		t.Errorf("what came is %+v, want the beginning of %q", answer.Choices, whole)
	}
}

// TestStreamLosesItsConnection: after some content, a connection that breaks,
// or that nothing comes through any more, ends the stream in an error.
func TestStreamLosesItsConnection(t *testing.T) {
	g, c, alipay, _ := startRelayed(t, impatience)
	cases := map[string]struct {
		lose func(t *testing.T)
		code string
	}{
		"broken":     {func(*testing.T) { alipay.stop() }, "upstream_truncated_response"},
		"black hole": {func(t *testing.T) { alipay.add(t, toxic{"timeout", "downstream", map[string]int{"timeout": 0}}) }, "upstream_timeout"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			alipay.set(t)
			stream := c.Chat.Completions.NewStreaming(t.Context(), ask("[[events:5000]] [[interval:2ms]]"), option.WithMaxRetries(defaultRetries))
			defer stream.Close()
			readContents(t, stream, 3)
			tc.lose(t)
			for stream.Next() {
				for _, choice := range stream.Current().Choices {
					if choice.FinishReason != "" {
						t.Errorf("finish reason %q", choice.FinishReason)
					}
				}
			}
			var broken *ssestream.StreamError
			if err := stream.Err(); !errors.As(err, &broken) || !strings.Contains(string(broken.Event.Data), tc.code) {
				t.Errorf("the stream ended with %T %v, want an error event with %s", err, err, tc.code)
			}
			g.checkAsked(t, 1, 0)
		})
	}
}

// TestToxicCrowd: of many calls at once over bad connections, some of which the
// first provider fails, each gets its own answer, and each is asked once.
func TestToxicCrowd(t *testing.T) {
	const calls, failing = 60, 20
	g, c, alipay, claude := startRelayed(t, time.Minute)
	for _, r := range []*relay{alipay, claude} {
		r.set(t,
			toxic{"slicer", "downstream", map[string]int{"average_size": 40, "size_variation": 20, "delay": 20}},
			toxic{"slicer", "upstream", map[string]int{"average_size": 40, "size_variation": 20, "delay": 20}},
			toxic{"latency", "downstream", map[string]int{"latency": 20, "jitter": 15}})
	}
	g.api.setFaults(t, sandbox.Fault{Kind: sandbox.SystemError200, Times: failing})
	var wait sync.WaitGroup
	problems := make(chan string, calls)
	for n := range calls {
		wait.Go(func() {
			prompt := fmt.Sprintf("call %d", n)
			answer, err := c.complete(t.Context(), n%2 == 0, ask(prompt), option.WithMaxRetries(defaultRetries))
			if got, want := text(answer), "You said: "+prompt; err != nil || got != want {
				problems <- fmt.Sprintf("answer %q, %v; want %q", got, err, want)
			}
		})
	}
	wait.Wait()
	close(problems)
	for problem := range problems {
		t.Error(problem)
	}
	g.checkAsked(t, calls, failing)
}
