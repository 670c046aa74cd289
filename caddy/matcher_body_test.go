package alipaycaddy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// received is a request as an upstream of stock reverse_proxy got it.
type received struct {
	body, encoding string
	length         int64
}

// A body that a matcher has read reaches stock reverse_proxy behind a route that does not match: the bytes, their
// encoding and their announced length are the client's.
func TestMatchedBodyIsWhole(t *testing.T) {
	got := make(chan received, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- received{string(body), r.Header.Get("Content-Encoding"), r.ContentLength}
	}))
	defer upstream.Close()
	g := newRig(t, sandbox.Config{})
	g.vars["upstream"] = upstream.Listener.Addr().String()
	g.load(oneProvider, `http://${gateway} {
	@finance alipayai intent financial
	alipayai_proxy @finance alipay
	reverse_proxy ${upstream}
}`)
	chat := chatBody("what is the weather like", false)
	long := chatBody(strings.Repeat("what is the weather like ", 40_000), false) // a mebibyte
	huge := chatBody(strings.Repeat("what is the weather like ", 400_000), false)
	for name, c := range map[string]struct {
		body, encoding string
		chunked        bool
	}{
		"plain":             {body: chat},
		"chunked":           {body: chat, chunked: true},
		"gzip":              {body: zipped(t, chat), encoding: "gzip"},
		"gzip, chunked":     {body: zipped(t, chat), encoding: "gzip", chunked: true},
		"long":              {body: long},
		"long, chunked":     {body: long, chunked: true},
		"more than is read": {body: huge, chunked: true},
		"gzip bomb":         {body: zipped(t, huge), encoding: "gzip"},
		"no JSON":           {body: "{"},
		"no gzip":           {body: "plain", encoding: "gzip"},
		"another encoding":  {body: "\x0b\x02", encoding: "br"},
	} {
		t.Run(name, func(t *testing.T) {
			var from io.Reader = strings.NewReader(c.body)
			if c.chunked {
				from = io.MultiReader(from)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+g.vars["gateway"]+chatPath, from)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			want := received{c.body, c.encoding, int64(len(c.body))}
			if c.encoding != "" {
				req.Header.Set("Content-Encoding", c.encoding)
			}
			if c.chunked {
				want.length = -1
			}
			if a := g.read(g.http.Do(req)); a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if r := <-got; r != want {
				t.Errorf("%d bytes, %q, announced %d; want %d, %q, %d", len(r.body), r.encoding, r.length, len(want.body), want.encoding, want.length)
			}
		})
	}
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return b.String()
}

// matchedSite is one whose call is looked at before it is served.
const matchedSite = `
http://${gateway} {
	log
	@finance alipayai intent financial
	header @finance X-Intent {http.alipayai.intent}
	@han alipayai language han
	respond @han 418
	alipayai_proxy alipay {
		max_body 64KiB
	}
}`

// What cannot be read as a call matches nothing and reaches the proxy, whose error the client gets, the same as without
// a matcher.
func TestUnreadableCallsReachTheProxy(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	large := chatBody(strings.Repeat("my card ", 10_000), false)
	requests := map[string]struct {
		method, path, body string
		fields             []string
	}{
		"no JSON":            {"POST", chatPath, "{", nil},
		"no model":           {"POST", chatPath, `{"messages":[]}`, nil},
		"two models":         {"POST", chatPath, `{"model":"a","model":"b","messages":[{"role":"user","content":"x"}]}`, nil},
		"another path":       {"POST", "/v1/images", "{}", nil},
		"another method":     {"PUT", chatPath, chatBody("my card", false), nil},
		"no gzip":            {"POST", chatPath, "{}", []string{"Content-Encoding: gzip"}},
		"another encoding":   {"POST", chatPath, "{}", []string{"Content-Encoding: br"}},
		"two keys":           {"POST", chatPath, "{}", []string{"Idempotency-Key: a", "Idempotency-Key: b"}},
		"larger than served": {"POST", chatPath, large, nil},
		"inflated":           {"POST", chatPath, zipped(t, large), []string{"Content-Encoding: gzip"}},
	}
	without := make(map[string]answer)
	for _, site := range []string{strings.Replace(proxySite, "alipay\n", "alipay {\n\t\tmax_body 64KiB\n\t}\n", 1), matchedSite} {
		g.load(oneProvider, site)
		for name, r := range requests {
			a := g.do(r.method, r.path, r.body, r.fields...)
			a.body = strings.Replace(a.body, a.header.Get("X-Request-Id"), "", 1)
			before, ok := without[name]
			without[name] = a
			if a.status < 400 || a.code() == "" || a.header.Get("X-Intent") != "" {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
			if ok && (a.status != before.status || a.body != before.body || a.header.Get("Allow") != before.header.Get("Allow")) {
				t.Errorf("%s: %d %s; without a matcher %d %s", name, a.status, a.body, before.status, before.body)
			}
		}
	}
	if n := g.chats(); n != 0 {
		t.Errorf("%d calls reached the provider", n)
	}
	if a := g.do("POST", chatPath, zipped(t, chatBody("my card was declined", false)), "Content-Encoding: gzip"); a.status != 200 || a.header.Get("X-Intent") != "financial" {
		t.Errorf("a call: %d %s %q", a.status, a.body, a.header.Get("X-Intent"))
	}
}

// A client that waits for 100 Continue gets it from whoever reads the body first, and none where the head is refused.
// One that then stops in its body gets 408, as without a matcher.
func TestMatchedUploads(t *testing.T) {
	g := newRig(t, sandbox.Config{})
	body := chatBody("my card was declined", false)
	for name, c := range map[string]struct {
		path, sent, within string
		continues          bool
		status             int
	}{
		"whole":        {chatPath, body, "15s", true, 200},
		"stops":        {chatPath, body[:10], "500ms", true, 408},
		"never begins": {chatPath, "", "500ms", true, 408},
		"another path": {"/v1/images", "", "1m", false, 404}, // which is not held back until then
	} {
		t.Run(name, func(t *testing.T) {
			g.load("servers {\n\t\ttimeouts {\n\t\t\tread_body "+c.within+"\n\t\t}\n\t}"+oneProvider, matchedSite)
			conn := g.dial(t)
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", c.path, g.vars["gateway"], len(body))
			from := bufio.NewReader(conn)
			if c.continues {
				line, err := from.ReadString('\n')
				if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
					t.Fatalf("%q, %v", line, err)
				}
				if line, err = from.ReadString('\n'); err != nil || line != "\r\n" {
					t.Fatalf("%q, %v", line, err)
				}
			}
			io.WriteString(conn, c.sent)
			a := g.read(http.ReadResponse(from, nil))
			if a.status != c.status || c.status == 408 && a.code() != failure.CodeRequestUnreadable {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}
