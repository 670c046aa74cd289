package outgoing

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http/httputil"
)

// chunks reads a body in chunks (RFC 9112, section 7.1). net/http's reader takes as long for
// the framing of a stream's short chunks as all else does that is made of them. This one
// reads chunks whose size stands alone on its line, as it mostly does. From the first on
// that is another, net/http's reads the rest, with its strictness.
//
// It gives what has come of several chunks together, and waits for nothing while it has
// something to give.
type chunks struct {
	r     *bufio.Reader
	left  int       // of the chunk's data
	begun bool      // the end of a chunk's data is to come
	last  bool      // the last chunk has come
	rest  io.Reader // net/http's, once it is needed
}

// Read implements [io.Reader].
func (c *chunks) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if c.last {
			return n, io.EOF
		}
		if c.rest != nil {
			m, err := c.rest.Read(p[n:])
			return n + m, err
		}
		if c.left == 0 {
			if ok, err := c.next(n == 0); !ok {
				return n, err
			}
			continue
		}
		if n > 0 && c.r.Buffered() == 0 {
			break
		}
		m, err := c.r.Read(p[n:min(len(p), n+c.left)])
		n, c.left = n+m, c.left-m
		if err != nil {
			return n, cut(err)
		}
	}
	return n, nil
}

var (
	errChunk = errors.New("outgoing: malformed chunked encoding")
	endLine  = []byte("\r\n")
	lastLine = []byte("0\r\n")
)

// next begins the next chunk. Without wait, ok says whether it has come.
func (c *chunks) next(wait bool) (ok bool, err error) {
	end := 0
	if c.begun {
		end = len(endLine)
	}
	if !wait && c.r.Buffered() <= end {
		return false, nil
	}
	head, err := c.r.Peek(end + 1)
	switch {
	case len(head) >= end && !bytes.HasPrefix(head, endLine[:end]):
		return false, errChunk
	case err != nil:
		return false, cut(err)
	}
	line, _ := c.r.Peek(c.r.Buffered())
	line = line[end:]
	size, length := plainSize(line)
	if c.last = bytes.HasPrefix(line, lastLine); c.last {
		length = len(lastLine)
	}
	if length == 0 && !wait {
		return false, nil
	}
	_, _ = c.r.Discard(end + length)
	if c.left, c.begun = size, true; length == 0 {
		c.rest = httputil.NewChunkedReader(c.r)
	}
	return true, nil
}

// plainSize reads a line with the size of a chunk and nothing else, and gives how long it is;
// zeros for what begins otherwise.
func plainSize(line []byte) (size, length int) {
	const digits = 7
	for i, c := range line[:min(len(line), digits+1)] {
		switch {
		case '0' <= c && c <= '9':
			size = size<<4 | int(c-'0')
		case 'a' <= c && c <= 'f':
			size = size<<4 | int(c-'a'+10)
		case 'A' <= c && c <= 'F':
			size = size<<4 | int(c-'A'+10)
		case size > 0 && bytes.HasPrefix(line[i:], endLine):
			return size, i + len(endLine)
		default:
			return 0, 0
		}
	}
	return 0, 0
}

// cut is the error of a body that ends before its last chunk.
func cut(err error) error {
	if err == io.EOF { //nolint:errorlint // a wrapped one is not the connection's end
		return io.ErrUnexpectedEOF
	}
	return err
}
