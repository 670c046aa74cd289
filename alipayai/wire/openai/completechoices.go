package openai

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// choiceCompleter gives the choices of an answer, or of the chunks of one stream, what some servers leave out of them, and what
// clients look into or go by:
//
//   - a delta in a stream, which servers leave out, or give as null, where nothing is new but how the answer ended, or what a filter says:
//     https://github.com/microsoft/agent-framework/pull/5734, https://github.com/QwenLM/qwen-code/pull/1448,
//     https://github.com/bagofwords1/bagofwords/pull/742 of Azure.
//   - the role of the assistant in a message, in the first delta of each choice, and where a tool is called: LangChain
//     for JavaScript loses the calls of messages that begin without, and OpenAI's SDK for Node refuses a stream. See
//     https://github.com/langchain-ai/langchainjs/issues/11468, https://github.com/langchain-ai/langchainjs/pull/11157,
//     https://github.com/jundot/omlx/pull/2117, https://github.com/danny-avila/LibreChat/issues/1221. A later delta has none, and null for
//     one that is empty: https://github.com/MiniMax-AI/MiniMax-M2.5/issues/2, https://github.com/vercel/ai/pull/15464 of GLM.
//   - the index of a choice, which is its place: https://github.com/OpenRouterTeam/ai-sdk-provider/issues/79. OpenAI's SDK for Node puts
//     the pieces of a stream together by it.
//   - null for a finish reason that is empty, which is none: https://github.com/ollama/ollama/issues/4357,
//     https://github.com/sgl-project/sglang/issues/3912.
//   - tool_calls as the finish reason of a choice that calls a tool, where servers say stop, or another vendor's word for either:
//     agents stop there, or call nothing. See https://github.com/anomalyco/opencode/issues/14972 of Gemini and LiteLLM,
//     https://github.com/anomalyco/opencode/issues/20719 of Ollama, https://github.com/openvinotoolkit/model_server/issues/3927.
//     Where the request names the tool, stop is OpenAI's word and vLLM's, and stays: https://github.com/vllm-project/vllm/pull/49496.
//   - OpenAI's finish reason for another vendor's that is known: see [wire.FinishWord].
//
// And it gives tool calls what they lack, see [callCompleter], and the answer around them, see [head]. Every other byte stays as it was.
type choiceCompleter struct {
	callCompleter
	head head
	// begins are the choices that begin with the chunk, as bits by their index, and loose says that it is loose: see [wire.ChunkReader].
	begins uint64
	loose  bool
	// content is where the content of the chunk stands that is completed, and moved by how much it has moved in what came of that.
	content, moved int
	// chosen says that the request names the tool that is called.
	chosen bool
	// ended says that a chunk has had a finish reason, and early that one before this one has.
	ended, early bool
}

// begin makes a new completer that of an answer to ask.
func (c *choiceCompleter) begin(ask wire.Ask) {
	c.id, c.head.model, c.chosen = ask.ID, ask.UpstreamModel, ask.ChoosesTool
}

// CompleteAnswer gives a whole answer to ask with what it lacks for clients. read is what was read of it.
func CompleteAnswer(body []byte, read *wire.Answer, ask wire.Ask) []byte {
	if !read.Loose && !isForeign(read.FinishReason) && !hasSeveral(body) && !wire.Mentions(body, `"tool_calls"`) || !translates(body) {
		return body
	}
	c := choiceCompleter{loose: read.Loose}
	c.begin(ask)
	return c.complete(body, false)
}

// chunk gives a chunk of a stream with what its choices lack. Each chunk with a tool call has to be seen: a name may come in
// parts, and again with each piece. read is what chunks has read of it.
func (c *choiceCompleter) chunk(data []byte, chunks *wire.ChunkReader, read *wire.Chunk) []byte {
	finish := read.FinishReason
	begins, roleless := chunks.Begins()
	c.early, c.ended = c.ended, c.ended || finish != ""
	ends := finish != "" && (len(c.choices) > 0 || hasSeveral(data)) || isForeign(finish)
	if !read.Loose && !roleless && !ends && !wire.Mentions(data, `"tool_calls"`) || !translates(data) {
		return data
	}
	c.begins, c.loose = begins, read.Loose
	c.content, _, _ = chunks.Content(data)
	return c.complete(data, true)
}

// hasSeveral reports whether several choices have a finish reason, of which one is known.
func hasSeveral(body []byte) bool {
	rest, found := wire.Behind(body, `"finish_reason"`)
	return found && wire.Mentions(rest, `"finish_reason"`)
}

