package alipaycaddy

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
)

// leaky is an upstream, a token endpoint and an alert's sink that say in everything what they know.
type leaky struct {
	mu      sync.Mutex
	secrets map[string]bool
	place   string
	spell   func(string) string
	fail    bool // the token endpoint
	fetches int
	alerts  int
	alerted []string
}

// spellings are how secrets may be written; made without the code under test.
var spellings = map[string]func(string) string{
	"raw":              func(s string) string { return s },
	"URL":              func(s string) string { return strings.ToLower(url.QueryEscape(url.QueryEscape(s))) },
	"URL-decoded":      func(s string) string { u, _ := url.QueryUnescape(s); return u },
	"base64":           func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64, in other": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("x" + s + "z")) },
	"hex":              func(s string) string { return hex.EncodeToString([]byte(s)) },
	"hex of what it stands for": func(s string) string {
		u, _ := url.QueryUnescape(s)
		binary, err := base64.StdEncoding.DecodeString(u)
		if err != nil {
			return ""
		}
		return strings.ToUpper(hex.EncodeToString(binary))
	},
	"spaces":   func(s string) string { return strings.Join(strings.Split(s, ""), " ") },
	"JSON":     func(s string) string { return each(s, `\u%04x`) },
	"HTML":     func(s string) string { return each(s, "&#%d;") },
	"colons":   func(s string) string { return each(s, "%02X:") },
	"base32":   func(s string) string { return base32.StdEncoding.EncodeToString([]byte("xy" + s)) },
	"its tail": func(s string) string { return s[len(s)-16:] },
}

func each(s, verb string) string {
	var out strings.Builder
	for _, b := range []byte(s) {
		fmt.Fprintf(&out, verb, b)
	}
	return out.String()
}

func (q *leaky) know(secrets ...string) {
	for _, secret := range secrets {
		if len(secret) >= 16 {
			q.secrets[secret] = true
		}
	}
}

func (q *leaky) leak(secrets []string) string {
	var said []string
	for _, secret := range secrets {
		if len(secret) >= 16 {
			said = append(said, q.spell(secret))
		}
	}
	return strings.Join(said, ";")
}

var leakyHeaders = []string{
	"Cache-Control", "Payment-Needed", "Openai-Processing-Ms", "X-Ratelimit-Limit-Requests", "X-Ratelimit-Reset-Tokens", "Server", "Request-Id",
}

func (q *leaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r.URL.Path == "/oauth2/token" {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		_, secret, _ := r.BasicAuth()
		basic := strings.TrimPrefix(r.Header.Get("Authorization"), "Basic ")
		q.know(secret, form.Get("refresh_token"), basic[12:])
		if q.fail {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": q.leak([]string{form.Get("refresh_token"), secret, basic})})
			return
		}
		q.fetches++
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": fmt.Sprintf("an-access-token-of-fetch-%04d-Zq", q.fetches), "expires_in": 1800,
			"refresh_token": fmt.Sprintf("a-rotated-token-of-fetch-%04d-Yw", q.fetches),
		})
		return
	}
	if strings.HasPrefix(r.URL.Path, "/hook/") {
		said := q.leak([]string{r.URL.Path[len("/hook/"):]})
		w.Header().Set("Retry-After", said)
		w.Header().Set("Location", "/elsewhere/"+said)
		q.alerts++
		body, _ := io.ReadAll(r.Body)
		q.alerted = append(q.alerted, string(body))
		http.Error(w, said, [...]int{http.StatusNotFound, http.StatusInternalServerError, http.StatusFound, http.StatusTooManyRequests}[q.alerts%4])
		return
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	_, mac, _ := strings.Cut(r.Header.Get("Signature"), ",signature=")
	secrets := []string{token, mac}
	q.know(secrets...)
	leaked := q.leak(secrets)
	model := "alipay-fin-1"
	failure, status := map[string]string{"message": "bad", "code": "BAD"}, http.StatusBadRequest
	switch q.place {
	case "headers":
		for _, name := range leakyHeaders {
			w.Header().Set(name, leaked)
		}
	case "model":
		model = leaked
	case "payment":
		w.Header().Set("Payment-Needed", leaked)
		w.WriteHeader(http.StatusPaymentRequired)
		_, _ = io.WriteString(w, leaked)
		return
	case "system error":
		for _, name := range leakyHeaders {
			w.Header().Set(name, leaked)
		}
		failure["code"], failure["message"] = "SYSTEM_ERROR", leaked
	case "stream error at first", "stream error after content":
		w.Header().Set("Content-Type", "text/event-stream")
		if q.place == "stream error after content" {
			_, _ = io.WriteString(w, `data: {"id":"1","object":"chat.completion.chunk","model":"alipay-fin-1","choices":[{"index":0,"delta":{"content":"x"}}]}`+"\n\n")
		}
		event, _ := json.Marshal(map[string]any{"error": map[string]string{"message": leaked, "code": leaked, "type": leaked, "param": leaked}})
		_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
		return
	default:
		failure[q.place] = leaked
	}
	w.Header().Set("Content-Type", "application/json")
	if q.place != "headers" && q.place != "model" {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": failure})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"id": "1", "object": "chat.completion", "model": model, "choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]string{"role": "assistant", "content": "x"}}},
	})
}

