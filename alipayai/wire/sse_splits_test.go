package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// script returns one part of a stream for each Read, and then end. It remembers that it was asked for more than it had,
// which is where a real stream would block.
type script struct {
	parts   []string
	end     error
	blocked bool
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.parts) == 0 {
		s.blocked = true
		return 0, s.end
	}
	n := copy(p, s.parts[0])
	if s.parts[0] = s.parts[0][n:]; s.parts[0] == "" {
		s.parts = s.parts[1:]
	}
	return n, nil
}

func TestEventReaderDoesNotWaitForMore(t *testing.T) {
	tests := map[string]struct {
		parts []string
		want  []string // raw events to be had before the reader needs another part
	}{
		"LF":                       {[]string{"data: a\n\n"}, []string{"data: a\n\n"}},
		"CRLF":                     {[]string{"data: a\r\n\r\n"}, []string{"data: a\r\n\r\n"}},
		"CR":                       {[]string{"data: a\r\r"}, []string{"data: a\r\r"}},
		"CR, a late LF":            {[]string{"data: a\r\r", "\n"}, []string{"data: a\r\r", "\n"}},
		"CRLF, its LF under way":   {[]string{"data: a\r\n\r"}, nil},
		"CRLF, its LF in the next": {[]string{"data: a\r\n\r", "\n"}, []string{"data: a\r\n\r\n"}},
		"CRLF throughout, split":   {[]string{"data: a\r", "\n\r", "\ndata: b\r", "\n", "\r\n"}, []string{"data: a\r\n\r\n", "data: b\r\n\r\n"}},
		"comment":                  {[]string{": ping\n\n"}, []string{": ping\n\n"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stream := &script{parts: tt.parts, end: io.EOF}
			er := NewEventReader(stream, 0)
			defer er.Release()
			for _, want := range tt.want {
				ev, err := er.Next()
				if err != nil || string(ev.Raw) != want {
					t.Fatalf("Next = %q, %v, want %q", ev.Raw, err, want)
				}
				if stream.blocked {
					t.Fatalf("%q was there, but Next read on", ev.Raw)
				}
			}
			if ev, _ := er.Next(); !stream.blocked {
				t.Errorf("Next = %q, want to need more bytes", ev.Raw)
			}
		})
	}
}

// splitReader returns at most as many bytes a time as its source of randomness says.
type splitReader struct {
	rest []byte
	rnd  *rand.Rand
}

func (s *splitReader) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:min(1+s.rnd.IntN(12), len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}

func FuzzEventReaderSplits(f *testing.F) {
	for i, stream := range []string{
		"data: a\n\ndata: b\r\n\r\ndata: c\r\r", "\uFEFFdata: a\n\n", "\r\n\r\r\n\n\r", "data\ndata: \n\nevent: x\r\r\n",
		": ping\n\ndata: {\"a\":1}\n\ndata: [DONE]", "\xEF\xBB\ndata: x\n\n", "data: long enough to be too large\n\n",
		"data: {\"a\":1}\ni: another line\nid\ndata: {\"a\":1}\n\n",
	} {
		f.Add([]byte(stream), uint64(i))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		const maxEvent = 24
		want, wantErr := readAll(bytes.NewReader(stream), maxEvent)
		rnd := rand.New(rand.NewPCG(seed, 0))
		for how, r := range map[string]io.Reader{
			"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
			"random parts": &splitReader{stream, rnd},
			"other parts":  &splitReader{stream, rnd},
		} {
			got, err := readAll(r, maxEvent)
			if !slices.Equal(got, want) || !errors.Is(err, wantErr) {
				t.Fatalf("%s\n got %+v, %v\nwant %+v, %v", how, got, err, want, wantErr)
			}
		}
		var raw, decoded []string
		for _, ev := range want {
			raw = append(raw, ev.raw)
			if ev.hasData {
				decoded = append(decoded, ev.data)
			}
		}
		if all := strings.Join(raw, ""); !errors.Is(wantErr, ErrEventTooLarge) && all != strings.TrimPrefix(string(stream), "\uFEFF") {
			t.Fatalf("the raw events are %q, the stream is %q", all, stream)
		}
		if errors.Is(wantErr, io.EOF) {
			if model := modelDecode(string(stream)); !slices.Equal(decoded, model) {
				t.Fatalf("data %q, by the standard %q", decoded, model)
			}
		}
	})
}

// modelDecode is the standard's algorithm as it is written there, on the whole stream.
func modelDecode(stream string) (data []string) {
	stream = strings.TrimPrefix(stream, "\uFEFF")
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	buffer := ""
	for line := range strings.Lines(stream) {
		line, ended := strings.CutSuffix(line, "\n")
		if !ended {
			break
		}
		if line == "" {
			if buffer != "" {
				data = append(data, strings.TrimSuffix(buffer, "\n"))
			}
			buffer = ""
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		if name == "data" {
			buffer += strings.TrimPrefix(value, " ") + "\n"
		}
	}
	return data
}

// TestEventReaderIsLinear feeds what makes naive splitters quadratic: short CR lines in one large event, and one long line
// in single bytes. Both take minutes if each line or byte costs a look over the whole buffer.
func TestEventReaderIsLinear(t *testing.T) {
	streams := map[string]string{
		"CR lines":  strings.Repeat(":\r", MaxEventBytes/2-1) + "\r\r",
		"LF lines":  strings.Repeat(":\n", MaxEventBytes/2-1) + "\n",
		"long line": "data: " + strings.Repeat("x", MaxEventBytes-8) + "\n\n",
	}
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			events, err := readAll(iotest.OneByteReader(strings.NewReader(stream)), 0)
			if len(events) == 0 || !errors.Is(err, io.EOF) {
				t.Errorf("%d events, %v", len(events), err)
			}
		})
	}
}
