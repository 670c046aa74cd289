package wire

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// event is an Event that outlives Next. nil and empty data differ, as they do in Event.
type event struct {
	typ, data, raw string
	hasData        bool
}

func keep(ev Event) event {
	return event{typ: string(ev.Type), data: string(ev.Data), raw: string(ev.Raw), hasData: ev.Data != nil}
}

// readAll returns all events of r and the final error, which for an early end follows the rest of the stream.
func readAll(r io.Reader, maxEvent int) (events []event, end error) {
	er := NewEventReader(r, maxEvent)
	defer er.Release()
	for {
		ev, err := er.Next()
		if len(ev.Raw) > 0 {
			events = append(events, keep(ev))
		}
		if err != nil {
			return events, err
		}
	}
}

func TestEventReader(t *testing.T) {
	data := func(data, raw string) event { return event{data: data, raw: raw, hasData: true} }
	silent := func(raw string) event { return event{raw: raw} }
	tests := map[string]struct {
		stream string
		want   []event
		end    error
	}{
		"nothing":                {"", nil, io.EOF},
		"one event":              {"data: x\n\n", []event{data("x", "data: x\n\n")}, io.EOF},
		"LF":                     {"data: a\n\ndata: b\n\n", []event{data("a", "data: a\n\n"), data("b", "data: b\n\n")}, io.EOF},
		"CRLF":                   {"data: a\r\n\r\ndata: b\r\n\r\n", []event{data("a", "data: a\r\n\r\n"), data("b", "data: b\r\n\r\n")}, io.EOF},
		"CR":                     {"data: a\r\rdata: b\r\r", []event{data("a", "data: a\r\r"), data("b", "data: b\r\r")}, io.EOF},
		"LF lines, CRLF blank":   {"data: a\n\r\ndata: b\n\n", []event{data("a", "data: a\n\r\n"), data("b", "data: b\n\n")}, io.EOF},
		"CR lines, CRLF blank":   {"data: a\r\r\ndata: b\r\r", []event{data("a", "data: a\r\r"), silent("\n"), data("b", "data: b\r\r")}, io.EOF},
		"CRLF lines, LF blank":   {"data: a\r\n\ndata: b\r\n\n", []event{data("a", "data: a\r\n\n"), data("b", "data: b\r\n\n")}, io.EOF},
		"CR blank at the end":    {"data: a\r\n\r", []event{data("a", "data: a\r\n\r")}, io.EOF},
		"extra blank lines":      {"\n\ndata: a\n\n\n", []event{silent("\n"), silent("\n"), data("a", "data: a\n\n"), silent("\n")}, io.EOF},
		"byte order mark":        {"\uFEFFdata: a\n\ndata: b\n\n", []event{data("a", "data: a\n\n"), data("b", "data: b\n\n")}, io.EOF},
		"mark and blank line":    {"\uFEFF\ndata: a\n\n", []event{silent("\n"), data("a", "data: a\n\n")}, io.EOF},
		"mark only at the start": {"\n\uFEFFdata: a\n\n", []event{silent("\n"), silent("\uFEFFdata: a\n\n")}, io.EOF},
		"mark once":              {"\uFEFF\uFEFFdata: a\n\n", []event{silent("\uFEFFdata: a\n\n")}, io.EOF},
		"comment":                {": ping\n\ndata: a\n\n", []event{silent(": ping\n\n"), data("a", "data: a\n\n")}, io.EOF},
		"comment within":         {"data: a\n: ping\ndata: b\n\n", []event{data("a\nb", "data: a\n: ping\ndata: b\n\n")}, io.EOF},
		"several data lines":     {"data: a\ndata:\ndata: c\n\n", []event{data("a\n\nc", "data: a\ndata:\ndata: c\n\n")}, io.EOF},
		"no colon":               {"data\n\n", []event{data("", "data\n\n")}, io.EOF},
		"no colon twice":         {"data\ndata\n\n", []event{data("\n", "data\ndata\n\n")}, io.EOF},
		"empty data":             {"data:\n\n", []event{data("", "data:\n\n")}, io.EOF},
		"one space is removed":   {"data:  a \n\n", []event{data(" a ", "data:  a \n\n")}, io.EOF},
		"no space":               {"data:a:b\n\n", []event{data("a:b", "data:a:b\n\n")}, io.EOF},
		"tab stays":              {"data:\ta\n\n", []event{data("\ta", "data:\ta\n\n")}, io.EOF},
		"name is exact":          {"Data: a\ndata : b\n data: c\ndatax: d\n\n", []event{silent("Data: a\ndata : b\n data: c\ndatax: d\n\n")}, io.EOF},
		"id and retry":           {"id: 1\nretry: 5\ndata: a\n\n", []event{data("a", "id: 1\nretry: 5\ndata: a\n\n")}, io.EOF},
		"type": {"event: error\ndata: a\n\ndata: b\n\n", []event{
			{typ: "error", data: "a", hasData: true, raw: "event: error\ndata: a\n\n"}, data("b", "data: b\n\n")}, io.EOF},
		"last type counts": {"event: a\nevent: b\n\n", []event{{typ: "b", raw: "event: a\nevent: b\n\n"}}, io.EOF},
		"cut in a line":    {"data: a\n\ndata: b", []event{data("a", "data: a\n\n"), data("b", "data: b")}, io.ErrUnexpectedEOF},
		"cut after a line": {"data: [DONE]\n", []event{data("[DONE]", "data: [DONE]\n")}, io.ErrUnexpectedEOF},
		"cut after a CR":   {"data: a\r", []event{data("a", "data: a\r")}, io.ErrUnexpectedEOF},
		"cut comment":      {": pi", []event{silent(": pi")}, io.ErrUnexpectedEOF},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			readers := map[string]io.Reader{
				"whole":           strings.NewReader(tt.stream),
				"byte by byte":    iotest.OneByteReader(strings.NewReader(tt.stream)),
				"data with error": iotest.DataErrReader(strings.NewReader(tt.stream)),
			}
			for how, r := range readers {
				got, err := readAll(r, 0)
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s: events\n got %+v\nwant %+v", how, got, tt.want)
				}
				if !errors.Is(err, tt.end) {
					t.Errorf("%s: end = %v, want %v", how, err, tt.end)
				}
			}
		})
	}
}

