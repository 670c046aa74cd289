package alipayai_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/quick"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// What a client sends under these names is its business with the gateway, or an attempt to be somebody else.
func TestClientHeadersThatStay(t *testing.T) {
	for name, header := range map[string][]string{
		"authorization":          {"Authorization", "Bearer client-value"},
		"authorization, twice":   {"Authorization", "Bearer client-value", "Authorization", "Bearer client-value"},
		"basic":                  {"Authorization", "Basic client-value"},
		"proxy authorization":    {"Proxy-Authorization", "Basic client-value"},
		"cookie":                 {"Cookie", "session=client-value"},
		"api key":                {"X-Api-Key", "client-value"},
		"organisation":           {"Openai-Organization", "client-value", "Openai-Project", "client-value"},
		"forwarded":              {"Forwarded", "for=client-value", "X-Forwarded-For", "client-value", "X-Forwarded-Host", "client-value", "X-Real-Ip", "client-value"},
		"via":                    {"Via", "1.1 client-value"},
		"client id":              {"Client-Id", "client-value"},
		"client id, twice":       {"Client-Id", "client-value", "Client-Id", "client-value"},
		"client id in lower":     {"client-id", "client-value"},
		"client id, underscored": {"Client_Id", "client-value"},
		"client id, dotted":      {"Client.Id", "client-value"},
		"signature":              {"Signature", "algorithm=HMAC-SHA256,keyVersion=1,signature=client-value"},
		"signature in lower":     {"signature", "client-value", "SIGNATURE", "client-value"},
		"request time":           {"Request-Time", "client-value"},
		"user agent":             {"User-Agent", "client-value"},
		"accept":                 {"Accept", "text/client-value", "Accept-Encoding", "client-value", "Accept-Language", "client-value"},
		"content":                {"Content-Language", "client-value", "Content-Md5", "client-value", "Digest", "client-value"},
		"alipay's own":           {"Alipay-App-Auth-Token", "client-value", "Alipay-Request-Id", "client-value", "Agent-Token", "client-value"},
		"gateway's own":          {"X-Request-Id", "client-value", "X-Alipayai-Provider", "client-value", "X-Tenant", "client-value"},
		"idempotency, aliased":   {"X-Idempotency-Key", "client-value", "Idempotency_key", "client-value"},
		"stainless":              {"X-Stainless-Retry-Count", "client-value", "X-Stainless-Lang", "client-value"},
		"referer":                {"Referer", "http://client-value/", "Origin", "http://client-value"},
		"range":                  {"Range", "bytes=client-value", "If-None-Match", "client-value", "Expect", ""},
		"hop by hop":             {"Connection", "Client-Id", "Keep-Alive", "client-value", "Te", "trailers", "Upgrade", "client-value"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{})
			if got := r.chat("hello", header...); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			arrived := r.arrived.at("/v1/chat/completions")[0].header
			for field, values := range arrived {
				if strings.Contains(strings.Join(values, " "), "client-value") {
					t.Errorf("%s: %v went upstream", field, values)
				}
			}
			want := []string{"Accept-Encoding", "Authorization", "Client-Id", "Content-Length", "Content-Type",
				"Idempotency-Key", "Request-Time", "Signature", "User-Agent"}
			if names := slices.Sorted(maps.Keys(arrived)); !slices.Equal(names, want) {
				t.Errorf("went upstream: %v, want %v", names, want)
			}
			for _, field := range want {
				if len(arrived[field]) != 1 {
					t.Errorf("%s came %d times", field, len(arrived[field]))
				}
			}
			if arrived.Get("User-Agent") != "caddy-alipayai" || arrived.Get("Accept-Encoding") != "identity" {
				t.Errorf("header %v", arrived)
			}
		})
	}
}

func TestClientHeadersThatGoUpstream(t *testing.T) {
	r := newRig(t, sandbox.Config{}, first(func(p *upstream.Provider) { p.Header = http.Header{"X-Team": {"payments"}} }))
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	r.stream("hello", "Payment-Proof", "proof-1", "Traceparent", trace, "Tracestate", "a=1", "X-Team", "other")
	arrived := r.arrived.at("/v1/chat/completions")[0].header
	for name, want := range map[string]string{
		"Payment-Proof": "proof-1", "Traceparent": trace, "Tracestate": "a=1", "X-Team": "payments", "Accept": "text/event-stream",
	} {
		if got := arrived[name]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %v, want %q", name, got, want)
		}
	}
}

