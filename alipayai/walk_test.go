package alipayai_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

// hasty makes a provider that is not waited for.
func hasty(p *upstream.Provider) { p.Timeout = 300 * time.Millisecond }

func TestFallsOver(t *testing.T) {
	for name, test := range map[string]struct {
		fault    sandbox.Fault
		edit     func(*upstream.Provider)
		reason   string
		attempts int // at the first provider
		stream   bool
	}{
		"throttled":               {fault: sandbox.Fault{Kind: sandbox.Throttle}, reason: "throttled", attempts: 1},
		"throttled in a 200":      {fault: sandbox.Fault{Kind: sandbox.SystemError200, Code: "REQUEST_TRAFFIC_EXCEED_LIMIT"}, reason: "throttled", attempts: 1},
		"5xx":                     {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 502, Code: "BAD"}, reason: "server_error", attempts: 3},
		"5xx for longer":          {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, Code: "BUSY", RetryAfter: 5}, reason: "server_error", attempts: 1},
		"timeout":                 {fault: sandbox.Fault{Kind: sandbox.Latency, Delay: forLong}, edit: hasty, reason: failure.CodeTimeout, attempts: 1},
		"timeout of the body":     {fault: sandbox.Fault{Kind: sandbox.SlowFirstByte, Delay: forLong}, edit: hasty, reason: failure.CodeTimeout, attempts: 1, stream: true},
		"system error, 500":       {fault: sandbox.Fault{Kind: sandbox.SystemError500}, reason: "system_error", attempts: 1},
		"system error, 200":       {fault: sandbox.Fault{Kind: sandbox.SystemError200}, reason: "system_error", attempts: 1},
		"system error, first":     {fault: sandbox.Fault{Kind: sandbox.SystemErrorFirst}, reason: "system_error", attempts: 1, stream: true},
		"system error of v2":      {fault: sandbox.Fault{Kind: sandbox.SystemError200, Shape: sandbox.ShapeGateway}, reason: "system_error", attempts: 1},
		"malformed":               {fault: sandbox.Fault{Kind: sandbox.MalformedJSON}, reason: failure.CodeMalformed, attempts: 1},
		"malformed first event":   {fault: sandbox.Fault{Kind: sandbox.MalformedChunk}, reason: failure.CodeMalformed, attempts: 1, stream: true},
		"empty stream":            {fault: sandbox.Fault{Kind: sandbox.EmptyStream}, reason: failure.CodeTruncated, attempts: 1, stream: true},
		"truncated":               {fault: sandbox.Fault{Kind: sandbox.TruncatedBody}, reason: failure.CodeTruncated, attempts: 1},
		"reset":                   {fault: sandbox.Fault{Kind: sandbox.ResetBefore}, reason: failure.CodeTruncated, attempts: 1},
		"token, again and again":  {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 401, Code: "INVALID_ACCESS_TOKEN"}, reason: "credentials", attempts: 2},
		"credentials":             {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 401, Code: "INVALID_SIGNATURE"}, reason: "credentials", attempts: 1},
		"access denied":           {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 403, Code: "ACCESS_DENIED"}, reason: "credentials", attempts: 1},
		"grant is gone":           {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 401, Code: "app-auth-token-time-out"}, reason: "credentials", attempts: 1},
		"clock that stays wrong":  {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 401, Code: "INVALID_REQUEST_TIME"}, reason: "credentials", attempts: 1},
		"bad response signature":  {fault: sandbox.Fault{Kind: sandbox.WrongResponseSignature}, reason: failure.CodeBadSignature, attempts: 1},
		"no token":                {fault: sandbox.Fault{Kind: sandbox.TokenError, Status: 500}, reason: failure.CodeTokenUnavailable},
		"unavailable":             {edit: func(p *upstream.Provider) { p.Unavailable = func(time.Time) error { return errors.New("expired") } }, reason: failure.CodeProviderUnavailable},
		"queue that is too long":  {edit: func(p *upstream.Provider) { p.Cap = closedCap() }, reason: "queue_deadline"},
		"cannot be signed for":    {edit: func(p *upstream.Provider) { p.Scheme = brokenScheme{new(signer.HMAC)} }, reason: failure.CodeSigningFailed},
		"answer is far too large": {edit: func(p *upstream.Provider) { p.Transport = endless{} }, reason: failure.CodeResponseTooLarge, attempts: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubbleIf(t, test.fault.Delay == forLong || test.fault.Kind == sandbox.TokenError, func(t *testing.T) {
				l := newLadder(t, alipays, first(func(p *upstream.Provider) {
					if test.edit != nil {
						test.edit(p)
					}
				}))
				if test.fault.Kind != "" {
					l.upstreams[0].set(t, test.fault)
				}
				body := chatBody("hello")
				if test.stream {
					body = streamBody("hello")
				}
				got := l.post(chatPath, body)
				all := test.attempts + 1
				if test.attempts < 0 { // counted by the gateway alone
					all, test.attempts = 2, 0
				}
				wantServed(t, got, "second", string(rune('0'+all)), test.reason)
				wantHeader(t, got, "X-Alipayai-Model", "alipay-fin-1", "Age", "", "Cache-Status", "")
				l.wantCalls(test.attempts, 1)
				if seen := l.seen.fallen(); !slices.Equal(seen, []string{"first:" + test.reason}) {
					t.Errorf("fallbacks %v", seen)
				}
				if o := l.outcome(); o.Provider != "second" || o.Attempts != all || o.Reasons != test.reason || o.Exhausted || o.Code != "" {
					t.Errorf("outcome %+v", o)
				}
				if strings.Count(got.body, "hello") == 0 || strings.Count(got.body, "[DONE]") > 1 {
					t.Errorf("answered %s", got.body)
				}
			})
		})
	}
}

