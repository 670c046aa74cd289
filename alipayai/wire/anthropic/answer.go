package anthropic

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// maxWord bounds a name of the upstream's that is repeated to the client, in bytes as written.
const maxWord = 256

// DecodeAnswer implements [wire.Format].
func (f *Format) DecodeAnswer(body []byte, _ wire.Ask) ([]byte, wire.Answer, error) {
	known, err := wire.ParseBody(body, wire.Limits{})
	if err != nil || known.Failure != nil {
		return nil, known, err
	}
	var a answer
	if err := a.read(body); err != nil {
		return nil, wire.Answer{}, err
	}
	if err := a.readContent(); err != nil {
		return nil, wire.Answer{}, asMalformed(err)
	}
	content := len(a.text) > 0 || len(a.thinking) > 0 || a.calls > 0 || a.refusal != nil
	if !content && a.stopReason == "" {
		return nil, wire.Answer{}, malformed("a message without content and stop_reason")
	}
	return a.completion(f.created()), wire.Answer{
		Unfinished:   a.stopReason == "",
		Model:        translate.Unquote(a.model),
		Usage:        a.usage.wire(),
		HasChoices:   true,
		Content:      content,
		FinishReason: finishReason(a.stopReason, a.calls),
	}, nil
}

// answer is a message of Anthropic's and what becomes of it. Texts are the characters of JSON strings as written: so they
// need not be decoded and encoded again.
type answer struct {
	id, model  jsontext.Value
	content    jsontext.Value
	stopReason string
	// refusal is why the API refused, in its words; nil where it does not say. free says that it bills nothing for that, if there
	// is no content.
	refusal jsontext.Value
	free    bool
	usage   usage

	text, thinking []byte
	cites          sources
	toolCalls      []byte // in OpenAI's form, with commas between them
	calls          int
}

// read reads the message v up to its content, which it leaves as it is.
func (a *answer) read(v jsontext.Value) error {
	var typ string
	err := translate.Members(v, func(name string, v jsontext.Value) (err error) {
		switch name {
		case "type":
			typ = translate.Unquote(v)
		case "id":
			a.id, err = wordOrNone(v)
		case "model":
			a.model, err = wordOrNone(v)
		case "content":
			a.content = v
		case "stop_reason":
			if v, err = wordOrNone(v); v != nil {
				a.stopReason = wire.Visible(translate.Unquote(v))
			}
		case "stop_details":
			a.refusal, a.free = explanation(v), freeRefusal(v)
		case "usage":
			err = a.usage.read(v)
		}
		return err
	})
	switch {
	case err != nil:
		return asMalformed(err)
	case typ != "message":
		return malformed("not a message")
	}
	for _, name := range []*jsontext.Value{&a.id, &a.model} {
		if *name == nil {
			*name = jsontext.Value(`""`)
		}
	}
	return nil
}

// readContent reads the content. Proxies of other APIs have been seen to send null or a text for it, and no stop_reason: what has
// been generated is paid for (https://github.com/SaladDay/cc-switch-cli/issues/323, https://github.com/ankitcharolia/kiro-gateway/issues/74).
func (a *answer) readContent() error {
	empty := true
	if a.content.Kind() == '[' {
		err := translate.Elements(a.content, func(i int, v jsontext.Value) error {
			empty = false
			return a.block(i, v)
		})
		if err != nil {
			return err
		}
	} else {
		a.text = translate.Characters(a.content)
	}
	a.usage.unbilled = a.free && empty && len(a.text) == 0 && a.stopReason == refusal
	return nil
}

