package openai

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// head gives an answer, or the chunks of one stream, what they lack around their choices, and what has another type there. Clients that
// have types for it refuse what is without. That for Node puts a stream together of chunks with choices alone, pydantic-ai validates whole
// answers, the AI SDK all of either, and clients in Rust, Go and Java read into types:
//
//   - id, object, created and model: https://github.com/guardrails-ai/guardrails/issues/1415, https://github.com/BoundaryML/baml/pull/1778,
//     https://github.com/dongri/openai-api-rs/pull/190 of Z.ai; a chunk that is another object, but for a stage of Perplexity's (see [wire.IsChunk]), and has no id:
//     https://github.com/huggingface/text-generation-inference/pull/1648, https://github.com/langgenius/dify/issues/14101. Each chunk of
//     a stream has the same, that of the first where that has one, as some servers' last has none, which says what the answer costs:
//     https://github.com/anomalyco/opencode/issues/39061, https://github.com/anomalyco/opencode/issues/42918,
//     https://github.com/openvinotoolkit/model_server/issues/3553.
//   - created in whole seconds, in digits: https://github.com/spiceai/spiceai/issues/5418 and https://github.com/BoundaryML/baml/pull/1746 of SambaNova.
//   - choices of a chunk that has none, or null for them: https://github.com/ROCm/ATOM/pull/1711,
//     https://github.com/pydantic/pydantic-ai/issues/5165, https://github.com/langfuse/langfuse/issues/6658.
//   - the three numbers of a usage, in digits, the missing one as the others say it, else 0, and null for one that says nothing:
//     https://github.com/api7/aisix/pull/483, https://github.com/BerriAI/litellm/issues/3276.
//   - OpenAI's word for a service tier: see [wire.PlainTier].
//
// The first chunk of a stream of Azure's has an empty id and an empty model, which clients pass over: these stay, where no choice is with
// them. What an answer need not have stays as it is: content beside tool calls, logprobs, refusal, details of a usage.
type head struct {
	// model is what an answer gets that says none.
	model string
	// created is when one was read that does not say that.
	created int64
	// text is the beginning of the first chunk with a choice.
	text []byte
	room [240]byte
}

// headMembers are the members of a head that have a value of their own.
var headMembers = [...]string{"id", "object", "created", "model"}

// headValues are the values of those of the first chunk that are as they should be; nil for others.
type headValues [len(headMembers)]jsontext.Value

// keep keeps the head of a chunk, if it is the first.
func (h *head) keep(chunk []byte) {
	if h.text == nil {
		h.text = append(h.room[:0], chunk[:min(len(chunk), len(h.room))]...)
	}
}

// bare gives a chunk without a choice with what it lacks. What has nothing of a chunk is none, and stays as it is. id is of the answer's
// own.
func (h *head) bare(chunk []byte, id string) []byte {
	e := edits{body: chunk}
	defer e.release()
	members := e.members(span{0, len(chunk)})
	if !slices.ContainsFunc(members, isOfChunk) || !translates(chunk) {
		return chunk
	}
	h.complete(&e, members, id, true, h.text == nil)
	return e.apply()
}

// isOfChunk reports whether a member is one that a chunk has.
func isOfChunk(m member) bool {
	return m.name == "choices" || m.name == "usage" || slices.Contains(headMembers[:], m.name)
}

// heartbeats are what events are called, by their name or their type, that only keep a connection alive.
var heartbeats = map[string]bool{"ping": true, "heartbeat": true, "keepalive": true, "keep_alive": true, "keep-alive": true}

// isHeartbeat reports whether an event has nothing for a client but that the stream goes on. Typed clients read a chunk in it, and fail:
// https://github.com/anthropics/anthropic-sdk-typescript/issues/734 of OpenAI's SDK for Node and Anthropic's {"type":"ping"}, and so does
// the AI SDK (https://github.com/janhq/jan/pull/8392). Other events that are no chunk stay: some clients know them.
func isHeartbeat(event wire.Event) bool {
	e := edits{body: event.Data}
	defer e.release()
	if e.text(span{0, len(event.Data)}).Kind() != '{' {
		return false
	}
	beats := heartbeats[string(event.Type)]
	members := e.members(span{0, len(event.Data)})
	for _, m := range members {
		switch v := e.text(m.value); {
		case m.name == "type" && heartbeats[translate.Unquote(v)]:
			beats = true
		case m.name == "usage" && (v.Kind() == 'n' || v.Kind() == '{' && len(e.members(m.value)) == 0):
		case isOfChunk(m):
			return false
		}
	}
	return beats || len(members) == 0
}

