package alipayai_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// contractFields are those of the simulator's variants envelope and error_names.
var contractFields = wire.AnswerFields{
	Inside: "response", Success: "code", SuccessValues: []string{"A00000"}, Code: []string{"errNo"}, Message: []string{"errText"},
	RequestID: []string{"traceId"}, RetryAfter: "retryMs", RetryUnit: time.Millisecond,
}

// newContractRig starts a gateway before an API whose answers have names and an envelope of their own.
func newContractRig(t *testing.T, edits ...func(*upstream.Provider)) *rig {
	t.Helper()
	form, err := token.NewAnswerForm(token.AnswerFields{AccessToken: "data.token", RefreshToken: "data.refresh", Expires: "data.ttl", Unit: token.ExpiryMilliseconds, Success: "code", SuccessValues: []string{"A00000"}})
	if err != nil {
		t.Fatal(err)
	}
	return newRig(t, sandbox.Config{Variants: []sandbox.Variant{sandbox.VariantEnvelope, sandbox.VariantErrorNames, sandbox.VariantTokenAnswer}}, first(func(p *upstream.Provider) {
		fields := contractFields
		p.AnswerFields, p.Verify = &fields, upstream.VerifyRequire
		p.Tokens.Fetcher.(*token.Grant).Answer = form
		for _, edit := range edits {
			edit(p)
		}
	}))
}

// Clients get OpenAI's form of an API that has its answers in an envelope, whose signature is over all of it.
func TestAnswerForm(t *testing.T) {
	r := newContractRig(t)
	var answer struct {
		Code, Response any
		Choices        []struct{ Message struct{ Content string } }
	}
	got := r.post(chatPath, chatBody("hello"))
	if err := json.Unmarshal([]byte(got.body), &answer); got.status != 200 || err != nil || len(answer.Choices) != 1 || !strings.Contains(answer.Choices[0].Message.Content, "hello") || answer.Code != nil {
		t.Errorf("%d, %v: %s", got.status, err, got.body)
	}
	if o := r.outcome(); !o.Usage.OK || o.UpstreamModel == "" {
		t.Errorf("outcome %+v", o)
	}
	got = r.post(chatPath, with(streamBody("hello"), `"stream_options":{"include_usage":true}`))
	if strings.Contains(got.body, "A00000") || !strings.HasSuffix(got.body, "data: [DONE]\n\n") || !strings.Contains(got.body, `"usage":{`) {
		t.Errorf("stream %s", got.body)
	}
	if o := r.outcome(); !o.Usage.OK || o.Code != "" {
		t.Errorf("outcome of the stream %+v", o)
	}
	if got = r.do(t.Context(), http.MethodGet, "/v1/models", ""); !strings.Contains(got.body, "alipay-fin-1") {
		t.Errorf("models %s", got.body)
	}
}

// Without the options the same API is no answer at all.
func TestAnswerFormIsNeeded(t *testing.T) {
	r := newContractRig(t, func(p *upstream.Provider) { p.AnswerFields = nil })
	wantFailure(t, r.post(chatPath, chatBody("hello")), 502)
}

// What a failure says by the contract's names decides: it is classified, repeated, shown and logged.
func TestAnswerFormOfFailures(t *testing.T) {
	const system, own = `{"errNo":"SYSTEM_ERROR","errText":"why","traceId":"t-1"}`, `{"code":"B0001","traceId":"t-1","response":null}`
	throttled := says(http.StatusTooManyRequests, `{"errNo":"QUOTA","errText":"why","traceId":"t-1","retryMs":1500}`)
	for name, test := range map[string]struct {
		answer     turn
		body       string
		status     int
		code, says string
		retry      string
	}{
		"under its status":     {says(http.StatusForbidden, `{"errNo":"ACCESS_DENIED","errText":"why","traceId":"t-1"}`), chatBody("hello"), 502, "ACCESS_DENIED", "credentials", ""},
		"under a 200":          {says(200, `{"code":"B0001","errNo":"SYSTEM_ERROR","errText":"why","traceId":"t-1"}`), chatBody("hello"), 502, "SYSTEM_ERROR", "why", ""},
		"without a known name": {says(200, own), chatBody("hello"), 502, "B0001", "a failure", ""},
		"in a stream":          {streams(nil, `{"code":"A00000","response":`+roleEvent+`}`, system), streamBody("hello"), 502, "SYSTEM_ERROR", "why", ""},
		"JSON for a stream":    {says(200, system, "Content-Type", "text/event-stream"), streamBody("hello"), 502, "SYSTEM_ERROR", "why", ""},
		"with its time":        {throttled, chatBody("hello"), 429, "QUOTA", "why", "1500"},
		"inside":               {says(200, `{"code":"A00000","response":{"error":{"code":"SYSTEM_ERROR","message":"why"}}}`), chatBody("hello"), 502, "SYSTEM_ERROR", "why", ""},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				s := perform(t, [][]turn{{test.answer}}, first(func(p *upstream.Provider) {
					fields := contractFields
					p.AnswerFields = &fields
				}))
				got := s.call(test.body)
				if message := wantError(t, got, test.status, test.code); !strings.Contains(message, test.says) {
					t.Errorf("says %q", message)
				}
				wantHeader(t, got, "Retry-After-Ms", test.retry)
				if want := "t-1"; name != "inside" && s.seen.upstreamIDs[0] != want {
					t.Errorf("upstream's ids %q, want %s", s.seen.upstreamIDs, want)
				}
			})
		})
	}
}