// block reads one block of the content.
func (a *answer) block(_ int, v jsontext.Value) error {
	b, err := readBlock(v)
	if err != nil {
		return err
	}
	switch b.kind {
	case "text":
		a.text = append(a.text, translate.Characters(b.text)...)
		a.cites.say(b.text)
		if b.citations.Kind() == '[' {
			_ = translate.Elements(b.citations, func(_ int, v jsontext.Value) error { // which have been read before
				a.cites.cite(v)
				return nil
			})
		}
		a.cites.leave()
	case "thinking":
		a.thinking = append(a.thinking, translate.Characters(b.thinking)...)
	case "tool_use":
		call := append(append([]byte(`{"id":`), b.callID(a.calls)...), `,"type":"function","function":{"name":`...)
		call = append(append(call, b.name...), `,"arguments":`...)
		call = append(translate.Quote(call, string(b.input)), "}}"...)
		a.toolCalls = translate.Join(a.toolCalls, call)
		a.calls++
	case "fallback":
		a.usage.hop(&b)
	}
	return nil
}

// completion writes the answer in OpenAI's form.
func (a *answer) completion(created int64) []byte {
	out := make([]byte, 0, len(a.text)+len(a.thinking)+len(a.toolCalls)+512)
	out = a.appendHead(out, "chat.completion", created)
	out = append(out, `{"index":0,"message":{"role":"assistant","content":`...)
	if len(a.text) == 0 && a.calls > 0 {
		out = append(out, "null"...)
	} else {
		out = append(append(append(out, '"'), a.text...), '"')
	}
	if len(a.thinking) > 0 {
		out = append(append(append(out, `,"reasoning_content":"`...), a.thinking...), '"')
	}
	out = append(out, `,"refusal":`...)
	if a.refusal != nil {
		out = append(out, a.refusal...)
	} else {
		out = append(out, "null"...)
	}
	if cites := a.cites.take(); cites != nil {
		out = append(append(out, `,"annotations":`...), cites...)
	}
	if a.calls > 0 {
		out = append(append(append(out, `,"tool_calls":[`...), a.toolCalls...), ']')
	}
	out = append(out, `},"logprobs":null,"finish_reason":`...)
	if a.stopReason == "" {
		out = append(out, "null"...)
	} else {
		out = translate.Quote(out, finishWord(finishReason(a.stopReason, a.calls)))
	}
	out = append(out, "}]"...)
	if a.usage.ok {
		out = a.usage.append(append(out, `,"usage":`...))
	}
	return append(out, '}')
}

// explanation gives what stop_details say of a refusal, which clients would take for an empty answer without it
// (https://github.com/router-for-me/CLIProxyAPI/issues/4958); nil where they say nothing.
func explanation(details jsontext.Value) (words jsontext.Value) {
	refused := false
	if details.Kind() != '{' {
		return nil
	}
	_ = translate.Members(details, func(name string, v jsontext.Value) error { // what is repeated says nothing
		switch name {
		case "type":
			refused = translate.Unquote(v) == refusal
		case "explanation":
			words = v
		}
		return nil
	})
	if !refused || len(translate.Characters(words)) == 0 {
		return nil
	}
	return words
}

// refusal is the stop reason of what the API refuses.
const refusal = "refusal"

// freeRefusal reports whether stop_details are of a refusal for which nothing is billed where it comes before any output: those of
// a request by these categories and by none (platform.claude.com/docs/en/build-with-claude/refusals-and-fallback, and its release notes
// of 2 June 2026). Others are billed for what they have read, and new ones are taken for such.
func freeRefusal(details jsontext.Value) bool {
	if details.Kind() != '{' {
		return false
	}
	var kind, category string
	known := true
	err := translate.Members(details, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			kind = translate.Unquote(v)
		case "category":
			category, known = translate.Unquote(v), v.Kind() == '"' || v.Kind() == 'n'
		}
		return nil
	})
	switch {
	case err != nil || kind != refusal || !known:
		return false
	default:
		return category == "" || category == "cyber" || category == "general_harms"
	}
}

// appendHead writes an answer of that kind up to its choices.
func (a *answer) appendHead(dst []byte, kind string, created int64) []byte {
	dst = append(append(append(dst, `{"id":`...), a.id...), `,"object":"`...)
	dst = strconv.AppendInt(append(append(dst, kind...), `","created":`...), created, 10)
	return append(append(append(dst, `,"model":`...), a.model...), `,"choices":[`...)
}

