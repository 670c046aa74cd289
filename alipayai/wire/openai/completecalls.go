package openai

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// callCompleter gives tool calls what some servers leave out of them, and no client can do without: an id, by which its
// result is told from others (https://github.com/anomalyco/opencode/pull/47954, https://github.com/binaricat/Netcatty/pull/1007),
// and in a stream an index, by which its pieces are (https://github.com/openai/openai-python/issues/2806 and
// https://github.com/anomalyco/opencode/issues/17902 of Gemini, https://github.com/ollama/ollama/issues/7881,
// https://github.com/vercel/ai/issues/7238). Where calls share an index, as all do that Ollama and Gemini make at once
// (https://github.com/ollama/ollama/issues/15457, https://github.com/su-kaka/gcli2api/pull/406), clients join what is of several:
// each but the first gets another one. Arguments that are an object or null become a text, as those of llama.cpp and DeepInfra
// (https://github.com/ggml-org/llama.cpp/issues/20198, https://github.com/open-webui/open-webui/issues/27195). Every other byte
// stays as it was.
type callCompleter struct {
	id string // the answer's own, of which those of its calls are made
	// choices are the calls of each choice.
	choices map[string]*choiceCalls
}

// choiceCalls are the calls of a choice.
type choiceCalls struct {
	places wire.CallPlaces
	// indexes are those by which the client knows the calls, by their places here; free is larger than all of them.
	indexes map[int]int
	taken   map[int]bool
	free    int
}

// index gives the index by which the client is to know a call, of which a piece has come with one of the provider's: that one,
// unless another call has it.
func (c *choiceCalls) index(call, sent int) int {
	if index, known := c.indexes[call]; known {
		return index
	}
	if sent == wire.NoPlace || c.taken[sent] {
		sent = call
	}
	if c.taken[sent] {
		sent = c.free
	}
	if c.indexes == nil {
		c.indexes, c.taken = make(map[int]int), make(map[int]bool)
	}
	c.indexes[call], c.taken[sent], c.free = sent, true, max(c.free, sent+1)
	return sent
}

// CompleteCalls gives a whole answer with what its tool calls lack. id is one of the answer's own.
func CompleteCalls(body []byte, id string) []byte {
	if !wire.Mentions(body, `"tool_calls"`) || !translates(body) {
		return body
	}
	c := callCompleter{id: id}
	return c.complete(body, false)
}

// chunk gives a chunk of a stream with what its tool calls lack. Each chunk has to be seen: a name may come in parts, and again
// with each piece.
func (c *callCompleter) chunk(data []byte) []byte {
	if !wire.Mentions(data, `"tool_calls"`) || !translates(data) {
		return data
	}
	return c.complete(data, true)
}

// withDeltas gives a chunk each of whose choices has a delta: some servers leave it out, or give null, where nothing is new but how
// the answer ended, or what a filter says, and clients look into it. See https://github.com/microsoft/agent-framework/pull/5734,
// https://github.com/QwenLM/qwen-code/pull/1448 and https://github.com/bagofwords1/bagofwords/pull/742 of Azure.
func withDeltas(data []byte) []byte {
	if _, rest, ok := bytes.Cut(data, []byte(`"delta"`)); ok { // as in all but a few chunks, which have one choice
		if rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, " "), []byte(":")); ok && bytes.HasPrefix(bytes.TrimLeft(rest, " "), []byte("{")) {
			return data
		}
	}
	if !translates(data) {
		return data
	}
	return editChoices(data, (*edits).delta)
}

// delta gives a choice a delta where it has none.
func (e *edits) delta(choice span) {
	members := e.members(choice)
	for _, m := range members {
		switch {
		case m.name == "delta" && e.text(m.value).Kind() == 'n':
			e.replace(m.value, []byte("{}"))
			return
		case m.name == "delta", m.name == "text", m.name == "message":
			return
		}
	}
	if len(members) > 0 {
		e.insert(choice.start+len("{"), []byte(`"delta":{},`))
	}
}

// translates reports whether text can be read, with lone surrogates and repeated keys as everywhere in answers.
func translates(text []byte) bool {
	return jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func (c *callCompleter) complete(body []byte, streamed bool) []byte {
	return editChoices(body, func(e *edits, choice span) {
		index, calls := "", span{}
		for _, m := range e.members(choice) {
			switch m.name {
			case "index":
				index = string(e.text(m.value))
			case "message", "delta":
				for _, m := range e.members(m.value) {
					if m.name == "tool_calls" {
						calls = m.value
					}
				}
			}
		}
		if calls != (span{}) {
			c.calls(e, index, e.elements(calls), streamed)
		}
	})
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
		var more []byte
		if streamed && (p.index != wire.NoPlace || p.name != "" || p.arguments != "") {
			if index := of.index(n, p.index); index != p.index {
				more = appendOrReplace(e, more, p.indexAt, "index", strconv.AppendInt(nil, int64(index), 10))
			}
		}
		if p.argumentsAt != (span{}) {
			e.arguments(p.argumentsAt, streamed)
		}
		if begins && p.id == "" && p.name != "" && !wire.IsNoName(p.name) {
			more = appendOrReplace(e, more, p.idAt, "id", quote(c.callID(choice, n)))
		}
		if begins && p.name != "" && !p.typed && len(more) > 0 {
			more = append(more, `"type":"function",`...)
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
	typed               bool
	indexAt, idAt       span
	argumentsAt         span // of a function
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
			p.typed = true
		case "function", "custom":
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
