package alipayai_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// smallBodies is a cap that tests can exceed in passing.
const smallBodies = 4096

func TestRequestsThatAreRefused(t *testing.T) {
	const chat, embed = "/v1/chat/completions", "/v1/embeddings"
	good := chatBody("secret-payload")
	for name, test := range map[string]struct {
		path, body string
		header     []string
		status     int
		code       string
		param      string
	}{
		"empty body":                  {chat, "", nil, 400, wire.CodeInvalidJSON, ""},
		"not JSON":                    {chat, "secret-payload", nil, 400, wire.CodeInvalidJSON, ""},
		"cut JSON":                    {chat, good[:len(good)-1], nil, 400, wire.CodeInvalidJSON, ""},
		"a list":                      {chat, "[" + good + "]", nil, 400, wire.CodeInvalidJSON, ""},
		"two objects":                 {chat, good + good, nil, 400, wire.CodeInvalidJSON, ""},
		"a comment":                   {chat, "/* secret-payload */" + good, nil, 400, wire.CodeInvalidJSON, ""},
		"invalid UTF-8":               {chat, strings.Replace(good, "secret", "\xff", 1), nil, 400, wire.CodeInvalidJSON, ""},
		"a lone surrogate, cut":       {chat, strings.Replace(good[:len(good)-1], "secret", `\ud800`, 1), nil, 400, wire.CodeInvalidJSON, ""},
		"a repeated key":              {chat, strings.Replace(good, "{", `{"model":"secret-payload",`, 1), nil, 400, wire.CodeDuplicateKey, ""},
		"a repeated key, escaped":     {chat, strings.Replace(good, "{", `{"mod\u0065l":"secret-payload",`, 1), nil, 400, wire.CodeDuplicateKey, ""},
		"a key in another case":       {chat, strings.Replace(good, "{", `{"Model":"secret-payload",`, 1), nil, 400, wire.CodeUnknownParameter, "model"},
		"too deep":                    {chat, strings.Replace(good, "{", `{"x":`+strings.Repeat("[", 70)+strings.Repeat("]", 70)+",", 1), nil, 400, wire.CodeNestingTooDeep, ""},
		"no model":                    {chat, `{"messages":[{}]}`, nil, 400, wire.CodeMissingParameter, "model"},
		"a model that is no string":   {chat, `{"model":7,"messages":[{}]}`, nil, 400, wire.CodeInvalidType, "model"},
		"an empty model":              {chat, `{"model":"","messages":[{}]}`, nil, 400, wire.CodeEmptyString, "model"},
		"no messages":                 {chat, `{"model":"m"}`, nil, 400, wire.CodeMissingParameter, "messages"},
		"empty messages":              {chat, `{"model":"m","messages":[]}`, nil, 400, wire.CodeEmptyArray, "messages"},
		"stream in words":             {chat, `{"model":"m","messages":[{}],"stream":"yes"}`, nil, 400, wire.CodeInvalidType, "stream"},
		"embeddings without input":    {embed, `{"model":"m"}`, nil, 400, wire.CodeMissingParameter, "input"},
		"embeddings, empty input":     {embed, `{"model":"m","input":[]}`, nil, 400, wire.CodeEmptyArray, "input"},
		"too large":                   {chat, chatBody(strings.Repeat("x", smallBodies)), nil, 413, failure.CodeRequestTooLarge, ""},
		"too large, identity":         {chat, chatBody(strings.Repeat("x", smallBodies)), []string{"Content-Encoding", "identity"}, 413, failure.CodeRequestTooLarge, ""},
		"a bomb":                      {chat, deflate(t, chatBody(strings.Repeat("x", 64*smallBodies))), []string{"Content-Encoding", "gzip"}, 413, failure.CodeRequestTooLarge, ""},
		"a bomb of no JSON":           {chat, deflate(t, strings.Repeat("x", 512*smallBodies)), []string{"Content-Encoding", "gzip"}, 413, failure.CodeRequestTooLarge, ""},
		"gzip that is none":           {chat, good, []string{"Content-Encoding", "gzip"}, 400, failure.CodeRequestUnreadable, ""},
		"gzip that is cut":            {chat, deflate(t, good)[:40], []string{"Content-Encoding", "gzip"}, 400, failure.CodeRequestUnreadable, ""},
		"gzip with a wrong checksum":  {chat, broken(deflate(t, good)), []string{"Content-Encoding", "gzip"}, 400, failure.CodeRequestUnreadable, ""},
		"gzip in gzip":                {chat, deflate(t, deflate(t, good)), []string{"Content-Encoding", "gzip"}, 400, wire.CodeInvalidJSON, ""},
		"gzip, and another after it":  {chat, deflate(t, good), []string{"Content-Encoding", "gzip, br"}, 415, failure.CodeContentType, ""},
		"brotli":                      {chat, good, []string{"Content-Encoding", "br"}, 415, failure.CodeContentType, ""},
		"deflate":                     {chat, good, []string{"Content-Encoding", "deflate"}, 415, failure.CodeContentType, ""},
		"form":                        {chat, good, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, failure.CodeContentType, ""},
		"no content type":             {chat, good, []string{"Content-Type", ""}, 415, failure.CodeContentType, ""},
		"a broken content type":       {chat, good, []string{"Content-Type", "application/json x"}, 415, failure.CodeContentType, ""},
		"another JSON":                {chat, good, []string{"Content-Type", "application/jsonl"}, 415, failure.CodeContentType, ""},
		"an endpoint that is none":    {"/v1/edits", good, nil, 404, failure.CodeUnknownURL, ""},
		"an endpoint's end, glued on": {"/v1/xchat/completionsx", good, nil, 404, failure.CodeUnknownURL, ""},
		"the root":                    {"/", good, nil, 404, failure.CodeUnknownURL, ""},
		"POST for models":             {"/v1/models", good, nil, 405, failure.CodeMethodNotAllowed, ""},
		"two idempotency keys":        {chat, good, []string{"Idempotency-Key", "a", "Idempotency-Key", "a"}, 400, failure.CodeInvalidIdempotencyKey, ""},
		"a long idempotency key":      {chat, good, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400, failure.CodeInvalidIdempotencyKey, ""},
		"a space in it":               {chat, good, []string{"Idempotency-Key", "a b"}, 400, failure.CodeInvalidIdempotencyKey, ""},
		"a tab in it":                 {chat, good, []string{"Idempotency-Key", "a\tb"}, 400, failure.CodeInvalidIdempotencyKey, ""},
		"an idempotency key in UTF-8": {chat, good, []string{"Idempotency-Key", "schlüssel"}, 400, failure.CodeInvalidIdempotencyKey, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{}, func(g *alipayai.Gateway) { g.MaxBody = smallBodies })
			header := test.header
			if len(header) > 0 && header[0] == "Content-Type" {
				r.client = &http.Client{Transport: replacingHeader{r.client.Transport, header[0], header[1]}}
				header = nil
			}
			got := r.post(test.path, test.body, header...)
			message := wantError(t, got, test.status, test.code)
			if param := fmt.Sprintf(`"param":%q`, test.param); test.param != "" && !strings.Contains(got.body, param) {
				t.Errorf("%s, want %s", got.body, param)
			}
			if strings.Contains(message, "secret-payload") || strings.Contains(message, "schlüssel") {
				t.Errorf("the message repeats what was sent: %s", message)
			}
			if n := r.sim.Stats().Requests; n != 0 {
				t.Errorf("%d requests went upstream", n)
			}
			if o := r.outcome(); o.Status != test.status || o.Code != test.code || o.Attempts != 0 || o.Provider != "" {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// broken flips a bit of gzip's checksum.
func broken(deflated string) string {
	b := []byte(deflated)
	b[len(b)-8] ^= 1
	return string(b)
}

// replacingHeader sends one header with that value, or not at all when it is empty.
type replacingHeader struct {
	http.RoundTripper
	name, value string
}

func (s replacingHeader) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Del(s.name)
	if s.value != "" {
		req.Header.Set(s.name, s.value)
	}
	return s.RoundTripper.RoundTrip(req)
}

func TestMethodsThatAreRefused(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	for name, test := range map[string]struct{ method, path, allow string }{
		"GET chat":      {http.MethodGet, "/v1/chat/completions", http.MethodPost},
		"PUT chat":      {http.MethodPut, "/v1/chat/completions", http.MethodPost},
		"DELETE embed":  {http.MethodDelete, "/v1/embeddings", http.MethodPost},
		"DELETE models": {http.MethodDelete, "/v1/models", http.MethodGet},
		"OPTIONS":       {http.MethodOptions, "/v1/chat/completions", http.MethodPost},
	} {
		got := r.do(t.Context(), test.method, test.path, "")
		wantError(t, got, http.StatusMethodNotAllowed, failure.CodeMethodNotAllowed)
		if got.header.Get("Allow") != test.allow {
			t.Errorf("%s: Allow %q", name, got.header.Get("Allow"))
		}
	}
}

// Bodies at the cap pass, with a length, in chunks and deflated.
func TestBodiesAtTheCap(t *testing.T) {
	body := chatBody(strings.Repeat("hello ", 100))
	r := newRig(t, sandbox.Config{}, func(g *alipayai.Gateway) { g.MaxBody = int64(len(body)) })
	if got := r.post("/v1/chat/completions", body); got.status != http.StatusOK {
		t.Errorf("with a length: %d %s", got.status, got.body)
	}
	if got := r.post("/v1/chat/completions", deflate(t, body), "Content-Encoding", "gzip"); got.status != http.StatusOK {
		t.Errorf("deflated: %d %s", got.status, got.body)
	}
	for extra, status := range map[string]string{"": "200 OK", " ": "413 Request Entity Too Large"} {
		if got := r.raw(fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
			"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body+extra), body+extra)); !strings.HasPrefix(got, "HTTP/1.1 "+status) {
			t.Errorf("in chunks, %d bytes more: %s", len(extra), got)
		}
	}
}

// A client that promises more than it sends, and says that this is all, has sent a broken body.
func TestBodyThatEndsEarly(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	got := r.raw("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n" +
		"Connection: close\r\n\r\n5\r\n{\"mod\r\nnot a length\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("%s", got)
	}
	if o := r.outcome(); o.Status != 400 || o.Code != failure.CodeRequestUnreadable {
		t.Errorf("outcome %+v", o)
	}
	if n := r.sim.Stats().Requests; n != 0 {
		t.Errorf("%d requests went upstream", n)
	}
}

// raw sends bytes to the gateway and gives the first line of what comes back.
func (r *rig) raw(request string) string {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(request)); err != nil {
		r.t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	return line
}
