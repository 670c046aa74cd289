package responses

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// item is one of a conversation, as written.
type item struct {
	// path is its place in the request, and text all of it.
	path                      string
	text                      jsontext.Value
	kind, id, callID          string
	role, content             jsontext.Value
	name, namespace           string
	arguments, input, output  jsontext.Value
	summary, encrypted, tools jsontext.Value
	result                    jsontext.Value // the image that a model has made
	// hasID says that it has an id, which may be empty.
	hasID bool
	// silent says that content is null, as some turns of Codex have it: https://github.com/can1357/oh-my-pi/issues/10956.
	silent bool
	// misplaced says that it has a part in another form than the API has there, as chat completions' is.
	misplaced bool
	// kept says that it was kept here, so that its client has not written it; and lost that it cannot be sent again: see recalled.
	kept, lost bool
}

// readInput gives a text as the one message of a user, and notes what stands for another item.
func (r *ClientRequest) readInput() error {
	switch v := r.c.input; v.Kind() {
	case '"':
		if len(v) > len(`""`) {
			text := append(append([]byte(`{"type":"message","role":"user","content":[{"type":"input_text","text":`), v...), "}]}"...)
			r.Input = []jsontext.Value{text}
			it := item{path: "input[0]", text: text}
			err := it.read()
			r.items = []item{it}
			return err
		}
		return nil
	case jsontext.KindInvalid:
		return nil
	default:
		return translate.Objects("input", v, func(path string, dec *translate.Decoder) (err error) {
			r.items = append(r.items, item{path: path})
			it := &r.items[len(r.items)-1]
			if it.text, err = dec.Members(it.member); err == nil {
				err = it.complete()
			}
			r.Input = append(r.Input, it.text)
			if err == nil && it.kind == "item_reference" {
				if it.id == "" {
					return translate.Missing(path+".id", "a string")
				}
				r.References = append(r.References, it.id)
			}
			if it.offers() {
				r.c.moreTools = append(r.c.moreTools, it.tools)
			}
			return err
		})
	}
}

// read reads the item of its text.
func (it *item) read() error {
	if err := translate.Object(it.path, it.text, it.member); err != nil {
		return err
	}
	return it.complete()
}

// member reads one member.
func (it *item) member(name string, v jsontext.Value) error {
	if v.Kind() == 'n' {
		it.silent = it.silent || name == "content"
		return nil
	}
	switch name {
	case "type":
		return it.word(&it.kind, name, v)
	case "id":
		it.hasID = true
		return it.word(&it.id, name, v)
	case "call_id":
		return it.word(&it.callID, name, v)
	case "name":
		return it.word(&it.name, name, v)
	case "namespace":
		return it.word(&it.namespace, name, v)
	case "role":
		it.role = v
	case "content":
		it.content = v
	case "arguments":
		it.arguments = v
	case "input":
		it.input = v
	case "output":
		it.output = v
	case "summary":
		it.summary = v
	case "encrypted_content":
		it.encrypted = v
	case "tools":
		it.tools = v
	case "result":
		it.result = v
	}
	return nil
}

// word reads a member that is a string.
func (it *item) word(to *string, name string, v jsontext.Value) (err error) {
	if *to = translate.Name(v); *to == "" {
		err = translate.IsString(it.path+"."+name, v)
	}
	return err
}

// complete finds what an item is whose type is left out, when all of its members have been read.
func (it *item) complete() error {
	switch {
	case it.kind != "":
	case it.role != nil:
		it.kind = "message"
	case it.id != "" && it.content == nil:
		it.kind = "item_reference" // whose type may be left out
	default:
		return translate.Missing(it.path+".type", "a string")
	}
	return nil
}
