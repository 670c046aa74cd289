package doctor

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// came is an event of a stream.
type came struct {
	name    string
	data    []byte
	members []member
	// inside is where OpenAI's chunk is in it, empty for the top; chunk says that there is one.
	inside string
	chunk  bool
}

// eventsOf gives the events of a stream, or the JSON values.
func eventsOf(stream []byte, values bool) (all []came) {
	events := wire.NewEventReader(bytes.NewReader(stream), maxEvent)
	defer events.Release()
	if values {
		events.ReadValues()
	}
	for {
		event, err := events.Next()
		if len(bytes.TrimSpace(event.Data)) > 0 {
			e := came{name: string(event.Type), data: bytes.Clone(bytes.TrimSpace(event.Data))}
			e.members = membersOf(e.data)
			e.inside, e.chunk = chunkIn(e)
			all = append(all, e)
		}
		if err != nil {
			return all
		}
	}
}

// chunkIn finds a chunk with choices in an event.
func chunkIn(e came) (inside string, ok bool) {
	has := func(value []byte) bool {
		var chunk struct {
			Choices []json.RawMessage `json:"choices"`
		}
		return json.Unmarshal(value, &chunk) == nil && len(chunk.Choices) > 0
	}
	if has(e.data) {
		return "", true
	}
	for _, m := range e.members {
		if has(m.value) {
			return m.path.String(), true
		}
	}
	return "", false
}

// text is the value of a member of the event; empty where there is none.
func (e came) text(path string) string {
	for _, m := range e.members {
		if m.path.String() == path {
			return m.scalar()
		}
	}
	return ""
}

// scalar is a member's value as an option has it: a word, a number, true or false.
func (m member) scalar() string {
	if m.text != "" {
		return m.text
	}
	if v := string(m.value); v == "true" || v == "false" {
		return v
	}
	return ""
}

// lastNames are the names of members that tell the last event.
var lastNames = []string{"isend", "end", "done", "isdone", "finished", "isfinished", "finish", "last", "islast", "completed", "iscompleted"}

// streamNames gives what the option answer has to say for a stream to be read, with what it says already, and what has come
// of the stream so. ok is false where there is nothing new to say.
func streamNames(p *upstream.Provider, x *exchange) (fields wire.AnswerFields, read streamed, ok bool) {
	if p.AnswerFields != nil {
		fields = *p.AnswerFields
	}
	if p.Profile.Format != wire.OpenAI || fields.Stream != nil { // the contract's words come before a guess
		return fields, read, false
	}
	stream := &wire.StreamFields{Values: bytes.HasPrefix(bytes.TrimSpace(x.body), []byte("{"))}
	events := eventsOf(x.body, stream.Values)
	first := slices.IndexFunc(events, func(e came) bool { return e.chunk })
	if first < 0 {
		return fields, read, false
	}
	if fields.Inside == "" {
		fields.Inside = events[first].inside
	}
	stream.Name, stream.Events = eventNames(events)
	name := func(e came) string {
		if stream.Name != "" {
			return e.text(stream.Name)
		}
		return e.name
	}
	switch last := events[len(events)-1]; {
	case !bytes.HasPrefix(last.data, []byte("{")) && !strings.HasPrefix(string(last.data), "[DONE]"):
		stream.End = []string{string(last.data)}
	case !last.chunk && len(stream.Events) > 0 && name(last) != "" && !slices.Contains(stream.Events, name(last)):
		stream.End = []string{name(last)}
	default:
		path, found := firstOf(last.members, func(m member) bool {
			return slices.Contains(lastNames, m.name) && m.scalar() != "" && m.scalar() != events[first].text(m.path.String())
		})
		if path != "" {
			stream.Last, stream.LastValues = path, []string{found.scalar()}
		}
	}
	fields.Stream = stream
	form, err := wire.NewAnswerForm(fields)
	if err != nil {
		return fields, read, false
	}
	read = readEvents(form, p.Format, bytes.NewReader(x.body), func() {}, func() time.Duration { return 1 })
	return fields, read, read.ended && read.first > 0
}

// eventNames tells events with chunks from others by their names: by the field event, or by a member.
func eventNames(events []came) (path string, names []string) {
	for _, path := range []string{"", "type", "event", "kind", "action"} {
		of := func(e came) string {
			if path == "" {
				return e.name
			}
			return e.text(path)
		}
		names = nil
		other := false
		for _, e := range events {
			if n := of(e); e.chunk && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		for _, e := range events {
			other = other || !e.chunk && of(e) != "" && !slices.Contains(names, of(e))
		}
		if other && !slices.Contains(names, "") {
			return path, names
		}
	}
	return "", nil
}

// streamOption is the block stream of the option answer.
func streamOption(s *wire.StreamFields) (text string, patch map[string]any) {
	patch = make(map[string]any)
	text = "\tstream {\n"
	say := func(name string, patched map[string]any, words ...string) {
		for i := range words {
			words[i] = quoted(words[i])
		}
		text += "\t\t" + name + " " + strings.Join(words, " ") + "\n"
		maps.Copy(patch, patched)
	}
	if s.Values {
		say("form", map[string]any{"form": "json"}, "json")
	}
	if s.Name != "" {
		say("name", map[string]any{"name": s.Name}, s.Name)
	}
	if len(s.Events) > 0 {
		say("events", map[string]any{"events": s.Events}, slices.Clone(s.Events)...)
	}
	if len(s.End) > 0 {
		say("end", map[string]any{"end": s.End}, slices.Clone(s.End)...)
	}
	if s.Last != "" {
		say("last", map[string]any{"last": s.Last, "last_values": s.LastValues}, append([]string{s.Last}, s.LastValues...)...)
	}
	return text + "\t}\n", patch
}
