package e2e

import (
	"net/http"
	"testing"

	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestSDKDoesNotRepeat: a call that may have been billed, or that cannot
// succeed, is not repeated by an SDK with its default of two retries.
func TestSDKDoesNotRepeat(t *testing.T) {
	timeout := apiError{status: 504, code: "upstream_timeout", typ: "server_error"}
	cases := map[string]struct {
		prompt string
		want   apiError
		// noRetry: the SDK would repeat this status without X-Should-Retry: false.
		noRetry bool
	}{
		"no head in time":       {"[[fault:latency=30s]]", timeout, true},
		"no body in time":       {"[[fault:stall]]", timeout, true},
		"SYSTEM_ERROR in a 200": {"[[fault:system_error_200]]", apiError{status: 502, code: "SYSTEM_ERROR", typ: "server_error"}, true},
		"SYSTEM_ERROR in a 500": {"[[fault:system_error_500]]", apiError{status: 500, code: "SYSTEM_ERROR", typ: "server_error"}, true},
		"reset":                 {"[[fault:reset_before]]", apiError{status: 502, code: "upstream_truncated_response", typ: "server_error"}, true},
		"compliance":            {"Please predict future income.", apiError{status: 403, code: "COMPLIANCE_BLOCKED", typ: "permission_error"}, false},
	}
	g := startGateway(t, options{provider: "timeout 500ms\n" + newConnections, proxy: "deadline 800ms"})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for name, tc := range cases {
			for form, streamed := range forms {
				t.Run(name+"/"+form, func(t *testing.T) {
					g.take("")
					_, err := c.complete(t.Context(), streamed, ask(tc.prompt), option.WithMaxRetries(defaultRetries))
					got := checkError(t, err, tc.want)
					if retry := got.Response.Header.Get("X-Should-Retry"); tc.noRetry != (retry == "false") {
						t.Errorf("X-Should-Retry is %q", retry)
					}
					if calls := g.take(pathChat); len(calls) != 1 {
						t.Errorf("the API was asked %d times, want once", len(calls))
					}
				})
			}
		}
	})
}

// TestSDKRepeatsWhatWasThrottled, after the time that the API asks for.
func TestSDKRepeatsWhatWasThrottled(t *testing.T) {
	g := startGateway(t, options{})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		g.setFaults(t, sandbox.Fault{Kind: sandbox.Throttle, Times: 1, RetryAfter: 1})
		answer, err := c.complete(t.Context(), true, ask("Hello."), option.WithMaxRetries(defaultRetries))
		if got, want := text(answer), "You said: Hello."; err != nil || got != want {
			t.Errorf("answer %q, %v; want %q", got, err, want)
		}
		if calls := g.take(pathChat); len(calls) != 2 {
			t.Errorf("the API was asked %d times, want twice", len(calls))
		}
	})
}

// TestDeadTokenIsReplaced without the client noticing: the API refuses the
// token, the gateway fetches another and repeats the call once.
func TestDeadTokenIsReplaced(t *testing.T) {
	g := startGateway(t, options{})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		for form, streamed := range forms {
			if _, err := c.complete(t.Context(), streamed, ask("Hello.")); err != nil {
				t.Fatal(err)
			}
			g.take("")
			before := g.api.Stats().TokenFetches["client_credentials"]
			g.setFaults(t, sandbox.Fault{Kind: sandbox.ExpiredToken, Times: 1})
			var resp *http.Response
			answer, err := c.complete(t.Context(), streamed, ask("Hello again."), option.WithResponseInto(&resp))
			if got, want := text(answer), "You said: Hello again."; err != nil || got != want {
				t.Errorf("%s: answer %q, %v; want %q", form, got, err, want)
			}
			if got := resp.Header.Get("X-Alipayai-Attempts"); got != "2" {
				t.Errorf("%s: X-Alipayai-Attempts is %q, want 2", form, got)
			}
			if calls := g.take(pathChat); len(calls) != 2 || calls[0] != calls[1] {
				t.Errorf("%s: the API got %q, want one body twice", form, calls)
			}
			if fetches := g.api.Stats().TokenFetches["client_credentials"] - before; fetches != 1 {
				t.Errorf("%s: %d tokens were fetched, want 1", form, fetches)
			}
		}
	})
}

// TestPayment: HTTP 402 reaches the client with what it needs to pay, and the
// proof of the payment reaches the API.
func TestPayment(t *testing.T) {
	g := startGateway(t, options{})
	g.overEachProtocol(t, func(t *testing.T, c *client) {
		g.setFaults(t, sandbox.Fault{Kind: sandbox.PaymentRequired})
		var resp *http.Response
		_, err := c.complete(t.Context(), false, ask("Hello."), option.WithMaxRetries(defaultRetries), option.WithResponseInto(&resp))
		if err == nil || resp.StatusCode != http.StatusPaymentRequired || resp.Header.Get("Payment-Needed") == "" {
			t.Fatalf("status %s, headers %v, error %v", resp.Status, resp.Header, err)
		}
		answer, err := c.complete(t.Context(), false, ask("Hello."), option.WithHeader("Payment-Proof", "receipt-1"))
		if got, want := text(answer), "You said: Hello."; err != nil || got != want {
			t.Errorf("answer %q, %v; want %q", got, err, want)
		}
		if calls := g.take(pathChat); len(calls) != 2 {
			t.Errorf("the API was asked %d times, want once for each call", len(calls))
		}
	})
}
