package wire

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestEventsWithoutBlankLines has streams that lack the blank line between two events, as reported of GLM and Kimi in
// https://github.com/rexxars/eventsource-parser/pull/31, beside events whose data have several lines.
func TestEventsWithoutBlankLines(t *testing.T) {
	for name, tt := range map[string]struct {
		stream string
		data   []string
		raws   string // what passes on
	}{
		"two":                 {"data: {\"a\":1}\ndata: {\"b\":2}\n\n", []string{`{"a":1}`, `{"b":2}`}, "data: {\"a\":1}\n\ndata: {\"b\":2}\n\n"},
		"the end":             {"data: {\"a\":1}\ndata: [DONE]\n\n", []string{`{"a":1}`, "[DONE]"}, "data: {\"a\":1}\n\ndata: [DONE]\n\n"},
		"all":                 {"data:{\"a\":1}\ndata:{\"b\":2}\ndata:[DONE]\n", []string{`{"a":1}`, `{"b":2}`, "[DONE]"}, "data:{\"a\":1}\n\ndata:{\"b\":2}\n\ndata:[DONE]\n"},
		"CRLF":                {"data: {}\r\ndata: {\"b\":2}\r\n\r\n", []string{`{}`, `{"b":2}`}, "data: {}\r\n\ndata: {\"b\":2}\r\n\r\n"},
		"CR":                  {"data: {}\rdata: {\"b\":2}\r\r", []string{`{}`, `{"b":2}`}, "data: {}\r\rdata: {\"b\":2}\r\r"},
		"types":               {"event: x\ndata: {}\nevent: y\ndata: {\"b\":2}\n\n", []string{"x {}", `y {"b":2}`}, "event: x\ndata: {}\n\nevent: y\ndata: {\"b\":2}\n\n"},
		"half an emoji":       {"data: {\"a\":\"\\ud83d\"}\ndata: {\"a\":\"\\ude00\"}\n\n", []string{`{"a":"\ud83d"}`, `{"a":"\ude00"}`}, "data: {\"a\":\"\\ud83d\"}\n\ndata: {\"a\":\"\\ude00\"}\n\n"},
		"some of them":        {"data: {}\n\ndata: {\"a\":1}\ndata: {\"b\":2}\n\n", []string{`{}`, `{"a":1}`, `{"b":2}`}, "data: {}\n\ndata: {\"a\":1}\n\ndata: {\"b\":2}\n\n"},
		"one over two lines":  {"data: {\"a\":\ndata: {\"b\":2}\ndata: }\n\n", []string{"{\"a\":\n{\"b\":2}\n}"}, ""},
		"one over three":      {"data: {\ndata: }\ndata: {}\n\n", []string{"{\n}\n{}"}, ""},
		"an array":            {"data: [\ndata: {}\ndata: ]\n\n", []string{"[\n{}\n]"}, ""},
		"texts":               {"data: YHOO\ndata: +2\n\n", []string{"YHOO\n+2"}, ""},
		"a text behind":       {"data: {}\ndata: x\ndata: {}\n\n", []string{"{}\nx\n{}"}, ""},
		"a type behind":       {"data: {}\nevent: x\n\n", []string{"x {}"}, ""},
		"what is like braces": {"data: {x}\ndata: {}\n\n", []string{"{x}\n{}"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for how, from := range map[string]io.Reader{"at once": strings.NewReader(tt.stream), "by byte": iotest.OneByteReader(strings.NewReader(tt.stream))} {
				r := NewEventReader(from, 0)
				var data []string
				raws := ""
				for {
					ev, err := r.Next()
					if err != nil && (!errors.Is(err, io.ErrUnexpectedEOF) || len(ev.Raw) == 0) {
						break
					}
					text := string(ev.Data)
					if len(ev.Type) > 0 {
						text = string(ev.Type) + " " + text
					}
					data = append(data, text)
					raws += string(ev.Raw)
				}
				r.Release()
				want := tt.raws
				if want == "" {
					want = tt.stream
				}
				if strings.Join(data, "|") != strings.Join(tt.data, "|") || raws != want {
					t.Errorf("%s: %q, %q", how, data, raws)
				}
			}
		})
	}
}
