package responses

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// speaker is whose parts some content has, by which the API tells their types apart.
//
// Clients that play back chat completions, or one of their own messages as another's, write other types: "Invalid value: 'text'.
// Supported values are: 'input_text', …" and "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'" is what
// OpenAI says. See https://github.com/diegosouzapw/OmniRoute/pull/3150, https://github.com/mnfst/llm-gateway/pull/1912,
// https://github.com/epam/ai-dial-adapter-openai/issues/511.
type speaker int

// The speakers.
const (
	itself   speaker = iota // the model, in its reasoning
	theModel                // in a message
	others                  // whoever else speaks, and what tools give
)

// partOf gives the type that the API has for a part of that type, in content of that speaker's; the same where it has none.
func (by speaker) partOf(kind string) string {
	switch kind {
	case "text", "input_text", "output_text":
		switch by {
		case theModel:
			return "output_text"
		case others:
			return "input_text"
		}
	case "image_url":
		if by == others {
			return "input_image"
		}
	case "file":
		if by == others {
			return "input_file"
		}
	}
	return kind
}

// ownParts gives the content of the item, which has been read before, with parts in the form that the API has there.
func (it *item) ownParts(content jsontext.Value) jsontext.Value {
	by := others
	if it.kind == "message" && translate.Unquote(it.role) == "assistant" {
		by = theModel
	}
	return eachChanged(content, func(v jsontext.Value) jsontext.Value {
		dec := translate.Decode(v)
		defer dec.Close()
		p, err := readPart(it.path, dec)
		kind := by.partOf(p.kind)
		if err != nil || kind == p.kind {
			return v
		}
		own := append(translate.Quote([]byte(`{"type":`), kind), p.ownMembers(it.path, kind)...)
		return append(own, '}')
	})
}

// ownMembers gives the members of a part of that type, each with a comma before it.
func (p *part) ownMembers(path, kind string) (members []byte) {
	add := func(name string, v jsontext.Value) {
		if v != nil {
			members = append(append(translate.Quote(append(members, ','), name), ':'), v...)
		}
	}
	switch kind {
	case "input_text":
		add("text", p.text)
		add("prompt_cache_breakpoint", p.breakpoint)
	case "output_text":
		add("text", p.text)
		add("annotations", p.annotations)
		add("logprobs", p.logs)
	case "input_image":
		_ = p.within(path, p.url) // it has been read before
		add("image_url", p.url)
		add("file_id", p.fileID)
		add("detail", p.detail)
	case "input_file":
		_ = p.within(path, p.file)
		add("filename", p.fileName)
		add("file_id", p.fileID)
		if _, _, ok := (translate.File{Data: p.fileData}).Address(); ok {
			add("file_url", p.fileData)
		} else {
			add("file_data", p.fileData)
		}
	}
	return members
}
