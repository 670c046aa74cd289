package anthropic

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

var update = flag.Bool("update", false, "write what the package gives as the golden files")

// format has its clock at a fixed time.
func format() *Format { return &Format{Now: func() time.Time { return time.Unix(1700000000, 0) }} }

// ask is the ask for a request that the gateway accepts.
func ask(t testing.TB, body string) wire.Ask {
	t.Helper()
	r, err := wire.ParseChatRequest([]byte(body), wire.Limits{})
	if err != nil {
		t.Fatalf("the gateway refuses the request: %v", err)
	}
	return wire.Ask{Request: r, UpstreamModel: "claude-haiku-4-5", ID: "call", Tenant: "acme"}
}

// decoded is a stream as the gateway would see it.
type decoded struct {
	out    string
	chunks []wire.Chunk // those that say something
	err    error        // io.EOF where the stream's last event was whole
}

func decodeStream(r io.Reader, ask wire.Ask) decoded {
	events := wire.NewEventReader(r, 0)
	defer events.Release()
	stream := format().DecodeStream(ask)
	var d decoded
	var out []byte
	for {
		ev, err := events.Next()
		if err == nil {
			var chunk wire.Chunk
			out, chunk, err = stream.Decode(out, ev)
			if chunk != (wire.Chunk{}) {
				d.chunks = append(d.chunks, chunk)
			}
		}
		if err != nil {
			d.out, d.err = string(out), err
			return d
		}
	}
}

func (d decoded) done() bool { return len(d.chunks) > 0 && d.chunks[len(d.chunks)-1].Done }

func TestGolden(t *testing.T) {
	tests := map[string]struct {
		in, out string // what replaces the one in a file's name by the other
		run     func(t *testing.T, in []byte) []byte
	}{
		"requests": {".openai.json", ".anthropic.json", func(t *testing.T, in []byte) []byte {
			encoded, err := format().EncodeRequest(ask(t, string(in)))
			if err != nil {
				t.Fatal(err)
			}
			return append(encoded.Body, "\n\nunsupported: "+strings.Join(encoded.Unsupported, ", ")+"\n"...)
		}},
		"answers": {".anthropic.json", ".openai.json", func(t *testing.T, in []byte) []byte {
			out, _, err := format().DecodeAnswer(in, wire.Ask{})
			if err != nil {
				t.Fatal(err)
			}
			return append(out, '\n')
		}},
		"streams": {".anthropic.txt", ".openai.txt", func(t *testing.T, in []byte) []byte {
			d := decodeStream(bytes.NewReader(in), wire.Ask{Request: wire.Request{Stream: true, IncludeUsage: true}})
			if !errors.Is(d.err, io.EOF) || !d.done() {
				t.Fatalf("the stream ended with %v, done %v", d.err, d.done())
			}
			return []byte(d.out)
		}},
	}
	for dir, tt := range tests {
		files, _ := filepath.Glob(filepath.Join("testdata", dir, "*"+tt.in))
		if len(files) == 0 {
			t.Errorf("no golden files in %s", dir)
		}
		for _, file := range files {
			t.Run(filepath.ToSlash(strings.TrimSuffix(file, tt.in)), func(t *testing.T) {
				in, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				got := tt.run(t, in)
				golden := strings.TrimSuffix(file, tt.in) + tt.out
				if *update {
					if err := os.WriteFile(golden, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("\n got %s\nwant %s", got, want)
				}
			})
		}
	}
}