// complete completes the answer, or the chunk, that has those members. Where it may be blank, it may have an empty id and model.
func (h *head) complete(e *edits, members []member, id string, streamed, blank bool) {
	first := h.first()
	at := func(name string) span {
		if i := slices.IndexFunc(members, func(m member) bool { return m.name == name }); i >= 0 {
			return members[i].value
		}
		return span{}
	}
	var more []byte
	for i, name := range headMembers {
		if v := at(name); !fits(i, e.text(v), streamed) && !(blank && string(e.text(v)) == `""` && name != "object") {
			more = appendOrReplace(e, more, v, name, h.value(i, e.text(v), first[i], id, streamed))
		}
	}
	if v := at("choices"); e.text(v).Kind() != '[' {
		more = appendOrReplace(e, more, v, "choices", []byte("[]"))
	}
	if v := at("usage"); v != (span{}) {
		e.usage(v)
	}
	if v := at("service_tier"); v != (span{}) {
		if plain := wire.PlainTier(translate.Unquote(e.text(v))); plain != "" {
			e.replace(v, quote(plain))
		}
	}
	if len(more) > 0 {
		e.insert(members[0].key.start, more)
	}
}

// first reads the head of the first chunk.
func (h *head) first() (values headValues) {
	e := edits{body: h.text}
	defer e.release()
	for _, m := range e.members(span{0, len(h.text)}) {
		value := e.text(m.value)
		cut := m.value.end == len(h.text) // within the value, or behind it
		if i := slices.Index(headMembers[:], m.name); i >= 0 && !cut && fits(i, value, true) {
			values[i] = value
		}
	}
	return values
}

// The words for what an answer is.
const (
	chunkObject = `"chat.completion.chunk"`
	wholeObject = `"chat.completion"`
)

// fits reports whether a value is one for the i-th of headMembers.
func fits(i int, v jsontext.Value, streamed bool) bool {
	switch headMembers[i] {
	case "object":
		return wire.IsChunk(v) && streamed || string(v) == wholeObject && !streamed
	case "created":
		return wire.IsWhole(v)
	default:
		return v.Kind() == '"' && len(v) > len(`""`)
	}
}

// value gives a value for the i-th of headMembers, in the place of v, which does not fit; first is that of the first chunk.
func (h *head) value(i int, v, first jsontext.Value, id string, streamed bool) []byte {
	switch name := headMembers[i]; {
	case name == "object" && streamed:
		return []byte(chunkObject)
	case name == "object":
		return []byte(wholeObject)
	case name == "created":
		if seconds, ok := wholeSeconds(v); ok {
			return seconds
		}
	case v.Kind() == '0': // an id, or a model's name
		return quote(string(v))
	}
	if first != nil {
		return first
	}
	switch headMembers[i] {
	case "id":
		return quote("chatcmpl-" + id)
	case "model":
		return quote(h.model)
	}
	if h.created == 0 {
		h.created = time.Now().Unix()
	}
	return strconv.AppendInt(nil, h.created, 10)
}

// wholeSeconds gives what a time in seconds is in whole ones, be it a text or have parts of a second.
func wholeSeconds(v jsontext.Value) ([]byte, bool) {
	text := string(v)
	if v.Kind() == '"' {
		text = translate.Unquote(v)
	}
	const latest = 1 << 52
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds > 0 && seconds < latest) {
		return nil, false
	}
	return strconv.AppendInt(nil, int64(math.Floor(seconds)), 10), true
}

// usage gives a usage the numbers that it lacks.
func (e *edits) usage(v span) {
	members := e.members(v)
	if !slices.ContainsFunc(members, func(m member) bool { return e.text(m.value).Kind() != 'n' }) {
		e.replace(v, null)
		return
	}
	names := [...]string{"prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens"}
	var counts [len(names)]struct {
		n    int64
		ok   bool
		at   span
		told bool // as a number
	}
	for _, m := range members {
		if i := slices.Index(names[:], m.name); i >= 0 {
			c := &counts[i]
			c.at = m.value
			c.n, c.ok = wire.UsageCount(e.text(m.value))
			c.told = wire.IsWhole(e.text(m.value)) || !c.ok && e.text(m.value).Kind() == '0'
		}
	}
	prompt, completion, total := &counts[0], &counts[1], &counts[2]
	for i, other := range counts[3:] { // as the Responses API and Anthropic have them
		if c := &counts[i]; !c.ok {
			c.n, c.ok = other.n, other.ok
		}
	}
	if !prompt.ok && completion.ok {
		prompt.n = max(total.n-completion.n, 0)
	}
	if !completion.ok && (prompt.ok || !total.ok) {
		completion.n = max(total.n-prompt.n, 0)
	}
	if !total.ok {
		total.n = prompt.n + completion.n
	}
	var more []byte
	for i, name := range names[:3] {
		if !counts[i].told {
			more = appendOrReplace(e, more, counts[i].at, name, strconv.AppendInt(nil, counts[i].n, 10))
		}
	}
	if len(more) > 0 {
		e.insert(members[0].key.start, more)
	}
}
