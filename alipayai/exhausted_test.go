package alipayai_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/failover"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

func TestAllProvidersFail(t *testing.T) {
	throttled := func(seconds string) turn { return says(429, `{"code":"BUSY"}`, "Retry-After", seconds) }
	unserved := says(503, `{"error":{"message":"当前分组 default 下对于模型 m 无可用渠道","type":"one_api_error"}}`)
	for name, test := range map[string]struct {
		turns      [][]turn
		status     int
		message    string
		retryAfter string
		noRetry    bool
		exhausted  bool
	}{
		"system errors": {
			[][]turn{{sysError}, {sysError}}, 503,
			"no provider answered: first: system_error (SYSTEM_ERROR); second: system_error (SYSTEM_ERROR)", "1", true, true,
		},
		"in three ways": {
			[][]turn{{busy}, {throttled("7")}, {hangs}}, 504,
			"no provider answered: first: server_error (BUSY) after 3 attempts; second: throttled (BUSY); third: upstream_timeout", "7", true, true,
		},
		"a timeout that is not the last": {
			[][]turn{{hangs}, {throttled("20")}}, 503,
			"no provider answered: first: upstream_timeout; second: throttled (BUSY)", "20", true, true,
		},
		"throttled everywhere: the soonest counts": {
			[][]turn{{throttled("30")}, {throttled("20")}, {throttled("40")}}, 503,
			"no provider answered: first: throttled (BUSY); second: throttled (BUSY); third: throttled (BUSY)", "20", false, false,
		},
		"nothing listens": {
			[][]turn{{refuses}, {refuses}}, 503,
			"no provider answered: first: upstream_unreachable after 3 attempts; second: upstream_unreachable after 3 attempts", "1", true, true,
		},
		"what is no answer": {
			[][]turn{{says(200, "{}")}, {says(200, "nonsense")}}, 503,
			"no provider answered: first: upstream_malformed_response; second: upstream_malformed_response", "1", true, true,
		},
		"nothing that serves": {
			[][]turn{{unserved}, {unserved}}, 503, "no provider answered: first: server_error (one_api_error); second: server_error (one_api_error)", "1", true, true,
		},
		"nothing that serves, and a throttle": {
			[][]turn{{unserved}, {throttled("30")}}, 503, "no provider answered: first: server_error (one_api_error); second: throttled (BUSY)", "30", false, true,
		},
		"codes without a name": {
			[][]turn{{says(500, "oh")}, {says(503, "")}}, 503,
			"no provider answered: first: server_error after 3 attempts; second: server_error after 3 attempts", "1", true, true,
		},
	} {
		for mode, body := range map[string]string{"JSON": chatBody("hello"), "stream": streamBody("hello")} {
			t.Run(name+", "+mode, func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					s := perform(t, test.turns, deadline(time.Minute))
					got := s.call(body)
					if message := wantError(t, got, test.status, failure.CodeAllProvidersFailed); message != test.message {
						t.Errorf("says %q", message)
					}
					noRetry := ""
					if test.noRetry {
						noRetry = "false"
					}
					wantHeader(t, got, "Retry-After", test.retryAfter, "X-Should-Retry", noRetry)
					if o := s.outcome(); o.Exhausted != test.exhausted || o.Code != failure.CodeAllProvidersFailed || o.Status != test.status {
						t.Errorf("outcome %+v", o)
					}
					if n := len(s.seen.fallen()); n != len(test.turns)-1 {
						t.Errorf("fallbacks %v", s.seen.fallen())
					}
				})
			})
		}
	}
}

// The failure of one provider alone speaks for itself, but says that enough was tried.
func TestTheOnlyProviderFails(t *testing.T) {
	for name, test := range map[string]struct {
		fails   turn
		status  int
		code    string
		reason  string
		noRetry string
	}{
		"503":          {busy, 503, "BUSY", "server_error", "false"},
		"system error": {sysError, 500, "SYSTEM_ERROR", "system_error", "false"},
		"throttled":    {says(429, `{"code":"BUSY"}`, "Retry-After", "60"), 429, "BUSY", "throttled", ""},
		"unreachable":  {refuses, 502, failure.CodeUnreachable, failure.CodeUnreachable, "false"},
		// Nothing was asked, and nothing that a repeat could find is there: https://github.com/QuantumNous/new-api/pull/6310.
		"no channel": {says(503, `{"error":{"code":"model_not_found","message":"m","type":"new_api_error"}}`), 503, "model_not_found", "server_error", "false"},
		"degraded":   {says(400, `{"detail":"Function id 'f': DEGRADED function cannot be invoked"}`), 503, "", "server_error", "false"},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.fails}})
				got := s.call(chatBody("hello"))
				wantError(t, got, test.status, test.code)
				wantHeader(t, got, "X-Should-Retry", test.noRetry, "X-Alipayai-Reason", test.reason, "X-Alipayai-Provider", "first")
			})
		})
	}
}