func TestUpstreamHeadersThatReachTheClient(t *testing.T) {
	pass := map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-cache", "Payment-Needed": "invoice",
		"Openai-Processing-Ms": "17",
	}
	stay := []string{
		"Set-Cookie", "Signature", "Client-Id", "Response-Time", "Server", "Www-Authenticate", "Via", "Alt-Svc", "Link", "Location",
		"Strict-Transport-Security", "Access-Control-Allow-Origin", "X-Powered-By", "Openai-Organization", "Alipay-Signature", "Etag",
		"Trailer", "Content-Disposition", "Refresh", "Keep-Alive", "Retry-After", "Retry-After-Ms", "X-Should-Retry",
		// Of the account at the vendor: OpenAI's, Anthropic's, and others'.
		"Openai-Project", "Openai-Version", "Anthropic-Organization-Id", "Request-Id", "Cf-Ray", "X-Groq-Region", "X-Ratelimit-Remaining",
		"X-Ratelimit-Limit-Requests", "X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Remaining-Tokens",
		"X-Ratelimit-Reset-Requests", "X-Ratelimit-Reset-Tokens", "Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Tokens-Reset",
		"Anthropic-Ratelimit-Unified-Status", "Ratelimit", "Ratelimit-Policy",
	}
	const (
		whole  = `{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`
		stream = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	)
	type exchange struct {
		kind, answer, path, body string
		native                   func(testing.TB, string) *upstream.Provider
	}
	exchanges := map[string]exchange{
		"error":      {"application/json", `{"code":"SYSTEM_ERROR"}`, chatPath, chatBody("hello"), nil},
		"embeddings": {"application/json", `{"object":"list","data":[{"index":0,"embedding":[0]}],"model":"m"}`, "/v1/embeddings", `{"model":"m","input":"hello"}`, nil},
		"Messages as they are": {"application/json", answerOfClaude, messagesPath, wordOfClaude, func(t testing.TB, url string) *upstream.Provider {
			p := claudeProvider(t, url)
			anyModel(p)
			return p
		}},
		"Responses as they are": {"application/json", nativeResponse, responsesPath, wordOfResponses, func(t testing.TB, url string) *upstream.Provider {
			p := plainProvider(t, url)
			p.Model, p.Responses = "", true
			return p
		}},
	}
	for name, f := range fronts {
		exchanges[name+", JSON"] = exchange{"application/json", whole, f.path, f.body("hello", false), nil}
		exchanges[name+", stream"] = exchange{"text/event-stream", stream, f.path, f.body("hello", true), nil}
	}
	for name, test := range exchanges {
		t.Run(name, func(t *testing.T) {
			provider := plainProvider
			if test.native != nil {
				provider = test.native
			}
			r := startRig(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range pass {
					w.Header().Set(name, value)
				}
				for _, name := range stay {
					w.Header().Set(name, "upstream-value")
				}
				w.Header().Set("X-Request-Id", "upstream-value")
				w.Header().Set("Content-Type", test.kind)
				w.Write([]byte(test.answer))
			}), provider)
			got := r.post(test.path, test.body)
			if got.status != http.StatusOK && name != "error" {
				t.Fatalf("%d %s", got.status, got.body)
			}
			for field, values := range got.header {
				if strings.Contains(strings.Join(values, " "), "upstream-value") {
					t.Errorf("%s: %v reached the client", field, values)
				}
			}
			if name == "error" || test.native != nil {
				return // the header is the gateway's own
			}
			for field, want := range pass {
				if field == "Content-Type" {
					want = test.kind
				}
				if got := got.header[field]; !slices.Equal(got, []string{want}) {
					t.Errorf("%s: %v, want %q", field, got, want)
				}
			}
		})
	}
}

// The key that goes upstream is the same for all attempts of a call, and no two tenants can share one.
func TestIdempotencyID(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	r.set(sandbox.Fault{Kind: sandbox.ExpiredToken, Times: 1})
	got := r.chat("hello", "Idempotency-Key", "order-1")
	if got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	want := alipayai.IdempotencyID("acme", upstream.EndpointChat, "order-1", "")
	for _, a := range r.arrived.at("/v1/chat/completions") {
		if !slices.Equal(a.header["Idempotency-Key"], []string{want}) {
			t.Errorf("Idempotency-Key %v, want %q", a.header["Idempotency-Key"], want)
		}
	}
	if hashes := r.sim.Stats().Bodies[want]; len(hashes) != 2 || hashes[0] != hashes[1] {
		t.Errorf("bodies %v", hashes)
	}

	if id := alipayai.IdempotencyID("t", upstream.EndpointChat, "", "req_1"); id != "req_1" {
		t.Errorf("without a key: %q", id)
	}
	if a, b := alipayai.IdempotencyID("t", upstream.EndpointChat, "k", "req_1"), alipayai.IdempotencyID("t", upstream.EndpointChat, "k", "req_2"); a != b || len(a) != 32 || strings.Contains(a, "k") {
		t.Errorf("%q and %q", a, b)
	}
	// However tenant and key are cut, the lengths tell them apart.
	property := func(text string, i, j uint8) bool {
		if text == "" {
			return true // no key
		}
		a, b := int(i)%len(text), int(j)%len(text)
		same := alipayai.IdempotencyID(text[:a], upstream.EndpointChat, text[a:], "") == alipayai.IdempotencyID(text[:b], upstream.EndpointChat, text[b:], "")
		return same == (a == b)
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
	if id := alipayai.IdempotencyID(alipayai.AnonymousTenant, upstream.EndpointChat, "k", "req_1"); id != "req_1" {
		t.Errorf("of anonymous clients, who cannot be told apart: %q", id)
	}
	if alipayai.IdempotencyID("ab", upstream.EndpointChat, "c", "") == alipayai.IdempotencyID("a", upstream.EndpointChat, "bc", "") || alipayai.IdempotencyID("a", upstream.EndpointChat, "b", "") == alipayai.IdempotencyID("b", upstream.EndpointChat, "a", "") {
		t.Error("two tenants share a key")
	}
}

func TestValidIdempotencyKeys(t *testing.T) {
	for key, want := range map[string]bool{
		"": true, "a": true, "A-1_~!": true, strings.Repeat("k", 255): true,
		strings.Repeat("k", 256): false, " a": false, "a\x7f": false, "a\x00": false, "a\n": false, "é": false,
	} {
		if got := alipayai.IsVisible(key); got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
}
