package alipayai_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/price"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/anthropic"
	"github.com/caddy-alipayai/gateway/alipayai/wire/nextbuilder"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// wholeStreams are answers that say "hello", of each format.
var wholeStreams = map[string]struct {
	format wire.Format
	body   string
}{
	"openai": {
		nil,
		": begins\n\n" +
			`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n" +
			`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"he"},"finish_reason":null}]}` + "\n\n" +
			`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"llo"},"finish_reason":null}]}` + "\n\n" +
			`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
			"data: [DONE]\n\n",
	},
	"anthropic": {
		new(anthropic.Format),
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"c\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n" +
			"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
			"event: ping\ndata: {\"type\":\"ping\"}\n\n" +
			"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"he\"}}\n\n" +
			"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"llo\"}}\n\n" +
			"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n" +
			"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n" +
			"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
	},
	"nextbuilder": {
		nextbuilder.Format{AgentID: "agent"},
		"data: {\"type\":\"text\",\"payload\":\"{\\\"text\\\":\\\"he\\\"}\"}\n\n" +
			"data: {\"type\":\"text\",\"payload\":\"{\\\"text\\\":\\\"llo\\\"}\"}\n\n" +
			"event: end\ndata: {\"type\":\"end\"}\n\n",
	},
}

// cutStream answers with a stream that ends so.
func cutStream(body string, end error, byByte bool) turn {
	return func(req *http.Request) (*http.Response, error) {
		resp, err := says(http.StatusOK, "", "Content-Type", "text/event-stream")(req)
		var all io.Reader = strings.NewReader(body)
		if byByte {
			all = iotest.OneByteReader(all)
		}
		resp.Body = io.NopCloser(io.MultiReader(all, iotest.ErrReader(end)))
		return resp, err
	}
}

// How a stream may end for its client.
const (
	asFailure = iota
	asBroken
	asWhole
)

// Wherever the connection of a stream ends, between two events or in the middle of a byte's way, its client gets an answer of one provider
// that is whole, or one that is seen to be broken off, or a failure; and the more has come, the more it gets. The call settles
// once, and is charged once; a repeat with its key asks no provider again for what may have executed.
func TestStreamsThatEndAtEachByte(t *testing.T) {
	const text = "hello"
	ends := map[string]error{"at its end": io.EOF, "in a chunk": io.ErrUnexpectedEOF, "by a reset": syscall.ECONNRESET}
	for door, f := range fronts {
		for name, format := range wholeStreams {
			for how, end := range ends {
				if door != "chat" && (name == "nextbuilder" || errors.Is(end, io.ErrUnexpectedEOF)) {
					continue // what decodes a format is the same at each door
				}
				t.Run(fmt.Sprintf("%s, %s, %s", door, name, how), func(t *testing.T) {
					testwait.Bubble(t, func(t *testing.T) {
						reached := asFailure
						for n := range len(format.body) + 1 {
							l := new(lines)
							s := perform(t, [][]turn{{cutStream(format.body[:n], end, n%2 == 0)}}, claiming, spends(l, alipayPrice(), daily(100*price.Unit)),
								first(func(p *upstream.Provider) {
									if p.Format = format.format; format.format != nil {
										p.Profile.Format = format.format.Name()
									}
								}))
							body := f.body("how much?", true)
							got := s.callAt(t.Context(), f.path, body, keyed...)
							as := f.endedAs(t, got, text)
							if as < min(reached, asBroken) || n == len(format.body) && as != asWhole {
								t.Errorf("%d bytes: %d after %d: %q", n, as, reached, got.body)
							}
							reached = as
							if o := <-s.seen.settled; len(s.seen.settled) != 0 || o.Aborted != (as == asBroken) || (o.Code == "") != (as == asWhole) {
								t.Errorf("%d bytes: outcome %+v, and %d others", n, o, len(s.seen.settled))
							}
							if all := l.taken(); len(all) != 1 {
								t.Errorf("%d bytes: charged %d times: %+v", n, len(all), all)
							}
							before := s.scripts[0].count()
							again := s.callAt(t.Context(), f.path, body, keyed...)
							switch {
							case as == asWhole:
								wantReplayed(t, again, got, "0")
							case !strings.Contains(again.body, failure.CodeIdempotencyUnresolved) && again.status != http.StatusConflict:
								t.Errorf("%d bytes: repeated: %d %s", n, again.status, again.body)
							}
							if before != 1 || s.scripts[0].count() != 1 {
								t.Errorf("%d bytes: %d requests, then %d", n, before, s.scripts[0].count())
							}
							if t.Failed() {
								t.Fatalf("of %q", format.body[:n])
							}
						}
					})
				})
			}
		}
	}
}

// endedAs checks what a client got, and gives how it ended.
func (f front) endedAs(t *testing.T, got reply, text string) int {
	t.Helper()
	if got.status != http.StatusOK {
		if message, err := f.error([]byte(got.body)); message == "" || err != nil || got.err != nil {
			t.Errorf("%d, ends with %v: %s (%v)", got.status, got.err, got.body, err)
		}
		return asFailure
	}
	s := f.events(t, got)
	if len(s.ids) != 1 || s.done == (s.failed != "") || s.done != (got.err == nil) {
		t.Errorf("ends with %v: %+v", got.err, s)
	}
	if s.done {
		if s.content != text || s.finish != 1 {
			t.Errorf("answered %+v", s)
		}
		return asWhole
	}
	if s.content == "" || !strings.HasPrefix(text, s.content) {
		t.Errorf("answered %+v", s)
	}
	return asBroken
}

// An event is as large as an answer may be, at every door.
func TestLargeEventsAtEveryDoor(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 3<<16/2) // more than wire.MaxEventBytes
	for name, f := range fronts {
		t.Run(name, func(t *testing.T) {
			body := `data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}]}` + "\n\n" +
				`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
			s := perform(t, [][]turn{{cutStream(body, io.EOF, false)}})
			if got := s.callAt(t.Context(), f.path, f.body("how much?", true)); f.endedAs(t, got, text) != asWhole {
				t.Errorf("%d, ends with %v, %d bytes", got.status, got.err, len(got.body))
			}
		})
	}
}
