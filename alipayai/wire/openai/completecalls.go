package openai

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// callCompleter gives tool calls what some servers leave out of them, and no client can do without:
//
//   - an id, by which its result is told from others: https://github.com/anomalyco/opencode/pull/47954,
//     https://github.com/binaricat/Netcatty/pull/1007. Of calls that share one, each but the first has another: what answers them, and
//     every later request, is refused otherwise (https://github.com/HKUDS/nanobot/pull/3943 of DeepSeek and GLM,
//     https://github.com/OpenRouterTeam/ai-sdk-provider/pull/471 of Gemini).
//   - in a stream an index, by which its pieces are: https://github.com/openai/openai-python/issues/2806 and
//     https://github.com/anomalyco/opencode/issues/17902 of Gemini, https://github.com/ollama/ollama/issues/7881,
//     https://github.com/vercel/ai/issues/7238. Where calls share one, as all do that Ollama and Gemini make at once
//     (https://github.com/ollama/ollama/issues/15457, https://github.com/su-kaka/gcli2api/pull/406), clients join what is of several;
//     and where they begin at 1 or leave one out, they write behind the end of a list
//     (https://github.com/agentgateway/agentgateway/issues/2965 of Bedrock, https://github.com/AstrBotDevs/AstrBot/pull/9593). So each
//     call's index is how many came before it.
//   - arguments that are a text, where they are an object or null, as those of llama.cpp and DeepInfra
//     (https://github.com/ggml-org/llama.cpp/issues/20198, https://github.com/open-webui/open-webui/issues/27195), and that are JSON, where
//     there are none: {}, in a stream with the choice's finish reason, or at its end where that came before or at once, as some servers
//     say one with each chunk (https://github.com/open-webui/open-webui/issues/23921, https://github.com/BerriAI/litellm/issues/2195,
//     https://github.com/BerriAI/litellm/pull/31634). Clients read them without a look:
//     https://github.com/openai/openai-agents-js/issues/664, https://github.com/openai/openai-python/pull/3502,
//     https://github.com/simonw/llm/issues/1521. Those of an answer that was cut stay.
//   - arguments that {} only stands for until they come, in a stream, as of Bedrock and Gemini: clients join both
//     (https://github.com/openai/openai-agents-js/pull/712, https://github.com/microsoft/autogen/pull/7549, https://github.com/ogx-ai/ogx/pull/5462).
//     So a call that begins with {} has none yet, and gets {} at its end where none came, or where the next call begins, with which
//     clients take those before for whole. Who says several calls at once has all of their arguments.
//   - arguments that come once: what comes behind a whole object says it again, and so do pieces that have all that came before in them.
//   - an id and a name that come once: a later piece with another for it, or none, or null, gives no call at all to clients that add what
//     comes to what they have, or put it in its place (https://github.com/open-webui/open-webui/issues/22177,
//     https://github.com/NousResearch/hermes-agent/pull/11984 of MiniMax, https://github.com/Sliverkiss/workbuddy2api/issues/82,
//     https://github.com/anomalyco/opencode/issues/43328). A name may yet come in parts, before the arguments.
//   - the type of what calls a function, which is function: not null, "" or FUNCTION, which the AI SDK refuses with the whole stream
//     (https://github.com/vercel/ai/issues/6041, https://github.com/sandbaseai/sandbase-harness/pull/220), nor left out, as by Mistral
//     (https://github.com/graniet/llm/issues/67, https://github.com/BerriAI/litellm/issues/2645, https://github.com/vllm-project/vllm/issues/16340).
//
// Every other byte stays as it was.
type callCompleter struct {
	id string // the answer's own, of which those of its calls are made
	// choices are the calls of each choice.
	choices map[string]*choiceCalls
	// begun is how many calls they have together. What comes beyond [wire.MaxToolCalls], or of more than [wire.MaxChoices] choices, passes
	// as it is: nothing of it is remembered.
	begun int32
	// cut says that the choice that is completed was cut for its length, filtered or broken off, and ends that it has a finish reason.
	cut, ends bool
}

// called reports whether a choice has called a tool.
func (c *callCompleter) called(choice string) bool {
	calls := c.choices[choice]
	return calls != nil && calls.named
}

// atEnd gives the choices of a chunk that gives the calls what they still lack at the end of the stream, with commas between them.
func (c *callCompleter) atEnd() (choices []byte) {
	if len(c.choices) == 0 { // as of most streams, for which no iterator is made
		return nil
	}
	for _, choice := range slices.Sorted(maps.Keys(c.choices)) {
		of := c.choices[choice]
		if !of.named || !of.calling && !of.stood || len(of.silent) == 0 {
			continue
		}
		index := choice
		if index == "" {
			index = "0"
		}
		pieces := of.rest(of.places.Len())
		choices = translate.Join(choices, slices.Concat([]byte(`{"index":`+index+`,"delta":{"tool_calls":[`), pieces, []byte(`]},"finish_reason":null}`)))
	}
	return choices
}

