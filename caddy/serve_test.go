package alipaycaddy

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/heldport"
)

func TestServe(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, proxySite)
	tests := map[string]struct {
		method, path, body string
		status             int
		contains           string
		code               string
	}{
		"chat":           {"POST", chatPath, chatBody("hello there", false), 200, "You said: hello there", ""},
		"tool call":      {"POST", chatPath, strings.TrimSuffix(chatBody("use the tool", false), "}") + `,"tools":[{"type":"function","function":{"name":"f"}}]}`, 200, `"tool_calls"`, ""},
		"embeddings":     {"POST", "/v1/embeddings", `{"model":"alipay-embed-1","input":"x"}`, 200, `"embedding"`, ""},
		"models":         {"GET", "/v1/models", "", 200, `"alipay-fin-1"`, ""},
		"error in a 200": {"POST", chatPath, chatBody("[[fault:system_error_200]]", false), 502, "", "SYSTEM_ERROR"},
		"compliance":     {"POST", chatPath, chatBody("[[fault:http_status=403,code=COMPLIANCE_BLOCKED]]", false), 403, "", "COMPLIANCE_BLOCKED"},
		"unknown model":  {"POST", chatPath, strings.Replace(chatBody("x", false), "alipay-fin-1", "other", 1), 404, "", "MODEL_NOT_FOUND"},
		"not JSON":       {"POST", chatPath, "{", 400, "", "invalid_json"},
		"repeated key":   {"POST", chatPath, `{"model":"a","model":"b","messages":[{"role":"user","content":"x"}]}`, 400, "", "duplicate_key"},
		"wrong method":   {"GET", chatPath, "", 405, "", "method_not_allowed"},
		"unknown path":   {"GET", "/v1/images", "", 404, "", "unknown_url"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := g.do(tt.method, tt.path, tt.body)
			if a.status != tt.status || !strings.Contains(a.body, tt.contains) {
				t.Errorf("status %d, want %d with %q: %s", a.status, tt.status, tt.contains, a.body)
			}
			if tt.code != "" && a.code() != tt.code {
				t.Errorf("code %q, want %q", a.code(), tt.code)
			}
			if contentType := a.header.Get("Content-Type"); contentType != "application/json" {
				t.Errorf("Content-Type %q", contentType)
			}
			if got := g.outcome(a); got["code"] != tt.code || got["tenant"] != "anonymous" {
				t.Errorf("the access log says %v", got)
			}
		})
	}
}

// A directive may change header values where they are: each answer has its own.
func TestServeWithHeaderDirective(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, `
http://${gateway} {
	header >Content-Type json json+x
	alipayai_proxy alipay
}`)
	for range 3 {
		for _, a := range []answer{g.do("GET", "/v1/models", ""), g.chat("hello")} {
			if got := a.header.Get("Content-Type"); got != "application/json+x" {
				t.Errorf("Content-Type %q of %s", got, a.body)
			}
		}
	}
}

func TestServeStream(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, proxySite)
	resp, err := g.send("gateway", "POST", chatPath, chatBody("one two three [[events:20]]", true))
	if err != nil {
		t.Fatal(err)
	}
	a := g.read(resp, nil)
	if a.header.Get("Content-Type") != "text/event-stream" || a.header.Get("X-Alipayai-Provider") != "alipay" {
		t.Errorf("header %v", a.header)
	}
	if n := strings.Count(a.body, `"content"`); n < 20 || !strings.HasSuffix(a.body, "data: [DONE]\n\n") {
		t.Errorf("%d events with content, ending in %q", n, a.body[max(0, len(a.body)-40):])
	}
	got := g.outcome(a)
	if got["stream"] != true || got["aborted"] != false || got["code"] != "" || got["first_byte"].(float64) <= 0 {
		t.Errorf("the access log says %v", got)
	}
}

// TestServeStreamFlushes sees each event before the next one is made.
func TestServeStreamFlushes(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, proxySite)
	events, stop := g.openStream("x [[events:3]] [[fault:stall,after_events=2]]")
	defer stop()
	for content := 1; content < 2; {
		line, err := events.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, `"content"`) {
			content++
		}
	}
	stop()
	g.eventually("the upstream to see the client leave", func() bool { return g.api.Stats().Cancelled == 1 })
}

// TestServeAbortedStream breaks a stream after its first content.
func TestServeAbortedStream(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, proxySite)
	resp, err := g.send("gateway", "POST", chatPath, chatBody("[[fault:system_error_midstream=3]]", true))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		t.Error("the stream seems to have ended well")
	}
	if !strings.Contains(string(body), `"code":"SYSTEM_ERROR"`) || strings.Contains(string(body), "[DONE]") {
		t.Errorf("no error event: %s", body)
	}
	got := g.outcome(answer{header: resp.Header})
	if got["aborted"] != true || got["code"] != "SYSTEM_ERROR" {
		t.Errorf("the access log says %v", got)
	}
	if !strings.Contains(g.logs(), "stream aborted") {
		t.Error("nothing is logged of the broken stream")
	}
}

