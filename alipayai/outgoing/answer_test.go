package outgoing

import (
	"bufio"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// readAs reads an answer and what its caller sees of it. plainly says which reader reads the head.
func readAs(t *testing.T, wire io.Reader, plainly bool) (s seen, rest string, read bool) {
	t.Helper()
	r := bufio.NewReaderSize(wire, 4<<10)
	req := &http.Request{Method: http.MethodPost}
	if _, err := r.Peek(1); err != nil {
		return s, "", false
	}
	var resp *http.Response
	if plainly {
		resp = &http.Response{Request: req}
		if !readPlain(r, resp, new(plainBody)) {
			return s, "", false
		}
	} else {
		var err error
		if resp, err = http.ReadResponse(r, req); err != nil {
			return s, "", false
		}
	}
	body, err := io.ReadAll(iotest.OneByteReader(resp.Body))
	s.Body, s.BodyFailed, s.BodyTruncated = string(body), err != nil, err == io.ErrUnexpectedEOF //nolint:errorlint // that it is not wrapped counts
	s.Status, s.Proto, s.Header, s.Trailer, s.Length = resp.Status, resp.Proto, resp.Header, resp.Trailer, resp.ContentLength
	s.Encoding, s.Close, s.Uncompressed = resp.TransferEncoding, resp.Close, resp.Uncompressed
	left, _ := io.ReadAll(r)
	return s, string(left), true
}

// Whatever is read plainly is read as net/http reads it, and leaves the same of what follows: no answer can be framed so that the
// two see another end of it. What is not read plainly has not been touched.
func FuzzReadPlain(f *testing.F) {
	for _, answer := range answers {
		f.Add(answer, "HTTP/1.1 200 OK\r\n")
	}
	for _, head := range framings {
		f.Add(head, "after")
	}
	f.Fuzz(func(t *testing.T, answer, after string) {
		wire := answer + after
		got, gotRest, ok := readAs(t, strings.NewReader(wire), true)
		if !ok {
			r := bufio.NewReader(strings.NewReader(wire))
			_, _ = r.Peek(1)
			_ = readPlain(r, new(http.Response), new(plainBody))
			if left, _ := io.ReadAll(r); string(left) != wire {
				t.Errorf("%q is not read plainly, but of it is left %q", wire, left)
			}
			return
		}
		want, wantRest, ok := readAs(t, strings.NewReader(wire), false)
		if !ok {
			t.Fatalf("%q is read as\n%+v\nand refused by net/http", wire, got)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as\n%+v\nand by net/http\n%+v", wire, got, want)
		}
		if gotRest != wantRest && !got.BodyFailed {
			t.Errorf("%q leaves %q, and by net/http %q", wire, gotRest, wantRest)
		}
	})
}

// framings are heads that say, or seem to say, how long what follows is.
var framings = map[string]string{
	"one length":               "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
	"chunks":                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"chunks and a trailer":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
	"a kept connection":        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n",
	"two equal lengths":        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
	"two lengths in one":       "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
	"a signed length":          "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
	"a long length":            "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
	"a length and chunks":      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks and a length":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
	"chunks twice":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks in capitals":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
	"chunks of something":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"a length after a bare LF": "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
	"a head that ends in LFs":  "HTTP/1.1 200 OK\nContent-Length: 5\n\nwhole\r\nContent-Length: 6\r\n\r\n",
	"a bare CR":                "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 6\r\nContent-Length: 5\r\n\r\n",
	"a folded length":          "HTTP/1.1 200 OK\r\nA: b\r\n Content-Length: 6\r\nContent-Length: 5\r\n\r\n",
	"a space before a colon":   "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
	"a name in lower case":     "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: 1\r\nX-A: 2\r\n\r\n",
	"NUL":                      "HTTP/1.1 200 OK\r\nA: \x00\r\nContent-Length: 5\r\n\r\n",
	"no framing":               "HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
	"the end of connection":    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
	"another connection":       "HTTP/1.1 200 OK\r\nConnection: keep-alive, Content-Length\r\nContent-Length: 5\r\n\r\n",
	"an announced trailer":     "HTTP/1.1 200 OK\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
	"a bad trailer":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA b\r\n\r\n",
	"an end without a trailer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
	"no reason":                "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n",
	"an empty reason":          "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n",
	"no content":               "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
	"nothing new":              "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
	"another status":           "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\n",
	"a later version":          "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\n",
	"half a head":              "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
}

// What is unusual in how it is framed is left to net/http, and what is usual is not.
func TestReadPlain(t *testing.T) {
	plain := map[string]bool{
		"one length": true, "chunks": true, "chunks and a trailer": true, "a kept connection": true, "a name in lower case": true,
		"a bad trailer": true, "an end without a trailer": true, "an empty reason": true,
	}
	for name, head := range framings {
		t.Run(name, func(t *testing.T) {
			if _, _, ok := readAs(t, strings.NewReader(head+"whole"), true); ok != plain[name] {
				t.Errorf("%q read plainly: %v, want %v", head, ok, plain[name])
			}
		})
	}
}

// However the bytes arrive, what is read of them is the same.
func TestReadPlainPiecemeal(t *testing.T) {
	for name, head := range framings {
		t.Run(name, func(t *testing.T) {
			whole, rest, ok := readAs(t, strings.NewReader(head+"whole"), true)
			if !ok {
				return
			}
			// The head has to be there at once; what follows need not.
			end := strings.Index(head, "\r\n\r\n") + len("\r\n\r\n")
			pieces := io.MultiReader(strings.NewReader(head[:end]), iotest.OneByteReader(strings.NewReader(head[end:]+"whole")))
			got, gotRest, ok := readAs(t, pieces, true)
			if !ok || !reflect.DeepEqual(got, whole) || gotRest != rest {
				t.Errorf("%q in pieces: %+v and %q, want %+v and %q", head, got, gotRest, whole, rest)
			}
		})
	}
}
