package alipaycaddy

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/signer"
)

// TestVerifyAnswer has the command judge captured answers of each profile that signs, by a signature that the test
// makes itself, and say plainly what it lacks to judge one.
func TestVerifyAnswer(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, vendor := rsaKey(), must(rsa.GenerateKey(rand.Reader, 2048))
	public := bare(publicPEM(&vendor.PublicKey))
	t.Setenv("OWN_RSA", privatePEM(key))
	t.Setenv("OWN_KEY", "a-key-of-the-test-1")
	t.Setenv("OWN_SECRET", "a-secret-of-the-test-1")
	const hmacOptions = "environment sandbox\nprofile alipay\nbase_url https://ai.example.com\nclient_id APP1\nkey 1 {env.OWN_KEY}\ntoken https://ai.example.com/token {env.OWN_SECRET}\n"
	const rsaOptions = "environment sandbox\nclient_id 2021000000000001\nkey 1 {env.OWN_RSA}\nbase_url https://open.example.com\n"
	config := file("Caddyfile", "{\nalipayai {\n"+
		"provider built_in {\n"+hmacOptions+"}\n"+
		"provider own {\n"+hmacOptions+ownLayout+"\n}\n"+
		"provider mute {\n"+hmacOptions+"signature {\ncontent {body}\nheader X-Sig {hex}\n}\n}\n"+
		"provider v3 {\nprofile openapi-v3\n"+rsaOptions+"public_key 1 "+public+"\n}\n"+
		"provider antom {\nprofile global\n"+rsaOptions+"public_key 1 "+public+"\n}\n"+
		"provider keyless {\nprofile openapi-v3\nverify_response off\n"+rsaOptions+"}\n"+
		"provider plain {\nenvironment sandbox\nprofile openai\napi_key {env.OWN_KEY}\n}\n}\n}\n")
	const target, body, at = "/v1/chat?x=1", `{"ok":true}`, "1769860800000"
	rsaSign := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return base64.StdEncoding.EncodeToString(must(rsa.SignPKCS1v15(rand.Reader, vendor, crypto.SHA256, sum[:])))
	}
	m := signer.Message{Method: "POST", Target: target, Body: []byte(body), Time: time.UnixMilli(1769860800000)}
	ring := must(signer.NewRing(map[int]*signer.HMACKey{1: signer.NewHMACKey([]byte("a-key-of-the-test-1"))}))
	signed := func(c signer.LayoutConfig) (lines string) {
		c.ClientID, c.Keys = "APP1", ring
		c.Content, c.Fields = "{body}", []signer.Field{{Name: "X", Value: "{hex}"}}
		for _, f := range must(must(signer.NewLayout(c)).SignResponse(m)).Fields {
			lines += f.Name + ": " + f.Value + "\n"
		}
		return lines
	}
	builtIn := signed(signer.LayoutConfig{
		AnswerContent: `{method} {path}\n{client_id}.{time_ms}.{body}`,
		AnswerFields: []signer.Field{
			{Name: "Client-Id", Value: "{client_id}"}, {Name: "Response-Time", Value: "{time_ms}"},
			{Name: "Signature", Value: "algorithm=HMAC-SHA256,keyVersion={key_version},signature={base64_escaped}"},
		},
	})
	own := signed(signer.LayoutConfig{AnswerContent: `{path}\n{time_s}.{body}`, AnswerFields: []signer.Field{{Name: "X-Sig", Value: "t={time_s},v1={base64}"}}})
	v3 := "Alipay-Timestamp: " + at + "\nAlipay-Nonce: n1\nAlipay-Signature: " + rsaSign(at+"\nn1\n"+body+"\n") + "\n"
	antom := "Client-Id: 2021000000000001\nResponse-Time: " + at + "\nSignature: algorithm=RSA256,keyVersion=1,signature=" +
		url.QueryEscape(rsaSign("POST /v1/chat\n2021000000000001."+at+"."+body)) + "\n"
	for name, c := range map[string]struct {
		provider, answer, want string
		fails                  bool
	}{
		"built in":               {"built_in", "HTTP/1.1 200 OK\n" + builtIn + "\n" + body, "the answer verifies", false},
		"built in, a line break": {"built_in", "HTTP/1.1 200 OK\n" + builtIn + "\n" + body + "\n", "it would if the body has no line break at its end", true},
		"own":                    {"own", "HTTP/1.1 200 OK\n" + own + "\n" + body, "the answer verifies", false},
		"own, another body":      {"own", "HTTP/1.1 200 OK\n" + own + "\n{}", "the answer does not verify: the signature does not match", true},
		"own, unsigned":          {"own", "HTTP/1.1 500 Broken\nA: b\n\n" + body, "it carries no signature", true},
		"openapi-v3":             {"v3", "HTTP/1.1 200 OK\n" + v3 + "\n" + body, "the answer verifies", false},
		"openapi-v3, spaced":     {"v3", "HTTP/1.1 200 OK\n" + v3 + "\n" + body + "\r\n", "it would if the body has no line break at its end", true},
		"global":                 {"antom", "HTTP/1.1 200 OK\n" + antom + "\n" + body, "the answer verifies", false},
		"global, another body":   {"antom", "HTTP/1.1 200 OK\n" + antom + "\n{}", "the answer does not verify", true},
		"no answer block":        {"mute", "HTTP/1.1 200 OK\n" + own + "\n" + body, "signature says nothing of answers; add an answer block", true},
		"no vendor's key":        {"keyless", "HTTP/1.1 200 OK\n" + v3 + "\n" + body, "has no key to verify answers with; add the vendor's: public_key", true},
		"no signature at all":    {"plain", "HTTP/1.1 200 OK\nA: b\n\n" + body, "signs nothing: profile openai presents a key", true},
		"a request":              {"own", "POST / HTTP/1.1\n" + own + "\n" + body, "--answer: does not begin with a line like HTTP/1.1 200 OK", true},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := runCommand(t, "verify", c.provider, "--config", config,
				"--request", file("request.http", "POST "+target+" HTTP/1.1\nHost: a\n\n"), "--answer", file("answer.http", c.answer))
			if err != nil {
				out += err.Error()
			}
			if (err != nil) != c.fails || !strings.Contains(out, c.want) {
				t.Errorf("%v\n%s", err, out)
			}
			if strings.Contains(out, "a-key-of-the-test-1") || strings.Contains(out, "v1=") || strings.Contains(out, "signature=") {
				t.Errorf("tells a key or a signature:\n%s", out)
			}
		})
	}

	// Requests of the RSA profiles: what sign prints verifies, by the public half of the provider's own key.
	for _, provider := range []string{"v3", "antom", "keyless"} {
		out, err := runCommand(t, "sign", provider, "--config", config, "--uri", target, "--body-file", file("body.json", body))
		if err != nil {
			t.Fatalf("%s: %v\n%s", provider, err, out)
		}
		_, fields, _ := strings.Cut(out, "# The header fields:\n")
		fields, _, _ = strings.Cut(fields, "\n\n")
		for end, want := range map[string]string{"": "the request verifies", "\n": "it would if the body has no line break at its end"} {
			out, err := runCommand(t, "verify", provider, "--config", config,
				"--request", file("request.http", "POST "+target+" HTTP/1.1\n"+fields+"\n\n"+body+end))
			if !strings.Contains(out, want) || (err == nil) != (end == "") {
				t.Errorf("%s: %v\n%s", provider, err, out)
			}
		}
	}
}
