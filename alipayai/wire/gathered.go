package wire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// IsStream reports whether a body is a stream of events, whatever it was labelled as.
func IsStream(body []byte) bool {
	r := NewEventReader(bytes.NewReader(body[:min(len(body), firstBuffer)]), 0)
	defer r.Release()
	return r.Begins() == BeginsEvents
}

// Gathered makes of the chunks of a stream the chat completion that they are: for a client that asked for a whole answer of
// an upstream that streams all the same, as DeepSeek and proxies were seen to (https://github.com/BYK/loreai/pull/605,
// https://github.com/BYK/loreai/pull/1204). It is the reverse of [AppendStream]. Texts grow by their pieces, lists by their
// elements, and of all else the last value counts. Its zero value is ready.
type Gathered struct {
	head    grown
	choices []*gatheredChoice
}

type gatheredChoice struct {
	index            int
	members, message grown
	calls            []grown
	places           CallPlaces
}

// Add adds events of a stream in OpenAI's form. It fails with [ErrMalformed] where they hold no chunks, or those of more
// choices than can be asked for.
func (g *Gathered) Add(events []byte) error {
	r := EventsIn(events)
	defer r.Release()
	for {
		event, err := r.Next()
		if err != nil {
			return nil // there is no more of them
		}
		if event.saysNothing() || bytes.HasPrefix(event.Data, done) {
			continue
		}
		if err := g.add(event.Data); err != nil {
			return err
		}
	}
}

// add adds a chunk.
func (g *Gathered) add(chunk []byte) error {
	var members object
	var choices []object
	if json.Unmarshal(chunk, &members) != nil {
		return errNoCompletion
	}
	_ = json.Unmarshal(members["choices"], &choices) // else there are none
	delete(members, "choices")
	for name, v := range members {
		g.head.set(name, v)
	}
	for at, members := range choices {
		index := at
		if n, ok := TokenCount(jsontext.Value(members["index"])); ok {
			index = int(n)
		}
		at, found := slices.BinarySearchFunc(g.choices, index, func(c *gatheredChoice, index int) int { return c.index - index })
		if !found {
			if len(g.choices) == MaxChoices {
				return errNoCompletion
			}
			g.choices = slices.Insert(g.choices, at, &gatheredChoice{index: index})
		}
		if err := g.choices[at].add(members); err != nil {
			return err
		}
	}
	return nil
}

func (c *gatheredChoice) add(members object) error {
	for name, v := range members {
		switch name {
		case "delta", "message":
			var delta object
			_ = json.Unmarshal(v, &delta) // else there is none
			for name, v := range delta {
				if name != "tool_calls" {
					c.message.grow(name, v)
				} else if err := c.addCalls(v); err != nil {
					return err
				}
			}
		case "logprobs":
			c.members.grow(name, v)
		default:
			c.members.set(name, v)
		}
	}
	return nil
}

// addCalls adds pieces of tool calls. It fails where they are of too many.
func (c *gatheredChoice) addCalls(v json.RawMessage) error {
	var pieces []object
	_ = json.Unmarshal(v, &pieces) // else there are none
	text := func(v json.RawMessage) string { return clean(jsontext.Value(v), len(v)) }
	c.places.Chunk()
	for at, piece := range pieces {
		var function object
		_ = json.Unmarshal(piece["function"], &function) // else there is none
		if arguments := jsontext.Value(function["arguments"]); arguments.Kind() == '{' {
			function["arguments"] = appendString(nil, string(arguments))
			piece["function"] = marshal(function)
		}
		place := NoPlace
		if n, ok := TokenCount(jsontext.Value(piece["index"])); ok {
			place = int(n)
		} else if len(pieces) > 1 {
			place = at
		}
		call := c.places.Place(place, text(piece["id"]), text(function["name"]), text(function["arguments"]))
		if call == MaxToolCalls {
			return TooManyCalls()
		}
		for len(c.calls) <= call {
			c.calls = append(c.calls, nil)
		}
		delete(piece, "index")
		for name, v := range piece {
			c.calls[call].grow(name, v)
		}
	}
	return nil
}

// Append appends the chat completion. It fails with [ErrMalformed] where no choice has come.
func (g *Gathered) Append(dst []byte) ([]byte, error) {
	if len(g.choices) == 0 {
		return dst, errNoCompletion
	}
	choices := make([]json.RawMessage, len(g.choices))
	for i, c := range g.choices {
		if len(c.calls) > 0 {
			calls := make([]json.RawMessage, len(c.calls))
			for i, call := range c.calls {
				calls[i] = call.json()
			}
			c.message.set("tool_calls", marshal(calls))
		}
		c.message.set("content", json.RawMessage("null"))
		c.members.set("index", json.RawMessage(strconv.Itoa(c.index)))
		c.members.set("message", c.message.json())
		choices[i] = c.members.json()
	}
	g.head.set("object", json.RawMessage(`"chat.completion"`))
	g.head.set("choices", marshal(choices))
	return append(dst, g.head.json()...), nil
}

// grown is an object that grows by pieces.
type grown map[string]*grownMember

// grownMember is a member of it: what it has of text, as JSON's characters, of elements or of members, and else the last value.
type grownMember struct {
	value   json.RawMessage
	text    []byte
	list    []json.RawMessage
	members grown
}

func (g *grown) member(name string) *grownMember {
	if *g == nil {
		*g = make(grown)
	}
	if (*g)[name] == nil {
		(*g)[name] = new(grownMember)
	}
	return (*g)[name]
}

// set puts a value in the place of the one before. null and "" say nothing more.
func (g *grown) set(name string, v json.RawMessage) {
	m := g.member(name)
	if says := string(v) != "null" && string(v) != `""`; says || m.value == nil && m.text == nil && m.list == nil && m.members == nil {
		m.value = v
	}
}

// grow adds a piece. A role, an id and a type do not grow, and a name that is repeated is the same.
func (g *grown) grow(name string, v json.RawMessage) {
	m := g.member(name)
	switch v[0] {
	case '"':
		piece := v[1 : len(v)-1]
		switch {
		case name == "role" || name == "id" || name == "type":
			g.set(name, v)
		case name != "name" || !bytes.Equal(m.text, piece):
			m.text = append(m.text, piece...)
			m.value = nil
		}
	case '[':
		var elements []json.RawMessage
		_ = json.Unmarshal(v, &elements) // has been read before
		m.list = append(m.list, elements...)
	case '{':
		var members object
		_ = json.Unmarshal(v, &members) // has been read before
		for name, v := range members {
			m.members.grow(name, v)
		}
	default:
		g.set(name, v)
	}
}

// json writes it.
func (g grown) json() json.RawMessage {
	all := make(object, len(g))
	for name, m := range g {
		switch {
		case m.text != nil:
			all[name] = append(append([]byte{'"'}, m.text...), '"')
		case m.list != nil:
			all[name] = marshal(m.list)
		case m.members != nil:
			all[name] = m.members.json()
		case m.value != nil:
			all[name] = m.value
		default: // a text of which nothing has come
			all[name] = json.RawMessage(`""`)
		}
	}
	return marshal(all)
}
