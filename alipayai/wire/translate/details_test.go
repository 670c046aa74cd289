package translate

import (
	"strings"
	"testing"
)

// Reasoning that comes in parts is told once, be each list what is new or all that there is so far, and not beside the same
// reasoning under another name.
func TestReasoningDetails(t *testing.T) {
	text := func(words string) string {
		return `"reasoning_details":[{"type":"reasoning.text","text":"` + words + `"}]`
	}
	for name, c := range map[string]struct {
		deltas []string
		want   string
	}{
		"what is new":               {[]string{text("Let me see"), text(" the tea"), text("."), text(".")}, "Let me see the tea.."},
		"all there is so far":       {[]string{text("Let me see"), text("Let me see the tea"), text("Let me see the tea"), text(`Let me see the tea.\n\"Hm\"`), text(`Let me see the tea.\n\"Hm\" so`)}, `Let me see the tea.\n\"Hm\" so`},
		"a short word twice":        {[]string{text("na"), text("nana"), text(" na")}, "nanana na"},
		"with a summary":            {[]string{`"reasoning_details":[{"type":"reasoning.summary","summary":"Tea"},{"type":"reasoning.encrypted","data":"eA=="}]`}, "Tea"},
		"several parts":             {[]string{`"reasoning_details":[{"text":"Let "},{"text":"me"}]`}, "Let me"},
		"beside reasoning":          {[]string{`"reasoning":"Let me",` + text("Let me"), text(" see"), `"reasoning":" see"`}, "Let me see"},
		"before reasoning":          {[]string{text("Let me") + `,"reasoning_content":"Let me"`, `"reasoning_content":" see"`}, "Let me see"},
		"beside an empty reasoning": {[]string{`"reasoning":"","reasoning_content":null,` + text("Let me")}, "Let me"},
		"none":                      {[]string{`"reasoning_details":[]`, `"reasoning_details":null`, `"reasoning_details":[null,{"text":5}]`, `"reasoning_details":"x"`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var c1 Chunk
			var got strings.Builder
			for _, delta := range c.deltas {
				if err := c1.Read([]byte(`{"choices":[{"index":0,"delta":{` + delta + `}}]}`)); err != nil {
					t.Fatal(err)
				}
				got.Write(Characters(c1.Reasoning))
			}
			if got.String() != c.want {
				t.Errorf("%q, want %q", got.String(), c.want)
			}
			var whole Chunk
			if err := whole.ReadWhole([]byte(`{"choices":[{"index":0,"message":{` + c.deltas[0] + `}}]}`)); err != nil || !strings.HasPrefix(c.want, string(Characters(whole.Reasoning))) {
				t.Errorf("%v, whole %q", err, whole.Reasoning)
			}
		})
	}
}

// So it is where a text with it waits for the end of a call.
func TestReasoningDetailsBesideCalls(t *testing.T) {
	const so = `"reasoning_details":[{"text":"Let me see`
	for name, later := range map[string]string{"all there is so far": so + ` the tea"}]`, "what is new": `"reasoning_details":[{"text":" the tea"}]`} {
		t.Run(name, func(t *testing.T) {
			var chunk Chunk
			var calls Calls
			var got strings.Builder
			for _, delta := range []string{
				so + `"}]`, `"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}]`, `"content":"t",` + later,
				`"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]`,
			} {
				data := []byte(`{"choices":[{"index":0,"delta":{` + delta + `}}]}`)
				if err := chunk.Read(data); err != nil {
					t.Fatal(err)
				}
				if err := calls.Put(&chunk, data, func(c *Chunk) { got.Write(Characters(c.Reasoning)) }, func(*Piece) {}); err != nil {
					t.Fatal(err)
				}
			}
			if want := "Let me see the tea"; got.String() != want {
				t.Errorf("%q, want %q", got.String(), want)
			}
		})
	}
}
