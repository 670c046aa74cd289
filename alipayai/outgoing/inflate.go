package outgoing

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/klauspost/compress/zstd"
)

// Inflate makes the body of an answer what it was before it was compressed, by one coding or by several. No request permits
// that, but proxies and CDNs in front of providers do it all the same: https://github.com/Wei-Shaw/claude-relay-service/issues/1027.
// A signature is that of the body as it was. What is in another coding stays as it is.
func Inflate(resp *http.Response) {
	codings := Codings(resp.Header.Values("Content-Encoding"))
	if len(codings) == 0 || len(codings) > maxCodings || slices.ContainsFunc(codings, func(coding string) bool { return inflaters[coding] == nil }) {
		return
	}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	for _, coding := range slices.Backward(codings) { // which are in the order in which they were applied: RFC 9110, section 8.4
		resp.Body = &inflated{ReadCloser: resp.Body, open: inflaters[coding]}
	}
}

// maxCodings is how many an answer may have: each takes its part of the time that reading one byte takes.
const maxCodings = 4

// Codings are those that the values of a Content-Encoding name, in small letters and without those that change nothing.
func Codings(values []string) (codings []string) {
	for _, value := range values {
		for coding := range strings.SplitSeq(value, ",") {
			if coding = strings.ToLower(strings.TrimSpace(coding)); coding != "" && coding != "identity" {
				codings = append(codings, coding)
			}
		}
	}
	return codings
}

// inflaters are the codings that are read, each by what opens it.
var inflaters = map[string]func(from *bufio.Reader) (io.Reader, error){
	"gzip": openGzip, "x-gzip": openGzip, "deflate": openDeflate, "zstd": openZstd,
}

// inflated is a body that is inflated as it is read.
type inflated struct {
	io.ReadCloser
	open func(from *bufio.Reader) (io.Reader, error)
	from io.Reader // nil before its head has come
}

func (i *inflated) Read(b []byte) (n int, err error) {
	if i.from == nil {
		body := bufio.NewReader(i.ReadCloser)
		var from io.Reader = body
		if !isText(body) {
			if from, err = i.open(body); err != nil {
				return 0, err
			}
		}
		i.from = from
	}
	return i.from.Read(b)
}

// isText reports whether a body that names a coding is in none: proxies pass on the header of an answer that they have inflated, as
// those do that are built upon fetch or httpx (https://github.com/freelensapp/freelens-ai-extension/issues/272,
// https://github.com/agentgateway/agentgateway/issues/3040, https://github.com/qualixar/superlocalmemory/pull/79). Each coding has other
// bytes than those of text among its first.
func isText(body *bufio.Reader) bool {
	const enough = 16
	head, _ := body.Peek(enough)
	head = bytes.TrimPrefix(head, []byte("\xEF\xBB\xBF"))
	return len(head) > 0 && !bytes.ContainsFunc(head, func(r rune) bool { return r < ' ' && !unicode.IsSpace(r) || r > unicode.MaxASCII })
}

// openDeflate reads zlib's format, which is what HTTP means by deflate, and the bare one of RFC 1951, which "some non-conformant
// implementations" send: RFC 9110, section 8.4.1.2.
func openDeflate(from *bufio.Reader) (io.Reader, error) {
	head, err := from.Peek(2)
	if len(head) < 2 {
		return nil, err
	}
	if head[0]&0xf == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 { // RFC 1950, section 2.2
		return zlib.NewReader(from)
	}
	return flate.NewReader(from), nil
}

// maxWindow is the largest window that zstd may have as an encoding of HTTP's, in bytes: see RFC 9659.
const maxWindow = 8 << 20

func openZstd(from *bufio.Reader) (io.Reader, error) {
	// One that decodes by itself has nothing to be closed.
	return zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
}

// members are those of a gzip, one after the other. What follows the last one is no part of it.
type members struct {
	*gzip.Reader
	from *bufio.Reader
}

func openGzip(from *bufio.Reader) (io.Reader, error) {
	first, err := gzip.NewReader(from)
	if err != nil {
		return nil, err
	}
	first.Multistream(false)
	return &members{first, from}, nil
}

func (m *members) Read(b []byte) (n int, err error) {
	for n == 0 && err == nil && len(b) > 0 {
		if n, err = m.Reader.Read(b); errors.Is(err, io.EOF) {
			err = m.next()
		}
	}
	return n, err
}

// next goes on to the member that follows; io.EOF where none does.
func (m *members) next() error {
	head, err := m.from.Peek(len(gzipMagic))
	switch {
	case string(head) == gzipMagic:
		err = m.Reset(m.from)
		m.Multistream(false)
	case err == nil:
		err = io.EOF
	}
	return err
}

// gzipMagic begins each member: RFC 1952, section 2.3.1.
const gzipMagic = "\x1f\x8b"
