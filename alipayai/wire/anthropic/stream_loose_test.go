package anthropic

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestLooseStreams has streams of servers that are not exact about where a message or a block begins and ends: what they say
// is whole.
func TestLooseStreams(t *testing.T) {
	next := func(event string) string { return strings.Replace(event, `"index":0`, `"index":1`, 1) }
	fourth := func(event string) string { return strings.Replace(event, `"index":0`, `"index":4`, 1) }
	bare := func(event string) string { return strings.Replace(event, `"index":0,`, "", 1) }
	tool := strings.Replace(toolStart, `"input":{}`, `"input":{"x":1}`, 1)
	for name, events := range map[string][]string{
		"a message begins twice":              {messageStart, messageStart, tool, blockStop, next(textStart), next(textDelta), next(blockStop)},
		"a message begins again, barely":      {messageStart, `{"type":"message_start"}`, tool, blockStop, next(textStart), next(textDelta), next(blockStop)},
		"a block ends twice":                  {messageStart, tool, blockStop, blockStop, next(textStart), next(textDelta), next(blockStop)},
		"a block ends where the next begins":  {messageStart, tool, next(textStart), next(textDelta), next(blockStop)},
		"the last block ends with the answer": {messageStart, tool, blockStop, next(textStart), next(textDelta)},
		"a tool ends with the answer":         {messageStart, textStart, textDelta, blockStop, next(tool)},
		"the message does not begin":          {tool, blockStop, next(textStart), next(textDelta), next(blockStop)},
		"all blocks have one index":           {messageStart, tool, blockStop, textStart, textDelta, blockStop},
		"blocks have no index":                {messageStart, bare(tool), bare(blockStop), bare(textStart), bare(textDelta), bare(blockStop)},
		// https://github.com/QuantumNous/new-api/issues/5482, https://github.com/NousResearch/hermes-agent/issues/45908
		"a block ends that never began": {messageStart, tool, blockStop, next(blockStop), fourth(textStart), fourth(textDelta), next(blockStop), fourth(blockStop)},
		// https://github.com/ankitcharolia/kiro-gateway/issues/74
		"a text does not begin":           {messageStart, tool, blockStop, next(textDelta), next(blockStop)},
		"a text does not begin in a tool": {messageStart, tool, next(textDelta), next(blockStop)},
		"a text goes on after its end":    {messageStart, tool, blockStop, next(textStart), next(blockStop), next(textDelta)},
		"a text of nothing":               {messageStart, tool, blockStop, next(textStart), strings.Replace(next(textDelta), `"hi"`, "null", 1), next(textDelta), next(blockStop)},
	} {
		t.Run(name, func(t *testing.T) {
			d := decodeStream(strings.NewReader(stream(append(events, messageDelta, messageStop)...)), wire.Ask{})
			if !d.done() || contentOf(t, d.out) != "hi" || strings.Count(d.out, `"arguments":"{\"x\":1}"`) != 1 {
				t.Errorf("%v: %s", d.err, d.out)
			}
		})
	}
}

// TestEventsOfNothing has events with null for their data, or without data, between all others, as some servers keep a connection
// busy: what the others say is the same. By the name of an error it is one.
func TestEventsOfNothing(t *testing.T) {
	whole := stream(messageStart, textStart, textDelta, blockStop, messageDelta, messageStop)
	want := decodeStream(strings.NewReader(whole), wire.Ask{})
	for _, nothing := range []string{"data: null", "data:", "event: ping\ndata: null", "event: ping\ndata:", "event: keepalive\ndata: null", ": busy"} {
		d := decodeStream(strings.NewReader(nothing+"\n\n"+strings.ReplaceAll(whole, "\n\n", "\n\n"+nothing+"\n\n")), wire.Ask{})
		if !d.done() || d.out != want.out {
			t.Errorf("%q: %v: %s", nothing, d.err, d.out)
		}
	}
	for _, data := range []string{"null", "", "{}"} {
		_, chunk, err := format().DecodeStream(wire.Ask{}).Decode(nil, wire.Event{Type: []byte("error"), Data: []byte(data)})
		if err != nil || chunk.Failure == nil {
			t.Errorf("an error of %q: %v, %+v", data, err, chunk)
		}
	}
}

