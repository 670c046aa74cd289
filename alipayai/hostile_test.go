package alipayai_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Servers repeat what they were sent, credentials included: none of it reaches a client.
func TestQuotedSecretsStayHere(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		code   string
	}{
		"a refused signature": {401, "INVALID_SIGNATURE"},
		"a bad parameter":     {400, "PARAM_ILLEGAL"},
		"inside a 200":        {200, "SYSTEM_ERROR"},
		"an unknown code":     {500, "WHATEVER"},
	} {
		t.Run(name, func(t *testing.T) {
			var secret string
			r := newPlainRig(t, func(w http.ResponseWriter, req *http.Request) {
				secret = strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
				w.WriteHeader(test.status)
				fmt.Fprintf(w, `{"code":%q,"message":"you sent %s"}`, test.code, secret)
			}, first(func(p *upstream.Provider) { p.Header = http.Header{"Authorization": {"Bearer preset-api-key-0001"}} }))
			for _, got := range []reply{r.chat("hello"), r.stream("hello")} {
				if secret == "" || strings.Contains(got.body, secret) {
					t.Errorf("secret %q in %s", secret, got.body)
				}
			}
		})
	}
}

// Statuses that are none, or that switch protocols, are no answers.
func TestOddStatuses(t *testing.T) {
	for _, status := range []string{"000", "099", "101", "199", "600", "999"} {
		t.Run(status, func(t *testing.T) {
			odd := listen(t, func(_ *socketServer, conn net.Conn) {
				defer conn.Close()
				conn.Read(make([]byte, 64<<10))
				fmt.Fprintf(conn, "HTTP/1.1 %s Odd\r\nContent-Length: 16\r\nConnection: close\r\n\r\n{\"choices\":[{}]}", status)
			})
			r := startGateway(t, plainProvider(t, odd.url), func(g *alipayai.Gateway) { g.Deadline = 2 * time.Second })
			if got := r.chat("hello"); got.status != http.StatusBadGateway && got.status != http.StatusGatewayTimeout {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

// The token endpoint's bytes must not come back in an error, whatever net/http makes of them.
func TestTokenEndpointIsNotQuoted(t *testing.T) {
	for name, answer := range map[string]string{
		"no status line":   "{\"access_token\":\"MARK-TOKEN-1\"}\r\n\r\n",
		"a bad header":     "HTTP/1.1 200 OK\r\nMARK-TOKEN-1\r\n\r\n",
		"a bad length":     "HTTP/1.1 200 OK\r\nContent-Length: MARK-TOKEN-1\r\n\r\n",
		"an early end":     "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nMARK-TOKEN-1",
		"a bad chunk size": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nMARK-TOKEN-1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			server := listen(t, func(_ *socketServer, conn net.Conn) {
				defer conn.Close()
				conn.Read(make([]byte, 64<<10))
				io.WriteString(conn, answer)
			})
			g := &token.Grant{URL: server.url, ClientID: "a", Secret: "b", Transport: newTransport(t), Now: time.Now}
			_, err := g.Fetch(t.Context(), "")
			if err == nil || strings.Contains(err.Error(), "MARK") || strings.Contains(err.Error(), strings.TrimPrefix(server.url, "http://")) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Empty members of gzip, and empty frames of zstd, inflate to nothing for ever: the compressed bytes are capped as well.
func TestEndlessBodies(t *testing.T) {
	var member bytes.Buffer
	gzip.NewWriter(&member).Close()
	for encoding, text := range map[string][]byte{"gzip": member.Bytes(), "zstd": []byte("\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00")} {
		t.Run(encoding, func(t *testing.T) {
			r := newRig(t, sandbox.Config{}, func(g *alipayai.Gateway) { g.MaxBody = 64 << 10 })
			endless := io.LimitReader(&repeated{text, 0}, 64<<20)
			req, err := http.NewRequest(http.MethodPost, r.url+"/v1/chat/completions", endless)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Content-Encoding", encoding)
			resp, err := r.client.Do(req)
			if err != nil {
				return // refused before all was sent
			}
			defer resp.Body.Close()
			if resp.StatusCode < 400 || resp.StatusCode > 499 {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
}

// repeated is a text without end.
type repeated struct {
	text []byte
	at   int
}

func (r *repeated) Read(b []byte) (n int, err error) {
	for n < len(b) {
		c := copy(b[n:], r.text[r.at:])
		n, r.at = n+c, (r.at+c)%len(r.text)
	}
	return n, nil
}
