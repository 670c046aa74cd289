package alipaycaddy

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// TestTransportSignsForms: of a form with files the part data is signed, and the form goes out as it came.
func TestTransportSignsForms(t *testing.T) {
	g := newIdentityRig(t)
	const (
		data = "--b\r\nContent-Disposition: form-data; name=\"data\"\r\nContent-Type: application/json\r\n\r\n{\"a\":1}\r\n"
		file = "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n\x89PNG\r\n"
		end  = "--b--\r\n"
	)
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"data and a file": {data + file + end, 200},
		"data twice":      {data + file + data + end, 403},
		"cut":             {data + file, 403},
	} {
		t.Run(name, func(t *testing.T) {
			a := g.read(g.http.Post("http://"+g.vars["gateway"]+"/v3/upload", "multipart/form-data; boundary=b", strings.NewReader(c.body)))
			if a.status != c.status || a.status == 403 && a.code() != "not_signed" {
				t.Errorf("status %d, want %d: %s", a.status, c.status, a.body)
			}
			arrived := g.arrived() // where each signature is verified
			if want := map[int]int{200: 1}[c.status]; len(arrived) != want {
				t.Fatalf("%d requests arrived, want %d", len(arrived), want)
			}
			for _, r := range arrived {
				if r.body != c.body || r.header.Get("Content-Type") != "multipart/form-data; boundary=b" {
					t.Errorf("arrived: %s %q", r.header.Get("Content-Type"), r.body)
				}
			}
		})
	}
}

// TestTransportSendsRequestIDs: the Open Platform v3 wants one with each request.
func TestTransportSendsRequestIDs(t *testing.T) {
	g := newIdentityRig(t)
	seen := make(map[string]bool)
	for range 3 {
		g.do("POST", "/v3/a", "{}")
		g.do("POST", "/v3/a", "{}", "Alipay-Request-Id: ")
	}
	for _, r := range g.arrived() {
		ids := r.header["Alipay-Request-Id"]
		if len(ids) != 1 || len(ids[0]) < 16 {
			t.Fatalf("request ids %q", ids)
		}
		seen[ids[0]] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d ids for 6 requests", len(seen))
	}
	g.do("POST", "/v3/a", "{}", "Alipay-Request-Id: the-client's")
	g.do("POST", "/global/a", "{}")
	arrived := g.arrived()
	if got := arrived[0].header["Alipay-Request-Id"]; len(got) != 1 || got[0] != "the-client's" {
		t.Errorf("request ids %q, want the client's", got)
	}
	if got := arrived[1].header["Alipay-Request-Id"]; got != nil {
		t.Errorf("global: request ids %q", got)
	}
}

// TestTransportKeepsSignatures: an SDK behind the gateway verifies the answer by itself.
func TestTransportKeepsSignatures(t *testing.T) {
	for name, c := range map[string]struct {
		option, body string
		status       int
		kept         bool
	}{
		"verified":              {"", "{}", 200, false},
		"verified, kept":        {"keep_signature", "{}", 200, true},
		"wrong, though to keep": {"keep_signature", "{} ", 502, false},
	} {
		t.Run(name, func(t *testing.T) {
			sum := sha256.Sum256([]byte("1\nn\n{}\n"))
			signature := base64.StdEncoding.EncodeToString(must(rsa.SignPKCS1v15(rand.Reader, rsaKey(), crypto.SHA256, sum[:])))
			g := newRig(t, sandbox.Config{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Alipay-Timestamp", "1")
				w.Header().Set("Alipay-Nonce", "n")
				w.Header().Set("Alipay-Signature", signature)
				io.WriteString(w, c.body)
			}))
			t.Cleanup(server.Close)
			g.vars["upstream"], g.vars["rsa"] = server.URL, g.file("rsa", privatePEM(rsaKey()))
			g.vars["rsa_public"] = g.file("rsa_public", publicPEM(&rsaKey().PublicKey))
			g.load(openAPI("base_url ${upstream}", "key 1 {file.${rsa}}", "public_key 1 {file.${rsa_public}}"), strings.Replace(`
http://${gateway} {
	reverse_proxy ${upstream} {
		transport alipayai alipay {
			paths /v3/*
			allow_anonymous
			OPTION
		}
	}
}`, "OPTION", c.option, 1))
			a := g.do("POST", "/v3/a", "{}")
			if a.status != c.status {
				t.Errorf("status %d, want %d: %s", a.status, c.status, a.body)
			}
			if got := a.header.Get("Alipay-Signature"); (got == signature) != c.kept || !c.kept && got != "" {
				t.Errorf("Alipay-Signature %q, want it kept: %t", got, c.kept)
			}
		})
	}
}
