package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// faultCases has every kind that hits a call; the clock, the token endpoint and
// the stalls have tests of their own.
func faultCases() map[string]faultCase {
	return map[string]faultCase{
		"latency":                 {Fault{Kind: Latency, Delay: time.Millisecond}, false, codeOK, status(200, "You said")},
		"slow first byte":         {Fault{Kind: SlowFirstByte, Delay: time.Millisecond}, false, codeOK, status(200, "You said")},
		"slow first event":        {Fault{Kind: SlowFirstByte, Delay: time.Millisecond}, true, codeOK, status(200, "[DONE]")},
		"system error 200":        {Fault{Kind: SystemError200}, false, codeSystem, status(200, `{"code":"SYSTEM_ERROR"`)},
		"system error 200 stream": {Fault{Kind: SystemError200}, true, codeSystem, both(status(200, `{"code":"SYSTEM_ERROR"`), header("Content-Type", "application/json"))},
		"system error openai":     {Fault{Kind: SystemError200, Shape: ShapeOpenAI}, false, codeSystem, status(200, `{"error":{"code":"SYSTEM_ERROR"`)},
		"system error global":     {Fault{Kind: SystemError200, Shape: ShapeGlobal}, false, codeSystem, status(200, `{"result":{"resultCode":"SYSTEM_ERROR","resultStatus":"U"`)},
		"system error gateway":    {Fault{Kind: SystemError200, Shape: ShapeGateway}, false, codeSystem, status(200, `_response":{"code":"20000"`, `"sub_code":"aop.ACQ.SYSTEM_ERROR"`)},
		"system error agent":      {Fault{Kind: SystemError200, Shape: ShapeNextBuilder}, false, codeSystem, status(200, `"payload":"{\"errorCode\":\"SYSTEM_ERROR\"}"`)},
		"system error 500":        {Fault{Kind: SystemError500}, false, codeSystem, status(500, `{"code":"SYSTEM_ERROR"`)},
		"system error renamed":    {Fault{Kind: SystemError500, Code: "BUSY"}, false, "BUSY", status(500, `{"code":"BUSY"`)},
		"system error first":      {Fault{Kind: SystemErrorFirst}, true, codeSystem, both(status(200, `data: {"error":{"code":"SYSTEM_ERROR"`), contentEvents(0), noDone)},
		"system error first agent": {Fault{Kind: SystemErrorFirst, Shape: ShapeNextBuilder}, true, codeSystem,
			both(status(200, "event: error\ndata: {\"payload\":", "event: end\ndata: {\"type\":\"end\"}"), contentEvents(0))},
		"system error midstream":    {Fault{Kind: SystemErrorMidstream}, true, codeSystem, both(status(200, `data: {"error":{"code":"SYSTEM_ERROR"`), contentEvents(1), noDone)},
		"system error midstream 3":  {Fault{Kind: SystemErrorMidstream, AfterEvents: 3}, true, codeSystem, both(contentEvents(3), noDone)},
		"system error past the end": {Fault{Kind: SystemErrorMidstream, AfterEvents: 99}, true, codeSystem, both(status(200, "SYSTEM_ERROR"), contentEvents(5), noDone)},
		"http 503":                  {Fault{Kind: HTTPStatus, Status: 503, RetryAfter: 900, Code: "Slow Down"}, false, "Slow Down", both(status(503, "Slow Down"), header("Retry-After", "900"))},
		"http 404":                  {Fault{Kind: HTTPStatus, Status: 404}, true, codeParam, status(404, codeParam)},
		"http 502":                  {Fault{Kind: HTTPStatus, Status: 502}, false, "UNKNOWN_EXCEPTION", status(502)},
		"throttle":                  {Fault{Kind: Throttle}, false, codeTraffic, both(status(429, codeTraffic), header("Retry-After", ""))},
		"throttle with a time":      {Fault{Kind: Throttle, RetryAfter: 7}, false, codeTraffic, both(status(429, codeTraffic), header("Retry-After", "7"))},
		"payment required":          {Fault{Kind: PaymentRequired}, false, codePayment, both(status(402, codePayment), header("Payment-Needed", "sandbox-invoice-1"))},
		"expired token":             {Fault{Kind: ExpiredToken}, false, codeExpiredToken, status(401, codeExpiredToken)},
		"reset before":              {Fault{Kind: ResetBefore}, false, codeBroken, broken},
		"reset after":               {Fault{Kind: ResetAfter}, false, codeBroken, both(broken, notJSON)},
		"reset after the head":      {Fault{Kind: ResetAfter}, true, codeBroken, both(broken, contentEvents(0))},
		"reset after 2 events":      {Fault{Kind: ResetAfter, AfterEvents: 2}, true, codeBroken, both(broken, noDone)},
		"cut":                       {Fault{Kind: Cut}, true, codeBroken, both(status(200), contentEvents(1), noDone)},
		"cut within an event": {Fault{Kind: Cut, AfterEvents: 2, MidEvent: true}, true, codeBroken, both(status(200), noDone, func(t *testing.T, o outcome) {
			if strings.HasSuffix(o.body, "\n") {
				t.Errorf("ends between events: %q", o.body)
			}
		})},
		"malformed chunk": {Fault{Kind: MalformedChunk, AfterEvents: 2}, true, codeBroken, both(status(200, "[DONE]"), func(t *testing.T, o outcome) {
			bad := 0
			for event := range strings.SplitSeq(strings.TrimSpace(o.body), "\n\n") {
				if data := strings.TrimPrefix(event, "data: "); data != "[DONE]" && !json.Valid([]byte(data)) {
					bad++
				}
			}
			if bad != 1 {
				t.Errorf("%d malformed events: %s", bad, o.body)
			}
		})},
		"malformed json":           {Fault{Kind: MalformedJSON}, false, codeBroken, both(status(200), notJSON)},
		"truncated body":           {Fault{Kind: TruncatedBody}, false, codeBroken, both(broken, notJSON)},
		"empty stream":             {Fault{Kind: EmptyStream}, true, codeBroken, func(t *testing.T, o outcome) { status(200)(t, o); contentEvents(0)(t, o); noDone(t, o) }},
		"done first":               {Fault{Kind: DoneFirst}, true, codeBroken, both(status(200, "data: [DONE]"), contentEvents(0))},
		"finish reason":            {Fault{Kind: FinishReason, Code: "network_error"}, false, codeOK, status(200, `"finish_reason":"network_error"`)},
		"finish reason, streamed":  {Fault{Kind: FinishReason, Code: "sensitive"}, true, codeOK, status(200, `"finish_reason":"sensitive"`, "[DONE]")},
		"no end":                   {Fault{Kind: NoEnd}, true, codeOK, both(status(200, `"finish_reason":"stop"`), contentEvents(5), noDone)},
		"a number":                 {Fault{Kind: SystemError200, Shape: ShapeOpenRouter, Code: "502"}, false, "502", status(200, `{"error":{"code":502,`)},
		"in a choice":              {Fault{Kind: SystemErrorFirst, Shape: ShapeChoice, Code: "429"}, true, "429", both(status(200, `"error":{"code":429,`, `"finish_reason":"error"`), noDone)},
		"vLLM's":                   {Fault{Kind: SystemErrorMidstream, Shape: ShapeVLLM, Code: "500"}, true, "500", both(status(200, `"code":500`, `"object":"error"`), contentEvents(1), noDone)},
		"FastAPI's":                {Fault{Kind: HTTPStatus, Status: 422, Shape: ShapeFastAPI, Code: "missing"}, false, "missing", status(422, `{"detail":[{"loc":["body","model"],"msg":`)},
		"Google's":                 {Fault{Kind: HTTPStatus, Status: 429, Shape: ShapeGoogle, Code: "429"}, false, "429", status(429, `[{"error":{"code":429,`)},
		"Ollama's":                 {Fault{Kind: SystemError200, Shape: ShapeOllama}, false, codeSystem, status(200, `{"error":"`)},
		"text":                     {Fault{Kind: HTTPStatus, Status: 503, Shape: ShapeText}, false, "UNKNOWN_EXCEPTION", both(status(503, "Service Unavailable"), notJSON)},
		"wrong response signature": {Fault{Kind: WrongResponseSignature}, false, codeOK, status(200, "You said")},
	}
}

