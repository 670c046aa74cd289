package responses

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// TestBounds has streams that would have the gateway remember ever more: each fails in the end, and has not before.
func TestBounds(t *testing.T) {
	custom := func(t *testing.T) func(string) error {
		w := patching(t, `{"role":"user","content":"q"}`).CustomCalls()
		return func(data string) error {
			_, err := w.Events(nil, []byte("data: "+data+"\n\n"))
			return err
		}
	}
	written := func(t *testing.T) func(string) error {
		w := newWriter(t, `{"model":"m","input":"x"}`)
		return func(data string) error {
			_, err := w.Events(nil, []byte("data: "+data+"\n\n"))
			return err
		}
	}
	decoded := func(*testing.T) func(string) error {
		d := Format{}.DecodeStream(wire.Ask{})
		return func(data string) error {
			_, _, err := d.Decode(nil, wire.Event{Data: []byte(data)})
			return err
		}
	}
	long := strings.Repeat("x", 1<<20)
	call := func(i int, name, arguments string) string {
		return fmt.Sprintf(`{"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"function":{"name":%q,"arguments":%q}}]}}]}`, i, name, arguments)
	}
	for name, tt := range map[string]struct {
		reader      func(*testing.T) func(string) error
		event       func(i int) string
		least, most int
	}{
		"calls of functions":         {custom, func(i int) string { return call(i, "f", "{}") }, wire.MaxToolCalls, wire.MaxToolCalls + 1},
		"calls of custom tools":      {custom, func(i int) string { return call(i, "ApplyPatch", "x") }, wire.MaxToolCalls, wire.MaxToolCalls + 1},
		"an input that does not end": {custom, func(int) string { return call(0, "ApplyPatch", long) }, 7, 9},
		"a text that does not end":   {written, func(int) string { return `{"id":"c","choices":[{"index":0,"delta":{"content":"` + long + `"}}]}` }, 60, 66},
		"ids of calls": {written, func(i int) string {
			return strings.Replace(call(i, "f", "{}"), `"function":`, `"id":"`+long+`","function":`, 1)
		}, 7, 9},
		"items": {decoded, func(i int) string {
			return fmt.Sprintf(`{"type":"response.output_text.delta","output_index":%d,"delta":"x"}`, i)
		}, maxItems, maxItems + 1},
		"items that are calls": {decoded, func(i int) string {
			return fmt.Sprintf(`{"type":"response.output_item.added","output_index":%d,"item":{"type":"function_call","call_id":"c","name":"f"}}`, i)
		}, wire.MaxToolCalls, wire.MaxToolCalls + 2},
		"citations, which are left out": {decoded, func(i int) string {
			return fmt.Sprintf(`{"type":"response.output_text.annotation.added","output_index":0,"annotation":{"type":"url_citation","url":"https://%d"}}`, i)
		}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			read := tt.reader(t)
			for i := range max(tt.most, 4*maxCited) {
				err := read(tt.event(i))
				if err == nil {
					continue
				}
				if !errors.Is(err, wire.ErrMalformed) || i < tt.least || i > tt.most || tt.most == 0 {
					t.Errorf("event %d: %v", i, err)
				}
				return
			}
			if tt.most > 0 {
				t.Error("there is no end")
			}
		})
	}
}

// A citation that has had an event of its own is not told again with its item, nor with the response.
func TestCitationsAreToldOnce(t *testing.T) {
	const (
		cited   = `{"type":"url_citation","url":"https://a.example","title":"A","start_index":0,"end_index":3}`
		other   = `{"type":"url_citation","url":"https://b.example","title":"B","start_index":0,"end_index":3}`
		added   = `{"type":"response.output_text.annotation.added","output_index":0,"content_index":0,"annotation_index":0,"annotation":` + cited + `}`
		message = `{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"yes","annotations":[` + cited + `,` + other + `]}]}`
		piece   = `{"type":"response.output_text.delta","output_index":0,"delta":"yes"}`
		done    = `{"type":"response.output_item.done","output_index":0,"item":` + message + `}`
		end     = `{"type":"response.completed","response":{"id":"resp_1","status":"completed","model":"m-1","output":[` + message + `]}}`
	)
	for name, tt := range map[string]struct {
		events []string
		others int
	}{
		"in pieces":           {[]string{piece, added, done, end}, 0},
		"before the text":     {[]string{added, piece, done, end}, 0},
		"without pieces":      {[]string{added, done, end}, 1},
		"with the response":   {[]string{added, end}, 1},
		"with the item alone": {[]string{done, end}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := Format{}.DecodeStream(wire.Ask{})
			var got []byte
			for _, data := range tt.events {
				var err error
				if got, _, err = d.Decode(got, wire.Event{Data: []byte(data)}); err != nil {
					t.Fatal(err)
				}
			}
			for words, want := range map[string]int{`"content":"yes"`: 1, "a.example": 1, "b.example": tt.others} {
				if n := strings.Count(string(got), words); n != want {
					t.Errorf("%s comes %d times: %s", words, n, got)
				}
			}
		})
	}
}
