package door_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/door/openai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
)

var dialects = door.NewDialects(openai.Dialect{})

const hello = `{"model":"m","messages":[{"role":"user","content":"hello"}]}`

func deflated(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return b.String()
}

func compressed(t *testing.T, text string, options ...zstd.EOption) string {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, options...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(z, text); err != nil || z.Flush() != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A request is read alike, whether or not somebody has looked at it before; and whoever reads the body after that gets
// the bytes and the error that the client sent.
func TestPeekedBodies(t *testing.T) {
	big := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 2000) + `"}]}`
	const limit = 1000
	for name, c := range map[string]struct {
		body     string
		encoding string
		err      error // what ends the body; io.EOF where nil
		chunked  bool
		path     string
		want     string // the failure's code; none where empty
		status   int
	}{
		"plain":               {body: hello},
		"chunked":             {body: hello, chunked: true},
		"gzip":                {body: deflated(t, hello), encoding: "gzip"},
		"gzip, chunked":       {body: deflated(t, hello), encoding: "gzip", chunked: true},
		"gzip's older name":   {body: deflated(t, hello), encoding: "X-Gzip"},
		"zstd":                {body: compressed(t, hello), encoding: "zstd"},
		"zstd, chunked":       {body: compressed(t, hello), encoding: "Zstd", chunked: true},
		"zstd, inflated":      {body: compressed(t, big), encoding: "zstd", want: failure.CodeRequestTooLarge, status: 413},
		"zstd, cut":           {body: compressed(t, hello)[:30], encoding: "zstd", want: failure.CodeRequestUnreadable, status: 400},
		"no zstd":             {body: "plain text", encoding: "zstd", want: failure.CodeRequestUnreadable, status: 400},
		"zstd, a huge window": {body: compressed(t, hello, zstd.WithWindowSize(16<<20), zstd.WithSingleSegment(false)), encoding: "zstd", want: failure.CodeRequestUnreadable, status: 400},
		"identity":            {body: hello, encoding: "identity"},
		"no JSON":             {body: "{", want: "invalid_json", status: 400},
		"embeddings":          {body: `{"model":"m","input":"x"}`, path: "/v1/embeddings"},
		"another path":        {body: hello, path: "/v1/images", want: failure.CodeUnknownURL, status: 404},
		"too large":           {body: big, want: failure.CodeRequestTooLarge, status: 413},
		"too large, chunked":  {body: big, chunked: true, want: failure.CodeRequestTooLarge, status: 413},
		"too large, inflated": {body: deflated(t, big), encoding: "gzip", want: failure.CodeRequestTooLarge, status: 413},
		"no gzip":             {body: "plain text", encoding: "gzip", want: failure.CodeRequestUnreadable, status: 400},
		"gzip, cut":           {body: deflated(t, hello)[:30], encoding: "gzip", want: failure.CodeRequestUnreadable, status: 400},
		"another encoding":    {body: hello, encoding: "br", want: failure.CodeContentType, status: 415},
		"cut":                 {body: hello[:20], err: io.ErrUnexpectedEOF, want: failure.CodeRequestUnreadable, status: 400},
		"cut, chunked":        {body: hello[:20], chunked: true, err: io.ErrUnexpectedEOF, want: failure.CodeRequestUnreadable, status: 400},
		"too slow":            {body: hello[:20], err: os.ErrDeadlineExceeded, want: failure.CodeRequestUnreadable, status: 408},
		"capped elsewhere":    {body: hello[:20], err: &http.MaxBytesError{Limit: 20}, want: failure.CodeRequestTooLarge, status: 413},
	} {
		t.Run(name, func(t *testing.T) {
			request := func() (*http.Request, *closes) {
				ended := io.Reader(strings.NewReader(c.body))
				if c.err != nil {
					ended = io.MultiReader(ended, iotest.ErrReader(c.err))
				}
				body := &closes{Reader: ended}
				path := c.path
				if path == "" {
					path = "/v1/chat/completions"
				}
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, body)
				r.Header.Set("Content-Type", "application/json")
				if c.encoding != "" {
					r.Header.Set("Content-Encoding", c.encoding)
				}
				if r.ContentLength = int64(len(c.body)); c.chunked {
					r.ContentLength = -1
				} else if c.err != nil {
					r.ContentLength = int64(len(hello))
				}
				return r, body
			}
			clock := time.Unix(1, 0)
			now := func() time.Time { clock = clock.Add(time.Second); return clock }

			plain, _ := request()
			alone := dialects.Read(plain, limit, now)
			code, status := "", 0
			if alone.Failure != nil {
				code, status = alone.Failure.Code, alone.Failure.Status
			}
			if code != c.want || status != c.status {
				t.Errorf("read alone: %d %q, want %d %q", status, code, c.status, c.want)
			}
			if got := alone.Received.Sub(alone.Began); got != time.Second {
				t.Errorf("read within %v", got)
			}

			r, source := request()
			announced := r.ContentLength
			first := dialects.Peek(r, limit, now)
			again := dialects.Peek(r, limit, now)
			read := dialects.Read(r, limit, now)
			for i, rd := range []*door.Reading{first, again, read} {
				if !reflect.DeepEqual(rd.Failure, alone.Failure) || rd.Request.Model != alone.Request.Model || string(rd.Request.Body) != string(alone.Request.Body) ||
					rd.Endpoint != alone.Endpoint {
					t.Errorf("reading %d: %+v, want %+v", i, rd, alone)
				}
			}
			if read.Failure == nil && (read != first || again != first) {
				t.Error("it was parsed anew")
			}
			if r.ContentLength != announced {
				t.Errorf("Content-Length became %d", r.ContentLength)
			}
			rest, err := io.ReadAll(r.Body)
			if string(rest) != c.body || !errors.Is(err, c.err) {
				t.Errorf("afterwards %d bytes of %d, %v; want %v", len(rest), len(c.body), err, c.err)
			}
			if err := r.Body.Close(); err != nil || source.closed != 1 {
				t.Errorf("closed %d times, %v", source.closed, err)
			}
		})
	}
}

