package alipayai_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// brief makes a gateway that does not wait long.
func brief(g *alipayai.Gateway) {
	fresh(g.Providers[0])
	g.Deadline = 2 * time.Second
	g.Providers[0].Timeout = time.Second
}

// expectation is what a client sees of a call that fails.
type expectation struct {
	status int
	code   string
	// noRetry says that the client is told not to repeat what may have executed.
	noRetry    bool
	retryAfter string
}

const forLong = time.Minute

func TestEveryFaultOfAJSONAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		fault sandbox.Fault
		want  expectation
	}{
		"latency":               {sandbox.Fault{Kind: sandbox.Latency, Delay: forLong}, expectation{504, failure.CodeTimeout, true, ""}},
		"slow first byte":       {sandbox.Fault{Kind: sandbox.SlowFirstByte, Delay: forLong}, expectation{504, failure.CodeTimeout, true, ""}},
		"stall":                 {sandbox.Fault{Kind: sandbox.Stall}, expectation{504, failure.CodeTimeout, true, ""}},
		"wrong signature":       {sandbox.Fault{Kind: sandbox.WrongResponseSignature}, expectation{502, failure.CodeBadSignature, true, ""}},
		"system error, 200":     {sandbox.Fault{Kind: sandbox.SystemError200}, expectation{502, "SYSTEM_ERROR", true, ""}},
		"in OpenAI's shape":     {sandbox.Fault{Kind: sandbox.SystemError200, Shape: sandbox.ShapeOpenAI}, expectation{502, "SYSTEM_ERROR", true, ""}},
		"in Antom's shape":      {sandbox.Fault{Kind: sandbox.SystemError200, Shape: sandbox.ShapeGlobal}, expectation{502, "SYSTEM_ERROR", true, ""}},
		"in gateway.do's shape": {sandbox.Fault{Kind: sandbox.SystemError200, Shape: sandbox.ShapeGateway}, expectation{502, "SYSTEM_ERROR", true, ""}},
		"in nextbuilder's":      {sandbox.Fault{Kind: sandbox.SystemError200, Shape: sandbox.ShapeNextBuilder}, expectation{502, "SYSTEM_ERROR", true, ""}},
		"system error, 500":     {sandbox.Fault{Kind: sandbox.SystemError500}, expectation{500, "SYSTEM_ERROR", true, ""}},
		"500, OpenAI's shape":   {sandbox.Fault{Kind: sandbox.SystemError500, Shape: sandbox.ShapeOpenAI}, expectation{500, "SYSTEM_ERROR", true, ""}},
		"another code, 200":     {sandbox.Fault{Kind: sandbox.SystemError200, Code: "UNKNOWN_EXCEPTION"}, expectation{502, "UNKNOWN_EXCEPTION", true, ""}},
		"throttled in a 200":    {sandbox.Fault{Kind: sandbox.SystemError200, Code: "REQUEST_TRAFFIC_EXCEED_LIMIT"}, expectation{429, "REQUEST_TRAFFIC_EXCEED_LIMIT", false, ""}},
		"blocked in a 200":      {sandbox.Fault{Kind: sandbox.SystemError200, Code: "COMPLIANCE_BLOCKED"}, expectation{403, "COMPLIANCE_BLOCKED", false, ""}},
		"503":                   {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, RetryAfter: 2}, expectation{503, "UNKNOWN_EXCEPTION", true, "2"}},
		"400":                   {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 400}, expectation{400, "PARAM_ILLEGAL", false, ""}},
		"422":                   {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 422, Code: "content_filter"}, expectation{422, "content_filter", false, ""}},
		"403, credentials":      {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 403}, expectation{502, "ACCESS_DENIED", true, ""}},
		"401, credentials":      {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 401, Code: "INVALID_CLIENT"}, expectation{502, "INVALID_CLIENT", true, ""}},
		"throttle":              {sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 7}, expectation{429, "REQUEST_TRAFFIC_EXCEED_LIMIT", false, "7"}},
		"throttle for hours":    {sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 7200}, expectation{429, "REQUEST_TRAFFIC_EXCEED_LIMIT", false, "60"}},
		"expired token":         {sandbox.Fault{Kind: sandbox.ExpiredToken}, expectation{502, "EXPIRED_ACCESS_TOKEN", true, ""}},
		"reset before":          {sandbox.Fault{Kind: sandbox.ResetBefore}, expectation{502, failure.CodeTruncated, true, ""}},
		"reset after":           {sandbox.Fault{Kind: sandbox.ResetAfter}, expectation{502, failure.CodeTruncated, true, ""}},
		"malformed":             {sandbox.Fault{Kind: sandbox.MalformedJSON}, expectation{502, failure.CodeMalformed, true, ""}},
		"truncated":             {sandbox.Fault{Kind: sandbox.TruncatedBody}, expectation{502, failure.CodeTruncated, true, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				r := newRig(t, sandbox.Config{}, brief)
				test.fault.Path = "/v1/chat/completions"
				r.set(test.fault)
				r.wantFailure(r.chat("hello"), test.want)
			})
		})
	}
}

