package anthropic

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// FitModel implements [wire.ModelFitter]: what it leaves out is what [request.settleModel] does of a translated request, and
// what stands in the API's own form alone. Of a model whose version is not known it leaves everything.
func (*Format) FitModel(body []byte, model string) wire.Encoded {
	v, family := versionOf(model)
	if v == (version{}) {
		return wire.Encoded{Body: body}
	}
	body, left := fitTurns(body, model)
	f := modelFitter{model: model, version: v, alwaysThinks: thinksAlways(v, family)}
	if translate.Members(body, f.look) != nil { // what cannot be read is the provider's to refuse
		return wire.Encoded{Body: body, Unsupported: left}
	}
	out := []byte{'{'}
	_ = translate.Members(body, func(name string, v jsontext.Value) error {
		if fitted := f.member(name, v); fitted != nil {
			f.changed = f.changed || !bytes.Equal(fitted, v)
			out = appendMember(out, name, fitted)
		} else {
			f.changed = true
		}
		return nil
	})
	if !f.changed {
		return wire.Encoded{Body: body, Unsupported: left}
	}
	return wire.Encoded{Body: append(out, '}'), Unsupported: slices.Sorted(slices.Values(slices.Concat(left, f.left.Names())))}
}

// modelFitter fits a request to a model.
type modelFitter struct {
	model string
	version
	alwaysThinks bool
	left         translate.Omissions
	changed      bool

	thinking string // its type, as asked
}

// look reads what members say that others depend on.
func (f *modelFitter) look(name string, v jsontext.Value) error {
	if name == "thinking" {
		f.thinking = memberText(v, "type")
	}
	return nil
}

// thinks reports whether thinking that is asked for stays.
func (f *modelFitter) thinks() bool {
	return f.thinking == "enabled" || f.thinking == "adaptive" && f.from(adapts)
}

// member gives what becomes of a member; nil for one that is left out.
func (f *modelFitter) member(name string, v jsontext.Value) jsontext.Value {
	switch name {
	case "max_tokens":
		if n, ok := wire.TokenCount(v); ok {
			if most := mostTokens(f.model); most > 0 && n > most {
				return strconv.AppendInt(nil, most, 10)
			}
		}
	case "temperature", "top_p", "top_k":
		if f.from(noSampling) {
			f.left.Leave("", name, v)
			return nil
		}
	case "thinking":
		return f.thought(v)
	case "tool_choice":
		if kind := memberText(v, "type"); f.alwaysThinks && (kind == "any" || kind == "tool") {
			f.left.LeaveOut(name)
			return objectOf(v, func(name string, v jsontext.Value) jsontext.Value {
				switch name {
				case "type":
					return jsontext.Value(`"auto"`)
				case "name":
					return nil
				}
				return v
			})
		}
	case "output_format":
		if v.Kind() == '{' && !takesSchemas(f.model) {
			f.left.LeaveOut(name)
			return nil
		}
	case "output_config":
		return f.outputConfig(v)
	case "context_management":
		if f.thinking == "adaptive" && !f.thinks() {
			return withoutThinkingEdits(v)
		}
	case "messages":
		return f.messages(v)
	}
	return v
}

// thought gives how the model is asked to think.
func (f *modelFitter) thought(v jsontext.Value) jsontext.Value {
	switch {
	case f.thinking == "adaptive" && !f.thinks(), f.thinking == "disabled" && f.alwaysThinks:
		f.left.LeaveOut("thinking")
		return nil
	case f.thinking == "enabled" && f.from(noSampling):
		return objectOf(v, func(name string, v jsontext.Value) jsontext.Value {
			switch name {
			case "type":
				return jsontext.Value(`"adaptive"`)
			case "budget_tokens":
				f.left.LeaveOut("thinking." + name)
				return nil
			}
			return v
		})
	}
	return v
}

