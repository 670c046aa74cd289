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
