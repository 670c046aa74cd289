package replay

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestAnswersAreDecodedAsTheyWere(t *testing.T) {
	for name, answer := range map[string]Answer{
		"full": {
			Status: 200,
			Header: http.Header{"Content-Type": {"text/event-stream"}, "X-Many": {"a", "", "c"}, "X-None": {}},
			Body:   []byte("data: {}\n\ndata: [DONE]\n\n"), Provider: "alipay", Model: "通义",
			StoredAt: time.Date(2026, 5, 4, 3, 2, 1, 999e6, time.UTC),
		},
		"bare":       {Status: 204, Body: []byte{}, StoredAt: time.UnixMilli(0).UTC()},
		"no time":    {Status: 999, Body: []byte("x")},
		"long texts": {Status: 100, Body: make([]byte, 1<<16), Model: strings.Repeat("m", 300), StoredAt: time.UnixMilli(-1).UTC()},
	} {
		t.Run(name, func(t *testing.T) {
			encoded := answer.encode()
			got, err := decodeAnswer(encoded)
			if err != nil || !reflect.DeepEqual(got, answer) {
				t.Errorf("decoded is\n%+v, want\n%+v (%v)", got, answer, err)
			}
			// What is cut before the body is noticed; within it only a seal can tell.
			for n := range len(encoded) - len(answer.Body) {
				if got, err := decodeAnswer(encoded[:n]); !errors.Is(err, ErrUnreadable) {
					t.Fatalf("cut to %d bytes it is %+v, %v", n, got, err)
				}
			}
		})
	}
}

func TestHostileBytesAreNoAnswer(t *testing.T) {
	huge := "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	for name, bytes := range map[string]string{
		"nothing":                 "",
		"another version":         "\x02\xc8\x01\x00\x00\x00\x00",
		"status 0":                "\x01\x00\x00\x00\x00\x00",
		"status 99":               "\x01\x63\x00\x00\x00\x00",
		"status 1000":             "\x01\xe8\x07\x00\x00\x00\x00",
		"status beyond an int":    "\x01" + huge + "\x00\x00\x00\x00",
		"status that is no int":   "\x01\xff" + huge + "\x00\x00\x00\x00",
		"provider beyond the end": "\x01\xc8\x01\x00\x05ab",
		"provider of all memory":  "\x01\xc8\x01\x00" + huge,
		"fields of all memory":    "\x01\xc8\x01\x00\x00\x00" + huge + "ab",
		"values of all memory":    "\x01\xc8\x01\x00\x00\x00\x01\x01a" + huge,
		"one field too many":      "\x01\xc8\x01\x00\x00\x00\x02\x01a\x01\x01b",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := decodeAnswer([]byte(bytes)); !errors.Is(err, ErrUnreadable) || !reflect.DeepEqual(got, Answer{}) {
				t.Errorf("it is %+v, %v", got, err)
			}
		})
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	for _, answer := range []Answer{answerOf("{}"), longAnswer(300), {Status: 204}} {
		encoded := answer.encode()
		f.Add(encoded)
		f.Add(encoded[:len(encoded)/2])
	}
	f.Add([]byte("\x01\xc8\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01ab"))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		answer, err := decodeAnswer(bytes)
		if err != nil {
			if !errors.Is(err, ErrUnreadable) {
				t.Fatal(err)
			}
			return
		}
		if answer.Status < 100 || answer.Status > 999 || answer.size() > 200*int64(len(bytes)+4) {
			t.Fatalf("status %d, %d bytes of %d", answer.Status, answer.size(), len(bytes))
		}
		again, err := decodeAnswer(answer.encode())
		if err != nil || !reflect.DeepEqual(again, answer) {
			t.Fatalf("%+v becomes %+v, %v", answer, again, err)
		}
	})
}

// What each part of an answer adds to its size.
func TestSizeOfAnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		answer Answer
		want   int64
	}{
		"nothing":      {Answer{}, 0},
		"status":       {Answer{Status: 200}, 0},
		"provider":     {Answer{Provider: "alipay"}, 6},
		"model":        {Answer{Model: "model"}, 5},
		"body":         {Answer{Body: make([]byte, 800)}, 900},
		"short body":   {Answer{Body: make([]byte, 7)}, 7},
		"empty header": {Answer{Header: http.Header{}}, 320},
		"field":        {Answer{Header: http.Header{"Age": {}}}, 320 + 64 + 3},
		"value":        {Answer{Header: http.Header{"Age": {"10"}}}, 320 + 64 + 3 + 16 + 2},
		"two values":   {Answer{Header: http.Header{"Age": {"10", ""}}}, 320 + 64 + 3 + 16 + 2 + 16},
		"all of it":    {Answer{Provider: "a", Model: "bc", Body: make([]byte, 8), Header: http.Header{"X": {"y"}}}, 3 + 9 + 320 + 64 + 1 + 16 + 1},
	} {
		if got := c.answer.size(); got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
}
