package alipayai_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/replay"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// panicking is a client's side that panics at one of its writes.
type panicking struct {
	http.ResponseWriter
	writes int // that go well
}

func (p *panicking) Write(b []byte) (int, error) {
	if p.writes--; p.writes < 0 {
		panic("broken middleware")
	}
	return p.ResponseWriter.Write(b)
}

func (p *panicking) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// fragile is OpenAI's own form, with a decoder that panics at one of its events.
type fragile struct {
	wire.Format
	events int // that it can read
}

func (fragile) Name() string { return wire.OpenAI }

func (fragile) EncodeRequest(ask wire.Ask) (wire.Encoded, error) {
	return wire.Encoded{Body: ask.Body}, nil
}

func (f fragile) DecodeStream(wire.Ask) wire.StreamDecoder { return &fragileDecoder{left: f.events} }

type fragileDecoder struct {
	chunks wire.ChunkReader
	left   int
}

func (d *fragileDecoder) Decode(dst []byte, ev wire.Event) ([]byte, wire.Chunk, error) {
	if d.left--; d.left < 0 {
		panic("broken decoder")
	}
	chunk, err := d.chunks.Read(ev)
	return append(dst, ev.Raw...), chunk, err
}

func (d *fragileDecoder) End(dst []byte) ([]byte, wire.Chunk, bool) { return dst, wire.Chunk{}, false }

// pausing is a stream whose events come one at a time.
func pausing(req *http.Request) (*http.Response, error) {
	resp, _ := wholeStream(req)
	resp.Body = &dripping{ctx: req.Context(), pause: time.Second, events: 4}
	return resp, nil
}

// What a panic breaks off before its end is no answer, and its key stays claimed: the call was served.
func TestPanicInAnAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		writes, events int
		body           string
		whole          bool
	}{
		"in the first write":      {0, 9, streamBody("hello"), false},
		"in a write":              {2, 9, streamBody("hello"), false},
		"in the last write":       {3, 9, streamBody("hello"), true},
		"in no write":             {4, 9, streamBody("hello"), true},
		"in decoding":             {9, 2, streamBody("hello"), false},
		"in decoding the first":   {9, 0, streamBody("hello"), false},
		"in the write of a whole": {0, 9, chatBody("hello"), true},
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Bubble(t, func(t *testing.T) {
				kept := &counting{Cache: replay.NewMemoryCache(time.Now).Within(64 << 20)}
				s := perform(t, [][]turn{{pausing}}, claiming, caching(func(a *alipayai.AnswerCache) { a.Cache = kept }))
				if test.body == chatBody("hello") {
					s.fails(good)
				} else {
					s.gateway.Providers[0].Format = fragile{events: test.events}
				}
				s.through = func(w http.ResponseWriter) http.ResponseWriter { return &panicking{w, test.writes} }
				s.call(test.body, keyed...)
				s.through = nil
				got := s.call(test.body, keyed...)
				if test.whole {
					wantHeader(t, got, "Idempotent-Replayed", "true")
				} else {
					wantError(t, got, http.StatusConflict, failure.CodeIdempotencyUnresolved)
				}
				s.wantCalls(1)
				if (kept.puts == 1) != test.whole {
					t.Errorf("%d answers were cached", kept.puts)
				}
			})
		})
	}
}