// calls completes the calls, or pieces of them, of the choice of that index.
func (c *callCompleter) calls(e *edits, choice string, calls []span, streamed bool) {
	of := c.ofChoice(choice)
	if of == nil {
		return
	}
	places := &of.places
	if streamed {
		places.Chunk()
	}
	for i, call := range calls {
		members := e.members(call)
		if len(members) == 0 {
			continue
		}
		p := readPiece(e, members)
		place := p.index
		if !streamed || place == wire.NoPlace && len(calls) > 1 && p.id == "" { // those of a whole answer are whole
			place = i
		}
		if c.begun > wire.MaxToolCalls {
			return
		}
		before := places.Len()
		n := places.Place(place, p.id, p.name, p.arguments)
		begins := places.Len() > before
		if begins {
			c.begun++
		}
		if c.begun > wire.MaxToolCalls {
			return
		}
		if p.again = streamed && p.argumentsAt != (span{}) && places.Again(n) > 0; p.again {
			p.arguments = p.arguments[places.Again(n):]
		}
		if begins && of.stood {
			if pieces := of.before(n); len(pieces) > 0 {
				e.insert(call.start, append(pieces, ','))
			}
		}
		of.named = of.named || p.name != "" && !wire.IsNoName(p.name)
		var more []byte
		if streamed && (p.index != wire.NoPlace || p.name != "" || p.arguments != "") {
			if index := of.index(n); index != p.index || p.indexAt != (span{}) && !wire.IsWhole(e.text(p.indexAt)) {
				more = appendOrReplace(e, more, p.indexAt, "index", strconv.AppendInt(nil, int64(index), 10))
			}
		}
		c.completeArguments(e, of, n, &p, begins, streamed, calls[i+1:])
		lacksID := begins
		if streamed {
			of.hear(n, begins, &p)
			lacksID = !of.hasID(n)
			id, name := of.repeats(n, &p)
			if id {
				e.leaveOut(members, "id")
			}
			if name {
				e.leaveOut(e.members(p.nameIn), "name")
			}
		}
		if lacksID && (p.id == "" || begins && places.SharesID(n)) && p.name != "" && !wire.IsNoName(p.name) {
			more = appendOrReplace(e, more, p.idAt, "id", quote(c.callID(choice, n)))
		}
		switch {
		case p.typeAt == (span{}) && begins && p.name != "" && p.ofFunction:
			more = append(more, `"type":"function",`...)
		case p.typeAt != (span{}) && p.ofFunction && string(e.text(p.typeAt)) != `"function"`:
			e.replace(p.typeAt, []byte(`"function"`))
		}
		if len(more) > 0 {
			e.insert(members[0].key.start, more)
		}
	}
}

// ofChoice gives the calls of a choice; nil where there are too many choices to remember one more.
func (c *callCompleter) ofChoice(choice string) *choiceCalls {
	if of := c.choices[choice]; of != nil {
		return of
	}
	if len(c.choices) == wire.MaxChoices || len(choice) > maxIndex {
		return nil
	}
	if c.choices == nil {
		c.choices = make(map[string]*choiceCalls)
	}
	of := new(choiceCalls)
	c.choices[choice] = of
	return of
}

// completeArguments puts the arguments of a piece of a call right, and adds what a whole call lacks. later are the calls behind it
// in the same chunk.
func (c *callCompleter) completeArguments(e *edits, of *choiceCalls, call int, p *callPiece, begins, streamed bool, later []span) {
	switch {
	case streamed && p.argumentsAt != (span{}) && of.repeatsArguments(call, p):
		e.replace(p.argumentsAt, []byte(`""`))
	case streamed && begins && !c.ends && p.stands() && !anotherIn(e, later):
		e.replace(p.argumentsAt, []byte(`""`))
		p.arguments, of.stood, of.said[call].stood = "", true, true
	case p.again:
		e.replace(p.argumentsAt, quote(p.arguments))
	case p.argumentsAt != (span{}):
		e.arguments(p.argumentsAt, streamed, c.cut)
	case !streamed && !c.cut && p.ofFunction && p.name != "":
		e.insert(p.nameAt, []byte(`"arguments":"{}",`))
	}
}

// stands reports whether a piece names a function, and has {} for its arguments.
func (p *callPiece) stands() bool {
	return p.ofFunction && p.name != "" && !wire.IsNoName(p.name) && strings.TrimSpace(p.arguments) == "{}"
}

// anotherIn reports whether one of the pieces that follow in a chunk has a name: it is another call's.
func anotherIn(e *edits, pieces []span) bool {
	return slices.ContainsFunc(pieces, func(piece span) bool {
		p := readPiece(e, e.members(piece))
		return p.name != "" && !wire.IsNoName(p.name)
	})
}

// leaveOut takes a member out of an object that has those members.
func (e *edits) leaveOut(members []member, name string) {
	items := make([]span, len(members))
	for i, m := range members {
		items[i] = m.all()
	}
	e.remove(items, func(i int) bool { return members[i].name == name })
}

// arguments makes a text of arguments, at s, that are none, and {} of no text in an answer that is whole.
func (e *edits) arguments(s span, streamed, cut bool) {
	switch v := e.text(s); {
	case v.Kind() == '{':
		e.replace(s, quote(string(v)))
	case v.Kind() == 'n' && (streamed || cut):
		e.replace(s, []byte(`""`))
	case v.Kind() == 'n', v.Kind() == '"' && !streamed && !cut && strings.TrimSpace(translate.Unquote(v)) == "":
		e.replace(s, []byte(`"{}"`))
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
	ofFunction          bool // and of no custom tool
	again               bool // it has said the arguments before its own once more
	indexAt, idAt       span
	typeAt, argumentsAt span // of a function
	nameAt              int  // where its name begins
	nameIn              span // what has its name
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
			p.typeAt = m.value
		case "function", "custom":
			p.ofFunction = p.ofFunction || m.name == "function" && v.Kind() == '{'
			in := m.value
			for _, m := range e.members(in) {
				switch v := e.text(m.value); m.name {
				case "name":
					p.nameIn, p.nameAt, p.name = in, m.key.start, translate.Unquote(v)
				case "arguments", "input":
					if m.name == "arguments" {
						p.argumentsAt = m.value
					}
					if p.arguments = translate.Unquote(v); v.Kind() == '{' {
						p.arguments = string(v)
					}
				}
			}
		}
	}
	return p
}
