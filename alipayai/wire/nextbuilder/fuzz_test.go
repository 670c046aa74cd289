package nextbuilder

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

func FuzzEncodeRequest(f *testing.F) {
	for _, body := range []string{
		`{"model":"m","messages":[` + hello + `]}`,
		`{"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}],"metadata":{"session_id":"s"}}`,
		`{"messages":[{"role":"user","content":"a","x":{}}],"temperature":1.00,"tools":[],"é":0}`,
		`{"messages":[{"role":"user","content":"\ud800"}]}`, `{"messages":[[[[`, `[]`, ``,
	} {
		f.Add([]byte(body), "acme", "call-1")
	}
	f.Fuzz(func(t *testing.T, body []byte, tenant, id string) {
		before := string(body)
		encoded, err := format.EncodeRequest(wire.Ask{Request: wire.Request{Body: body}, Tenant: tenant, ID: id})
		if string(body) != before {
			t.Fatal("the client's body was changed")
		}
		if err != nil {
			if _, ok := errors.AsType[*wire.RequestError](err); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		var s sent
		if err := json.Unmarshal(encoded.Body, &s); err != nil {
			t.Fatalf("%v in %s", err, encoded.Body)
		}
		if strings.TrimSpace(s.Query) == "" || len(s.OuterUserID) != 32 || len(s.SessionID) != 36 {
			t.Fatalf("sent %+v", s)
		}
		if !slices.IsSorted(encoded.Unsupported) || len(slices.Compact(slices.Clone(encoded.Unsupported))) != len(encoded.Unsupported) {
			t.Fatalf("unsupported %q", encoded.Unsupported)
		}
		for _, name := range encoded.Unsupported {
			if len(name) > len("messages.")+64 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Fatalf("unsupported %q", name)
			}
		}
	})
}

// FuzzDecode reads any stream, in one piece, in pieces, and as one answer, and compares.
func FuzzDecode(f *testing.F) {
	for i, stream := range []string{
		thought + hi + end, hi + broken + end, broken, end, strings.ReplaceAll(hi+end, "\n", "\r"), hi + "event: end\r\n\r\n" + hi,
		event(`{"type":"text","payload":{"content":"用"}}`) + event(`{"type":"x"}`) + event(`{"type":"end","usage":{"prompt_tokens":1}}`),
		event(`{"type":"text","payload":"{}"}`) + event("[DONE]"), `{"code":"SYSTEM_ERROR"}`, "data: {\ndata: }\n\n",
	} {
		f.Add([]byte(stream), uint64(i))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		want := translate(bytes.NewReader(stream), someAsk())
		for name, r := range map[string]io.Reader{
			"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
			"in pieces":    &pieces{rest: stream, rnd: rand.New(rand.NewPCG(seed, 0))},
		} {
			if got := translate(r, someAsk()); !same(got, want) {
				t.Fatalf("%s\n got %+v\nwant %+v", name, got, want)
			}
		}
		text, thinking, finish, done := readStream(t, want.out)
		spoke := text != "" || thinking != ""
		if done != want.done || finish != want.finish || spoke != want.content || (finish != "") != (done && spoke) {
			t.Fatalf("%+v", want)
		}
		if bytes.HasPrefix(bytes.TrimLeft(stream, " \t\r\n"), []byte("{")) {
			return // read as JSON where an answer is asked for
		}
		compareAnswer(t, stream, want, text, thinking)
	})
}

// compareAnswer reads stream as one answer, which must say what its translation event by event says.
func compareAnswer(t *testing.T, stream []byte, want translation, text, thinking string) {
	t.Helper()
	body, answer, err := format.DecodeAnswer(stream, someAsk())
	switch {
	case want.err != nil:
		if !errors.Is(err, wire.ErrMalformed) || body != nil {
			t.Fatalf("%s, %v, but the stream says %v", body, err, want.err)
		}
	case want.failure != nil:
		if err != nil || answer.Failure == nil || *answer.Failure != *want.failure || body != nil {
			t.Fatalf("%s, %+v, %v, but the stream says %+v", body, answer, err, want.failure)
		}
	default:
		var c completion
		if err != nil || json.Unmarshal(body, &c) != nil {
			t.Fatalf("%v in %s", err, body)
		}
		var gotText, gotThinking string
		if len(c.Choices) > 0 {
			gotText, gotThinking = c.Choices[0].Message.Content, c.Choices[0].Message.Reasoning
		}
		if gotText != text || gotThinking != thinking || answer.Usage != want.usage || answer.FinishReason != want.finish {
			t.Fatalf("%s, %+v\nbut the stream says %+v", body, answer, want)
		}
	}
}

// pieces reads in pieces of random sizes.
type pieces struct {
	rest []byte
	rnd  *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), 1+p.rnd.IntN(9))], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// FuzzRoundTrip puts words into each form of a payload, and reads them back.
func FuzzRoundTrip(f *testing.F) {
	for _, words := range []string{"hi", `{"text":"x"}`, "", "用😀\n\x00\u2028", "data: x\n\n", "[DONE]", "{", `"`} {
		f.Add(words)
	}
	f.Fuzz(func(t *testing.T, words string) {
		words = strings.ToValidUTF8(words, "\uFFFD")
		quote := func(v any) string {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		forms := map[string]string{
			"object":             quote(map[string]string{"text": words}),
			"object in a string": quote(quote(map[string]string{"content": words})),
		}
		if !strings.HasPrefix(strings.TrimSpace(words), "{") {
			forms["string"] = quote(words)
		}
		for name, payload := range forms {
			stream := event(`{"type":"text","payload":`+payload+`}`) + event(`{"payload":`+payload+`,"type":"thinking"}`) + end
			got := translate(strings.NewReader(stream), someAsk())
			if text, thinking, _, done := readStream(t, got.out); text != words || thinking != words || !done {
				t.Errorf("%s: text %q, thinking %q, done %t, want %q\n%+v", name, text, thinking, done, words, got)
			}
		}
	})
}
