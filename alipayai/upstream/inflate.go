package upstream

import (
	"bufio"
	"compress/gzip"
	"errors"
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

// gzipped is a body that is inflated as it is read, member by member. What follows the last one is no part of it.
type gzipped struct {
	io.ReadCloser
	from     *bufio.Reader
	inflated *gzip.Reader // nil before its head has come
}

func (g *gzipped) Read(b []byte) (n int, err error) {
	if g.inflated == nil {
		g.from = bufio.NewReader(g.ReadCloser)
		if g.inflated, err = gzip.NewReader(g.from); err != nil {
			g.inflated = nil
			return 0, err
		}
		g.inflated.Multistream(false)
	}
	for n == 0 && err == nil && len(b) > 0 {
		if n, err = g.inflated.Read(b); errors.Is(err, io.EOF) {
			err = g.nextMember()
		}
	}
	return n, err
}

// nextMember goes on to the member that follows; io.EOF where none does.
func (g *gzipped) nextMember() error {
	head, err := g.from.Peek(len(gzipMagic))
	switch {
	case string(head) == gzipMagic:
		err = g.inflated.Reset(g.from)
		g.inflated.Multistream(false)
	case err == nil:
		err = io.EOF
	}
	return err
}

// gzipMagic begins each member: RFC 1952, section 2.3.1.
const gzipMagic = "\x1f\x8b"
