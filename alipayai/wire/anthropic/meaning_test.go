package anthropic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// meaning is what a request says, in whatever form: one line for each thing said, shown, called or answered, in order.
// It is read with encoding/json and without any of the package's code.
type meaning struct {
	system, turns, tools []string
	ids                  map[string]int // tool calls go by their order
}

func (m *meaning) call(id string) int {
	if m.ids == nil {
		m.ids = make(map[string]int)
	}
	if _, ok := m.ids[id]; !ok {
		m.ids[id] = len(m.ids)
	}
	return m.ids[id]
}

func compact(raw []byte) string {
	var b bytes.Buffer
	_ = json.Compact(&b, raw)
	return b.String()
}

type openAIPart struct {
	Type, Text, Refusal string
	ImageURL            struct{ URL string } `json:"image_url"`
}

// openAIParts reads a content, which is a string or an array.
func openAIParts(raw json.RawMessage) []openAIPart {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []openAIPart{{Type: "text", Text: text}}
	}
	var parts []openAIPart
	_ = json.Unmarshal(raw, &parts)
	return parts
}

func (p openAIPart) lines(who string) []string {
	switch text := p.Text + p.Refusal; {
	case p.Type == "image_url":
		if data, ok := strings.CutPrefix(p.ImageURL.URL, "data:"); ok {
			return []string{who + " shows " + strings.Replace(data, "image/jpg", "image/jpeg", 1)}
		}
		return []string{who + " shows " + p.ImageURL.URL}
	case text == "":
		return nil
	default:
		return []string{who + " says " + text}
	}
}

func meaningOfOpenAI(body []byte) (m meaning, err error) {
	var r struct {
		Messages []struct {
			Role, Refusal string
			Content       json.RawMessage
			ToolCallID    string `json:"tool_call_id"`
			ToolCalls     []struct {
				ID       string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		Tools []struct {
			Function struct {
				Name, Description string
				Parameters        json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return m, err
	}
	for _, message := range r.Messages {
		who := message.Role
		switch who {
		case "developer":
			who = "system"
		case "tool":
			who = "user"
			m.turns = append(m.turns, fmt.Sprint("user answers ", m.call(message.ToolCallID)))
		}
		var lines []string
		for _, part := range openAIParts(message.Content) {
			lines = append(lines, part.lines(who)...)
		}
		if message.Refusal != "" {
			lines = append(lines, who+" says "+message.Refusal)
		}
		if who == "system" {
			m.system = append(m.system, lines...)
			continue
		}
		m.turns = append(m.turns, lines...)
		for _, call := range message.ToolCalls {
			arguments := call.Function.Arguments
			if strings.TrimSpace(arguments) == "" {
				arguments = "{}"
			}
			m.turns = append(m.turns, fmt.Sprint("assistant calls ", m.call(call.ID), " ", call.Function.Name, " ", compact([]byte(arguments))))
		}
	}
	if last := len(m.turns) - 1; last >= 0 && strings.HasPrefix(m.turns[last], "assistant says ") {
		// What the model is to go on from may not end in white space.
		m.turns[last] = strings.TrimRightFunc(m.turns[last], unicode.IsSpace)
	}
	for _, tool := range r.Tools {
		m.tools = append(m.tools, tool.Function.Name+" "+tool.Function.Description+" "+schema(tool.Function.Parameters))
	}
	return m, nil
}

func meaningOfAnthropic(body []byte) (m meaning, err error) {
	type block struct {
		Type, Text, ID, Name string
		ToolUseID            string `json:"tool_use_id"`
		Input, Content       json.RawMessage
		Source               struct {
			Type, Data, URL string
			MediaType       string `json:"media_type"`
		}
	}
	var r struct {
		System   []block
		Messages []struct {
			Role    string
			Content []block
		}
		Tools []struct {
			Name, Description string
			InputSchema       json.RawMessage `json:"input_schema"`
		}
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return m, err
	}
	for _, b := range r.System {
		m.system = append(m.system, "system says "+b.Text)
	}
	var read func(who string, blocks []block)
	read = func(who string, blocks []block) {
		for _, b := range blocks {
			switch {
			case b.Type == "text":
				m.turns = append(m.turns, who+" says "+b.Text)
			case b.Type == "image" && b.Source.Type == "base64":
				m.turns = append(m.turns, who+" shows "+b.Source.MediaType+";base64,"+b.Source.Data)
			case b.Type == "image":
				m.turns = append(m.turns, who+" shows "+b.Source.URL)
			case b.Type == "tool_use":
				m.turns = append(m.turns, fmt.Sprint(who, " calls ", m.call(b.ID), " ", b.Name, " ", compact(b.Input)))
			case b.Type == "tool_result":
				m.turns = append(m.turns, fmt.Sprint(who, " answers ", m.call(b.ToolUseID)))
				var inner []block
				_ = json.Unmarshal(b.Content, &inner)
				read(who, inner)
			default:
				m.turns = append(m.turns, "?")
			}
		}
	}
	last := ""
	for _, turn := range r.Messages {
		if turn.Role == last || len(turn.Content) == 0 {
			return m, fmt.Errorf("a turn of %q after one of %q, with %d blocks", turn.Role, last, len(turn.Content))
		}
		last = turn.Role
		read(turn.Role, turn.Content)
	}
	for _, tool := range r.Tools {
		m.tools = append(m.tools, tool.Name+" "+tool.Description+" "+schema(tool.InputSchema))
	}
	return m, nil
}

// schema gives a schema of arguments, which are an object whether it says so or not.
func schema(raw json.RawMessage) string {
	s := map[string]json.RawMessage{"type": []byte(`"object"`)}
	_ = json.Unmarshal(raw, &s)
	b, _ := json.Marshal(s)
	return string(b)
}

// checkMeaning holds that the two say the same.
func checkMeaning(t *testing.T, openAI, anthropic []byte) {
	t.Helper()
	want, err := meaningOfOpenAI(openAI)
	if err != nil { // a member that is not read is not of the type that this reader expects
		return
	}
	got, err := meaningOfAnthropic(anthropic)
	if err != nil {
		t.Fatalf("%v in %s", err, anthropic)
	}
	if !slices.Equal(got.system, want.system) || !slices.Equal(got.turns, want.turns) || !slices.Equal(got.tools, want.tools) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func TestMeaning(t *testing.T) {
	for name, body := range conversations(t) {
		t.Run(name, func(t *testing.T) {
			encoded, err := format().EncodeRequest(ask(t, body))
			if err != nil {
				t.Fatal(err)
			}
			checkMeaning(t, []byte(body), encoded.Body)
		})
	}
}

// conversations are requests of which nothing that was said is left out.
func conversations(t testing.TB) map[string]string {
	golden, err := os.ReadFile("testdata/requests/conversation.openai.json")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"golden": string(golden),
		"tools": `{"model":"m","tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":"number"}}}}},{"type":"function","function":{"name":"g"}}],
			"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},
			{"role":"assistant","content":"a","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"x:2","type":"function","function":{"name":"g","arguments":""}}]},
			{"role":"tool","tool_call_id":"x:2","content":"two"},{"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"one"}]},
			{"role":"developer","content":"d"},{"role":"assistant","content":"so"},{"role":"user","content":"and?"}]}`,
		"prefill": `{"model":"m","messages":[{"role":"user","content":"q "},{"role":"assistant","content":"a "},{"role":"assistant","content":"b\u2003\n"}]}`,
		"images":  `{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/webp;base64,aGk="}},{"type":"text","text":"?"},{"type":"image_url","image_url":{"url":"https://a/b"}}]}]}`,
	}
}
