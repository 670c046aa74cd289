package door_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
)

// A body that inflates to more than is taken is read no further than to see that: no more than gzip's buffer after it.
func TestInflatedBodiesAreBounded(t *testing.T) {
	const most = 256 << 10
	var deflated bytes.Buffer
	z := gzip.NewWriter(&deflated)
	if _, err := io.WriteString(z, strings.Repeat("x", 64*most)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	bomb := deflated.String()
	body := &counted{Reader: strings.NewReader(bomb)}
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", body)
	r.Header.Set("Content-Encoding", "gzip")
	r.Header.Set("Content-Type", "application/json")
	if rd := dialects.Read(r, most, time.Now); rd.Failure == nil || rd.Failure.Code != failure.CodeRequestTooLarge {
		t.Errorf("%d bytes, failure %v", len(rd.Request.Body), rd.Failure)
	}
	if enough := len(bomb)/64 + 8<<10; body.read > enough {
		t.Errorf("%d bytes of %d were read, want at most %d", body.read, len(bomb), enough)
	}
}

// counted is a body that counts what is read of it.
type counted struct {
	io.Reader
	read int
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.read += n
	return n, err
}

// A body is read by all that Content-Encoding says, on however many lines.
func TestContentEncodings(t *testing.T) {
	for name, c := range map[string]struct {
		lines           []string
		deflated, taken bool
	}{
		"none":                     {nil, false, true},
		"an empty line":            {[]string{""}, false, true},
		"identity":                 {[]string{"Identity"}, false, true},
		"gzip":                     {[]string{"GZIP"}, true, true},
		"identity, and gzip":       {[]string{"identity, gzip"}, true, true},
		"identity before gzip":     {[]string{"identity", "gzip"}, true, true},
		"gzip before identity":     {[]string{"gzip", "identity"}, true, true},
		"gzip, announced twice":    {[]string{"gzip", "gzip"}, true, false},
		"gzip before another one":  {[]string{"gzip", "br"}, true, false},
		"another one before gzip":  {[]string{"br", "gzip"}, true, false},
		"another one":              {[]string{"br"}, false, false},
		"another one, on one line": {[]string{"gzip, br"}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			for how, read := range map[string]func(*http.Request) *door.Reading{
				"read":   func(r *http.Request) *door.Reading { return dialects.Read(r, 1<<20, time.Now) },
				"peeked": func(r *http.Request) *door.Reading { return dialects.Peek(r, 1<<20, time.Now) },
			} {
				text := hello
				if c.deflated {
					text = deflated(t, hello)
				}
				r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(text))
				r.Header["Content-Type"], r.Header["Content-Encoding"] = []string{"application/json"}, c.lines
				rd := read(r)
				if c.taken && rd.Failure != nil || !c.taken && (rd.Failure == nil || rd.Failure.Code != failure.CodeContentType) {
					t.Errorf("%s: %v", how, rd.Failure)
				}
			}
		})
	}
}
