package responses

import (
	"bytes"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// maxItemDepth is how deep an item may nest in a request: it stands in a list, which stands in an object.
const maxItemDepth = wire.DefaultMaxDepth - 2

// recalled reads an item that was kept, of an answer mostly, for a place in a request. Answers may hold what requests may not, and
// their clients have taken them: half an emoji, as max_tokens cuts them, becomes U+FFFD, and of a key that repeats the last counts.
// An item that cannot be read, or nests too deep, is lost, but for the output of a tool: see withoutOutput.
func recalled(path string, v jsontext.Value) item {
	it := item{path: path, kept: true}
	if it.text = strict(v); it.text.Kind() != '{' {
		it.lost = true
		return it
	}
	err := it.read()
	if err != nil {
		_ = translate.Generated(it.text, func(name string, v jsontext.Value) error {
			switch name {
			case "call_id":
				it.callID = translate.Unquote(v)
			case "type":
				it.kind = translate.Unquote(v)
			}
			return nil
		})
	}
	it.lost = err != nil || it.kind == "item_reference" || depth(it.text) > maxItemDepth
	if it.lost || it.output == nil {
		it.withoutOutput()
	}
	return it
}

// withoutOutput puts a word in the place of the output of a tool that was kept and cannot be sent again: without one its call would be
// refused, and the client has sent it. It reports whether the item is one.
func (it *item) withoutOutput() bool {
	if it.kind != "function_call_output" && it.kind != "custom_tool_call_output" || it.callID == "" {
		return false
	}
	text := append([]byte(`{"type":"`+it.kind+`","call_id":`), translate.Quote(nil, it.callID)...)
	again := item{path: it.path, kept: true, text: append(append(append(text, `,"output":`...), translate.LeftOut("output")...), '}')}
	if again.read() != nil {
		return false
	}
	*it = again
	return true
}

// strict gives a value as strict readers take it; nil for what is none.
func strict(v jsontext.Value) jsontext.Value {
	if v.IsValid() {
		return bytes.TrimSpace(v)
	}
	dec := json.NewDecoder(bytes.NewReader(v))
	dec.UseNumber()
	var read any
	if dec.Decode(&read) != nil {
		return nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(read) != nil {
		return nil
	}
	return bytes.TrimSpace(out.Bytes())
}

// depth is how deep objects and arrays nest in a value.
func depth(v jsontext.Value) (most int) {
	at, quoted := 0, false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			at++
			most = max(most, at)
		case c == '}', c == ']':
			at--
		}
	}
	return most
}

func isLost(it item) bool { return it.lost }

// texts gives items as written.
func texts(items []item) []jsontext.Value {
	list := make([]jsontext.Value, len(items))
	for i := range items {
		list[i] = items[i].text
	}
	return list
}
