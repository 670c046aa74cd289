package upstream

import (
	"compress/gzip"
	"io"
	"strings"
)

// Inflate makes the body of an answer what it was before it was gzipped. No request permits that, but proxies and CDNs in
// front of providers do it all the same: https://github.com/Wei-Shaw/claude-relay-service/issues/1027. A signature is that of
// the body as it was.
func (x *Exchange) Inflate() {
	resp := x.Response
	if encoding := resp.Header.Get("Content-Encoding"); !strings.EqualFold(encoding, "gzip") && !strings.EqualFold(encoding, "x-gzip") {
		return
	}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	resp.Body = &gzipped{ReadCloser: resp.Body}
}

// gzipped is a body that is inflated as it is read.
type gzipped struct {
	io.ReadCloser
	inflated *gzip.Reader // nil before its head has come
}

func (g *gzipped) Read(b []byte) (n int, err error) {
	if g.inflated == nil {
		if g.inflated, err = gzip.NewReader(g.ReadCloser); err != nil {
			g.inflated = nil
			return 0, err
		}
	}
	return g.inflated.Read(b)
}
