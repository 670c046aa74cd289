package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"
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