func TestFaults(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		for name, tc := range faultCases() {
			t.Run(map[bool]string{false: "h1 ", true: "h2 "}[http2]+name, func(t *testing.T) {
				t.Parallel()
				g := startRig(t, Config{}, http2)
				extra := ""
				if tc.stream {
					extra = streaming
				}
				tc.fault.Times = 1
				g.set(tc.fault)
				o := g.see(chatBody("one two three", extra))
				tc.check(t, o)
				g.wantCode(tc.code, 1+map[bool]int64{true: 1}[tc.code == codeOK]) // the token fetch is an OK too
				if n := g.srv.Stats().Faults[tc.fault.Kind]; n != 1 || len(g.srv.Faults()) != 0 {
					t.Errorf("%d faults of this kind, %v left", n, g.srv.Faults())
				}
				if tc.fault.Kind == WrongResponseSignature {
					at := o.header.Get("Response-Time")
					if strings.HasSuffix(o.header.Get("Signature"), "="+refSign(demoKey(), "POST", pathChat, DemoClientID, at, []byte(o.body))) {
						t.Error("the signature is right")
					}
				}
				if tc.fault.Kind == ExpiredToken {
					g.token = g.fetchToken()
				}
				o = g.see(chatBody("and then", extra)) // once means once
				status(200, "then")(t, o)
			})
		}
	}
}

