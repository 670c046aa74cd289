package outgoing

import (
	"bufio"
	"errors"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"
)

// readChunks reads a body in chunks, and what follows it.
func readChunks(from io.Reader, reader func(r *bufio.Reader) io.Reader) (body, after string, err error) {
	r := bufio.NewReaderSize(from, 64)
	read, err := io.ReadAll(reader(r))
	if err == nil {
		rest, _ := io.ReadAll(r)
		after = string(rest)
	}
	return string(read), after, err
}

// sameAsNetHTTP holds that a body is what net/http reads of it, however it comes.
func sameAsNetHTTP(t *testing.T, text string) {
	t.Helper()
	for name, arrives := range map[string]func(io.Reader) io.Reader{
		"at once":      func(r io.Reader) io.Reader { return r },
		"by the byte":  iotest.OneByteReader,
		"by halves":    iotest.HalfReader,
		"with its end": iotest.DataErrReader,
	} {
		want, after, wantErr := readChunks(arrives(strings.NewReader(text)), func(r *bufio.Reader) io.Reader { return httputil.NewChunkedReader(r) })
		got, rest, err := readChunks(arrives(strings.NewReader(text)), func(r *bufio.Reader) io.Reader { return &chunks{r: r} })
		if got != want || rest != after || (err == nil) != (wantErr == nil) || errors.Is(err, io.ErrUnexpectedEOF) != errors.Is(wantErr, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %q is read as %q, then %q, error %v; net/http reads %q, then %q, error %v", name, text, got, rest, err, want, after, wantErr)
		}
	}
}

var chunkedBodies = map[string]string{
	"one":                   "5\r\nhello\r\n0\r\n\r\n",
	"several":               "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n",
	"none":                  "0\r\n\r\n",
	"longer than a buffer":  "c8\r\n" + strings.Repeat("0123456789", 20) + "\r\n3\r\nend\r\n0\r\n\r\n",
	"capital digits":        "1A\r\n" + strings.Repeat("x", 26) + "\r\n0\r\n\r\n",
	"leading zeros":         "0005\r\nhello\r\n00\r\n\r\n",
	"many zeros":            "00000000000005\r\nhello\r\n0\r\n\r\n",
	"extensions":            "5;a=b\r\nhello\r\n5 \r\nworld\r\n0;c\r\n\r\n",
	"an extension later":    "5\r\nhello\r\n5;a=b\r\nworld\r\n3\r\nend\r\n0\r\n\r\n",
	"a trailer":             "5\r\nhello\r\n0\r\nX-Cost: 1\r\n\r\n",
	"what follows":          "5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	"bare LF after a size":  "5\nhello\r\n0\r\n\r\n",
	"bare LF after data":    "5\r\nhello\n0\r\n\r\n",
	"bare CR":               "5\rhello\r\n0\r\n\r\n",
	"longer than it says":   "5\r\nhello!\r\n0\r\n\r\n",
	"shorter than it says":  "6\r\nhello\r\n0\r\n\r\n",
	"no size":               "\r\nhello\r\n0\r\n\r\n",
	"no digits":             "g\r\nhello\r\n0\r\n\r\n",
	"a sign":                "+5\r\nhello\r\n0\r\n\r\n",
	"a prefix":              "0x5\r\nhello\r\n0\r\n\r\n",
	"a space before":        " 5\r\nhello\r\n0\r\n\r\n",
	"too many digits":       "10000000000000005\r\nhello\r\n0\r\n\r\n",
	"larger than it can be": "fffffff\r\nhello\r\n0\r\n\r\n",
	"nothing":               "",
	"cut in a size":         "5\r\nhello\r\n5",
	"cut after a size":      "5\r\nhello\r\n5\r\n",
	"cut in data":           "5\r\nhello\r\n5\r\nwor",
	"cut after data":        "5\r\nhello\r\n5\r\nworld",
	"cut in the end":        "5\r\nhello\r\n5\r\nworld\r",
	"cut and malformed":     "5\r\nhello00",
	"cut between chunks":    "5\r\nhello\r\n",
}

func TestChunksAreReadAsByNetHTTP(t *testing.T) {
	for name, text := range chunkedBodies {
		t.Run(name, func(t *testing.T) { sameAsNetHTTP(t, text) })
	}
}

func FuzzChunks(f *testing.F) {
	for _, text := range chunkedBodies {
		f.Add(text)
	}
	f.Fuzz(sameAsNetHTTP)
}

// arriving is what comes part by part. Its reader fails where it is asked for more than there is.
type arriving struct {
	t    *testing.T
	part string
}

func (a *arriving) Read(p []byte) (int, error) {
	if a.part == "" {
		a.t.Error("the reader waits although it has something to give")
		return 0, io.ErrNoProgress
	}
	n := copy(p, a.part)
	a.part = a.part[n:]
	return n, nil
}

// What has come of a stream must not wait for what has not.
func TestChunksDoNotWait(t *testing.T) {
	for name, parts := range map[string][]struct{ part, gives string }{
		"whole chunks":            {{"5\r\nhello\r\n", "hello"}, {"5\r\nworld\r\n", "world"}},
		"two at once":             {{"5\r\nhello\r\n5\r\nworld\r\n", "helloworld"}},
		"a part of the next":      {{"5\r\nhello\r\n5\r\nwo", "hellowo"}, {"rld\r\n", "rld"}},
		"a part of a size":        {{"5\r\nhello\r\n1", "hello"}, {"0\r\n" + strings.Repeat("x", 16) + "\r\n", strings.Repeat("x", 16)}},
		"a size alone":            {{"5\r\nhello\r\n5\r\n", "hello"}, {"world", "world"}},
		"no end of the data":      {{"5\r\nhello", "hello"}, {"\r\n5\r\nworld", "world"}},
		"half an end":             {{"5\r\nhello\r", "hello"}, {"\n5\r\nworld\r\n", "world"}},
		"an extension":            {{"5\r\nhello\r\n5;a=b\r\n", "hello"}, {"world\r\n", "world"}},
		"the last one in part":    {{"5\r\nhello\r\n0", "hello"}, {"\r\n", ""}},
		"the last one":            {{"5\r\nhello\r\n0\r\n", "hello"}},
		"the last one by itself":  {{"5\r\nhello\r\n", "hello"}, {"0\r\n", ""}},
		"data that is a size too": {{"5\r\n1\r\n2\r", "1\r\n2\r"}, {"\r\n1\r\nx\r\n", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			from := &arriving{t: t}
			c := &chunks{r: bufio.NewReader(from)}
			for i, step := range parts {
				from.part = step.part
				p := make([]byte, 100)
				n, err := c.Read(p)
				last := i == len(parts)-1 && strings.Contains(name, "the last one")
				if string(p[:n]) != step.gives || err != nil && !(last && errors.Is(err, io.EOF)) || last && err == nil {
					t.Fatalf("of %q comes %q, error %v; want %q", step.part, p[:n], err, step.gives)
				}
			}
		})
	}
}
