package alipaycaddy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/signer"
)

const ownLayout = `
	signature {
		content "{method}\n{uri}\n{client_id}.{time_ms}.{nonce}.{header.Content-Type}\n{body}"
		header X-Sig "v1={hex}"
		header X-At "{time_ms} {nonce}"
		answer {
			content "{path}\n{time_s}.{body}"
			header X-Sig "t={time_s},v1={base64}"
		}
		tolerance 1m
	}`

func ownScheme(t *testing.T) *signer.Layout {
	t.Helper()
	keys := make(map[int]*signer.HMACKey)
	for version, key := range sandbox.DemoKeys() {
		keys[version] = signer.NewHMACKey(key)
	}
	ring, err := signer.NewRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	l, err := signer.NewLayout(signer.LayoutConfig{
		ClientID: sandbox.DemoClientID, Keys: ring,
		Content:       `{method}\n{uri}\n{client_id}.{time_ms}.{nonce}.{header.Content-Type}\n{body}`,
		Fields:        []signer.Field{{Name: "X-Sig", Value: "v1={hex}"}, {Name: "X-At", Value: "{time_ms} {nonce}"}},
		AnswerContent: `{path}\n{time_s}.{body}`, AnswerFields: []signer.Field{{Name: "X-Sig", Value: "t={time_s},v1={base64}"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSignatureServes asks an upstream that has a contract of its own: layout, token and id stand in other fields, and
// its answers are verified by it.
func TestSignatureServes(t *testing.T) {
	l := ownScheme(t)
	var age atomic.Int64 // of the answers' time
	var wrong atomic.Pointer[string]
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/oauth2/token" {
			_, _ = io.WriteString(w, `{"access_token":"token-of-test-1","token_type":"Bearer","expires_in":1800}`)
			return
		}
		m := signer.Message{Method: r.Method, Target: r.RequestURI, Body: body}
		if err := l.VerifyRequest(m, r.Header); err != nil || r.Header.Get("X-Token") != "T token-of-test-1" || r.Header.Get("X-Call") == "" ||
			r.Header.Get("Authorization")+r.Header.Get("Idempotency-Key")+r.Header.Get("Signature") != "" {
			text := fmt.Sprintf("the request is not as the contract says: %v", r.Header)
			if err != nil {
				text = err.Error()
			}
			wrong.Store(&text)
		}
		m.Body = []byte(`{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
		m.Time = time.Now().Add(-time.Duration(age.Load()))
		signed, err := l.SignResponse(m)
		if err != nil {
			t.Error(err)
		}
		for _, f := range signed.Fields {
			w.Header().Set(f.Name, f.Value)
		}
		_, _ = w.Write(m.Body)
	}))
	defer upstream.Close()
	g := newRig(t, sandbox.Config{})
	g.vars["own"] = strings.TrimPrefix(upstream.URL, "http://")
	g.vars["layout"] = ownLayout
	g.load(`
alipayai {
	insecure_literals
	provider alipay {
		profile sandbox
		base_url http://${own}
		id_header X-Call
		verify_response require
		token http://${own}/oauth2/token a-secret-of-the-test {
			header X-Token T
		}
		${layout}
	}
}`, proxySite)
	g.chat("hi")
	if text := wrong.Load(); text != nil {
		t.Fatal(*text)
	}
	age.Store(int64(2 * time.Minute))
	if got := g.do("POST", chatPath, chatBody("hi", false)); got.status != http.StatusBadGateway || got.code() != "invalid_response_signature" {
		t.Errorf("of an answer of two minutes ago: status %d, %s", got.status, got.body)
	}
}

// TestSignatureRefuses loads layouts that cannot be.
func TestSignatureRefuses(t *testing.T) {
	for name, c := range map[string]struct{ options, want string }{
		"ambiguous": {`signature {
			content "{uri}{body}"
			header X-Sig {hex}
		}`, "two different messages could have one string"},
		"unknown placeholder": {`signature {
			content "{verb}"
			header X-Sig {hex}
		}`, "{verb} cannot stand there; use {method}"},
		"key encoding": {`signature {
			content "{body}"
			header X-Sig {hex}
			key_encoding octal
		}`, `key_encoding "octal" is unknown; use text, hex or base64`},
		"answers": {`verify_response require
		signature {
			content "{body}"
			header X-Sig {hex}
		}`, "signature says nothing of answers"},
		"framing": {`signature {
			content "{body}"
			header Content-Length {hex}
		}`, "header Content-Length decides how a request is framed"},
		"the token's header": {`signature {
			content "{body}"
			header Authorization {hex}
		}`, "header Authorization holds the access token"},
		"the id's header": {`signature {
			content "{body}"
			header Idempotency-Key {hex}
		}`, "header Idempotency-Key has another value already"},
		"a header not sent": {`signature {
			content "{header.X-Foo}"
			header X-Sig {hex}
		}`, "header X-Foo is signed, but not sent"},
		"an id header's name":  {`id_header "X Y"`, `id_header "X Y" is no name of a header`},
		"an id header's sense": {`id_header Host`, "id_header: Host has a meaning of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, sandbox.Config{})
			g.vars["options"] = c.options
			err := g.provision(`
alipayai {
	provider alipay {
		profile sandbox
		base_url http://${api}
		${options}
	}
}`, proxySite)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestSignAndVerify signs by the command, and has the command judge what was captured.
func TestSignAndVerify(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const key, secret = "a-key-of-the-test-1", "a-secret-of-the-test-1"
	t.Setenv("OWN_KEY", key)
	t.Setenv("OWN_SECRET", secret)
	t.Setenv("PROD_KEY", "a-key-of-the-test-2")
	t.Setenv("PROD_SECRET", "a-secret-of-the-test-2")
	options := "profile alipay\nbase_url https://ai.example.com\nclient_id APP1\nkey 1 {env.OWN_KEY}\ntoken https://ai.example.com/token {env.OWN_SECRET}\n"
	config := file("Caddyfile", "{\nalipayai {\nprovider own {\nenvironment sandbox\npath chat /v1/chat\n"+options+ownLayout+"\n}\nprovider prod {\n"+strings.ReplaceAll(options, "OWN", "PROD")+"}\n}\n}\n")
	body := file("body.json", `{"a":1}`)
	out, err := runCommand(t, "sign", "own", "--config", config, "--body-file", body, "--time", "2026-01-31T12:00:00Z", "--uri", "/v1/chat?x=1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"POST\n/v1/chat?x=1\nAPP1.1769860800000.", "application/json\n{\"a\":1}", "Authorization: Bearer <access token>", "curl -X 'POST'", "'https://ai.example.com/v1/chat?x=1'"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, key) || strings.Contains(out, secret) {
		t.Error("prints a secret")
	}
	_, fields, _ := strings.Cut(out, "# The header fields:\n")
	fields, _, _ = strings.Cut(fields, "\n\n")
	_, right, _ := strings.Cut(fields, "v1=")
	right, _, _ = strings.Cut(right, "\n")
	if len(right) != 64 {
		t.Fatalf("no signature in\n%s", fields)
	}
	for name, c := range map[string]struct {
		text, want string
		fails      bool
	}{
		"as sent":      {"POST /v1/chat?x=1 HTTP/1.1\r\n" + strings.ReplaceAll(fields, "\n", "\r\n") + "\r\n\r\n{\"a\":1}", "the request verifies", false},
		"a line break": {"POST /v1/chat?x=1 HTTP/1.1\n" + fields + "\n\n{\"a\":1}\n", "it would if the body has no line break at its end", true},
		"of no method": {"GET /v1/chat?x=1\n" + fields + "\n\n{\"a\":1}", "it would if the method is POST", true},
		"cut":          {"POST /v1/chat?x=1 HTTP/1.1\nContent-Length: 7\n" + fields + "\n\n{\"a\":1}\n", "note: the file goes on after the 7 bytes", false},
		"chunked":      {"POST http://h/v1/chat?x=1 HTTP/1.1\nTransfer-Encoding: chunked\n" + fields + "\n\n7\r\n{\"a\":1}\r\n0\r\n\r\n", "the request verifies", false},
		"something":    {"POST /v1/chat?x=1 HTTP/1.1\n" + fields + "\n\nsomething", "none of the usual differences", true},
		"another path": {"POST /v2/chat?x=1 HTTP/1.1\n" + fields + "\n\n{\"a\":1}", "it would if the path is that of chat, /v1/chat", true},
		"unsigned":     {"POST /v1/chat?x=1 HTTP/1.1\nA: b\n\n", "it carries no signature", true},
		"no HTTP":      {"{}", "", true},
	} {
		out, err := runCommand(t, "verify", "own", "--config", config, "--request", file("request.http", c.text))
		if (err != nil) != c.fails || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if strings.Contains(out, right) || strings.Contains(out, key) {
			t.Errorf("%s: tells the signature or the key\n%s", name, out)
		}
	}
	for name, args := range map[string][]string{
		"production":   {"sign", "prod", "--config", config},
		"no provider":  {"sign", "other", "--config", config},
		"no such file": {"sign", "own", "--config", config, "--body-file", filepath.Join(dir, "none")},
		"no time":      {"sign", "own", "--config", config, "--time", "soon"},
	} {
		if out, err := runCommand(t, args...); err == nil || strings.Contains(out, "Signature") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if out, err := runCommand(t, "sign", "prod", "--config", config, "--production"); err != nil || !strings.Contains(out, "Signature: algorithm=") {
		t.Errorf("with --production: %v\n%s", err, out)
	}
}
