package wire_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/openai"
)

// readForm gives a stream as a client gets it, and the last chunk of it.
func readForm(t testing.TB, fields wire.AnswerFields, from io.Reader) (got string, last wire.Chunk, err error) {
	t.Helper()
	form, err := wire.NewAnswerForm(fields)
	if err != nil {
		t.Fatal(err)
	}
	events := wire.NewEventReader(from, 0)
	defer events.Release()
	if form.Values() {
		events.ReadValues()
	}
	decoder := form.Decoder(openai.Format{}.DecodeStream(wire.Ask{Request: wire.Request{IncludeUsage: true}}), wire.Ask{})
	var out []byte
	for !last.Done {
		event, err := events.Next()
		if errors.Is(err, io.EOF) {
			out, last, ok := decoder.End(out)
			if !ok {
				return string(out), last, io.ErrUnexpectedEOF
			}
			return string(out), last, nil
		}
		if err != nil && len(event.Data) == 0 {
			return string(out), last, err
		}
		if out, last, err = decoder.Decode(out, event); err != nil || last.Failure != nil {
			return string(out), last, err
		}
	}
	return string(out), last, nil
}

const (
	hel  = `{"created":1,"choices":[{"index":0,"delta":{"content":"hel"},"finish_reason":null}]}`
	lo   = `{"created":1,"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}`
	used = `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}`
)

// ownStreams are streams of contracts of one's own, each of which says hello.
var ownStreams = map[string]struct {
	fields wire.AnswerFields
	stream string
}{
	"JSON lines": {
		wire.AnswerFields{Stream: &wire.StreamFields{Values: true, Last: "done", LastValues: []string{"true"}}},
		hel + "\n" + lo + "\r\n\n" + `{"done":true}` + "\n",
	},
	"JSON lines, the last of which has content, and no line's end": {
		wire.AnswerFields{Inside: "d", Stream: &wire.StreamFields{Values: true, Last: "end", LastValues: []string{"1"}}},
		`{"end":0,"d":` + hel + "}\n" + `{"end":1,"d":` + lo + "}",
	},
	"JSON without lines": {
		wire.AnswerFields{Stream: &wire.StreamFields{Values: true}},
		hel + lo,
	},
	"JSON of several lines": {
		wire.AnswerFields{Stream: &wire.StreamFields{Values: true, End: []string{"END"}}},
		strings.ReplaceAll(hel, ",", ",\n") + "\n" + strings.ReplaceAll(lo, ",", ",\r\n") + "\nEND",
	},
	"a word of its own": {
		wire.AnswerFields{Stream: &wire.StreamFields{End: []string{"[END]", "finish"}}},
		"data: " + hel + "\n\ndata: " + lo + "\n\ndata: [END] \n\ndata: after it\n\n",
	},
	"names of events": {
		wire.AnswerFields{Stream: &wire.StreamFields{Events: []string{"delta", "usage"}, Errors: []string{"failed"}, End: []string{"done"}}},
		"event: created\ndata: {\"id\":\"1\"}\n\nevent: delta\ndata: " + hel + "\n\n: ping\n\nevent: ping\ndata: pong\n\nevent: delta\ndata: " + lo + "\n\nevent: done\ndata: \"all of it\"\n\n",
	},
	"names in the data, which is in a string": {
		wire.AnswerFields{Inside: "payload", Stream: &wire.StreamFields{Name: "type", Events: []string{"chunk"}, End: []string{"end"}}},
		"data: {\"type\":\"meta\",\"payload\":\"{}\"}\n\ndata: {\"type\":\"chunk\",\"payload\":" + quotedJSON(hel) + "}\n\n" +
			"data: {\"type\":\"chunk\",\"payload\":" + quotedJSON(lo) + "}\n\ndata: {\"type\":\"end\"}\n\n",
	},
	"an envelope, and a last event": {
		wire.AnswerFields{Inside: "data", Success: "code", SuccessValues: []string{"0"}, Stream: &wire.StreamFields{Last: "data.is_end", LastValues: []string{"true"}}},
		"data: {\"code\":0,\"data\":" + hel + "}\n\ndata: {\"code\":0,\"data\":" + strings.Replace(lo, "{", `{"is_end":true,`, 1) + "}\n\n",
	},
	"what any stream may have": {
		wire.AnswerFields{Stream: &wire.StreamFields{}},
		"id: 1\nevent: message\ndata: " + hel + "\n\nid: 2\nevent: message\ndata: " + lo + "\n\ndata: [DONE]\n\n",
	},
}

