package alipayai_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308, 300, 304} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			elsewhere := newPlainRig(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
			r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere.provider.BaseURL.String()+"/v1/chat/completions")
				w.WriteHeader(status)
			})
			got := r.chat("hello")
			wantError(t, got, http.StatusBadGateway, failure.CodeRedirect)
			if got.header.Get("Location") != "" || got.header.Get("X-Should-Retry") != "false" {
				t.Errorf("header %v", got.header)
			}
		})
	}
}

// Every shape of an error becomes OpenAI's, with a true status, the upstream's code and its message.
func TestErrorShapes(t *testing.T) {
	for name, test := range map[string]struct {
		status, want int
		code, answer string
	}{
		"Alipay v3":                  {400, 400, "invalid-parameter", `{"code":"invalid-parameter","message":"why","links":[]}`},
		"Alipay v3 in a 200":         {200, 502, "unknow-error", `{"code":"unknow-error","message":"why"}`},
		"OpenAI":                     {404, 404, "model_not_found", `{"error":{"message":"why","type":"invalid_request_error","param":"model","code":"model_not_found"}}`},
		"OpenAI without a code":      {400, 400, "invalid_request_error", `{"error":{"message":"why","type":"invalid_request_error","param":null,"code":null}}`},
		"OpenAI, a number":           {400, 400, "17", `{"error":{"message":"why","code":17}}`},
		"OpenAI, text":               {400, 400, "", `{"error":"why"}`},
		"Antom, failed":              {200, 502, "PROCESS_FAIL", `{"result":{"resultCode":"PROCESS_FAIL","resultStatus":"F","resultMessage":"why"}}`},
		"Antom, unknown":             {200, 502, "UNKNOWN_EXCEPTION", `{"result":{"resultCode":"UNKNOWN_EXCEPTION","resultStatus":"U","resultMessage":"why"}}`},
		"Antom, throttled":           {200, 429, "REQUEST_TRAFFIC_EXCEED_LIMIT", `{"result":{"resultCode":"REQUEST_TRAFFIC_EXCEED_LIMIT","resultStatus":"U","resultMessage":"why"}}`},
		"gateway.do":                 {200, 502, "SYSTEM_ERROR", `{"x_y_response":{"code":"20000","msg":"no","sub_code":"aop.ACQ.SYSTEM_ERROR","sub_msg":"why"},"sign":""}`},
		"gateway.do, throttled":      {200, 429, "app-call-limited", `{"x_response":{"code":"40005","msg":"no","sub_code":"isv.app-call-limited","sub_msg":"why"}}`},
		"gateway.do, no sub code":    {200, 429, "40005", `{"x_response":{"code":"40005","msg":"why"}}`},
		"gateway.do, signature":      {200, 502, "invalid-signature", `{"x_response":{"code":"40002","msg":"no","sub_code":"isv.invalid-signature","sub_msg":"why"}}`},
		"nextbuilder":                {200, 502, "Resource-Not-Found", `{"type":"error","payload":"{\"errorCode\":\"Resource-Not-Found\",\"errorMessage\":\"why\"}"}`},
		"credentials":                {401, 502, "INVALID_SIGNATURE", `{"code":"INVALID_SIGNATURE","message":"why"}`},
		"a 401 of the gateway's key": {401, 502, "invalid_api_key", `{"error":{"message":"why","code":"invalid_api_key"}}`},
		"compliance":                 {403, 403, "COMPLIANCE_BLOCKED", `{"code":"COMPLIANCE_BLOCKED","message":"why"}`},
		"compliance in a 200":        {200, 403, "content_filter", `{"error":{"message":"why","code":"content_filter"}}`},
		"no JSON in a 503":           {503, 503, "", `<html>why</html>`},
		"nothing in a 500":           {500, 500, "", ``},
		"nothing in a 200":           {200, 502, failure.CodeMalformed, ``},
		"no answer in a 200":         {200, 502, failure.CodeMalformed, `{}`},
		"empty choices in a 200":     {200, 502, failure.CodeMalformed, `{"choices":[]}`},
		"a list in a 200":            {200, 502, failure.CodeMalformed, `[]`},
		"half an answer in a 200":    {200, 502, failure.CodeMalformed, `{"choices":[{}]`},
		"two answers in a 200":       {200, 502, failure.CodeMalformed, `{"choices":[{}]}{"choices":[{}]}`},
		"a repeated key in a 200":    {200, 502, failure.CodeMalformed, `{"choices":[{}],"choices":[]}`},
		"invalid UTF-8 in a 200":     {200, 502, failure.CodeMalformed, "{\"choices\":[\"\xff\"]}"},
		"too deep":                   {200, 502, failure.CodeMalformed, `{"choices":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`},
		"empty with a 204":           {204, 502, failure.CodeMalformed, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				for mode, body := range map[string]string{"JSON": chatBody("hello"), "stream": streamBody("hello")} {
					r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
						w.WriteHeader(test.status)
						fmt.Fprint(w, test.answer)
					})
					message := wantError(t, r.post("/v1/chat/completions", body), test.want, test.code)
					want := "why"
					if test.status >= 400 && test.status != test.want || name == "gateway.do, signature" {
						want = "the provider refuses the gateway's credentials"
					}
					if strings.Contains(test.answer, "why") && !strings.HasPrefix(test.answer, "<") && message != want {
						t.Errorf("%s: message %q, want %q", mode, message, want)
					}
					attempts := 1
					if action := failure.ClassOf(test.status, test.code); action == failure.Retry || action == failure.Throttle {
						attempts = alipayai.MaxAttempts
					}
					if o := r.outcome(); o.Code != test.code || o.Status != test.want || o.Attempts != attempts {
						t.Errorf("%s: outcome %+v, want %d attempts", mode, o, attempts)
					}
				}
			})
		})
	}
}

