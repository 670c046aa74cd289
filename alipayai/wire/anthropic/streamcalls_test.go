package anthropic

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// argumentsOf puts the arguments of each call of a stream in OpenAI's form together.
func argumentsOf(t *testing.T, out string) string {
	t.Helper()
	var calls []string
	for ev := range strings.SplitSeq(out, "\n\n") {
		data := strings.TrimPrefix(ev, "data: ")
		if data == "" || data == "[DONE]" {
			continue
		}
		var chunk struct {
			Choices []struct {
				Delta struct {
					ToolCalls []struct {
						Index    int
						Function struct{ Arguments string }
					} `json:"tool_calls"`
				}
			}
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		for _, choice := range chunk.Choices {
			for _, call := range choice.Delta.ToolCalls {
				if call.Index == len(calls) {
					calls = append(calls, "")
				}
				calls[call.Index] += call.Function.Arguments
			}
		}
	}
	return strings.Join(calls, " ")
}

// TestMixedCalls has streams of servers that begin a tool call before the one before it has ended: each gets what is
// its own, whole.
func TestMixedCalls(t *testing.T) {
	at := func(index, event string) string { return strings.Replace(event, `"index":0`, `"index":`+index, 1) }
	piece := func(index, json string) string { return at(index, strings.Replace(toolDelta, "{}", json, 1)) }
	begin := func(index, input string) string {
		return at(index, strings.Replace(toolStart, `"input":{}`, `"input":`+input, 1))
	}
	for name, c := range map[string]struct {
		events []string
		want   string // empty: the stream cannot be read
	}{
		"one after the other":    {[]string{begin("0", "{}"), piece("0", "[0]"), at("0", blockStop), begin("1", "{}"), piece("1", "[1]"), at("1", blockStop)}, "[0] [1]"},
		"mixed":                  {[]string{begin("0", "{}"), begin("1", "{}"), piece("0", "[0"), piece("1", "[1"), piece("0", "]"), piece("1", "]"), at("0", blockStop), at("1", blockStop)}, "[0] [1]"},
		"mixed, ended backwards": {[]string{begin("0", "{}"), begin("1", "{}"), piece("1", "[1]"), at("1", blockStop), piece("0", "[0]"), at("0", blockStop)}, "[0] [1]"},
		"mixed, without ends":    {[]string{begin("0", "{}"), piece("0", "[0"), begin("1", "{}"), piece("1", "[1]"), piece("0", "]")}, "[0] [1]"},
		"three":                  {[]string{begin("0", "{}"), begin("1", "{}"), begin("2", "{}"), piece("2", "[2]"), piece("0", "[0]"), piece("1", "[1]"), at("1", blockStop), at("0", blockStop), at("2", blockStop)}, "[0] [1] [2]"},
		"behind a text":          {[]string{at("3", textStart), at("3", textDelta), begin("5", "{}"), begin("4", "{}"), piece("4", "[1]"), piece("5", "[0]")}, "[0] [1]"},
		"around a text":          {[]string{begin("0", "{}"), piece("0", "[0"), at("1", textStart), at("1", textDelta), piece("0", "]"), at("1", textDelta), at("0", blockStop), at("1", blockStop)}, "[0]"},
		"one of no arguments":    {[]string{begin("0", "{}"), begin("1", "{}"), piece("1", "[1]"), at("0", blockStop), at("1", blockStop)}, "{} [1]"},
		"none of arguments":      {[]string{begin("0", "{ }"), begin("1", "null"), at("1", blockStop)}, "{ } {}"},
		"whole from the start":   {[]string{begin("0", `{"a":0}`), begin("1", `{"a":1}`), at("0", blockStop), at("1", blockStop)}, `{"a":0} {"a":1}`},
		"empty pieces":           {[]string{begin("0", "{}"), begin("1", "{}"), piece("0", ""), piece("1", ""), piece("0", "[0]"), piece("0", "")}, "[0] {}"},

		// What follows an end is of no call: two texts in one would be arguments that the model never gave.
		"behind its end":             {[]string{begin("0", "{}"), piece("0", "[0]"), at("0", blockStop), piece("0", "[1]")}, ""},
		"behind an end of nothing":   {[]string{begin("0", "{}"), at("0", blockStop), begin("1", "{}"), piece("0", "[0]")}, ""},
		"behind its whole arguments": {[]string{begin("0", `{"a":0}`), begin("1", "{}"), piece("0", "[0]")}, ""},
		"of none":                    {[]string{begin("0", "{}"), begin("1", "{}"), piece("2", "[0]")}, ""},
		"no text":                    {[]string{begin("0", "{}"), begin("1", "{}"), strings.Replace(piece("0", "x"), `"x"`, "{}", 1)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			events := append(append([]string{messageStart}, c.events...), messageDelta, messageStop)
			d := decodeStream(strings.NewReader(stream(events...)), wire.Ask{})
			if d.done() != (c.want != "") {
				t.Fatalf("%v: %s", d.err, d.out)
			}
			if got := argumentsOf(t, d.out); d.done() && got != c.want {
				t.Errorf("arguments %s, want %s", got, c.want)
			}
		})
	}
}

// TestCallsWithoutEnd has a stream that begins calls and ends none: there are as many as there may be, and what is kept of calls that
// have ended is nothing.
func TestCallsWithoutEnd(t *testing.T) {
	at := func(n int, event string) string {
		return strings.Replace(event, `"index":0`, `"index":`+strconv.Itoa(n), 1)
	}
	for name, ends := range map[string]bool{"each ends": true, "none ends": false} {
		t.Run(name, func(t *testing.T) {
			events := []string{messageStart}
			for n := range 2 * wire.MaxToolCalls {
				if events = append(events, at(n, toolStart)); ends {
					events = append(events, at(n, blockStop))
				}
			}
			d := decodeStream(strings.NewReader(stream(append(events, messageDelta, messageStop)...)), wire.Ask{})
			if d.done() != ends || !ends && !errors.Is(d.err, wire.ErrMalformed) {
				t.Errorf("%v", d.err)
			}
			if begun := strings.Count(d.out, `"name":"f"`); !ends && begun != wire.MaxToolCalls {
				t.Errorf("%d calls have begun", begun)
			}
		})
	}
}