func quotedJSON(text string) string {
	return `"` + strings.NewReplacer(`"`, `\"`).Replace(text) + `"`
}

// content is what a stream of chunks says, and how it ends.
func content(t *testing.T, stream string) (text string) {
	t.Helper()
	events := wire.NewEventReader(strings.NewReader(stream), 0)
	defer events.Release()
	for {
		event, err := events.Next()
		if err != nil {
			return text + " cut"
		}
		if string(event.Data) == "[DONE]" {
			if _, err = events.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("something follows the end of %q", stream)
			}
			return text
		}
		if len(event.Type) > 0 {
			t.Errorf("the client gets the name of an event: %q", event.Raw)
		}
		chunk, err := wire.ParseEvent(event)
		if err != nil || !chunk.HasChoices && !chunk.Usage.OK {
			t.Errorf("the client gets %q: %v", event.Raw, err)
		}
		if err := wire.AnswerTexts(event.Data, func(a wire.AnswerText) { text += a.Value }); err != nil {
			t.Error(err)
		}
	}
}

// A stream of one's own reaches clients as one of OpenAI's chunks, wherever its bytes were split on their way.
func TestStreamForm(t *testing.T) {
	for name, tc := range ownStreams {
		t.Run(name, func(t *testing.T) {
			whole, last, err := readForm(t, tc.fields, strings.NewReader(tc.stream))
			if got := content(t, whole); err != nil || got != "hello" || !last.Done || last.Unfinished || last.Failure != nil {
				t.Fatalf("%q as %q: %+v, %v", got, whole, last, err)
			}
			for i := range len(tc.stream) {
				split, last, err := readForm(t, tc.fields, io.MultiReader(strings.NewReader(tc.stream[:i]), strings.NewReader(tc.stream[i:])))
				if split != whole || !last.Done || err != nil {
					t.Errorf("split at byte %d: %q, %v", i, split, err)
				}
			}
			if bytewise, _, err := readForm(t, tc.fields, iotest.OneByteReader(strings.NewReader(tc.stream))); bytewise != whole || err != nil {
				t.Errorf("byte by byte: %q, %v", bytewise, err)
			}
		})
	}
}

// A stream that breaks off anywhere before the answer is whole never has an end.
func TestStreamFormCut(t *testing.T) {
	for name, tc := range ownStreams {
		t.Run(name, func(t *testing.T) {
			for i := range strings.LastIndex(tc.stream, "stop") {
				if got, last, err := readForm(t, tc.fields, strings.NewReader(tc.stream[:i])); last.Done || strings.Contains(got, "[DONE]") || err == nil {
					t.Errorf("cut at byte %d: %q, done: %t, %v", i, got, last.Done, err)
				}
			}
		})
	}
}

// Failures are read in the events that report them, by name, by code or in the known forms; usage passes on.
func TestStreamFormFailures(t *testing.T) {
	named := wire.AnswerFields{Code: []string{"err.no"}, Message: []string{"err.why"}, Stream: &wire.StreamFields{Name: "type", Events: []string{"chunk"}, Errors: []string{"failed"}}}
	lines := wire.AnswerFields{Inside: "data", Success: "code", SuccessValues: []string{"0"}, Message: []string{"msg"}, Stream: &wire.StreamFields{Values: true}}
	for name, tc := range map[string]struct {
		fields        wire.AnswerFields
		stream        string
		code, message string
	}{
		"by its name":           {named, "data: {\"type\":\"failed\",\"err\":{\"no\":7,\"why\":\"so\"}}\n\n", "7", "so"},
		"by its name, no code":  {named, "data: {\"type\":\"failed\",\"text\":\"so\"}\n\n", "", ""},
		"error":                 {named, "data: {\"type\":\"error\",\"message\":\"so\"}\n\n", "", "so"},
		"error, an event's":     {wire.AnswerFields{Inside: "data", Stream: &wire.StreamFields{}}, "event: error\ndata: {\"data\":{\"message\":\"so\"}}\n\n", "", "so"},
		"without a stream form": {wire.AnswerFields{Inside: "data"}, "event: error\ndata: {\"data\":{\"message\":\"so\"}}\n\n", "", "so"},
		"an error of no JSON":   {wire.AnswerFields{Stream: &wire.StreamFields{Errors: []string{"failed"}}}, "event: failed\ndata: it is late\n\n", "", "it is late"},
		"by a code":             {lines, `{"code":17,"msg":"busy"}`, "17", "busy"},
		"by a code, last":       {wire.AnswerFields{Success: "code", SuccessValues: []string{"0"}, Stream: &wire.StreamFields{Last: "end", LastValues: []string{"true"}}}, "data: {\"code\":17,\"end\":true}\n\n", "17", ""},
		"the known form":        {lines, `{"error":{"code":"bad_key","message":"no"}}`, "bad_key", "no"},
	} {
		t.Run(name, func(t *testing.T) {
			got, chunk, err := readForm(t, tc.fields, strings.NewReader(tc.stream))
			if err != nil || chunk.Failure == nil || chunk.Done || got != "" {
				t.Fatalf("%q, %+v, %v", got, chunk, err)
			}
			if chunk.Failure.Code != tc.code || chunk.Failure.Message != tc.message {
				t.Errorf("failure %+v", chunk.Failure)
			}
		})
	}
	got, last, err := readForm(t, lines, strings.NewReader(`{"code":0,"data":`+lo+"}\n"+`{"code":0,"data":`+used+"}\n[DONE]\n"))
	if err != nil || !last.Done || !strings.Contains(got, `"completion_tokens":2`) {
		t.Errorf("%q: %v", got, err)
	}
}

