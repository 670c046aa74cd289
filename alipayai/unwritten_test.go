package alipayai_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// resetClient is a client that has left, of which the server still reads what it was to have.
type resetClient struct {
	discard
	unwritten []byte
}

func (c *resetClient) Write(b []byte) (int, error) {
	c.unwritten = b
	return 0, errors.New("the stream was reset")
}

// What could not be written to a client may still be read, and nothing is written over it.
func TestWhatCouldNotBeWrittenStays(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	message := func(w http.ResponseWriter, said string) {
		body := `{"model":"alipay-fin-1","max_tokens":100,"messages":[{"role":"user","content":"` + strings.Repeat(said, 1000) + `"}]}`
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://gateway/v1/messages", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		serve(r.gateway, w, req, "acme")
		r.outcome()
	}
	left := &resetClient{discard: discard{header: make(http.Header)}}
	message(left, "a")
	if len(left.unwritten) == 0 {
		t.Fatal("nothing was to be written")
	}
	before := bytes.Clone(left.unwritten)
	for range 20 {
		message(&discard{header: make(http.Header)}, "b")
	}
	if !bytes.Equal(left.unwritten, before) {
		t.Error("another answer was written over it")
	}
}
