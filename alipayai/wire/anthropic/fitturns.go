package anthropic

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// systemTurns is from when on instructions may stand between the turns of a conversation, at Opus. Before it "role 'system' is not
// supported on this model" (https://github.com/anthropics/claude-code/issues/61412), as at all of Sonnet and Haiku up to version 5
// (https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages,
// https://github.com/anthropics/claude-agent-sdk-typescript/issues/350, https://docs.rs/gproxy-transform/2.6.1).
var systemTurns = version{4, 8}

// refusesSystemTurns reports whether a model is known to refuse instructions between turns.
func refusesSystemTurns(model string) bool {
	v, family := versionOf(model)
	switch {
	case v == version{}:
		return false
	case family == "sonnet", family == "haiku":
		return !v.from(version{5, 1})
	}
	return !v.from(systemTurns)
}

// fitTurns has instructions between turns go to the end of the system's where the model takes them there alone, as they do in a
// translated request. What such a turn has besides its texts, which tools there are from it on, is left out.
func fitTurns(body []byte, model string) (fitted []byte, left []string) {
	if !refusesSystemTurns(model) || !bytes.Contains(body, []byte("system")) && !bytes.Contains(body, []byte(`\u`)) {
		return body, nil
	}
	var f turnFitter
	out := []byte{'{'}
	var system jsontext.Value
	_ = translate.Members(body, func(name string, v jsontext.Value) error { // it has been read before
		switch name {
		case "messages":
			v = filtered(v, f.message)
		case "system":
			system = bytes.Clone(v)
			return nil
		}
		out = appendMember(out, name, v)
		return nil
	})
	if !f.moved {
		return body, nil
	}
	if system.Kind() == '"' {
		system = append(append([]byte("["+textBlock), system...), "}]"...)
	}
	blocks := []byte{'['}
	if system.Kind() == '[' {
		blocks = append(blocks, bytes.TrimSpace(system[1:len(system)-1])...)
	}
	if len(blocks) > 1 && len(f.blocks) > 0 {
		blocks = append(blocks, ',')
	}
	if blocks = append(append(blocks, f.blocks...), ']'); len(blocks) > len("[]") {
		out = appendMember(out, "system", blocks)
	}
	return append(out, '}'), f.left.Names()
}

// turnFitter collects what stands between turns.
type turnFitter struct {
	blocks []byte // of texts, with commas between them
	moved  bool
	left   translate.Omissions
}

// message gives a message without instructions; nothing of one that has nothing else.
func (f *turnFitter) message(message jsontext.Value) jsontext.Value {
	var role string
	var content jsontext.Value
	_ = translate.Members(message, func(name string, v jsontext.Value) error {
		switch name {
		case "role":
			role = translate.Unquote(v)
		case "content":
			content = bytes.Clone(v)
		}
		return nil
	})
	switch {
	case role == "system":
		f.instruct(content)
		return nil
	case role != "user" || content.Kind() != '[' || !isFilled(content):
		return message
	}
	before := f.moved
	f.moved = false
	kept := filtered(content, func(block jsontext.Value) jsontext.Value {
		if kind, _, _, _ := outline(block); kind != "mid_conv_system" {
			return block
		}
		_ = translate.Members(block, func(name string, v jsontext.Value) error {
			if name == "content" {
				f.instruct(v)
			}
			return nil
		})
		return nil
	})
	found := f.moved
	f.moved = f.moved || before
	switch {
	case !found:
		return message
	case len(kept) == len("[]"):
		return nil
	}
	out := []byte{'{'}
	_ = translate.Members(message, func(name string, v jsontext.Value) error {
		if name == "content" {
			v = kept
		}
		out = appendMember(out, name, v)
		return nil
	})
	return append(out, '}')
}

// instruct takes the texts of a turn of the system's.
func (f *turnFitter) instruct(content jsontext.Value) {
	f.moved = true
	add := func(block []byte) {
		if len(f.blocks) > 0 {
			f.blocks = append(f.blocks, ',')
		}
		f.blocks = append(f.blocks, block...)
	}
	if content.Kind() == '"' {
		if !isBlank(content) {
			add(append(append([]byte(textBlock), content...), '}'))
		}
		return
	}
	_ = translate.Elements(content, func(_ int, block jsontext.Value) error {
		switch kind, _, _, blank := outline(block); {
		case kind != "text":
			f.left.LeaveOut("messages.content." + kind)
		case !blank:
			add(block)
		}
		return nil
	})
}
