package alipayai_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/failover"
)

// Calls of the sizes that the gateway's own benchmark uses: 700 bytes in, 1.2 KB out, 50 events, signed, with a token.

// memory is an upstream without sockets.
type memory struct {
	header http.Header
	body   []byte
}

func (m *memory) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: m.header, ContentLength: int64(len(m.body)),
		Body: io.NopCloser(bytes.NewReader(m.body)), Request: req,
	}, nil
}

// discard is a client that takes everything.
type discard struct {
	header  http.Header
	status  int
	written int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(s int)   { d.status = s }
func (d *discard) FlushError() error   { return nil }
func (d *discard) Write(b []byte) (int, error) {
	d.written += len(b)
	return len(b), nil
}

func benchmarkServe(b *testing.B, body, kind string, answer []byte, edits ...func(*alipayai.Gateway)) {
	b.Helper()
	benchmarkDoor(b, "/v1/chat/completions", body, kind, answer, edits...)
}

func benchmarkDoor(b *testing.B, path, body, kind string, answer []byte, edits ...func(*alipayai.Gateway)) {
	b.Helper()
	p := simProvider(b, "http://127.0.0.1:1")
	now := time.Now()
	p.Tokens.Cell.Set(token.Token{Access: strings.Repeat("t", 32), Issued: now, Expiry: now.Add(24 * time.Hour)})
	p.Transport = &memory{http.Header{
		"Content-Type": {kind}, "Date": {now.UTC().Format(http.TimeFormat)}, "Content-Length": {strconv.Itoa(len(answer))},
	}, answer}
	if err := p.Prepare(); err != nil {
		b.Fatal(err)
	}
	g := &alipayai.Gateway{Providers: []*upstream.Provider{p}}
	for _, edit := range edits {
		edit(g)
	}
	if err := g.Prepare(); err != nil {
		b.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://gateway"+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "User-Agent": {"bench"}, "Accept": {"*/*"}}
	reader := strings.NewReader(body)
	req.Body, req.ContentLength = io.NopCloser(reader), int64(len(body))
	w := &discard{header: make(http.Header)}
	b.ReportAllocs()
	b.SetBytes(int64(len(answer)))
	for b.Loop() {
		reader.Reset(body)
		clear(w.header)
		w.written = 0
		serve(g, w, req, "acme")
		if w.status != http.StatusOK || w.written == 0 {
			b.Fatalf("%d, %d bytes of %d", w.status, w.written, len(answer))
		}
	}
}

// BenchmarkDoors has the same prompt and answer at each door.
func BenchmarkDoors(b *testing.B) {
	for path, head := range map[string]string{
		"/v1/chat/completions": `"messages":[{"role":"system","content":"You answer in one sentence."},{"role":"user","content":"`,
		"/v1/responses":        `"instructions":"You answer in one sentence.","input":[{"role":"user","content":"`,
		"/v1/messages":         `"max_tokens":1000,"system":"You answer in one sentence.","messages":[{"role":"user","content":"`,
	} {
		b.Run(path, func(b *testing.B) {
			body := `"temperature":0.2,` + head + strings.Repeat("x", 600) + `"}]}`
			b.Run("whole", func(b *testing.B) {
				benchmarkDoor(b, path, `{"model":"alipay-fin-1",`+body, "application/json", jsonAnswer1200())
			})
			b.Run("stream", func(b *testing.B) {
				benchmarkDoor(b, path, `{"model":"alipay-fin-1","stream":true,`+body, "text/event-stream", streamOf50())
			})
		})
	}
}

// padded is a chat request of 700 bytes.
func padded(stream bool) string {
	head := fmt.Sprintf(`{"model":"alipay-fin-1","stream":%v,"temperature":0.2,"messages":[{"role":"user","content":"`, stream)
	return head + strings.Repeat("x", 700-len(head)-len(`"}]}`)) + `"}]}`
}

// jsonAnswer1200 is a chat answer of 1.2 KB.
func jsonAnswer1200() []byte {
	head := `{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"model":"alipay-fin-1","choices":[{"index":0,` +
		`"message":{"role":"assistant","content":"`
	tail := `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":150,"completion_tokens":230,"total_tokens":380}}`
	return []byte(head + strings.Repeat("x", 1200-len(head)-len(tail)) + tail)
}

func BenchmarkServeJSON(b *testing.B) {
	for name, edits := range map[string][]func(*alipayai.Gateway){
		"plain":   nil,
		"breaker": {func(g *alipayai.Gateway) { g.Breakers = new(failover.Breakers) }},
		"cached":  {caching()},
	} {
		b.Run(name, func(b *testing.B) {
			benchmarkServe(b, padded(false), "application/json", jsonAnswer1200(), edits...)
		})
	}
	// Values that are other ones in each answer must not cost a search for credentials each.
	for name, step := range map[string]int{"same headers": 0, "changing headers": 1} {
		b.Run(name, func(b *testing.B) {
			benchmarkServe(b, padded(false), "application/json", jsonAnswer1200(), func(g *alipayai.Gateway) {
				g.Providers[0].Transport = &changing{memory: g.Providers[0].Transport.(*memory), step: step}
			})
		})
	}
}

// changing is a memory with the counters that vendors send, which change with each answer by step.
type changing struct {
	*memory
	n, step int
}

func (c *changing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.memory.RoundTrip(req)
	c.n += c.step
	resp.Header = maps.Clone(resp.Header)
	resp.Header["Openai-Processing-Ms"] = []string{strconv.Itoa(100 + c.n%900)}
	resp.Header["X-Ratelimit-Remaining-Tokens"] = []string{strconv.Itoa(39999 - c.n%30000)}
	resp.Header["X-Ratelimit-Reset-Requests"] = []string{strconv.Itoa(c.n%60) + "m" + strconv.Itoa(c.n%7) + "s"}
	return resp, err
}

// streamOf50 is a streamed answer of 50 events.
func streamOf50() []byte {
	const head = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1767225600,"model":"alipay-fin-1","choices":[{"index":0,"delta":`
	return []byte(head + `{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n" +
		strings.Repeat(head+`{"content":" lorem ipsum"},"finish_reason":null}]}`+"\n\n", 47) +
		head + `{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n")
}

func BenchmarkServeStream(b *testing.B) {
	benchmarkServe(b, padded(true), "text/event-stream", streamOf50())
}