// outputConfig gives what the answer has to be like.
func (f *modelFitter) outputConfig(v jsontext.Value) jsontext.Value {
	fitted := objectOf(v, func(name string, v jsontext.Value) jsontext.Value {
		asked := translate.Unquote(v)
		switch {
		case name == "effort" && asked != "":
			effort := effortOf(f.model, asked)
			if f.thinking == "disabled" && (effort == "xhigh" || effort == "max") {
				effort = "high"
			}
			if effort == "" {
				if asked != "high" { // which is what there is without one
					f.left.LeaveOut("output_config.effort")
				}
				return nil
			}
			if effort != asked {
				return translate.Quote(nil, effort)
			}
		case name == "format" && v.Kind() == '{' && !takesSchemas(f.model):
			f.left.LeaveOut("output_config.format")
			return nil
		}
		return v
	})
	if string(fitted) == "{}" {
		return nil
	}
	return fitted
}

// withoutThinkingEdits leaves out the edits of thinking, where there is none: "`clear_thinking_20251015` strategy requires
// `thinking` to be enabled or adaptive" (https://github.com/can1357/oh-my-pi/pull/2143,
// https://github.com/router-for-me/CLIProxyAPI/issues/4957).
func withoutThinkingEdits(v jsontext.Value) jsontext.Value {
	none := false
	fitted := objectOf(v, func(name string, v jsontext.Value) jsontext.Value {
		if name == "edits" && v.Kind() == '[' {
			v = filtered(v, func(edit jsontext.Value) jsontext.Value {
				if strings.HasPrefix(memberText(edit, "type"), "clear_thinking_") {
					return nil
				}
				return edit
			})
			if none = string(v) == "[]"; none {
				return nil
			}
		}
		return v
	})
	if none && string(fitted) == "{}" {
		return nil
	}
	return fitted
}

// messages has the user speak last where the model does not go on from words of its own. What ends otherwise, as with a tool that
// the API itself runs, is a turn to be gone on with.
func (f *modelFitter) messages(v jsontext.Value) jsontext.Value {
	if !f.from(noPrefill) {
		return v
	}
	var last jsontext.Value
	_ = translate.Elements(v, func(_ int, message jsontext.Value) error {
		last = message
		return nil
	})
	if memberText(last, "role") != "assistant" || !endsInText(last) {
		return v
	}
	f.left.LeaveOut("messages.role")
	return slices.Concat(bytes.TrimRight(v[:len(v)-1], " \t\r\n"), []byte(`,{"role":"user","content":"`+goOn+`"}]`))
}

// endsInText reports whether what a message says ends in a text.
func endsInText(message jsontext.Value) (is bool) {
	_ = translate.Members(message, func(name string, v jsontext.Value) error {
		if name == "content" {
			is = v.Kind() == '"'
			_ = translate.Elements(v, func(_ int, block jsontext.Value) error { // none where it is a text
				is = memberText(block, "type") == "text"
				return nil
			})
		}
		return nil
	})
	return is
}

// memberText gives the text of the member of that name; empty for none.
func memberText(object jsontext.Value, name string) (text string) {
	_ = translate.Generated(object, func(n string, v jsontext.Value) error {
		if n == name {
			text = translate.Unquote(v)
		}
		return nil
	})
	return text
}

// objectOf gives an object of what change makes of the members; those that become nothing are left out. One of which nothing
// changes, and what is no object, is given as it is.
func objectOf(v jsontext.Value, change func(name string, v jsontext.Value) jsontext.Value) jsontext.Value {
	out, changed := []byte{'{'}, false
	err := translate.Members(v, func(name string, v jsontext.Value) error {
		now := change(name, v)
		changed = changed || !bytes.Equal(now, v)
		if now != nil {
			out = appendMember(out, name, now)
		}
		return nil
	})
	if err != nil || !changed {
		return v
	}
	return append(out, '}')
}

// Interface guard
var _ wire.ModelFitter = (*Format)(nil)
