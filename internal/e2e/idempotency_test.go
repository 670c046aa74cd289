package e2e

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// keyed makes a call happen once.
func keyed(key string) option.RequestOption { return option.WithHeader("Idempotency-Key", key) }

// checkSame wants an answer again, not another one that says the same.
func checkSame(t *testing.T, first, again openai.ChatCompletion) {
	t.Helper()
	if again.ID != first.ID || text(again) != text(first) || again.Model != first.Model || again.Created != first.Created || text(again) == "" {
		t.Errorf("got %s %q, want %s %q again", again.ID, text(again), first.ID, text(first))
	}
}

// TestSameKey: the second call with a key gets the first one's answer, from any
// provider.
func TestSameKey(t *testing.T) {
	faults := map[string][]sandbox.Fault{"alipay": nil, "claude": {{Kind: sandbox.SystemError200, Times: 1}}}
	g := startGateway(t, options{providers: bothProviders})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for form, streamed := range forms {
			for provider, fault := range faults {
				t.Run(form+"/"+provider, func(t *testing.T) {
					g.api.setFaults(t, fault...)
					key := keyed(t.Name())
					first, err := c.complete(t.Context(), streamed, ask("Tea?"), key)
					checkAnswer(t, first, err, provider, "Tea?")
					// As the SDK does by itself, it may come back: a stream's key is
					// settled a moment after the client has the last event.
					var resp *http.Response
					again, err := c.complete(t.Context(), streamed, ask("Tea?"), key,
						option.WithMaxRetries(defaultRetries), option.WithResponseInto(&resp))
					if err != nil {
						t.Fatal(err)
					}
					checkSame(t, first, again)
					if got := resp.Header.Get("Idempotent-Replayed"); got != "true" {
						t.Errorf("Idempotent-Replayed is %q", got)
					}
					if got := resp.Header.Get("X-Alipayai-Provider"); got != provider {
						t.Errorf("X-Alipayai-Provider is %q, want %q", got, provider)
					}
					fallbacks := 0
					if provider == "claude" {
						fallbacks = 1
					}
					g.checkAsked(t, 1, fallbacks)

					other, err := c.complete(t.Context(), streamed, ask("Tea?"), keyed(t.Name()+"-2"))
					if err != nil || other.ID == first.ID {
						t.Errorf("another key: answer %s, %v", other.ID, err)
					}
					g.checkAsked(t, 1, 0)
				})
			}
		}
	})
}

// TestSameKeyAtOnce: while the first call is served, the second gets Retry-After,
// and the SDK repeats it by itself until there is an answer.
func TestSameKeyAtOnce(t *testing.T) {
	g := startGateway(t, options{})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for form, streamed := range forms {
			t.Run(form, func(t *testing.T) {
				g.api.ResetStats()
				g.setFaults(t, sandbox.Fault{Kind: sandbox.Latency, Delay: 1500 * time.Millisecond, Times: 1})
				key := keyed(t.Name())
				first := make(chan openai.ChatCompletion, 1)
				go func() {
					answer, err := c.complete(t.Context(), streamed, ask("Tea?"), key)
					if err != nil {
						t.Errorf("the first call: %v", err)
					}
					first <- answer
				}()
				eventually(t, "the first call to reach the API", func() error {
					if g.api.Stats().InFlight == 0 {
						return errors.New("no call is served")
					}
					return nil
				})
				_, err := c.complete(t.Context(), streamed, ask("Tea?"), key)
				checkError(t, err, apiError{status: 409, code: "idempotency_in_flight", typ: "invalid_request_error", retryAfter: "1"})

				again, err := c.complete(t.Context(), streamed, ask("Tea?"), key, option.WithMaxRetries(defaultRetries))
				if err != nil {
					t.Fatal(err)
				}
				checkSame(t, <-first, again)
				if got := g.take(pathChat); len(got) != 1 {
					t.Errorf("the API was asked %d times, want once", len(got))
				}
			})
		}
	})
}

// TestSameKeyForAnotherRequest is a mistake that the SDK does not repeat.
func TestSameKeyForAnotherRequest(t *testing.T) {
	g := startGateway(t, options{})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for form, streamed := range forms {
			key := keyed(t.Name() + form)
			if _, err := c.complete(t.Context(), streamed, ask("Tea?"), key); err != nil {
				t.Fatal(err)
			}
			g.take("")
			_, err := c.complete(t.Context(), streamed, ask("Coffee?"), key, option.WithMaxRetries(defaultRetries))
			checkError(t, err, apiError{status: 422, code: "idempotency_key_reused", typ: "invalid_request_error"})
			if got := g.take(pathChat); len(got) != 0 {
				t.Errorf("the API was asked %d times, want never", len(got))
			}
		}
	})
}

// TestKeyOfAFailedCall: one that was definitely not served may be made again;
// one that may have executed is not, whatever the SDK would like.
func TestKeyOfAFailedCall(t *testing.T) {
	cases := map[string]struct {
		fault sandbox.Fault
		again apiError // zero: an answer
	}{
		"refused":   {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 400, Code: "PARAM_ILLEGAL"}, apiError{}},
		"timed out": {sandbox.Fault{Kind: sandbox.Latency, Delay: time.Minute}, apiError{status: 409, code: "idempotency_unresolved", typ: "invalid_request_error"}},
		"reset":     {sandbox.Fault{Kind: sandbox.ResetBefore}, apiError{status: 409, code: "idempotency_unresolved", typ: "invalid_request_error"}},
	}
	g := startGateway(t, options{provider: impatient})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for name, tc := range cases {
			t.Run(name, func(t *testing.T) {
				key := keyed(t.Name())
				g.setFaults(t, tc.fault)
				if _, err := c.complete(t.Context(), false, ask("Tea?"), key, option.WithMaxRetries(defaultRetries)); err == nil {
					t.Fatal("the call was answered")
				}
				if got := g.take(pathChat); len(got) != 1 {
					t.Errorf("the API was asked %d times, want once", len(got))
				}
				g.setFaults(t)
				answer, err := c.complete(t.Context(), false, ask("Tea?"), key, option.WithMaxRetries(defaultRetries))
				asked := 0
				if tc.again == (apiError{}) {
					asked = 1
					checkAnswer(t, answer, err, "alipay", "Tea?")
				} else {
					checkError(t, err, tc.again)
				}
				if got := g.take(pathChat); len(got) != asked {
					t.Errorf("the API was asked %d times again, want %d", len(got), asked)
				}
			})
		}
	})
}