func TestResetIsATCPReset(t *testing.T) {
	g := newRig(t, Config{})
	for _, f := range []Fault{{Kind: ResetBefore}, {Kind: ResetAfter}} {
		g.set(f)
		if o := g.see(chatBody("x", "")); !errors.Is(o.err, syscall.ECONNRESET) {
			t.Errorf("%s: %v, want a connection reset", f.Kind, o.err)
		}
	}
}

func TestWaits(t *testing.T) {
	g := newRig(t, Config{})
	for mark, extra := range map[string]string{
		"[[fault:latency=40ms]]":                                "",
		"[[fault:latency=40ms]] ":                               streaming,
		"[[fault:latency=20ms]][[fault:slow_first_byte=20ms]]":  "",
		"[[fault:latency=20ms]][[fault:slow_first_byte=20ms]] ": streaming,
		"[[events:5]][[interval:10ms]]":                         streaming,
	} {
		started := time.Now()
		status(200)(t, g.see(chatBody(mark, extra)))
		if waited := time.Since(started); waited < 40*time.Millisecond {
			t.Errorf("%s%s took %v", mark, extra, waited)
		}
	}
}

func TestMarkedFaults(t *testing.T) {
	g := newRig(t, Config{RequestsPerSecond: -1})
	for mark, tc := range map[string]struct {
		stream bool
		check  func(*testing.T, outcome)
	}{
		"system_error_200":                      {false, status(200, codeSystem)},
		"system_error_200=global":               {false, status(200, "resultCode")},
		"system_error_500,code=BUSY":            {false, status(500, "BUSY")},
		"http_status=503,retry_after=3":         {false, both(status(503), header("Retry-After", "3"))},
		"cut=2":                                 {true, both(status(200), contentEvents(2), noDone)},
		"cut=2,mid_event=true":                  {true, both(status(200), noDone)},
		"system_error_midstream=2,shape=alipay": {true, both(status(200, `data: {"code":"SYSTEM_ERROR"`), contentEvents(2))},
		"latency=1ms]] [[fault:throttle=9":      {false, both(status(429), header("Retry-After", "9"))},
		"malformed_json":                        {false, both(status(200), notJSON)},
		"done_first":                            {false, status(200, "You said: one two")}, // not a stream: passed by
	} {
		t.Run(mark, func(t *testing.T) {
			extra := ""
			if tc.stream {
				extra = streaming
			}
			tc.check(t, g.see(chatBody("one two [[fault:"+mark+"]]", extra)))
		})
	}
}