// TestServeAmongCaddysHandlers puts the proxy where sites have it.
func TestServeAmongCaddysHandlers(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, `
http://${gateway} {
	handle_errors {
		respond "a second body" 599
	}
	handle_path /ai/* {
		alipayai_proxy alipay
	}
	handle /capped/* {
		alipayai_proxy alipay {
			max_body 64
		}
	}
	encode
	alipayai_proxy alipay
}`)
	long := chatBody(strings.Repeat("long ", 100), false)
	tests := map[string]struct {
		path, body string
		fields     []string
		status     int
		code       string
	}{
		"below a stripped prefix":   {"/ai/v1/chat/completions", chatBody("x", false), nil, 200, ""},
		"below a kept prefix":       {"/v1/deep/chat/completions", chatBody("x", false), nil, 200, ""},
		"own error":                 {"/v1/images", "{}", nil, 404, "unknown_url"},
		"base URL without v1":       {"/chat/completions", chatBody("x", false), nil, 404, "unknown_url"},
		"base URL of its own":       {"/v2/chat/completions", chatBody("x", false), nil, 404, "unknown_url"},
		"root":                      {"/", "{}", nil, 404, "unknown_url"},
		"upstream's error":          {chatPath, chatBody("[[fault:http_status=503,code=BUSY]]", false), nil, 503, "BUSY"},
		"body over max_body":        {"/capped/v1/chat/completions", long, nil, 413, "request_too_large"},
		"compressed for the client": {chatPath, long, []string{"Accept-Encoding: gzip"}, 200, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := g.do("POST", tt.path, tt.body, tt.fields...)
			if a.status != tt.status {
				t.Errorf("status %d, want %d: %s", a.status, tt.status, a.body)
			}
			if tt.code != "" && a.code() != tt.code {
				t.Errorf("code %q, want %q", a.code(), tt.code)
			}
			if a.header.Get("X-Request-Id") == "" {
				t.Error("no X-Request-Id")
			}
		})
	}
}

// TestServeBodyOverRequestBody has Caddy's own limit before the proxy. Where
// the length is known, Caddy refuses the call by itself.
func TestServeBodyOverRequestBody(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	g.load(oneProvider, `
http://${gateway} {
	request_body {
		max_size 64
	}
	alipayai_proxy alipay
}`)
	long := chatBody(strings.Repeat("long ", 100), false)
	if a := g.do("POST", chatPath, long); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	chunked, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+g.vars["gateway"]+chatPath, bufio.NewReader(strings.NewReader(long)))
	if err != nil {
		t.Fatal(err)
	}
	chunked.Header.Set("Content-Type", "application/json")
	if a := g.read(g.http.Do(chunked)); a.status != http.StatusRequestEntityTooLarge || a.code() != "request_too_large" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if n := g.chats(); n != 0 {
		t.Errorf("%d calls reached the upstream", n)
	}
}

// TestServeWithExpiredCertificate has one provider that cannot be used and one
// that can.
func TestServeWithExpiredCertificate(t *testing.T) {
	g := newSecretRig(t)
	g.load(`
alipayai {
	provider alipay {
		profile sandbox
		base_url http://${api}
	}
	provider platform {
		profile openapi-v3
		base_url http://${api}
		client_id 2021000000000001
		key 1 {file.${rsa}}
		app_certificate {file.${app_expired}}
		root_certificates {file.${root_bundle}}
	}
}`, `
http://${gateway} {
	log
	handle /expired/* {
		alipayai_proxy platform
	}
	alipayai_proxy alipay
}`)
	g.chat("served")
	before := g.chats()
	a := g.do("POST", "/expired"+chatPath, chatBody("x", false))
	if a.status != http.StatusServiceUnavailable || a.code() != "provider_unavailable" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	for _, want := range []string{"platform", "app_certificate expired on 20"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the error does not say %q: %s", want, a.body)
		}
		if !strings.Contains(g.logs(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if n := g.chats() - before; n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
	g.chat("still served")
}

// TestServeSaysWhyNothingConnects stops the upstream: the log has its address and the
// system's reason.
func TestServeSaysWhyNothingConnects(t *testing.T) {
	g := newSecretRig(t)
	g.vars["nowhere"] = heldport.Addr(t)
	g.load(`
	alipayai {
		provider gone {
			profile  openai
			base_url http://${nowhere}/v1
			api_key  {env.TEST_SECRET}
		}
	}`, `
http://${gateway} {
	alipayai_proxy gone
}`)
	if a := g.do("POST", chatPath, chatBody("hello", false)); a.status != http.StatusBadGateway || a.code() != "upstream_unreachable" || strings.Contains(a.body, g.vars["nowhere"]) {
		t.Errorf("status %d, code %q, at %s: %s", a.status, a.code(), g.vars["nowhere"], a.body)
	}
	g.eventually("the log to say why", func() bool {
		return strings.Contains(g.logs(), "dial "+g.vars["nowhere"]+": connection refused")
	})
}
