package translate

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// another reads a choice after the first. One that only calls tools goes on from there: GitHub Copilot writes each call of Claude's
// into a choice of its own (https://github.com/HKUDS/nanobot/pull/1555, https://github.com/karthink/gptel/pull/1284), as Portkey
// did with Bedrock's (https://github.com/Portkey-AI/gateway/issues/814). One that says something is another answer.
func (c *Chunk) another(dec *Decoder) error {
	var more Chunk
	err := dec.Object(func(name string) error { return more.choiceMember(dec, name) })
	if err == nil && !more.Says() {
		c.Calls = append(c.Calls, more.Calls...)
	}
	return err
}

func (c *Chunk) deltaMember(dec *Decoder, name string) error {
	var text *jsontext.Value
	switch name {
	case "content":
		if dec.PeekKind() == '[' {
			return c.parts(dec, &c.Content)
		}
		text = &c.Content
	case "refusal":
		text = &c.Refusal
	case "reasoning_content", "reasoning", "reasoning_text": // the last is GitHub Copilot's: https://github.com/caozhiyuan/copilot-api/issues/230
		text = &c.Reasoning
	case "reasoning_details":
		var err error
		c.parted, err = c.readDetails(dec)
		return err
	case "annotations":
		v, err := dec.Value()
		if v.Kind() == '[' && len(v) > len("[]") {
			c.Annotations = v
		}
		return err
	case "images": // OpenRouter's: https://github.com/maximhq/bifrost/issues/2367
		v, err := dec.Value()
		if v.Kind() == '[' && len(v) > len("[]") {
			c.Images = v
		}
		return err
	case "tool_calls":
		return dec.Array(func(int) error {
			c.Calls = append(c.Calls, CallPiece{Index: wire.NoPlace})
			call := &c.Calls[len(c.Calls)-1]
			return dec.Object(func(name string) error { return call.member(dec, name) })
		})
	case "function_call": // the older form, of one call
		if dec.PeekKind() != '{' {
			return dec.Skip()
		}
		c.older = &CallPiece{}
		return c.older.member(dec, "function")
	default:
		return dec.Skip()
	}
	v, err := dec.Value()
	if v.Kind() == '"' && (*text == nil || len(v) > len(`""`)) { // some servers write reasoning under both names
		*text = v
	}
	return err
}

// parts reads content, or thinking, that some models write as a list: parts with a text, Mistral's with thinking, and those of
// Databricks with a summary of the reasoning. See https://docs.mistral.ai/capabilities/reasoning and
// https://github.com/neondatabase/neon-pkgs/issues/308.
func (c *Chunk) parts(dec *Decoder, to *jsontext.Value) error {
	switch dec.PeekKind() {
	case '[':
		return dec.Array(func(int) error { return c.parts(dec, to) })
	case '{':
		return dec.Object(func(name string) error {
			switch name {
			case "text":
				return c.parts(dec, to)
			case "thinking", "summary":
				return c.parts(dec, &c.Reasoning)
			}
			return dec.Skip()
		})
	case '"':
		v, err := dec.Value()
		if *to == nil {
			*to = v
		} else {
			said := (*to)[:len(*to)-1]
			if cap(*to) == len(*to) { // a part of the text that is read, or as good as full
				said = append(make(jsontext.Value, 0, 2*(len(said)+len(v))), said...)
			}
			*to = append(said, v[1:]...)
		}
		return err
	}
	return dec.Skip()
}

// Text gives the content of a message as one text, whether it is one or a list of parts; nil for anything else.
func Text(content jsontext.Value) jsontext.Value {
	switch content.Kind() {
	case '"':
		return content
	case '[':
		var c Chunk
		dec := Decode(content)
		defer dec.Close()
		if c.parts(dec, &c.Content) == nil {
			return c.Content
		}
	}
	return nil
}
