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
//     https://github.com/binaricat/Netcatty/pull/1007.
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
//   - arguments that come once: what comes behind a whole object says it again.
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

// choiceCalls are the calls of a choice.
type choiceCalls struct {
	places wire.CallPlaces
	// indexes are those by which the client knows the calls, by their places here.
	indexes map[int]int
	// named says that one of them has a name, without which it calls nothing.
	named bool
	// silent are those of functions that have had no arguments yet, by their places.
	silent []int
	// stood says that {} has stood for a call's arguments, which are silent then.
	stood bool
	// calling says that the last finish reason is one that a choice with tool calls may have.
	calling bool
	// said is what the client has of each call, by its place.
	said []saidCall
}

// saidCall is what the client has of a call.
type saidCall struct {
	name      string
	id, begun bool // its id, and of its arguments
	// whole says that these are a whole object, and empty that it is {}, which has stood for them where stood is set.
	whole, empty, stood bool
}

// hasID reports whether the client has the id of a call.
func (c *choiceCalls) hasID(call int) bool { return call < len(c.said) && c.said[call].id }

// repeats reports whether the id and the name of a piece say nothing new of a call, as those of pieces do that come later.
func (c *choiceCalls) repeats(call int, p *callPiece) (id, name bool) {
	for len(c.said) <= call {
		c.said = append(c.said, saidCall{})
	}
	said := &c.said[call]
	id = said.id && p.idAt != (span{})
	name = said.name != "" && p.nameIn != (span{}) && (said.begun || p.name == said.name || p.name == "" || wire.IsNoName(p.name))
	if !name && !wire.IsNoName(p.name) && len(said.name) < maxName {
		said.name += strings.Clone(p.name[:min(len(p.name), maxName)])
	}
	said.id = said.id || p.id != "" || said.name != "" // with which it has been given one
	said.begun = said.begun || p.arguments != ""
	return id, name
}

// repeatsArguments reports whether a piece has arguments behind those of a call that are whole, as a summary that says all of them again:
// https://github.com/vllm-project/vllm/pull/31438. Behind {} they may be the ones that it has stood for.
func (c *choiceCalls) repeatsArguments(call int, p *callPiece) bool {
	for len(c.said) <= call {
		c.said = append(c.said, saidCall{})
	}
	said, more := &c.said[call], strings.TrimSpace(p.arguments)
	switch {
	case said.whole && !said.empty:
		return more != ""
	case said.empty && more == "{}" && !slices.Contains(c.silent, call):
		return true
	}
	said.empty = !said.begun && more == "{}" || said.empty && more == ""
	said.whole = c.places.Whole(call)
	return false
}

// maxName bounds what is remembered of a call's name, in bytes, and maxIndex how the index of a choice is written.
const (
	maxName  = 1 << 10
	maxIndex = 32
)

// hear notes whether a piece brings arguments.
func (c *choiceCalls) hear(call int, begins bool, p *callPiece) {
	said := strings.TrimSpace(p.arguments) != ""
	switch at := slices.Index(c.silent, call); {
	case begins && p.ofFunction && !said:
		c.silent = append(c.silent, call)
	case at >= 0 && said:
		c.silent = slices.Delete(c.silent, at, at+1)
	}
}

// rest gives the pieces that calls lack which have ended without arguments, with commas between them: of the first calls, as many as
// began before.
func (c *choiceCalls) rest(before int) []byte {
	return c.end(func(call int) bool { return call < before })
}

// before gives the pieces of those for whose arguments {} has stood until the call of that number begins.
func (c *choiceCalls) before(begins int) []byte {
	return c.end(func(call int) bool { return call < begins && c.said[call].stood })
}

// end gives the pieces that those silent calls lack which have ended, with commas between them.
func (c *choiceCalls) end(ended func(call int) bool) (pieces []byte) {
	c.silent = slices.DeleteFunc(c.silent, func(call int) bool {
		if !ended(call) {
			return false
		}
		piece := strconv.AppendInt([]byte(`{"index":`), int64(c.index(call)), 10)
		pieces = translate.Join(pieces, append(piece, `,"function":{"arguments":"{}"}}`...))
		return true
	})
	return pieces
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

// index gives the index by which the client is to know a call.
func (c *choiceCalls) index(call int) int {
	index, known := c.indexes[call]
	if !known {
		if c.indexes == nil {
			c.indexes = make(map[int]int)
		}
		index = len(c.indexes)
		c.indexes[call] = index
	}
	return index
}

// calls completes the calls, or pieces of them, of the choice of that index.
func (c *callCompleter) calls(e *edits, choice string, calls []span, streamed bool) {
	of := c.choices[choice]
	if of == nil {
		if len(c.choices) == wire.MaxChoices || len(choice) > maxIndex {
			return
		}
		of = new(choiceCalls)
		if c.choices == nil {
			c.choices = make(map[string]*choiceCalls)
		}
		c.choices[choice] = of
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
		if begins && of.stood {
			if pieces := of.before(n); len(pieces) > 0 {
				e.insert(call.start, append(pieces, ','))
			}
		}
		of.named = of.named || p.name != "" && !wire.IsNoName(p.name)
		var more []byte
		if streamed && (p.index != wire.NoPlace || p.name != "" || p.arguments != "") {
			if index := of.index(n); index != p.index {
				more = appendOrReplace(e, more, p.indexAt, "index", strconv.AppendInt(nil, int64(index), 10))
			}
		}
		switch {
		case streamed && p.argumentsAt != (span{}) && of.repeatsArguments(n, &p):
			e.replace(p.argumentsAt, []byte(`""`))
		case streamed && begins && !c.ends && p.stands() && !anotherIn(e, calls[i+1:]):
			e.replace(p.argumentsAt, []byte(`""`))
			p.arguments, of.stood, of.said[n].stood = "", true, true
		case p.argumentsAt != (span{}):
			e.arguments(p.argumentsAt, streamed, c.cut)
		case !streamed && !c.cut && p.ofFunction && p.name != "":
			e.insert(p.nameAt, []byte(`"arguments":"{}",`))
		}
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
		if lacksID && p.id == "" && p.name != "" && !wire.IsNoName(p.name) {
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