// A hostile upstream cannot make the gateway hold more than it is meant to.
func TestAnswersThatAreTooLarge(t *testing.T) {
	const limit = 4096
	large := strings.Repeat("x", limit)
	for name, test := range map[string]struct {
		stream bool
		answer func(w http.ResponseWriter)
	}{
		"with a length": {false, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(limit+20))
			fmt.Fprintf(w, `{"choices":[%q]    }`, large)
		}},
		"in chunks": {false, func(w http.ResponseWriter) {
			w.(http.Flusher).Flush()
			fmt.Fprintf(w, `{"choices":[%q]    }`, large)
		}},
		"an event": {true, func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "data: %s\n\n", strings.Repeat(large, wire.MaxEventBytes/limit+1))
		}},
		"a line without end": {true, func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "data: %s", strings.Repeat(large, wire.MaxEventBytes/limit+1))
		}},
		"comments without end": {true, func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, strings.Repeat(": "+large+"\n\n", alipayai.LargeEvent/limit+1))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) { test.answer(w) }, func(g *alipayai.Gateway) { g.MaxAnswer = limit })
			got := r.chat("hello")
			if test.stream {
				got = r.stream("hello")
			}
			wantError(t, got, http.StatusBadGateway, failure.CodeResponseTooLarge)
			if got.header.Get("X-Should-Retry") != "false" {
				t.Errorf("header %v", got.header)
			}
		})
	}
	r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"choices":[%q]}`, large[:limit-len(`{"choices":[""]}`)])
	}, func(g *alipayai.Gateway) { g.MaxAnswer = limit })
	if got := r.chat("hello"); got.status != http.StatusOK || len(got.body) != limit {
		t.Errorf("an answer of just that size: %d, %d bytes", got.status, len(got.body))
	}
}

// Whole streams end in ways that differ a little.
func TestStreamsThatEndWell(t *testing.T) {
	const content = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"x\"}}]}\n\n"
	for name, test := range map[string]struct{ answer, want string }{
		"plainly":                   {content + "data: [DONE]\n\n", ""},
		"without the blank line":    {content + "data: [DONE]\n", content + "data: [DONE]\n\n"},
		"without any line end":      {content + "data: [DONE]", content + "data: [DONE]\n\n"},
		"with a finish, no content": {"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":\"content_filter\"}]}\n\ndata: [DONE]\n\n", ""},
		"in CRLF":                   {strings.ReplaceAll(content+"data: [DONE]\n\n", "\n", "\r\n"), ""},
		"with more after it":        {content + "data: [DONE]\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"late\"}}]}\n\n", content + "data: [DONE]\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newPlainRig(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprint(w, test.answer)
			})
			want := test.want
			if want == "" {
				want = test.answer
			}
			if got := r.stream("hello"); got.status != http.StatusOK || got.err != nil || got.body != want {
				t.Errorf("%d %q (%v), want %q", got.status, got.body, got.err, want)
			}
			if o := r.outcome(); o.Code != "" || o.Aborted {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// A request for models has no body, and nothing that announces one.
func TestModelsAreAskedWithoutABody(t *testing.T) {
	r := newPlainRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.ContentLength != 0 || len(req.TransferEncoding) > 0 || req.Header.Get("Content-Type") != "" {
			t.Errorf("length %d, %v, %v", req.ContentLength, req.TransferEncoding, req.Header)
		}
		fmt.Fprint(w, `{"object":"list","data":[{"id":"m"}]}`)
	})
	if ids, _, _ := listModels(t, r); len(ids) != 1 {
		t.Errorf("models %v", ids)
	}
}
