package openai

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// callCompleter gives tool calls what some servers leave out of them, and no client can do without: an id, by which its
// result is told from others (https://github.com/anomalyco/opencode/pull/47954, https://github.com/binaricat/Netcatty/pull/1007),
// and in a stream an index, by which its pieces are (https://github.com/openai/openai-python/issues/2806 and
// https://github.com/anomalyco/opencode/issues/17902 of Gemini, https://github.com/ollama/ollama/issues/7881,
// https://github.com/vercel/ai/issues/7238). Where calls share an index, as all do that Ollama and Gemini make at once
// (https://github.com/ollama/ollama/issues/15457, https://github.com/su-kaka/gcli2api/pull/406), clients join what is of several;
// and where they begin at 1 or leave one out, they write behind the end of a list (https://github.com/agentgateway/agentgateway/issues/2965
// of Bedrock, https://github.com/AstrBotDevs/AstrBot/pull/9593). So each call's index is how many came before it. Arguments that are an object or null become a text, as those of llama.cpp and DeepInfra
// (https://github.com/ggml-org/llama.cpp/issues/20198, https://github.com/open-webui/open-webui/issues/27195). The type
// of what calls a function is function, and not null, "" or FUNCTION, which the AI SDK refuses with the whole stream
// (https://github.com/vercel/ai/issues/6041, https://github.com/sandbaseai/sandbase-harness/pull/220). Every other byte stays as it was.
type callCompleter struct {
	id string // the answer's own, of which those of its calls are made
	// choices are the calls of each choice.
	choices map[string]*choiceCalls
}

// called reports whether a choice has called a tool.
func (c *callCompleter) called(choice string) bool {
	calls := c.choices[choice]
	return calls != nil && calls.named
}

// choiceCalls are the calls of a choice.
type choiceCalls struct {
	places wire.CallPlaces
	// indexes are those by which the client knows the calls, by their places here.
	indexes map[int]int
	// named says that one of them has a name, without which it calls nothing.
	named bool
}

// index gives the index by which the client is to know a call.
func (c *choiceCalls) index(call int) int {
	index, known := c.indexes[call]
	if !known {
		if c.indexes == nil {
			c.indexes = make(map[int]int)
		}
		index = len(c.indexes)
		c.indexes[call] = index
	}
	return index
}

// calls completes the calls, or pieces of them, of the choice of that index.
func (c *callCompleter) calls(e *edits, choice string, calls []span, streamed bool) {
	of := c.choices[choice]
	if of == nil {
		of = new(choiceCalls)
		if c.choices == nil {
			c.choices = make(map[string]*choiceCalls)
		}
		c.choices[choice] = of
	}
	places := &of.places
	for i, call := range calls {
		members := e.members(call)
		if len(members) == 0 {
			continue
		}
		p := readPiece(e, members)
		place := p.index
		if place == wire.NoPlace && len(calls) > 1 && p.id == "" {
			place = i
		}
		before := places.Len()
		n := places.Place(place, p.id, p.name, p.arguments)
		if places.Len() > wire.MaxToolCalls {
			return
		}
		begins := places.Len() > before
		of.named = of.named || p.name != "" && !wire.IsNoName(p.name)
		var more []byte
		if streamed && (p.index != wire.NoPlace || p.name != "" || p.arguments != "") {
			if index := of.index(n); index != p.index {
				more = appendOrReplace(e, more, p.indexAt, "index", strconv.AppendInt(nil, int64(index), 10))
			}
		}
		if p.argumentsAt != (span{}) {
			e.arguments(p.argumentsAt, streamed)
		}
		if begins && p.id == "" && p.name != "" && !wire.IsNoName(p.name) {
			more = appendOrReplace(e, more, p.idAt, "id", quote(c.callID(choice, n)))
		}
		switch {
		case p.typeAt == (span{}) && begins && p.name != "" && len(more) > 0:
			more = append(more, `"type":"function",`...)
		case p.typeAt != (span{}) && p.ofFunction && string(e.text(p.typeAt)) != `"function"`:
			e.replace(p.typeAt, []byte(`"function"`))
		}
		if len(more) > 0 {
			e.insert(members[0].key.start, more)
		}
	}
}

// arguments makes a text of arguments, at s, that are none.
func (e *edits) arguments(s span, streamed bool) {
	switch v := e.text(s); {
	case v.Kind() == '{':
		e.replace(s, quote(string(v)))
	case v.Kind() == 'n' && streamed:
		e.replace(s, []byte(`""`))
	case v.Kind() == 'n':
		e.replace(s, []byte(`"{}"`))
	}
}

// callID is the id of a call of the answer's.
func (c *callCompleter) callID(choice string, n int) string {
	sum := sha256.Sum256([]byte(c.id + "," + choice + "," + strconv.Itoa(n)))
	return "call_" + hex.EncodeToString(sum[:12])
}

// appendOrReplace appends a member, or puts its value where the member stands already with a value that is none.
func appendOrReplace(e *edits, more []byte, at span, name string, value []byte) []byte {
	if at != (span{}) {
		e.replace(at, value)
		return more
	}
	return append(append(append(append(more, quote(name)...), ':'), value...), ',')
}

// callPiece is a piece of a tool call, and where its members stand.
type callPiece struct {
	index               int // wire.NoPlace where it has none
	id, name, arguments string
	ofFunction          bool // and of no custom tool
	indexAt, idAt       span
	typeAt, argumentsAt span // of a function
}

func readPiece(e *edits, members []member) callPiece {
	p := callPiece{index: wire.NoPlace}
	for _, m := range members {
		switch v := e.text(m.value); m.name {
		case "index":
			p.indexAt = m.value
			if n, ok := wire.TokenCount(v); ok && n < wire.MaxToolCalls {
				p.index = int(n)
			}
		case "id":
			p.idAt, p.id = m.value, translate.Unquote(v)
		case "type":
			p.typeAt = m.value
		case "function", "custom":
			p.ofFunction = p.ofFunction || m.name == "function" && v.Kind() == '{'
			for _, m := range e.members(m.value) {
				switch v := e.text(m.value); m.name {
				case "name":
					p.name = translate.Unquote(v)
				case "arguments", "input":
					if m.name == "arguments" {
						p.argumentsAt = m.value
					}
					if p.arguments = translate.Unquote(v); v.Kind() == '{' {
						p.arguments = string(v)
					}
				}
			}
		}
	}
	return p
}