// While a token endpoint that fails is skipped, no call waits for it that another provider can serve.
func TestFallsOverAtOnceWithoutAToken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		l := newLadder(t, alipays)
		l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.TokenError, Status: 500})
		wantServed(t, l.chat("hello"), "second", "1", failure.CodeTokenUnavailable)
		began := time.Now()
		const calls = 20
		for i := range calls {
			wantServed(t, l.chat("hello "+strconv.Itoa(i)), "second", "1", failure.CodeTokenUnavailable)
		}
		if took := time.Since(began); took > calls*upstream.TokenWait/4 {
			t.Errorf("%d calls took %v", calls, took)
		}
		l.wantCalls(0, 1+calls)
	})
}

// An unreachable provider is tried three times, since nothing ever left.
func TestFallsOverWhereNothingListens(t *testing.T) {
	t.Parallel()
	l := newLadder(t, alipays, first(func(p *upstream.Provider) { p.BaseURL, p.Tokens = unreachable(t)().BaseURL, nil }))
	wantServed(t, l.chat("hello"), "second", "4", failure.CodeUnreachable)
	l.wantCalls(0, 1)
}

// What the upstream says of the request itself is an answer.
func TestDoesNotFallOver(t *testing.T) {
	for name, test := range map[string]struct {
		fault  sandbox.Fault
		stream bool
		status int
		code   string
	}{
		"400":                  {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 400}, status: 400, code: "PARAM_ILLEGAL"},
		"403":                  {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 403, Code: "NOT_FOR_YOU"}, status: 403, code: "NOT_FOR_YOU"},
		"404":                  {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 404, Code: "MODEL_NOT_FOUND"}, status: 404, code: "MODEL_NOT_FOUND"},
		"413":                  {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 413}, status: 413, code: "PARAM_ILLEGAL"},
		"422":                  {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 422}, status: 422, code: "PARAM_ILLEGAL"},
		"blocked":              {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 403, Code: "COMPLIANCE_BLOCKED"}, status: 403, code: "COMPLIANCE_BLOCKED"},
		"blocked in a 500":     {fault: sandbox.Fault{Kind: sandbox.SystemError500, Code: "COMPLIANCE_BLOCKED"}, status: 403, code: "COMPLIANCE_BLOCKED"},
		"blocked in a 200":     {fault: sandbox.Fault{Kind: sandbox.SystemError200, Code: "COMPLIANCE_BLOCKED"}, status: 403, code: "COMPLIANCE_BLOCKED"},
		"blocked in a stream":  {fault: sandbox.Fault{Kind: sandbox.SystemErrorFirst, Code: "COMPLIANCE_BLOCKED"}, stream: true, status: 403, code: "COMPLIANCE_BLOCKED"},
		"content filter":       {fault: sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 400, Code: "content_filter"}, status: 400, code: "content_filter"},
		"payment is asked for": {fault: sandbox.Fault{Kind: sandbox.PaymentRequired}, status: 402},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLadder(t, alipays)
			l.upstreams[0].set(t, test.fault)
			body := chatBody("hello")
			if test.stream {
				body = streamBody("hello")
			}
			got := l.post(chatPath, body)
			if test.code != "" {
				wantError(t, got, test.status, test.code)
			} else if got.status != test.status {
				t.Errorf("%d %s", got.status, got.body)
			}
			l.wantCalls(1, 0)
			wantHeader(t, got, "X-Alipayai-Provider", "first", "X-Alipayai-Reason", "", "X-Alipayai-Attempts", "1")
			if o := l.outcome(); o.Exhausted || o.Attempts != 1 {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// Nothing is begun for a client that has gone, wherever it leaves.
func TestDoesNotFallOverWithoutAClient(t *testing.T) {
	for name, test := range map[string]struct {
		fault sandbox.Fault
		ended int // attempts before it leaves
	}{
		"during an attempt": {sandbox.Fault{Kind: sandbox.Latency, Delay: forLong}, 0},
		"during a pause":    {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, Code: "BUSY", RetryAfter: 2}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLadder(t, alipays)
			l.upstreams[0].set(t, test.fault)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := l.inBackground(ctx, chatBody("hello"))
			waitFor(t, "the request to arrive", func() bool {
				return len(l.upstreams[0].calls()) == 1 && len(l.seen.attempted()) == test.ended
			})
			cancel()
			receive(t, ended, "the client to leave")
			if o := l.outcome(); o.Status != failure.ClientClosedRequest || o.Code != failure.CodeClientGone || o.Exhausted {
				t.Errorf("outcome %+v", o)
			}
			l.wantCalls(1, 0)
			if seen := l.seen.fallen(); len(seen) != 0 {
				t.Errorf("fallbacks %v", seen)
			}
		})
	}
}

