package outgoing

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// readPlain reads the head of an answer into resp as [http.ReadResponse] does, and has
// body read what follows it, with two allocations instead of eleven. It does so for
// what upstreams usually send, and reports false, with nothing read, for all that takes
// more thought: a head that has not come whole, a line that does not end in CRLF, and
// each framing but one Content-Length or one Transfer-Encoding of chunked. Those get
// net/http's strictness.
func readPlain(r *bufio.Reader, resp *http.Response, body *plainBody) bool {
	buffered, _ := r.Peek(r.Buffered())
	end := bytes.Index(buffered, endOfHead)
	if end < 0 {
		return false
	}
	head := string(buffered[:end]) // one string for all
	line, rest, _ := strings.Cut(head, "\r\n")
	if !readStatus(line, resp) {
		return false
	}
	header, length, ok := body.readFields(rest, resp)
	if !ok {
		return false
	}
	_, _ = r.Discard(end + len(endOfHead))
	resp.Header, resp.ContentLength = header, length
	body.r, body.resp, body.left = r, resp, length
	switch {
	case length < 0:
		body.encoding = [1]string{chunkedEncoding}
		resp.TransferEncoding = body.encoding[:]
		body.chunks = chunks{r: r}
		resp.Body = body
	case length == 0:
		resp.Body = http.NoBody
	default:
		resp.Body = body
	}
	return true
}

var endOfHead = []byte("\r\n\r\n")

const chunkedEncoding = "chunked"

// readStatus reads a status line of HTTP/1.1, but for the statuses that have no body.
func readStatus(line string, resp *http.Response) bool {
	const proto = "HTTP/1.1"
	status, ok := strings.CutPrefix(line, proto+" ")
	if !ok || len(status) < len("200 ") || status[0] < '2' || status[0] > '5' || status[3] != ' ' || !httpguts.ValidHeaderFieldValue(status) {
		return false
	}
	code, err := strconv.Atoi(status[:3])
	if err != nil || code == http.StatusNoContent || code == http.StatusNotModified {
		return false
	}
	resp.Proto, resp.ProtoMajor, resp.ProtoMinor = proto, 1, 1
	resp.Status, resp.StatusCode = status, code
	return true
}

// readFields reads the lines of a header, with its values in b if they fit. length is
// that of the body, or -1 for chunks.
func (b *plainBody) readFields(lines string, resp *http.Response) (h http.Header, length int64, ok bool) {
	if resp.Request != nil && resp.Request.Method == http.MethodHead {
		return nil, 0, false
	}
	fields := strings.Count(lines, "\r\n") + 1
	if b.header == nil {
		b.header = make(http.Header, fields)
	}
	h = b.header
	clear(h)
	values := b.values[:] // one array for all
	if fields > len(values) {
		values = make([]string, fields)
	}
	framed := false
	for i := range fields {
		var line string
		line, lines, _ = strings.Cut(lines, "\r\n")
		name, value, found := strings.Cut(line, ":")
		if !found || !httpguts.ValidHeaderFieldName(name) {
			return nil, 0, false
		}
		name, value = textproto.CanonicalMIMEHeaderKey(name), strings.Trim(value, " \t")
		if !httpguts.ValidHeaderFieldValue(value) {
			return nil, 0, false
		}
		switch name {
		case "Content-Length", "Transfer-Encoding":
			if framed {
				return nil, 0, false
			}
			framed = true
			if name == "Transfer-Encoding" {
				if length = -1; value != chunkedEncoding {
					return nil, 0, false
				}
				continue
			}
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil {
				return nil, 0, false
			}
			length = int64(n)
		case "Connection":
			if value != "keep-alive" {
				return nil, 0, false
			}
		case "Trailer", "Pragma":
			return nil, 0, false
		}
		if former := h[name]; former != nil {
			h[name] = append(former, value)
			continue
		}
		values[i] = value
		h[name] = values[i : i+1 : i+1]
	}
	return h, length, framed
}

// plainBody reads the body of an answer whose head readPlain has read.
type plainBody struct {
	r      *bufio.Reader
	resp   *http.Response
	left   int64  // of a body with a length
	chunks chunks // of one without
	header http.Header
	values [8]string // of the header; most have six

	encoding [1]string // of the answer, for one in chunks
}

// Read implements [io.Reader] as net/http's bodies do: the end comes with the last bytes.
func (b *plainBody) Read(p []byte) (int, error) {
	if b.chunks.r != nil {
		n, err := b.chunks.Read(p)
		if err == io.EOF { //nolint:errorlint // a wrapped one is not the last chunk's
			err = b.readTrailer()
		}
		return n, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	switch b.left -= int64(n); {
	case b.left == 0:
		err = io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close implements [io.Closer]; the exchange closes the connection.
func (b *plainBody) Close() error { return nil }

var errTrailer = errors.New("outgoing: the answer's trailer is cut or too long")

// readTrailer reads what follows the last chunk, and gives io.EOF after it. A trailer has
// to fit the reader's buffer, as net/http has it.
func (b *plainBody) readTrailer() error {
	switch next, _ := b.r.Peek(2); {
	case string(next) == "\r\n":
		_, _ = b.r.Discard(2)
		return io.EOF
	case len(next) < 2:
		return errTrailer
	}
	for size := len(endOfHead); ; size++ {
		next, err := b.r.Peek(size)
		if bytes.HasSuffix(next, endOfHead) {
			break
		}
		if err != nil {
			return errTrailer
		}
	}
	trailer, err := textproto.NewReader(b.r).ReadMIMEHeader()
	if err != nil {
		return errTrailer
	}
	if b.resp.Trailer == nil {
		b.resp.Trailer = make(http.Header)
	}
	maps.Copy(b.resp.Trailer, http.Header(trailer))
	return io.EOF
}