// translates reports whether text can be read, with lone surrogates and repeated keys as everywhere in answers.
func translates(text []byte) bool {
	return jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func (c *choiceCompleter) complete(body []byte, streamed bool) []byte {
	e := edits{body: body}
	defer e.release()
	members, chat := e.members(span{0, len(body)}), false
	for _, top := range members {
		if top.name != "choices" {
			continue
		}
		for place, choice := range e.elements(top.value) {
			chat = c.choice(&e, choice, place, streamed) || chat
		}
	}
	if chat && c.loose {
		c.head.complete(&e, members, c.id, streamed, false)
	}
	c.moved = e.moved(c.content)
	return e.apply()
}

// choice completes the choice at a place among others. It reports whether it is one of chat completions.
func (c *choiceCompleter) choice(e *edits, choice span, place int, streamed bool) (chat bool) {
	members := e.members(choice)
	index, number := strconv.Itoa(place), int64(place)
	var message, delta, finish, indexAt span
	older := len(members) == 0 // it has a text, which is of the older form, or is no choice
	for _, m := range members {
		switch m.name {
		case "index":
			indexAt = m.value
		case "delta":
			delta = m.value
		case "message":
			message = m.value
		case "finish_reason":
			finish = m.value
		case "text":
			older = true
		}
	}
	if older {
		return false
	}
	var more []byte
	if n, ok := wire.UsageCount(e.text(indexAt)); ok {
		index, number = strconv.FormatInt(n, 10), n
	}
	if !wire.IsWhole(e.text(indexAt)) {
		more = appendOrReplace(e, more, indexAt, "index", []byte(index))
	}
	begins := streamed && c.first(number)
	said, before, none := translate.Unquote(e.text(finish)), c.begunCalls(index), wire.IsNoFinish(e.text(finish))
	if none {
		said = ""
	}
	c.ends = said != ""
	c.cut = wire.EndingOf(wire.FinishWord(said)) == wire.EndingCut
	switch v := e.text(delta); {
	case v.Kind() == '{':
		c.message(e, delta, index, begins, streamed)
		if pieces := c.lacking(index, said, before); len(pieces) > 0 {
			e.addCalls(delta, pieces)
		}
	case message != (span{}):
		c.message(e, message, index, false, streamed)
	case streamed && (len(v) == 0 || v.Kind() == 'n'):
		empty := []byte("{}")
		if pieces := c.lacking(index, said, before); len(pieces) > 0 {
			empty = slices.Concat([]byte(`{"tool_calls":[`), pieces, []byte("]}"))
		} else if begins {
			empty = []byte("{" + assistantRole + "}")
		}
		more = appendOrReplace(e, more, delta, "delta", empty)
	}
	if len(more) > 0 {
		e.insert(members[0].key.start, more)
	}
	switch word := wire.FinishWord(said); {
	case none:
		e.replace(finish, null)
	case c.called(index) && isCalling(said) && !(c.chosen && said == "stop"):
		e.replace(finish, []byte(`"tool_calls"`))
	case word == "tool_calls" && said != word: // and it calls none
		e.replace(finish, []byte(`"stop"`))
	case word != said && !wire.IsBrokenOff(said):
		e.replace(finish, quote(word))
	}
	return true
}

// isForeign reports whether a finish reason may be in another vendor's words.
func isForeign(finish string) bool { return wire.FinishWord(finish) != finish }

// begunCalls is how many calls of a choice have begun.
func (c *choiceCompleter) begunCalls(index string) int {
	if of := c.choices[index]; of != nil {
		return of.places.Len()
	}
	return 0
}

// lacking gives the pieces of calls that a choice of a stream lacks at its end, of which finish is the reason, and before how many of
// its calls began with chunks before. The first reason is the end: where others follow, there may be more arguments behind them too.
func (c *choiceCompleter) lacking(index, finish string, before int) []byte {
	of := c.choices[index]
	if of == nil || finish == "" {
		return nil
	}
	of.calling = isCalling(finish) || finish == "tool_calls"
	if !of.named || !of.calling || c.early {
		return nil
	}
	return of.rest(before)
}

// addCalls adds pieces of tool calls, with commas between them, to a delta.
func (e *edits) addCalls(delta span, pieces []byte) {
	members := e.members(delta)
	for _, m := range members {
		if m.name != "tool_calls" {
			continue
		}
		if len(e.elements(m.value)) > 0 {
			e.insert(m.value.end-len("]"), append([]byte{','}, pieces...))
		} else {
			e.replace(m.value, slices.Concat([]byte{'['}, pieces, []byte{']'}))
		}
		return
	}
	if calls := slices.Concat([]byte(`"tool_calls":[`), pieces, []byte{']'}); len(members) > 0 {
		e.insert(members[0].key.start, append(calls, ','))
	} else {
		e.replace(delta, slices.Concat([]byte{'{'}, calls, []byte{'}'}))
	}
}

const assistantRole = `"role":"assistant"`

// first reports whether the chunk is the first of a choice.
func (c *choiceCompleter) first(index int64) bool {
	bit := uint64(1) << min(index, 63)
	first := c.begins&bit != 0
	c.begins &^= bit
	return first
}

// isCalling reports whether a finish reason is one that a choice with tool calls may have, in other words than OpenAI's.
func isCalling(finish string) bool {
	word := wire.FinishWord(finish)
	return word == "stop" || word == "tool_calls" && finish != word
}

// message completes a message, or a delta.
func (c *choiceCompleter) message(e *edits, message span, choice string, begins, streamed bool) {
	members := e.members(message)
	var role, calls span
	for _, m := range members {
		switch m.name {
		case "role":
			role = m.value
		case "tool_calls":
			calls = m.value
		}
	}
	list := e.elements(calls)
	called, said := len(list) > 0, e.text(role)
	switch begins = begins || !streamed; {
	case role == (span{}) && begins && len(members) > 0:
		e.insert(members[0].key.start, []byte(assistantRole+","))
	case role == (span{}) && begins && (e.text(message).Kind() == '{' || e.text(message).Kind() == 'n'):
		e.replace(message, []byte("{"+assistantRole+"}"))
	case string(said) == `""` && called, begins && (string(said) == `""` || said.Kind() == 'n'):
		e.replace(role, []byte(`"assistant"`))
	case string(said) == `""`:
		e.replace(role, null)
	}
	if called {
		c.calls(e, choice, list, streamed)
	}
}