// After content there is no second provider: a stream is never spliced.
func TestDoesNotFallOverAfterContent(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{
		"cut":          {Kind: sandbox.Cut, AfterEvents: 2},
		"system error": {Kind: sandbox.SystemErrorMidstream, AfterEvents: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLadder(t, alipays)
			l.upstreams[0].set(t, fault)
			got := l.stream("[[events:9]] hello")
			if got.err == nil || strings.Contains(got.body, "[DONE]") || !strings.Contains(got.body, `{"error":{`) {
				t.Errorf("%v, %s", got.err, got.body)
			}
			l.wantCalls(1, 0)
		})
	}
}

// Each of three is asked in turn, with the same id and the model by its own name.
func TestThreeProviders(t *testing.T) {
	t.Parallel()
	l := newLadder(t, []sandbox.Format{sandbox.OpenAI, sandbox.OpenAI, sandbox.OpenAI}, func(g *alipayai.Gateway) {
		g.Providers[1].ModelMap = map[string]string{"alipay-fin-1": "alipay-fin-mini"}
	})
	l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.SystemError500})
	l.upstreams[1].set(t, sandbox.Fault{Kind: sandbox.Throttle})
	got := l.chat("hello")
	wantServed(t, got, "third", "3", "system_error, throttled")
	wantHeader(t, got, "X-Alipayai-Model", "alipay-fin-1")
	l.wantCalls(1, 1, 1)
	id := l.upstreams[0].calls()[0].header.Get("Idempotency-Key")
	for _, u := range l.upstreams {
		if other := u.calls()[0].header.Get("Idempotency-Key"); other != id || id == "" {
			t.Errorf("the id is %q at the first provider, and %q at the %s", id, other, u.provider.Name)
		}
	}
	if body := string(l.upstreams[1].calls()[0].body); !strings.Contains(body, `"model":"alipay-fin-mini"`) {
		t.Errorf("the second was asked %s", body)
	}
	if o := l.outcome(); o.Reasons != "system_error, throttled" || o.UpstreamModel != "alipay-fin-1" {
		t.Errorf("outcome %+v", o)
	}

	l.upstreams[2].set(t, sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 400})
	got = l.chat("hello")
	wantError(t, got, http.StatusBadRequest, "PARAM_ILLEGAL")
	wantHeader(t, got, "X-Alipayai-Reason", "system_error, upstream_throttled", "X-Alipayai-Provider", "third")
}

// Providers that do not serve the model are none.
func TestWalksThoseThatServeTheModel(t *testing.T) {
	t.Parallel()
	l := newLadder(t, []sandbox.Format{sandbox.OpenAI, sandbox.OpenAI, sandbox.OpenAI}, func(g *alipayai.Gateway) {
		g.Providers[1].Models = []string{"another"}
	})
	l.upstreams[0].set(t, sandbox.Fault{Kind: sandbox.SystemError500})
	wantServed(t, l.chat("hello"), "third", "2", "system_error")
	l.wantCalls(1, 0, 1)
}
