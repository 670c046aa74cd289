package wire

import (
	"cmp"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

const chunkHead = `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"`
const chunkTail = `"},"finish_reason":null}]}`

// sameAsParseEvent reads all data with one ChunkReader and holds every result against ParseEvent's.
func sameAsParseEvent(t *testing.T, data ...string) {
	t.Helper()
	var r ChunkReader
	for i, d := range data {
		ev := Event{Data: []byte(d)}
		want, wantErr := ParseEvent(ev)
		got, err := r.Read(ev)
		if !reflect.DeepEqual(got, want) || errors.Is(err, ErrMalformed) != errors.Is(wantErr, ErrMalformed) {
			t.Errorf("event %d: got %+v, %v; ParseEvent gives %+v, %v", i, got, err, want, wantErr)
		}
	}
}

func TestChunkReaderGivesWhatParseEventGives(t *testing.T) {
	plain := chunkHead + "one" + chunkTail
	for name, second := range map[string]string{
		"another text":           chunkHead + "two" + chunkTail,
		"the same text":          plain,
		"chinese text":           chunkHead + "你好" + chunkTail,
		"empty content":          chunkHead + chunkTail,
		"escaped quote":          chunkHead + `a\"b` + chunkTail,
		"escape cut short":       chunkHead + `a\` + chunkTail,
		"bare quote":             chunkHead + `a"b` + chunkTail,
		"injected member":        chunkHead + `a","refusal":"no` + chunkTail,
		"injected failure":       chunkHead + `a"}}],"error":{"code":"SYSTEM_ERROR"},"x":[{"d":{"e":"` + chunkTail,
		"control character":      chunkHead + "a\x01b" + chunkTail,
		"invalid utf-8":          chunkHead + "a\xffb" + chunkTail,
		"cut rune":               chunkHead + "\xe4\xbd" + chunkTail,
		"truncated tail":         chunkHead + "two" + chunkTail[:len(chunkTail)-1],
		"trailing garbage":       chunkHead + "two" + chunkTail + "x",
		"head overlaps the tail": chunkHead[:len(chunkHead)-1] + chunkTail,
		"failure":                `{"error":{"code":"SYSTEM_ERROR","message":"m"}}`,
		"done":                   "[DONE]",
		"no data":                "",
		"usage":                  `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`,
	} {
		t.Run(name, func(t *testing.T) { sameAsParseEvent(t, plain, second, plain, second, second) })
	}
}

func TestChunkReaderTemplates(t *testing.T) {
	for name, first := range map[string]string{
		"two contents":         `{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}`,
		"content is null":      `{"choices":[{"delta":{"content":null,"refusal":"x"}}]}`,
		"content is an array":  `{"choices":[{"delta":{"content":["x"]}}]}`,
		"content has escapes":  `{"choices":[{"delta":{"content":"a\"b"}}]}`,
		"finish reason":        `{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}`,
		"usage":                `{"choices":[{"delta":{"content":"a"}}],"usage":{"total_tokens":3,"prompt_tokens":1}}`,
		"content among others": `{"content":"x","choices":[{"delta":{"content":"a","role":"content"}}],"x":"content"}`,
	} {
		t.Run(name, func(t *testing.T) {
			sameAsParseEvent(t, first, strings.Replace(first, `"a`, `"zz`, 1), strings.Replace(first, `"b`, `"`, 1), first)
		})
	}
}

func TestChunkReaderKeepsNoReferenceToTheEvent(t *testing.T) {
	var r ChunkReader
	data := []byte(chunkHead + "one" + chunkTail)
	if _, err := r.Read(Event{Data: data}); err != nil {
		t.Fatal(err)
	}
	clear(data)
	if got, err := r.Read(Event{Data: []byte(chunkHead + "two" + chunkTail)}); err != nil || !got.Content {
		t.Errorf("got %+v, %v", got, err)
	}
}

func FuzzChunkReader(f *testing.F) {
	f.Add(chunkHead+"one"+chunkTail, chunkHead+"two"+chunkTail)
	f.Add(chunkHead+"one"+chunkTail, chunkHead+`a","x":"`+chunkTail)
	f.Add(`{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"\"}}]}`)
	f.Fuzz(func(t *testing.T, first, second string) { sameAsParseEvent(t, first, second) })
}

// reading is what a stream's events are to whoever passes them on.
type reading struct {
	raw                   string
	content, withContent  int
	model, finish, ending string
}

// readPassing reads a stream to its end, all events one by one or those that are alike together.
func readPassing(from io.Reader, together bool) (got reading) {
	const largest = 200
	events := NewEventReader(from, largest)
	defer events.Release()
	var chunks ChunkReader
	for {
		if events.Await(); together {
			for alike := chunks.Alike(events.Unread()); alike.Events > 0; alike = chunks.Alike(events.Unread()) {
				events.Skip(len(alike.Raw))
				got.raw += string(alike.Raw)
				got.content += alike.ContentBytes
				got.withContent += alike.Events
			}
		}
		ev, err := events.Next()
		if err != nil {
			got.raw += string(ev.Raw)
			got.ending = err.Error()
			return got
		}
		chunk, err := chunks.Read(ev)
		if err != nil {
			got.ending = err.Error()
			return got
		}
		got.raw += string(ev.Raw)
		got.content += chunk.ContentBytes
		if chunk.Content {
			got.withContent++
		}
		got.model, got.finish = cmp.Or(got.model, chunk.Model), cmp.Or(chunk.FinishReason, got.finish)
	}
}

// sameTogether holds that events that are alike may be read together, however they arrive.
func sameTogether(t *testing.T, stream string) {
	t.Helper()
	want := readPassing(strings.NewReader(stream), false)
	for name, from := range map[string]io.Reader{
		"at once":      strings.NewReader(stream),
		"by the byte":  iotest.OneByteReader(strings.NewReader(stream)),
		"with its end": iotest.DataErrReader(strings.NewReader(stream)),
	} {
		if got := readPassing(from, true); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read together %+v, one by one %+v", name, got, want)
		}
	}
}