// TestLooseEnds has streams without message_stop: they are whole where a stop_reason has come, and nowhere else.
func TestLooseEnds(t *testing.T) {
	for name, test := range map[string]struct {
		events []string
		after  string
		whole  bool
	}{
		"no end":            {[]string{messageStart, textStart, textDelta, blockStop, messageDelta}, "", true},
		"OpenAI's":          {[]string{messageStart, textStart, textDelta, blockStop, messageDelta}, "data: [DONE]\n\n", true},
		"both":              {[]string{messageStart, textStart, textDelta, blockStop, messageDelta, messageStop}, "data: [DONE]\n\n", true},
		"a block not ended": {[]string{messageStart, textStart, textDelta, messageDelta}, "", true},
		"no reason":         {[]string{messageStart, textStart, textDelta, blockStop}, "", false},
		"within a block":    {[]string{messageStart, textStart, textDelta}, "", false},
		"at once":           {[]string{messageStart}, "", false},
		"a null reason":     {[]string{messageStart, textStart, textDelta, blockStop, strings.Replace(messageDelta, `"end_turn"`, "null", 1)}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := format().DecodeStream(wire.Ask{})
			events := wire.NewEventReader(strings.NewReader(stream(test.events...)+test.after), 0)
			defer events.Release()
			var out []byte
			done := false
			for !done {
				event, err := events.Next()
				if err != nil {
					break
				}
				var chunk wire.Chunk
				if out, chunk, err = d.Decode(out, event); err != nil {
					t.Fatal(err)
				}
				done = chunk.Done
			}
			if !done {
				var last wire.Chunk
				if out, last, done = d.End(out); done && last.FinishReason != "stop" {
					t.Errorf("ends as %+v", last)
				}
			}
			if done != test.whole || done != strings.HasSuffix(string(out), "data: [DONE]\n\n") || strings.Count(string(out), "[DONE]") > 1 || test.whole && contentOf(t, string(out)) != "hi" {
				t.Errorf("whole %t: %s", done, out)
			}
		})
	}
}

// TestLenientStream has an emoji that comes in two halves, and a repeated key in what the format does not read.
func TestLenientStream(t *testing.T) {
	half := func(text string) string {
		return `{"type":"content_block_delta","index":0,"x":{"k":1,"k":2},"delta":{"type":"text_delta","text":"` + text + `"}}`
	}
	d := decodeStream(strings.NewReader(stream(messageStart, textStart, half(`a\ud83d`), half(`\ude00b`), blockStop, messageDelta, messageStop)), wire.Ask{})
	if !d.done() || !strings.Contains(d.out, `"content":"a\ud83d"`) || !strings.Contains(d.out, `"content":"\ude00b"`) {
		t.Errorf("%v: %s", d.err, d.out)
	}
}

// TestSplits holds that how the bytes arrive makes no difference.
func TestSplits(t *testing.T) {
	in, err := os.ReadFile("testdata/streams/tools.anthropic.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := decodeStream(bytes.NewReader(in), wire.Ask{})
	for name, r := range map[string]io.Reader{
		"byte by byte": iotest.OneByteReader(bytes.NewReader(in)),
		"by halves":    iotest.HalfReader(bytes.NewReader(in)),
		"with CRLF":    bytes.NewReader(bytes.ReplaceAll(in, []byte("\n"), []byte("\r\n"))),
		"with CR":      bytes.NewReader(bytes.ReplaceAll(in, []byte("\n"), []byte("\r"))),
	} {
		t.Run(name, func(t *testing.T) { checkSame(t, decodeStream(r, wire.Ask{}), want) })
	}
}

func checkSame(t *testing.T, got, want decoded) {
	t.Helper()
	same := got.out == want.out && len(got.chunks) == len(want.chunks) && got.err.Error() == want.err.Error()
	for i := 0; same && i < len(got.chunks); i++ {
		a, b := got.chunks[i], want.chunks[i]
		same = (a.Failure == nil) == (b.Failure == nil) && (a.Failure == nil || *a.Failure == *b.Failure)
		a.Failure, b.Failure = nil, nil
		same = same && a == b
	}
	if !same {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

// contentOf puts the content of a stream in OpenAI's form together.
func contentOf(t *testing.T, out string) string {
	t.Helper()
	var content strings.Builder
	for ev := range strings.SplitSeq(out, "\n\n") {
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		data := strings.TrimPrefix(ev, "data: ")
		if data == "" || data == "[DONE]" {
			continue
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		for _, choice := range chunk.Choices {
			content.WriteString(choice.Delta.Content)
		}
	}
	return content.String()
}