func TestEventReaderLimit(t *testing.T) {
	fits := "data: 89\n\n" // 10 bytes
	tests := map[string]struct {
		stream string
		events int
		end    error
	}{
		"at the limit":              {fits + fits, 2, io.EOF},
		"over the limit":            {fits + "data: 890\n\n", 1, ErrEventTooLarge},
		"over by the LF of CRLF":    {"data: 7\r\n\r\n", 0, ErrEventTooLarge},
		"endless line":              {strings.Repeat("x", 1<<16), 0, ErrEventTooLarge},
		"endless comments":          {strings.Repeat(":\n", 1<<16), 0, ErrEventTooLarge},
		"cut over the limit":        {"data: 89012", 0, ErrEventTooLarge},
		"many events, each allowed": {strings.Repeat(fits, 5000), 5000, io.EOF},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.stream), iotest.OneByteReader(strings.NewReader(tt.stream))} {
				events, err := readAll(r, 10)
				if len(events) != tt.events || !errors.Is(err, tt.end) {
					t.Errorf("%d events, %v, want %d, %v", len(events), err, tt.events, tt.end)
				}
			}
		})
	}

	t.Run("default", func(t *testing.T) {
		big := "data: " + strings.Repeat("x", MaxEventBytes-len("data: \n\n")) + "\n\n"
		if events, err := readAll(strings.NewReader(big), 0); len(events) != 1 || !errors.Is(err, io.EOF) {
			t.Errorf("an event of MaxEventBytes: %d events, %v", len(events), err)
		}
		if _, err := readAll(strings.NewReader("data: x"+big[6:]), 0); !errors.Is(err, ErrEventTooLarge) {
			t.Errorf("one byte more: %v", err)
		}
	})
}