// TestCredentialsDoNotLeak has an upstream, a token endpoint and an alert's sink repeat each credential in each place and
// spelling. No 12 characters in a row of one may be left in anything that leaves the process.
func TestCredentialsDoNotLeak(t *testing.T) {
	const (
		apiKey, secret, refresh = "sk-an_api/key+for-tests-9Q", "a client secret/with+signs-7T", "the-first-refresh-token-5R"
		hook                    = "T0123-an-alert-path-for-tests-4E"
	)
	g := newRig(t, sandbox.Config{})
	q := &leaky{secrets: make(map[string]bool), spell: spellings["raw"]}
	server := httptest.NewServer(q)
	t.Cleanup(server.Close)
	g.vars["leaky"] = server.Listener.Addr().String()
	t.Setenv("TEST_HMAC_KEY", hmacKey)
	t.Setenv("TEST_SECRET", secret)
	t.Setenv("TEST_REFRESH", refresh)
	t.Setenv("TEST_ENCRYPTION_KEY", strings.Repeat("5a", 32))
	t.Setenv("TEST_API_KEY", apiKey)
	t.Setenv("TEST_WEBHOOK", server.URL+"/hook/"+hook)
	clientKey, hash := tenants.NewKey()
	g.vars["hash"] = hash.String()
	q.know(apiKey, url.QueryEscape(secret), refresh, hook, hmacKey, clientKey)
	provider := func(name, token string) string {
		return `
	provider ` + name + ` {
		profile alipay
		base_url http://${leaky}
		limit off
		client_id app
		key 1 {env.TEST_HMAC_KEY}
		token http://${leaky}/oauth2/token {env.TEST_SECRET} {
			refresh_token {env.TEST_REFRESH}
		` + token + `
		}
	}`
	}
	load := func(client string) {
		g.load(`
metrics
storage file_system ${dir}
alipayai {
	encryption_key {env.TEST_ENCRYPTION_KEY}
	alert_system_errors 1
	alert webhook {env.TEST_WEBHOOK}`+provider("signed", "client_id "+client)+`
	provider keyed {
		profile openai
		base_url http://${leaky}/v1
		api_key {env.TEST_API_KEY}
	}
}`, `
http://${gateway} {
	log
	metrics /metrics
	alipayai_auth {
		key acme ${hash}
	}
	handle /keyed/* {
		alipayai_proxy keyed {
			breaker 1000 5m
		}
	}
	handle /raw/* {
		uri strip_prefix /raw
		reverse_proxy http://${leaky} {
			transport alipayai signed {
				paths /v1/*
			}
		}
	}
	alipayai_proxy signed {
		breaker 1000 5m
		deadline 2s
	}
}`)
	}
	load("app")
	auth := "Authorization: Bearer " + clientKey
	g.eventually("a token", func() bool { q.mu.Lock(); defer q.mu.Unlock(); return q.fetches > 0 })
	var shown []string
	call := func(path string, stream bool) {
		resp, err := g.send("gateway", "POST", path, chatBody("hello", stream), auth)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil && !stream { // a stream that failed after content is aborted
			t.Fatal(err)
		}
		a := answer{resp.StatusCode, resp.Header, string(body)}
		// The contents of answers are the client's own. Those of a stream hold errors, which are not;
		// but of the signing transport a stream goes through as it is.
		if a.status != http.StatusOK || stream && !strings.HasPrefix(path, "/raw") {
			shown = append(shown, a.body)
		}
		for name, values := range a.header {
			shown = append(shown, name+": "+strings.Join(values, ","))
		}
	}
	for _, spell := range spellings {
		for _, place := range []string{"headers", "model", "payment", "message", "code", "type", "param", "system error", "stream error at first", "stream error after content"} {
			q.mu.Lock()
			q.spell, q.place = spell, place
			q.mu.Unlock()
			for _, path := range []string{chatPath, "/keyed" + chatPath, "/raw" + chatPath} {
				call(path, strings.HasPrefix(place, "stream"))
			}
		}
	}
	i := 0
	for _, spell := range spellings {
		q.mu.Lock()
		q.spell, q.fail = spell, true
		q.mu.Unlock()
		load(fmt.Sprintf("other%d", i)) // which has no token yet
		i++
		call(chatPath, false)
		call("/raw"+chatPath, false)
	}
	g.eventually("the alert to be refused", func() bool { return strings.Contains(g.logs(), "alert could not be sent") })
	shown = append(shown, g.do("GET", "/metrics", "").body, g.read(g.send("admin", "GET", "/config/", "")).body, g.logs())
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.secrets) < 20 {
		t.Fatalf("only %d secrets were seen", len(q.secrets))
	}
	shown = append(shown, q.alerted...)
	parts := make(map[string]string)
	for secret := range q.secrets {
		for name, spell := range spellings {
			for text := spell(secret); len(text) >= 12; text = text[1:] {
				parts[text[:12]] = name + " of " + secret
			}
		}
	}
	for _, text := range shown {
		for i := 0; i+12 <= len(text); i++ {
			if of, ok := parts[text[i:i+12]]; ok {
				t.Errorf("%s: …%s…", of, text[max(0, i-80):min(len(text), i+80)])
				i += 500
			}
		}
	}
	if !strings.Contains(strings.Join(shown, ""), "[credential]") {
		t.Error("nothing was hidden")
	}
}
