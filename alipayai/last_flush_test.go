package alipayai_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// streaming is an upstream that answers with a stream, and brings the body's end with its last bytes or after them.
type streaming struct {
	body    string
	endsToo bool
}

func (s streaming) RoundTrip(req *http.Request) (*http.Response, error) {
	var body io.Reader = bytes.NewReader([]byte(s.body))
	if s.endsToo {
		body = iotest.DataErrReader(body)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}},
		ContentLength: -1, Body: io.NopCloser(body), Request: req,
	}, nil
}

// flushes counts what a client's connection is flushed.
type flushes struct {
	discard
	n int
}

func (f *flushes) FlushError() error {
	f.n++
	return nil
}

// The last events of a stream wait for the server's own end of the answer, which follows at once, if the provider's end has come with
// them. If it has not they are flushed, however long it may take.
func TestLastEventsGoOutWithTheEnd(t *testing.T) {
	const event = `data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}` + "\n\n"
	for name, test := range map[string]struct {
		endsToo bool
		want    int
	}{"the end has come": {true, 0}, "the end is to come": {false, 1}} {
		t.Run(name, func(t *testing.T) {
			p := simProvider(t, "http://127.0.0.1:1")
			now := time.Now()
			p.Tokens.Cell.Set(token.Token{Access: strings.Repeat("t", 32), Issued: now, Expiry: now.Add(24 * time.Hour)})
			body := event + "data: [DONE]\n\n"
			p.Transport = streaming{body, test.endsToo}
			if err := p.Prepare(); err != nil {
				t.Fatal(err)
			}
			g := &alipayai.Gateway{Providers: []*upstream.Provider{p}}
			if err := g.Prepare(); err != nil {
				t.Fatal(err)
			}
			request := padded(true)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://gateway/v1/chat/completions", strings.NewReader(request))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{"Content-Type": {"application/json"}}
			w := &flushes{discard: discard{header: make(http.Header)}}
			serve(g, w, req, "acme")
			if w.status != http.StatusOK || w.written != len(body) || w.n != test.want {
				t.Errorf("%d, %d bytes of %d, flushed %d times, want %d", w.status, w.written, len(body), w.n, test.want)
			}
		})
	}
}