// block is one block of content. Its strings are as written.
type block struct {
	kind           string
	text, thinking jsontext.Value
	citations      jsontext.Value // of a text
	id, name       jsontext.Value // of a tool_use, as is the input, a JSON object
	input          jsontext.Value
	from, trigger  jsontext.Value // of a hop: see [usage.hop]
}

// callID is the id of a tool_use, which is the n-th of its answer. Where it has none, it is called as other doors call it.
func (b block) callID(n int) jsontext.Value {
	if len(translate.Characters(b.id)) > 0 {
		return b.id
	}
	return translate.Quote(nil, "call_"+strconv.Itoa(n))
}

// readBlock reads a block, and of a kind that is known it makes sure that all of it is there. Some servers leave out what is
// empty, as the input that is to come (https://github.com/ggml-org/llama.cpp/pull/22960). New kinds may come at any time, says
// Anthropic's policy on versions.
func readBlock(v jsontext.Value) (block, error) {
	var b block
	err := translate.Members(v, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			b.kind = translate.Unquote(v)
		case "text":
			b.text = v
		case "thinking":
			b.thinking = v
		case "citations":
			b.citations = v
		case "id":
			b.id = v
		case "name":
			b.name = v
		case "input":
			b.input = v
		case "from":
			b.from = v
		case "trigger":
			b.trigger = v
		}
		return nil
	})
	if err != nil {
		return b, err
	}
	orEmpty(&b.text, `""`)
	orEmpty(&b.thinking, `""`)
	orEmpty(&b.input, "{}")
	complete := true
	switch b.kind {
	case "":
		complete = false
	case "text":
		complete = b.text.Kind() == '"'
	case "thinking":
		complete = b.thinking.Kind() == '"'
	case "tool_use":
		if b.input.Kind() == '"' { // as servers have it that take the text of OpenAI's form over: https://github.com/nielspeter/claude-code-proxy/pull/13
			b.input, _ = wire.ArgumentsObject(translate.Unquote(b.input))
		}
		complete = len(translate.Characters(b.name)) > 0 && b.input.Kind() == '{'
	}
	if !complete {
		return b, malformed("a content block that is not complete")
	}
	return b, nil
}

// orEmpty puts what is empty where there is nothing.
func orEmpty(v *jsontext.Value, empty string) {
	if len(*v) == 0 || v.Kind() == 'n' {
		*v = jsontext.Value(empty)
	}
}

// finishReason gives OpenAI's word for a stop reason of an answer with so many calls. The API itself has been seen to stop for a
// tool without one (https://github.com/earendil-works/pi/issues/9681). A word that is not the API's stays.
func finishReason(stopReason string, calls int) string {
	switch stopReason {
	case "end_turn", "stop_sequence":
		return "stop"
	case "tool_use":
		if calls == 0 {
			return "stop"
		}
		return "tool_calls"
	case "max_tokens", "model_context_window_exceeded", "pause_turn":
		return "length"
	case refusal:
		return "content_filter"
	}
	return stopReason
}

// finishWord is a finish reason as clients get it: servers that translate pass on words of others, for which there is one of OpenAI's
// unless the answer was broken off (see [wire.IsBrokenOff]).
func finishWord(finishReason string) string {
	if wire.IsBrokenOff(finishReason) {
		return finishReason
	}
	return wire.FinishWord(finishReason)
}

// word gives v if it is a string of bearable length with something in it.
func word(v jsontext.Value) (jsontext.Value, error) {
	if len(translate.Characters(v)) == 0 || len(v) > maxWord {
		return nil, malformed("an id, model or stop_reason that is none")
	}
	return v, nil
}

// wordOrNone is word for what a client can do without, as some servers do.
func wordOrNone(v jsontext.Value) (jsontext.Value, error) {
	if v.Kind() == 'n' || string(v) == `""` {
		return nil, nil
	}
	return word(v)
}

func malformed(what string) error { return fmt.Errorf("%w: %s", wire.ErrMalformed, what) }

// asMalformed is for errors of the JSON reader, which quote what they read.
func asMalformed(err error) error {
	if errors.Is(err, wire.ErrMalformed) {
		return err
	}
	return malformed("not one strict JSON object")
}
