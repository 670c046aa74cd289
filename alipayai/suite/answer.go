package suite

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/toolcheck"
)

// MaxAnswer is how many bytes of an answer are read.
const MaxAnswer = 1 << 20

// Answer is what a prompt has brought.
type Answer struct {
	// Code is why there is no answer; empty where there is one.
	Code string
	// Blocked says that a compliance decision has kept the answer back, or that the model refuses.
	Blocked bool
	// Refused says that the provider has refused the request itself, which is an answer to the prompt, unlike an outage.
	Refused bool
	// Text is what the model wrote, and Calls are the tools that it calls.
	Text  string
	Calls []toolcheck.Call
	// Cost is what it has cost, as "0.03 CNY"; empty where that is not known.
	Cost string

	stream toolcheck.Collector
	size   int
}

// outcome says what became of the prompt, in a report.
func (a *Answer) outcome() string {
	switch {
	case a.Blocked && a.Code != "":
		return "blocked by " + a.Code
	case a.Blocked:
		return "blocked"
	case a.Code != "":
		return "refused by " + a.Code
	case a.Text == "" && len(a.Calls) == 0:
		return "answered with nothing"
	default:
		return "answered"
	}
}

// said is a message of an answer, or a delta of a stream.
type said struct {
	Content json.RawMessage
	Refusal string
}

// AddWhole takes an answer in OpenAI's form, and reports whether it can be read.
func (a *Answer) AddWhole(body []byte) bool {
	a.Calls = toolcheck.CallsOf(body)
	return a.add(body)
}

// AddEvents takes whole events of a stream in OpenAI's form, and reports whether they can be read and are not too many.
// End follows the last.
func (a *Answer) AddEvents(events []byte) bool {
	if a.size += len(events); a.size > MaxAnswer {
		return false
	}
	a.stream.Add(events)
	for line := range bytes.Lines(events) {
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if data = bytes.TrimSpace(data); !ok || string(data) == "[DONE]" {
			continue
		}
		if !a.add(data) {
			return false
		}
	}
	return true
}

// End completes the answer of a stream.
func (a *Answer) End() { a.Calls = a.stream.Calls() }

// add takes the first choice of an answer or of a chunk.
func (a *Answer) add(data []byte) bool {
	var body struct {
		Choices []struct {
			Index          int
			FinishReason   string `json:"finish_reason"`
			Message, Delta said
		}
	}
	if json.Unmarshal(data, &body) != nil {
		return false
	}
	for _, c := range body.Choices {
		if c.Index != 0 {
			continue
		}
		a.Text += c.Message.text() + c.Delta.text()
		a.Blocked = a.Blocked || strings.EqualFold(c.FinishReason, "content_filter") || c.Message.Refusal+c.Delta.Refusal != ""
	}
	return true
}

// text is the content: a text, or parts of which some are.
func (s said) text() string {
	var whole string
	if json.Unmarshal(s.Content, &whole) == nil {
		return whole
	}
	var parts []struct{ Text string }
	_ = json.Unmarshal(s.Content, &parts) // null, or of a form that has no text
	for _, part := range parts {
		whole += part.Text
	}
	return whole
}