// A request that another provider's form was made of, and that is refused there, leaves the failure before in its place.
func TestTranslatedRequestIsRefusedAfterAFailure(t *testing.T) {
	t.Parallel()
	l := newLadder(t, []sandbox.Format{sandbox.OpenAI, sandbox.Anthropic})
	l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.SystemError500})
	l.upstreams[1].set(t, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 400})
	got := l.chat("hello")
	const want = "no provider answered: first: system_error (SYSTEM_ERROR); second: request_refused (invalid_request_error)"
	if message := wantError(t, got, 503, failure.CodeAllProvidersFailed); message != want {
		t.Errorf("says %q", message)
	}
	wantHeader(t, got, "X-Alipayai-Reason", "system_error, request_refused", "Retry-After", "1", "X-Should-Retry", "false")
	if o := l.outcome(); !o.Exhausted {
		t.Errorf("outcome %+v", o)
	}
	l.wantCalls(1, 1)
}

func TestProvidersThatNoTimeIsLeftForAreNamed(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{hangs}, {good}, {good}}, deadline(15500*ms))
		message := wantError(t, s.call(chatBody("hello")), 504, failure.CodeAllProvidersFailed)
		const want = "no provider answered: first: upstream_timeout; second: not asked, since no time was left; third: not asked, since no time was left"
		if message != want {
			t.Errorf("says %q", message)
		}
	})
}

// One deadline is over everything, and nothing begins that could not end.
func TestOneDeadlineOverAll(t *testing.T) {
	for name, test := range map[string]struct {
		deadline time.Duration
		turns    [][]turn
		calls    []int
		took     time.Duration
		code     string
	}{
		"the second has what is left": {20 * time.Second, [][]turn{{hangs}, {hangs}}, []int{1, 1}, 20 * time.Second, failure.CodeAllProvidersFailed},
		"the second is too late":      {15500 * ms, [][]turn{{hangs}, {good}}, []int{1, 0}, 15 * time.Second, failure.CodeAllProvidersFailed},
		"the third is too late":       {30500 * ms, [][]turn{{hangs}, {hangs}, {good}}, []int{1, 1, 0}, 30 * time.Second, failure.CodeAllProvidersFailed},
		"the second is in time":       {17 * time.Second, [][]turn{{hangs}, {after(time.Second, good)}}, []int{1, 1}, 16 * time.Second, ""},
		"a short one":                 {time.Second, [][]turn{{hangs}, {good}}, []int{1, 0}, time.Second, failure.CodeAllProvidersFailed},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, test.turns, deadline(test.deadline))
				began := time.Now()
				got := s.call(chatBody("hello"))
				if took := time.Since(began); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if test.code != "" {
					wantError(t, got, http.StatusGatewayTimeout, test.code)
				} else if got.status != http.StatusOK {
					t.Errorf("%d %s", got.status, got.body)
				}
				s.wantCalls(test.calls...)
			})
		})
	}
}

// A call whose permit would come too late to be answered does not wait for it.
func TestQueueLeavesTimeForTheAttempt(t *testing.T) {
	for hold, want := range map[time.Duration]int{8 * time.Second: 200, 9500 * ms: 429} {
		testwait.Bubble(t, func(t *testing.T) {
			k := newCap(50, time.Second)
			s := perform(t, [][]turn{{good}}, deadline(10*time.Second), capped(k))
			k.Throttled(hold)
			began := time.Now()
			got := s.call(chatBody("hello"))
			if got.status != want {
				t.Errorf("held back for %v: %d %s", hold, got.status, got.body)
			}
			if took := time.Since(began); want == 429 && took > 0 {
				t.Errorf("refused after %v", took)
			}
		})
	}
}

// With its breaker open the only provider is not asked, and the client hears for how long.
func TestTheOnlyBreakerIsOpen(t *testing.T) {
	testwait.Bubble(t, func(t *testing.T) {
		s := perform(t, [][]turn{{sysError}}, breakers(failover.Rule{OpenFor: 40 * time.Second}))
		for range 4 {
			s.call(chatBody("hello"))
		}
		time.Sleep(10 * time.Second)
		got := s.call(chatBody("hello"))
		message := wantError(t, got, http.StatusServiceUnavailable, failure.CodeBreakerOpen)
		if !strings.Contains(message, "first") {
			t.Errorf("says %q", message)
		}
		wantHeader(t, got, "Retry-After", "30", "X-Should-Retry", "", "X-Alipayai-Attempts", "0", "X-Alipayai-Reason", failure.CodeBreakerOpen)
		s.wantCalls(4)
	})
}