func TestEventReaderBuffered(t *testing.T) {
	er := NewEventReader(&script{parts: []string{"data: a\n\ndata: b\ndata: c\n\ndata: d\n", "\n"}, end: io.EOF}, 0)
	defer er.Release()
	if er.Buffered() {
		t.Error("Buffered before anything was read")
	}
	first, err := er.Next()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // asking changes nothing
		if !er.Buffered() {
			t.Error("not Buffered, although the second event is complete")
		}
	}
	if string(first.Data) != "a" || string(first.Raw) != "data: a\n\n" {
		t.Errorf("Buffered changed the event: %q, %q", first.Data, first.Raw)
	}
	if ev, err := er.Next(); err != nil || string(ev.Data) != "b\nc" {
		t.Fatalf("Next = %q, %v", ev.Data, err)
	}
	if er.Buffered() {
		t.Error("Buffered, although the third event lacks its blank line")
	}
	if ev, err := er.Next(); err != nil || string(ev.Data) != "d" {
		t.Fatalf("Next = %q, %v", ev.Data, err)
	}
	if _, err := er.Next(); !errors.Is(err, io.EOF) || er.Buffered() {
		t.Errorf("at the end: %v, Buffered %t", err, er.Buffered())
	}
}

func TestEventReaderErrors(t *testing.T) {
	t.Run("the reader's error comes after the events", func(t *testing.T) {
		reset := errors.New("connection reset")
		events, err := readAll(&script{parts: []string{"data: a\n\ndata: b"}, end: reset}, 0)
		if len(events) != 1 || !errors.Is(err, reset) {
			t.Errorf("%d events, %v, want 1, %v", len(events), err, reset)
		}
	})
	t.Run("a CR blank line counts when an error follows", func(t *testing.T) {
		reset := errors.New("connection reset")
		events, err := readAll(&script{parts: []string{"data: a\r\n\r"}, end: reset}, 0)
		if len(events) != 1 || !errors.Is(err, reset) {
			t.Errorf("%d events, %v, want 1, %v", len(events), err, reset)
		}
	})
	t.Run("errors are final", func(t *testing.T) {
		er := NewEventReader(strings.NewReader("data: a"), 0)
		defer er.Release()
		for range 2 {
			if _, err := er.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("Next = %v, want %v", err, io.ErrUnexpectedEOF)
			}
		}
	})
	t.Run("a reader that never progresses", func(t *testing.T) {
		if _, err := readAll(noProgress{}, 0); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("Next = %v, want %v", err, io.ErrNoProgress)
		}
	})
	t.Run("after Release", func(t *testing.T) {
		er := NewEventReader(strings.NewReader("data: a\n\n"), 0)
		er.Release()
		er.Release()
		if _, err := er.Next(); !errors.Is(err, io.ErrClosedPipe) || er.Buffered() {
			t.Errorf("Next = %v, want %v", err, io.ErrClosedPipe)
		}
	})
}

type noProgress struct{}

func (noProgress) Read([]byte) (int, error) { return 0, nil }

// TestEventReaderSingleLineIsNotCopied holds the hot path: one data line is a part of the event's own bytes.
func TestEventReaderSingleLineIsNotCopied(t *testing.T) {
	er := NewEventReader(strings.NewReader("data: abc\n\n"), 0)
	defer er.Release()
	ev, err := er.Next()
	if err != nil {
		t.Fatal(err)
	}
	if &ev.Data[0] != &ev.Raw[len("data: ")] {
		t.Error("Data is a copy")
	}
	if cap(ev.Data) != len(ev.Data) {
		t.Error("appending to Data would overwrite the stream")
	}
}

func ExampleEventReader() {
	stream := ": ping\n\ndata: {\"id\":1}\n\ndata: [DONE]\n\n"
	events := NewEventReader(strings.NewReader(stream), 0)
	defer events.Release()
	for {
		ev, err := events.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%q of %d bytes\n", ev.Data, len(ev.Raw))
	}
	// Output:
	// "" of 8 bytes
	// "{\"id\":1}" of 16 bytes
	// "[DONE]" of 14 bytes
	// EOF
}

// What is there as a whole is read as a whole, however large its events are.
func TestEventsIn(t *testing.T) {
	large := "data: " + strings.Repeat("x", MaxEventBytes) + "\n\n"
	for stream, want := range map[string]int{"": 0, "data: 1\n\n": 1, large + large: 2, large: 1} {
		r, events := EventsIn([]byte(stream)), 0
		event, err := r.Next()
		for ; err == nil; event, err = r.Next() {
			events++
		}
		if events != want || !errors.Is(err, io.EOF) {
			t.Errorf("%d bytes: %d events, not %d, then %v %d", len(stream), events, want, err, len(event.Raw))
		}
		r.Release()
	}
}
