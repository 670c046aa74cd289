package anthropic

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// seed adds the files of testdata that match.
func seed(f *testing.F, pattern string, add func(content []byte)) {
	files, _ := filepath.Glob(filepath.Join("testdata", pattern))
	if len(files) == 0 {
		f.Fatalf("no files match %s", pattern)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		add(content)
	}
}

// FuzzEncodeRequest holds that what the gateway accepts is translated or refused, and that a translation from which
// nothing was left out says the same.
func FuzzEncodeRequest(f *testing.F) {
	seed(f, "requests/*.openai.json", func(content []byte) { f.Add(content) })
	for _, body := range conversations(f) {
		f.Add([]byte(body))
	}
	f.Add([]byte(`{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"","type":"custom"}]},7,{"role":"tool","tool_call_id":""}],"tool_choice":{"type":"function"},"stop":[" "],"thinking":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := wire.ParseChatRequest(body, wire.Limits{})
		if err != nil {
			return
		}
		before := bytes.Clone(body)
		encoded, err := format().EncodeRequest(wire.Ask{Request: r, UpstreamModel: "claude", Tenant: "acme"})
		if !bytes.Equal(before, body) {
			t.Fatal("the client's body was written to")
		}
		if err != nil {
			if _, ok := errors.AsType[*wire.RequestError](err); !ok {
				t.Fatalf("err = %v", err)
			}
			return
		}
		if v := jsontext.Value(encoded.Body); !v.IsValid() || v.Kind() != '{' {
			t.Fatalf("not a JSON object: %s", encoded.Body)
		}
		for _, name := range encoded.Unsupported {
			if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("a name that no header can hold: %q", name)
			}
		}
		if len(encoded.Unsupported) == 0 {
			checkMeaning(t, body, encoded.Body)
		}
	})
}

// FuzzDecodeAnswer holds that an answer is malformed, a failure, or one that OpenAI's clients can read.
func FuzzDecodeAnswer(f *testing.F) {
	seed(f, "answers/*.anthropic.json", func(content []byte) { f.Add(content) })
	f.Add([]byte(`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		out, answer, err := format().DecodeAnswer(body, wire.Ask{})
		if err != nil || answer.Failure != nil {
			if out != nil || err != nil && !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("out %s, err %v", out, err)
			}
			return
		}
		answer.Usage.Implausible = false // what cannot be counted is not translated
		// OpenAI's form has no name for these.
		answer.Usage.WrittenHour, answer.Usage.Searches, answer.Usage.Tier = 0, 0, ""
		if again, err := wire.ParseBody(out, wire.Limits{}); err != nil || again != answer {
			t.Fatalf("reads as %+v, %v; want %+v: %s", again, err, answer, out)
		}
	})
}

// pieces reads b in pieces of the sizes that cuts gives, over and over.
type pieces struct {
	b    []byte
	cuts []byte
	n    int
}

func (p *pieces) Read(dst []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	size := 1
	if len(p.cuts) > 0 {
		size += int(p.cuts[p.n%len(p.cuts)])
		p.n++
	}
	n := copy(dst, p.b[:min(size, len(p.b))])
	p.b = p.b[n:]
	return n, nil
}

// FuzzDecodeStream holds that how a stream is split makes no difference, and that what looks whole is.
func FuzzDecodeStream(f *testing.F) {
	seed(f, "streams/*.anthropic.txt", func(content []byte) { f.Add(content, []byte{0, 7, 100}) })
	f.Add([]byte(stream(messageStart, toolStart, toolDelta, blockStop, messageDelta, messageStop)), []byte{3})
	f.Add([]byte(stream(messageStart, thinkingStart, `{"type":"error"}`)), []byte{})
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		ask := wire.Ask{Request: wire.Request{IncludeUsage: true}}
		whole := decodeStream(bytes.NewReader(in), ask)
		checkSame(t, decodeStream(&pieces{b: in, cuts: cuts}, ask), whole)
		finished := 0
		for i, chunk := range whole.chunks {
			if chunk.Done {
				finished++
			}
			if chunk.Failure != nil && (chunk.Done || chunk.Content) {
				t.Errorf("chunk %d is a failure and more: %+v", i, chunk)
			}
		}
		if strings.Count(whole.out, "data: [DONE]\n\n") != finished || finished > 1 {
			t.Errorf("%d ends in %s", finished, whole.out)
		}
		events := wire.NewEventReader(strings.NewReader(whole.out), 1<<24)
		defer events.Release()
		for {
			ev, err := events.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("the translation is cut: %v", err)
				}
				return
			}
			chunk, err := wire.ParseEvent(ev)
			if err != nil || chunk.Failure != nil || ev.Data == nil {
				t.Fatalf("%+v, %v in %s", chunk, err, ev.Raw)
			}
		}
	})
}

// FuzzStreamIsAnswer holds that the text of a stream is the text that was streamed, however it is cut into deltas.
func FuzzStreamIsAnswer(f *testing.F) {
	f.Add("hello, 日本\n\"\\", uint(3))
	f.Fuzz(func(t *testing.T, text string, step uint) {
		text = strings.ToValidUTF8(text, "\uFFFD")
		events := []string{messageStart, textStart}
		runes := []rune(text)
		for len(runes) > 0 {
			n := min(int(step%7)+1, len(runes))
			events = append(events, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":`+string(translate.Quote(nil, string(runes[:n])))+`}}`)
			runes = runes[n:]
		}
		streamed := decodeStream(strings.NewReader(stream(append(events, blockStop, messageDelta, messageStop)...)), wire.Ask{})
		if !streamed.done() {
			t.Fatal(streamed.err)
		}
		if got := contentOf(t, streamed.out); got != text {
			t.Errorf("streamed %q, got %q", text, got)
		}
	})
}
