package openai

import (
	"fmt"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// What is remembered of a stream's calls is bounded, by whichever choices and indexes they come: the rest passes as it came.
func TestCompletedCallsAreBounded(t *testing.T) {
	for name, place := range map[string]func(i int) (choice, call int){
		"of many choices":            func(i int) (choice, call int) { return i, 0 },
		"of one choice":              func(i int) (choice, call int) { return 0, i },
		"of as many choices as may ": func(i int) (choice, call int) { return i % wire.MaxChoices, i / wire.MaxChoices },
	} {
		t.Run(name, func(t *testing.T) {
			d := Format{}.DecodeStream(wire.Ask{ID: "answer"}).(*stream)
			var got []byte
			var last string
			for i := range 6 * wire.MaxToolCalls {
				choice, call := place(i)
				last = fmt.Sprintf(`{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":%d,"delta":{"role":"assistant","tool_calls":[{"index":%d,"id":"c%d","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]}`, choice, call, i)
				var err error
				if got, _, err = d.Decode(got[:0], wire.Event{Data: []byte(last), Raw: []byte("data: " + last + "\n\n")}); err != nil {
					t.Fatal(err)
				}
			}
			places := 0
			for _, of := range d.choices.choices {
				places += of.places.Len()
			}
			if len(d.choices.choices) > wire.MaxChoices || places > wire.MaxToolCalls+1 {
				t.Errorf("%d choices, %d calls are remembered", len(d.choices.choices), places)
			}
			if string(got) != "data: "+last+"\n\n" {
				t.Errorf("the last is %s", got)
			}
		})
	}
}