func TestEveryFaultOfAStreamBeforeItsContent(t *testing.T) {
	for name, test := range map[string]struct {
		fault sandbox.Fault
		want  expectation
	}{
		"latency":             {sandbox.Fault{Kind: sandbox.Latency, Delay: forLong}, expectation{504, failure.CodeTimeout, true, ""}},
		"slow first byte":     {sandbox.Fault{Kind: sandbox.SlowFirstByte, Delay: forLong}, expectation{504, failure.CodeTimeout, true, ""}},
		"stall":               {sandbox.Fault{Kind: sandbox.Stall}, expectation{504, failure.CodeTimeout, true, ""}},
		"system error, 200":   {sandbox.Fault{Kind: sandbox.SystemError200}, expectation{502, "SYSTEM_ERROR", true, ""}},
		"system error, 500":   {sandbox.Fault{Kind: sandbox.SystemError500}, expectation{500, "SYSTEM_ERROR", true, ""}},
		"first event":         {sandbox.Fault{Kind: sandbox.SystemErrorFirst}, expectation{502, "SYSTEM_ERROR", true, ""}},
		"first, Alipay's":     {sandbox.Fault{Kind: sandbox.SystemErrorFirst, Shape: sandbox.ShapeAlipay}, expectation{502, "SYSTEM_ERROR", true, ""}},
		"first, Antom's":      {sandbox.Fault{Kind: sandbox.SystemErrorFirst, Shape: sandbox.ShapeGlobal}, expectation{502, "SYSTEM_ERROR", true, ""}},
		"first, gateway.do's": {sandbox.Fault{Kind: sandbox.SystemErrorFirst, Shape: sandbox.ShapeGateway}, expectation{502, "SYSTEM_ERROR", true, ""}},
		"first, nextbuilder":  {sandbox.Fault{Kind: sandbox.SystemErrorFirst, Shape: sandbox.ShapeNextBuilder}, expectation{502, "SYSTEM_ERROR", true, ""}},
		"first, throttled":    {sandbox.Fault{Kind: sandbox.SystemErrorFirst, Code: "REQUEST_TRAFFIC_EXCEED_LIMIT"}, expectation{429, "REQUEST_TRAFFIC_EXCEED_LIMIT", false, ""}},
		"first, blocked":      {sandbox.Fault{Kind: sandbox.SystemErrorFirst, Code: "COMPLIANCE_BLOCKED"}, expectation{403, "COMPLIANCE_BLOCKED", false, ""}},
		"503":                 {sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 503, RetryAfter: 2}, expectation{503, "UNKNOWN_EXCEPTION", true, "2"}},
		"throttle":            {sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 7}, expectation{429, "REQUEST_TRAFFIC_EXCEED_LIMIT", false, "7"}},
		"expired token":       {sandbox.Fault{Kind: sandbox.ExpiredToken}, expectation{502, "EXPIRED_ACCESS_TOKEN", true, ""}},
		"reset before":        {sandbox.Fault{Kind: sandbox.ResetBefore}, expectation{502, failure.CodeTruncated, true, ""}},
		"reset after 0":       {sandbox.Fault{Kind: sandbox.ResetAfter}, expectation{502, failure.CodeTruncated, true, ""}},
		"malformed first":     {sandbox.Fault{Kind: sandbox.MalformedChunk}, expectation{502, failure.CodeMalformed, true, ""}},
		"no events":           {sandbox.Fault{Kind: sandbox.EmptyStream}, expectation{502, failure.CodeTruncated, true, ""}},
		"[DONE] alone":        {sandbox.Fault{Kind: sandbox.DoneFirst}, expectation{502, failure.CodeTruncated, true, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				r := newRig(t, sandbox.Config{}, brief)
				test.fault.Path = "/v1/chat/completions"
				r.set(test.fault)
				r.wantFailure(r.stream("[[events:9]] hello"), test.want)
			})
		})
	}
}

// wantFailure checks what a client and the observer saw, and that nothing was repeated that may have executed.
func (r *rig) wantFailure(got reply, want expectation) {
	r.t.Helper()
	wantError(r.t, got, want.status, want.code)
	if got.err != nil {
		r.t.Errorf("a whole error answer ends with %v", got.err)
	}
	if noRetry := got.header.Get("X-Should-Retry") == "false"; noRetry != want.noRetry {
		r.t.Errorf("X-Should-Retry %q", got.header.Get("X-Should-Retry"))
	}
	if got.header.Get("Retry-After") != want.retryAfter {
		r.t.Errorf("Retry-After %q, want %q", got.header.Get("Retry-After"), want.retryAfter)
	}
	attempts := 1
	switch {
	case want.code == "EXPIRED_ACCESS_TOKEN":
		attempts = 2
	case want.status == http.StatusTooManyRequests && want.retryAfter == "":
		attempts = 2 // after a second, and then the deadline comes
	}
	if n := len(r.arrived.at("/v1/chat/completions")); n != attempts {
		r.t.Errorf("%d requests went upstream, want %d", n, attempts)
	}
	o := r.outcome()
	if o.Status != want.status || o.Code != want.code || o.Aborted || o.FirstByte != 0 || o.Attempts != attempts {
		r.t.Errorf("outcome %+v", o)
	}
	if seen := r.seen.attempted(); len(seen) != attempts || seen[attempts-1] != "alipay:"+want.code {
		r.t.Errorf("attempts %v", seen)
	}
	waitFor(r.t, "the upstream to be let go", func() bool { return r.sim.Stats().InFlight == 0 })
}