func TestAlikeEventsAreReadTogether(t *testing.T) {
	event := func(content string) string { return "data: " + chunkHead + content + chunkTail + "\n\n" }
	first, done := event("one")+event("two"), "data: [DONE]\n\n"
	for name, stream := range map[string]string{
		"alike":                  first + event("three") + event("four") + done,
		"all in one read":        first + strings.Repeat(event("x"), 100) + done,
		"chinese text":           first + event("你好") + event("再见") + done,
		"cut rune":               first + event("\xe4\xbd") + done,
		"escape":                 first + event(`a\"b`) + event("c") + done,
		"escape at the end":      first + event(`a\`) + event("c") + done,
		"empty content":          first + event("") + event("c") + done,
		"control character":      first + event("a\x01b") + done,
		"a line break inside":    first + event("a\n\nb") + done,
		"injected failure":       first + event(`a"}}],"error":{"code":"SYSTEM_ERROR"},"x":[{"d":{"e":"`) + done,
		"finish reason":          first + "data: " + chunkHead + "x" + strings.Replace(chunkTail, "null", `"stop"`, 1) + "\n\n" + done,
		"comments between":       first + ": ping\n\n" + event("x") + event("y") + ": ping\n\n" + done,
		"an id":                  first + "id: 7\n" + event("x") + event("y") + done,
		"another type":           first + "event: error\n" + event("x") + event("y") + done,
		"no space after a colon": first + strings.ReplaceAll(event("x")+event("y"), "data: ", "data:") + done,
		"CRLF":                   strings.ReplaceAll(first+event("x")+event("y")+done, "\n", "\r\n"),
		"CR":                     strings.ReplaceAll(first+event("x")+event("y")+done, "\n", "\r"),
		"CR blank lines":         first + strings.Replace(event("x"), "\n\n", "\r\r", 1) + event("y") + event("z") + done,
		"two data lines":         first + strings.Replace(event("x"), "\n\n", "\ndata: x\n\n", 1) + event("y") + done,
		"a third line break":     first + event("x") + "\n" + event("y") + "\n" + event("z") + done,
		"no blank line at last":  first + strings.TrimSuffix(event("x"), "\n"),
		"cut":                    first + event("x")[:60],
		"too large":              first + event("x") + event(strings.Repeat("y", 200)) + event("z") + done,
		"content is null":        strings.Repeat("data: "+`{"choices":[{"delta":{"content":null}}]}`+"\n\n", 3) + done,
	} {
		t.Run(name, func(t *testing.T) { sameTogether(t, stream) })
	}
}

func TestAlikeIsMoreThanNothing(t *testing.T) {
	var r ChunkReader
	one, err := r.Read(Event{Data: []byte(chunkHead + "one" + chunkTail)})
	if err != nil {
		t.Fatal(err)
	}
	two := "data: " + chunkHead + "two" + chunkTail + "\n\n"
	if a := r.Alike([]byte(two + two + "data: [DONE]\n\n")); a.Events != 2 || string(a.Raw) != two+two || a.ContentBytes != 2*one.ContentBytes {
		t.Errorf("%d alike, %d bytes of content, are %q", a.Events, a.ContentBytes, a.Raw)
	}
}

func FuzzAlike(f *testing.F) {
	f.Add("data: " + chunkHead + "a" + chunkTail + "\n\ndata: " + chunkHead + "b" + chunkTail + "\n\ndata: [DONE]\n\n")
	f.Add("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\r\r\n")
	f.Fuzz(func(t *testing.T, stream string) { sameTogether(t, stream+stream) })
}

func BenchmarkChunkReader(b *testing.B) {
	var r ChunkReader
	ev := Event{Data: []byte(chunkHead + "some text of a usual length" + chunkTail)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Read(ev); err != nil {
			b.Fatal(err)
		}
	}
}

// What comes of a choice after its finish reason opens it again, and a reason that is
// repeated is none that clients agree on.
func TestChoicesThatGoOn(t *testing.T) {
	chunk := func(choices string) string { return `{"choices":[` + choices + `]}` }
	const stop, more = `{"index":0,"delta":{"content":""},"finish_reason":"stop"}`, `{"index":0,"delta":{"content":"more"},"finish_reason":null}`
	for name, test := range map[string]struct {
		chunks []string
		want   bool
	}{
		"finished":                {[]string{chunk(more), chunk(stop)}, true},
		"goes on":                 {[]string{chunk(more), chunk(stop), chunk(more)}, false},
		"goes on and finishes":    {[]string{chunk(stop), chunk(more), chunk(stop)}, true},
		"content with the reason": {[]string{chunk(`{"index":0,"delta":{"content":"z"},"finish_reason":"stop"}`)}, true},
		"a reason that is none":   {[]string{chunk(`{"index":0,"delta":{"content":"z"},"finish_reason":"null"}`)}, false},
		"one after such reasons":  {[]string{chunk(`{"index":0,"delta":{"content":"z"},"finish_reason":"null"}`), chunk(stop)}, true},
		"usage after it":          {[]string{chunk(stop), `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`}, true},
		"nothing after it":        {[]string{chunk(stop), chunk(`{"index":0,"delta":{}}`)}, true},
		"another choice":          {[]string{chunk(stop), chunk(`{"index":1,"delta":{"content":"y"}}`)}, false},
		"one of two goes on":      {[]string{chunk(stop + `,{"index":1,"delta":{},"finish_reason":"stop"}`), chunk(more)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var r ChunkReader
			for _, data := range test.chunks {
				if _, err := r.Read(Event{Data: []byte(data)}); err != nil {
					t.Fatal(err)
				}
			}
			if r.Finished() != test.want {
				t.Errorf("finished: %v", r.Finished())
			}
		})
	}
	for _, reasons := range []string{`"finish_reason":"stop","finish_reason":null`, `"finish_reason":null,"finish_reason":"stop"`} {
		if _, err := new(ChunkReader).Read(Event{Data: []byte(chunk(`{"delta":{"content":"z"},` + reasons + `}`))}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v", reasons, err)
		}
	}
}