func TestMarkRefusals(t *testing.T) {
	for mark, names := range map[string]string{
		"fault:nope":                 "kind",
		"fault:":                     "kind",
		"fault:latency":              "delay",
		"fault:latency=soon":         "delay",
		"fault:latency=-1s":          "delay",
		"fault:http_status=200":      "status",
		"fault:http_status=many":     "status",
		"fault:cut=007":              "after_events",
		"fault:empty_stream=1":       "empty_stream",
		"fault:cut,speed=1":          "speed",
		"fault:throttle,status=503":  "status",
		"fault:cut,times=2":          "times",
		"fault:cut,path=" + pathChat: "path",
		"fault:clock_skew,skew=1h":   "clock_skew",
		"fault:token_error":          "token_error",
		"events:x":                   "events",
		"events:10001":               "events",
		"bytes:-1":                   "bytes",
		"interval:1":                 "interval",
		"interval:2h":                "interval",
	} {
		t.Run(mark, func(t *testing.T) {
			if _, err := parseMarks("x [[" + mark + "]]"); err == nil || !strings.Contains(err.Error(), names) {
				t.Errorf("error %v, want one that names %s", err, names)
			}
		})
	}
}

func TestFaultsComeInOrder(t *testing.T) {
	g := newRig(t, Config{})
	g.set(
		Fault{Kind: WrongResponseSignature},
		Fault{Kind: Throttle, Times: 1, RetryAfter: 1},
		Fault{Kind: Cut, Times: 1},
		Fault{Kind: SystemError500, Times: 2, ClientID: DemoClientID},
		Fault{Kind: HTTPStatus, Status: 418, ClientID: "another"},
		Fault{Kind: HTTPStatus, Status: 404, Path: pathEmbeddings},
	)
	for i, want := range []int{429, 500, 500, 200} {
		if o := g.see(chatBody("x", "")); o.status != want {
			t.Errorf("call %d: status %d, want %d", i, o.status, want)
		}
	}
	if o := g.see(chatBody("x", streaming)); o.status != 200 || strings.Contains(o.body, "[DONE]") {
		t.Errorf("the cut did not wait for a stream: %+v", o)
	}
	left := g.srv.Faults()
	if len(left) != 3 || left[0].Kind != WrongResponseSignature {
		t.Errorf("left %+v", left)
	}
	if err := g.srv.SetFaults(Fault{Kind: "x"}); !errors.Is(err, ErrFault) || len(g.srv.Faults()) != 3 {
		t.Errorf("%v; a refused list changed %v", err, g.srv.Faults())
	}
	g.set()
	g.call("POST", pathEmbeddings, []byte(`{"model":"alipay-embed-1","input":"a"}`), 200, nil)
}

func TestPaymentProofPasses(t *testing.T) {
	g := newRig(t, Config{})
	g.set(Fault{Kind: PaymentRequired})
	if o := g.see(chatBody("x", "")); o.status != 402 {
		t.Fatalf("got %+v", o)
	}
	req := g.signed("POST", pathChat, chatBody("x", ""))
	req.Header.Set("Payment-Proof", "paid")
	resp, err := g.do(req)
	if err != nil {
		t.Fatal(err)
	}
	g.read(resp, 200, nil)
}

func TestEveryKindIsTested(t *testing.T) {
	elsewhere := map[Kind]bool{ClockSkew: true, TokenError: true, Stall: true}
	for _, tc := range faultCases() {
		elsewhere[tc.fault.Kind] = true
	}
	for kind := range packFaults {
		elsewhere[kind] = true
	}
	for kind := range kinds {
		if !elsewhere[kind] {
			t.Errorf("no test of %s", kind)
		}
	}
}

func ExampleServer_SetFaults() {
	srv, err := New(Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(srv.SetFaults(Fault{Kind: SystemError200, Times: 3}))
	fmt.Println(srv.SetFaults(Fault{Kind: HTTPStatus, Status: 200}))
	// Output:
	// <nil>
	// sandbox: bad fault: faults[0].status: want 400 to 599
}