// After the first content the status is out: what is left is the error event and a connection that breaks.
func TestEveryFaultOfAStreamAfterItsContent(t *testing.T) {
	for name, test := range map[string]struct {
		fault sandbox.Fault
		code  string
	}{
		"system error":          {sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 2}, "SYSTEM_ERROR"},
		"in Alipay's shape":     {sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 2, Shape: sandbox.ShapeAlipay}, "SYSTEM_ERROR"},
		"in Antom's shape":      {sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 2, Shape: sandbox.ShapeGlobal}, "SYSTEM_ERROR"},
		"in gateway.do's shape": {sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 2, Shape: sandbox.ShapeGateway}, "SYSTEM_ERROR"},
		"in nextbuilder's":      {sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 2, Shape: sandbox.ShapeNextBuilder}, "SYSTEM_ERROR"},
		"a token code":          {sandbox.Fault{Kind: sandbox.SystemErrorMidstream, AfterEvents: 2, Code: "EXPIRED_ACCESS_TOKEN"}, "EXPIRED_ACCESS_TOKEN"},
		"reset":                 {sandbox.Fault{Kind: sandbox.ResetAfter, AfterEvents: 2}, failure.CodeTruncated},
		"stall":                 {sandbox.Fault{Kind: sandbox.Stall, AfterEvents: 2}, failure.CodeTimeout},
		"cut":                   {sandbox.Fault{Kind: sandbox.Cut, AfterEvents: 2}, failure.CodeTruncated},
		"cut in an event":       {sandbox.Fault{Kind: sandbox.Cut, AfterEvents: 2, MidEvent: true}, failure.CodeTruncated},
		"cut after all content": {sandbox.Fault{Kind: sandbox.Cut, AfterEvents: 9}, failure.CodeTruncated},
		"malformed":             {sandbox.Fault{Kind: sandbox.MalformedChunk, AfterEvents: 2}, failure.CodeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, sandbox.Config{}, brief)
			r.set(test.fault)
			got := r.stream("[[events:9]] hello")
			if got.status != http.StatusOK || got.err == nil {
				t.Fatalf("%d, and the body ends with %v: %s", got.status, got.err, got.body)
			}
			if strings.Contains(got.body, "[DONE]") {
				t.Errorf("the end of a whole stream: %s", got.body)
			}
			events := strings.Split(strings.TrimSuffix(got.body, "\n\n"), "\n\n")
			last := events[len(events)-1]
			if !strings.HasPrefix(last, `data: {"error":{`) || !strings.Contains(last, `"code":"`+test.code+`"`) ||
				!strings.Contains(last, `"request_id":"`+got.header.Get("X-Request-Id")+`"`) {
				t.Errorf("the last event is %s", last)
			}
			// The role, then the content as far as it came; nothing of a broken event.
			if n := len(events) - 2; n != test.fault.AfterEvents {
				t.Errorf("%d events of content, want %d: %s", n, test.fault.AfterEvents, got.body)
			}
			for i, event := range events[:len(events)-1] {
				if !strings.HasPrefix(event, `data: {"id":"chatcmpl-`) || !strings.HasSuffix(event, "}") {
					t.Errorf("event %d is %s", i, event)
				}
			}
			o := r.outcome()
			if o.Status != http.StatusOK || o.Code != test.code || !o.Aborted || o.Attempts != 1 || o.FirstByte <= 0 {
				t.Errorf("outcome %+v", o)
			}
			if n := len(r.arrived.at("/v1/chat/completions")); n != 1 {
				t.Errorf("%d requests went upstream", n)
			}
			waitFor(t, "the upstream to be let go", func() bool { return r.sim.Stats().InFlight == 0 })
		})
	}
}

// Faults that only delay do no harm.
func TestFaultsThatPass(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	for i, fault := range []sandbox.Fault{
		{Kind: sandbox.Latency, Delay: 30 * time.Millisecond},
		{Kind: sandbox.SlowFirstByte, Delay: 30 * time.Millisecond},
		{Kind: sandbox.ExpiredToken, Times: 1},
		{Kind: sandbox.ClockSkew, Skew: time.Hour},
	} {
		fault.Path = "/v1/chat/completions"
		r.set(fault)
		if got := r.chat("hello " + strconv.Itoa(i)); got.status != http.StatusOK || got.err != nil {
			t.Errorf("%s: %d %s", fault.Kind, got.status, got.body)
		}
		if got := r.stream("hello " + strconv.Itoa(i)); got.status != http.StatusOK || got.err != nil || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
			t.Errorf("%s: %d %s", fault.Kind, got.status, got.body)
		}
	}
}