// Each reader's own limit holds: the one that looks first may take more than the one that serves.
func TestPeekedBodiesAreBoundByEachLimit(t *testing.T) {
	for name, encoding := range map[string]string{"plain": "", "gzip": "gzip"} {
		t.Run(name, func(t *testing.T) {
			plain := strings.Replace(hello, "hello", strings.Repeat("hello ", 100), 1)
			text := plain
			if encoding != "" {
				text = deflated(t, plain)
			}
			r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(text))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Content-Encoding", encoding)
			if rd := dialects.Peek(r, 1<<20, time.Now); rd.Failure != nil {
				t.Fatal(rd.Failure)
			}
			rd := dialects.Read(r, int64(len(plain))-1, time.Now)
			if rd.Failure == nil || rd.Failure.Code != failure.CodeRequestTooLarge || rd.Request.Body != nil {
				t.Errorf("%v", rd.Failure)
			}
			if rd := dialects.Read(r, int64(len(plain)), time.Now); rd.Failure != nil {
				t.Error(rd.Failure)
			}
		})
	}
}

// What decides how a body is read may change between readers: a rewritten path, another header.
func TestPeekedBodiesAreReadAnewUnderAnotherHead(t *testing.T) {
	for name, c := range map[string]struct {
		before, after func(r *http.Request)
		want          string // of the second reading
	}{
		"path": {
			func(r *http.Request) { r.URL.Path = "/v1/embeddings" },
			func(r *http.Request) { r.URL.Path = "/v1/chat/completions" }, "",
		},
		"prefix": {
			func(r *http.Request) { r.URL.Path = "/llm" },
			func(r *http.Request) { r.URL.Path = "/v1/chat/completions" }, "",
		},
		"content type": {
			func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
			func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, "",
		},
		"encoding": {
			func(*http.Request) {},
			func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, failure.CodeRequestUnreadable,
		},
		"idempotency key": {
			func(r *http.Request) { r.Header["Idempotency-Key"] = []string{"a", "b"} },
			func(r *http.Request) { r.Header["Idempotency-Key"] = []string{"a"} }, "",
		},
		"body": {
			func(*http.Request) {},
			func(r *http.Request) {
				r.Body = io.NopCloser(strings.NewReader("{" + strings.Repeat(" ", len(hello)-1)))
			},
			"invalid_json",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(hello))
			r.Header.Set("Content-Type", "application/json")
			c.before(r)
			first := dialects.Peek(r, 1<<20, time.Now)
			c.after(r)
			rd := dialects.Peek(r, 1<<20, time.Now)
			code := ""
			if rd.Failure != nil {
				code = rd.Failure.Code
			}
			if code != c.want || rd == first {
				t.Errorf("read as %q, want %q", code, c.want)
			}
			if name == "body" {
				return
			}
			if rest, err := io.ReadAll(r.Body); string(rest) != hello || err != nil {
				t.Errorf("afterwards %q, %v", rest, err)
			}
		})
	}
}

// A slow upload is the client's own, whoever waited for it: the call is received when its body has been.
func TestPeekKeepsWhenTheBodyCame(t *testing.T) {
	clock := time.Unix(0, 0)
	now := func() time.Time { return clock }
	slow := readerFunc(func(p []byte) (int, error) {
		clock = clock.Add(time.Minute)
		return copy(p, hello), io.EOF
	})
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/chat/completions", slow)
	r.Header.Set("Content-Type", "application/json")
	dialects.Peek(r, 1<<20, now)
	clock = clock.Add(time.Hour)
	r.URL.Path = "/below" + r.URL.Path // read anew, from memory
	rd := dialects.Read(r, 1<<20, now)
	if got := fmt.Sprint(rd.Began.Unix(), rd.Received.Unix(), rd.Failure == nil); got != "0 60 true" {
		t.Errorf("began and received: %s", got)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type closes struct {
	io.Reader
	closed int
}

func (c *closes) Close() error { c.closed++; return nil }
