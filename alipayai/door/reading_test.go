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
