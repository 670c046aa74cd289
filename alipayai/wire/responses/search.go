package responses

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Clients that have many tools offer one to search them by, tool_search, and send what it finds as its output: Codex keeps the tools of
// MCP servers back so, and has none of them where it is left out (https://github.com/openai/codex/issues/26234,
// https://github.com/openai/codex/issues/19871, https://github.com/CommandCodeAI/command-code/issues/745). It is a function whose
// arguments are an object, and whose output are tools (platform.openai.com/docs/guides/tools-tool-search).
const (
	searchTool   = "tool_search"
	searchCall   = "tool_search_call"
	searchOutput = "tool_search_output"

	// byClient is the execution of a search that the client makes. OpenAI makes others by itself.
	byClient = "client"
)

// isSearch reports whether an item is of a search that the client has made: OpenAI's own have no call_id.
func (it *item) isSearch() bool { return it.callID != "" }

// isOutput reports whether an item is what a tool gave.
func (it *item) isOutput() bool {
	return it.output != nil || it.kind == searchOutput && it.isSearch()
}

// offers reports whether an item has tools that are offered from there on.
func (it *item) offers() bool {
	return it.tools != nil && (it.kind == "additional_tools" || it.kind == searchOutput && it.isSearch())
}

// offerAgain offers the tools that items of the history have, before those of the request's own.
func (r *ClientRequest) offerAgain() error {
	var more []jsontext.Value
	for i := range r.before {
		if it := &r.before[i]; !it.lost && it.offers() {
			more = append(more, it.tools)
		}
	}
	if more == nil {
		return nil
	}
	r.c.moreTools = append(more, r.c.moreTools...)
	r.c.offered = offered{}
	return r.c.readTools()
}

// searched reads the call of a search.
func (v *conversation) searched(it *item) error {
	arguments := it.arguments
	if arguments.Kind() != '"' {
		if arguments == nil {
			arguments = jsontext.Value("{}")
		}
		arguments = translate.Quote(nil, string(arguments))
	}
	it.name = searchTool
	return v.call(it, arguments, "arguments", "")
}

// found gives the characters that name the tools which a search has found, as the model is to call them.
func (v *conversation) found(it *item) (text []byte, err error) {
	name := func(namespace, name string) {
		called := translate.Characters(translate.Quote(nil, v.client.offered.wireName(namespace, name)))
		text = appendLine(text, append([]byte("Tool found: "), called...))
	}
	each := func(list jsontext.Value, then func(n named, inner jsontext.Value)) error {
		return translate.Array(it.path+".tools", list, func(path string, v jsontext.Value) error {
			n, inner, err := readNamed(path, v)
			then(n, inner)
			return err
		})
	}
	if it.tools == nil {
		return []byte("No tool found."), nil
	}
	err = each(it.tools, func(n named, inner jsontext.Value) {
		switch n.kind {
		case "function", "custom":
			name("", n.name)
		case "namespace":
			_ = each(inner, func(of named, _ jsontext.Value) { name(n.name, of.name) }) // it has been read before
		}
	})
	if len(text) == 0 {
		text = []byte("No tool found.")
	}
	return text, err
}

// appendLine appends a line to characters.
func appendLine(text, line []byte) []byte {
	if len(text) > 0 {
		text = append(text, `\n`...)
	}
	return append(text, line...)
}

// appendSearch appends the call of a search that the client is to make, whose arguments are characters.
func (w *ClientWriter) appendSearch(dst []byte, n int, callID, arguments []byte, status string) []byte {
	object, _ := wire.ArgumentsObject(translate.Unquote(append(append([]byte{'"'}, arguments...), '"')))
	dst = append(w.appendItemID(append(dst, `{"type":"tool_search_call","id":"`...), "tsc", n), `","status":"`...)
	dst = append(append(append(dst, status...), `","call_id":`...), callID...)
	return append(append(append(dst, `,"execution":"client","arguments":`...), object...), '}')
}
