package alipayai_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

// zipped is a text as a proxy compresses it.
func zipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

// A proxy may compress what no request permits it to: the signature is that of what was compressed, what it says counts, and no
// credential hides in it.
func TestPassOnCompressed(t *testing.T) {
	big := strings.Repeat("a", 1001)
	for name, test := range map[string]struct {
		status       int
		coding, body string
		signed       bool
		code, left   string
		held         bool
	}{
		"signed":            {200, "gzip", zipped(`{"trade_no":"1"}`), true, "", `{"trade_no":"1"}`, false},
		"signed, failure":   {500, "gzip", zipped(`{"code":"SYSTEM_ERROR"}`), true, "", `{"code":"SYSTEM_ERROR"}`, false},
		"unsigned failure":  {400, "gzip", zipped(`{"code":"app-call-limited","message":"m"}`), false, "", `{"code":"app-call-limited","message":"m"}`, true},
		"unsigned success":  {200, "gzip", zipped(`{"trade_no":"1"}`), false, failure.CodeBadSignature, "", false},
		"quotes its secret": {400, "gzip", zipped(`{"message":"` + sentSecret + `"}`), false, "", "[redacted]", false},
		"redirect":          {302, "gzip", zipped(sentSecret), false, "", "[redacted]", false},
		"nothing":           {400, "gzip", "", false, "", "", false},
		"too large":         {400, "gzip", zipped(big), false, failure.CodeResponseTooLarge, "", false},
		"cut":               {400, "gzip", zipped(big)[:20], false, failure.CodeTruncated, "", false},
		"not that coding":   {400, "gzip", "<html>", false, "", "<html>", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := simProvider(t, "http://127.0.0.1:1")
			p.Tokens, p.Verify = nil, upstream.VerifyRequire
			x := exchange(t, p, test.status, "")
			if strings.Contains(test.left, "[redacted]") {
				x.Request.Header.Set("Authorization", "Bearer "+sentSecret)
			}
			resp := x.Response
			resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(test.body)), int64(len(test.body))
			resp.Header.Set("Content-Encoding", test.coding)
			if test.signed {
				signed, err := p.Scheme.(*signer.HMAC).SignResponse(
					signer.Message{Method: "POST", Target: "/v3/pay", Body: []byte(test.left), Time: time.Now()})
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range signed.Fields {
					resp.Header.Set(f.Name, f.Value)
				}
			}
			if f := x.PassOn(1000, false); codeOf(f) != test.code {
				t.Fatalf("got %v, want %q", f, test.code)
			} else if f != nil {
				return
			}
			left, err := io.ReadAll(resp.Body)
			if test.left != "[redacted]" && string(left) != test.left || strings.Contains(string(left), sentSecret) || err != nil || resp.Header.Get("Content-Encoding") != "" {
				t.Errorf("left %q, %v, %v", left, err, resp.Header)
			}
			if length := resp.ContentLength; length >= 0 && length != int64(len(left)) {
				t.Errorf("length %d of %d", length, len(left))
			}
			if held := p.Hold.Left(time.Now()) > 0; test.held && held != test.held {
				t.Errorf("held: %t", held)
			}
		})
	}
}

// sentSecret is a token as it is sent.
const sentSecret = "a-token-that-is-long-enough-4711"
