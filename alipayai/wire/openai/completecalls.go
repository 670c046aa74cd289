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
// https://github.com/vercel/ai/issues/7238). Every other byte stays as it was.
type callCompleter struct {
	id string // the answer's own, of which those of its calls are made
	// choices are where the calls of each choice stand.
	choices map[string]*wire.CallPlaces
}

// CompleteCalls gives a whole answer with what its tool calls lack. id is one of the answer's own.
func CompleteCalls(body []byte, id string) []byte {
	if !bytes.Contains(body, []byte(`"tool_calls"`)) || !translates(body) {
		return body
	}
	c := callCompleter{id: id}
	return c.complete(body, false)
}

// chunk gives a chunk of a stream with what its tool calls lack. Each chunk has to be seen: a name may come in parts, and again
// with each piece.
func (c *callCompleter) chunk(data []byte) []byte {
	if !bytes.Contains(data, []byte(`"tool_calls"`)) || !translates(data) {
		return data
	}
	return c.complete(data, true)
}

// translates reports whether text can be read, with lone surrogates and repeated keys as everywhere in answers.
func translates(text []byte) bool {
	return jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func (c *callCompleter) complete(body []byte, streamed bool) []byte {
	e := edits{body: body}
	defer e.release()
	for _, top := range e.members(span{0, len(body)}) {
		if top.name != "choices" {
			continue
		}
		for _, choice := range e.elements(top.value) {
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
				c.calls(&e, index, e.elements(calls), streamed)
			}
		}
	}
	return e.apply()
}

// calls completes the calls, or pieces of them, of the choice of that index.
func (c *callCompleter) calls(e *edits, choice string, calls []span, streamed bool) {
	places := c.choices[choice]
	if places == nil {
		places = new(wire.CallPlaces)
		if c.choices == nil {
			c.choices = make(map[string]*wire.CallPlaces)
		}
		c.choices[choice] = places
	}
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
		if streamed && p.index == wire.NoPlace && (p.name != "" || p.arguments != "") {
			more = appendOrReplace(e, more, p.indexAt, "index", strconv.AppendInt(nil, int64(n), 10))
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
					if p.arguments = translate.Unquote(v); v.Kind() == '{' {
						p.arguments = string(v)
					}
				}
			}
		}
	}
	return p
}
