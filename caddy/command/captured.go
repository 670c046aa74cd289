package command

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"os"
	"strconv"
	"strings"
)

// maxCaptured bounds a captured message, or a body that is to be signed, in bytes.
const maxCaptured = 32 << 20

// maxFirstLine bounds the line with the target, in bytes.
const maxFirstLine = 64 << 10

// captured is a request or an answer in a file, as HTTP/1.1 writes it (RFC 9112).
type captured struct {
	first  string
	header http.Header
	body   []byte
	// notes say what of the file is not as it was on the wire.
	notes []string
}

// readCaptured reads a captured message. Lines of its head may end in LF alone; the
// body is what follows the first empty line, byte for byte, unless its header says
// that it is chunked, or shorter.
func readCaptured(option, file string) (captured, error) {
	text, err := readBounded(option, file)
	if err != nil {
		return captured{}, err
	}
	c, err := parseCaptured(text)
	if err != nil {
		return c, fmt.Errorf("%s: %w", option, err)
	}
	return c, nil
}

// readBounded reads the file that an option names. Others than regular ones are refused: a named pipe that is written by
// nothing would be waited for without an end, and a device may have none.
func readBounded(option, file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %s is no regular file; write what it holds into one", option, file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCaptured+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	if len(text) > maxCaptured {
		return nil, fmt.Errorf("%s: is larger than 32 MiB", option)
	}
	return text, nil
}

// byteOrderMark is what editors on Windows put before UTF-8.
const byteOrderMark = "\xEF\xBB\xBF"

func parseCaptured(text []byte) (c captured, err error) {
	if bytes.HasPrefix(text, []byte("\xFF\xFE")) || bytes.HasPrefix(text, []byte("\xFE\xFF")) {
		return c, errors.New("is text in UTF-16: write it as it was sent, byte for byte")
	}
	if rest, marked := bytes.CutPrefix(text, []byte(byteOrderMark)); marked {
		text, c.notes = rest, append(c.notes, "the file begins with a byte order mark, which is left out")
	}
	source := bufio.NewReader(bytes.NewReader(text))
	reader := textproto.NewReader(source)
	if line, _, _ := bytes.Cut(text, []byte("\n")); len(line) > maxFirstLine {
		return c, fmt.Errorf("its first line is longer than %d KiB", maxFirstLine>>10)
	}
	if c.first, err = reader.ReadLine(); err != nil {
		return c, errors.New("is empty")
	}
	header, err := reader.ReadMIMEHeader()
	if errors.Is(err, io.EOF) && header != nil {
		err = nil // no body, and no empty line either
	}
	if err != nil {
		return c, errors.New("its head is no HTTP: write each field as Name: value, and an empty line before the body")
	}
	c.header = http.Header(header)
	rest := io.Reader(source)
	if strings.EqualFold(c.header.Get("Transfer-Encoding"), "chunked") {
		rest = httputil.NewChunkedReader(source)
	}
	if c.body, err = io.ReadAll(rest); err != nil {
		return c, errors.New("its body is not chunked as Transfer-Encoding says")
	}
	if encoding := c.header.Get("Content-Encoding"); encoding != "" {
		c.notes = append(c.notes, fmt.Sprintf("the body is taken as it is, in Content-Encoding %.40q", encoding))
	}
	length, err := strconv.Atoi(c.header.Get("Content-Length"))
	switch {
	case err != nil && c.header.Get("Content-Length") != "":
		c.notes = append(c.notes, "Content-Length is no number of bytes")
	case err != nil || length < 0 || length == len(c.body):
	case length < len(c.body):
		c.notes = append(c.notes, fmt.Sprintf("the file goes on after the %d bytes of Content-Length; those after them are left out", length))
		c.body = c.body[:length]
	default:
		c.notes = append(c.notes, fmt.Sprintf("Content-Length says %d bytes, and the body has %d: it is not as it was sent", length, len(c.body)))
	}
	return c, nil
}

// requestLine gives what is signed of the first line of a request.
func (c captured) requestLine() (method, target string, err error) {
	parts := strings.Split(c.first, " ")
	if len(parts) < 2 || len(parts) > 3 || len(parts) == 3 && !strings.HasPrefix(parts[2], "HTTP/") {
		return "", "", errors.New("does not begin with a line like POST /v1/chat/completions HTTP/1.1")
	}
	target = parts[1]
	if _, rest, ok := strings.Cut(target, "://"); ok && !strings.HasPrefix(target, "/") { // absolute-form
		if at := strings.IndexAny(rest, "/?"); at < 0 {
			target = "/"
		} else if target = rest[at:]; target[0] == '?' {
			target = "/" + target
		}
	}
	return parts[0], target, nil
}