func TestStreamFormRefuses(t *testing.T) {
	for want, fields := range map[string]wire.StreamFields{
		`stream: last end has no value`:              {Last: "end"},
		`stream: last has values, and no path`:       {LastValues: []string{"1"}},
		`stream: name "a..b" has an empty name`:      {Name: "a..b"},
		`stream: last "." has an empty name`:         {Last: ".", LastValues: []string{"1"}},
		`stream: events has an empty word`:           {Events: []string{""}},
		`stream: errors has an empty word`:           {Errors: []string{""}},
		`stream: end has an empty word`:              {End: []string{""}},
		`stream: events are chosen by names, and JS`: {Values: true, Events: []string{"a"}},
	} {
		if _, err := wire.NewAnswerForm(wire.AnswerFields{Stream: &fields}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// JSON values are those that were written, in their order, however they are split; and what follows the last is no value.
func FuzzValues(f *testing.F) {
	f.Add([]byte("{\"a\":\"}\\\"{\"}\n[1]{}\nword\n"), 3)
	f.Add([]byte("\xef\xbb\xbf{}\r\n\r\n{"), 1)
	f.Add([]byte(`{"a\\":"\\"}{"b":"\u007d"}`), 7)
	f.Fuzz(func(t *testing.T, stream []byte, at int) {
		read := func(from io.Reader) (values []string, end error) {
			events := wire.NewEventReader(from, 0)
			defer events.Release()
			events.ReadValues()
			raw := 0
			for {
				event, err := events.Next()
				if len(event.Raw) > 0 {
					values = append(values, string(event.Data))
				}
				if raw += len(event.Raw); raw > len(stream) {
					t.Fatalf("%d bytes of %d", raw, len(stream))
				}
				if err != nil {
					return values, err
				}
			}
		}
		at = max(0, min(at, len(stream)))
		whole, end := read(bytes.NewReader(stream))
		split, splitEnd := read(io.MultiReader(bytes.NewReader(stream[:at]), bytes.NewReader(stream[at:])))
		if strings.Join(whole, "\x00") != strings.Join(split, "\x00") || !errors.Is(end, splitEnd) {
			t.Errorf("%q with %v, split %q with %v", whole, end, split, splitEnd)
		}
	})
}

// Whatever an upstream sends, reading it by a stream form ends, gives whole events alone, and one end at most.
func FuzzStreamForm(f *testing.F) {
	for _, tc := range ownStreams {
		f.Add([]byte(tc.stream), tc.fields.Stream.Values)
	}
	f.Fuzz(func(t *testing.T, stream []byte, values bool) {
		got, last, err := readForm(t, wire.AnswerFields{Inside: "data", Success: "code", SuccessValues: []string{"0"}, Stream: &wire.StreamFields{
			Values: values, Name: "type", Events: []string{"chunk", "delta"}, Errors: []string{"failed"}, End: []string{"[END]", "end"}, Last: "is_end", LastValues: []string{"true"},
		}}, bytes.NewReader(stream))
		if got != "" && !strings.HasSuffix(got, "\n\n") {
			t.Errorf("%q does not end with an event", got)
		}
		if n := strings.Count(got, "data: [DONE]"); n > 1 || n == 1 && (err != nil || !last.Done) {
			t.Errorf("%d ends: %q, %v", n, got, err)
		}
	})
}
