package responses

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// maxID is how long the ids of items and of calls may be: "Invalid 'input[24].call_id': string too long. Expected a string with maximum
// length 64" in https://github.com/warpdotdev/warp/issues/11001 of other providers' calls, and of items' own ids in
// https://github.com/can1357/oh-my-pi/issues/284, which are OpenAI's.
const maxID = 64

// idCharacters are what the ids of items may have, and not be empty: "Invalid 'input[22].id': 'rs_…:4'. Expected an ID that contains
// letters, numbers, underscores, or dashes, but this value contained additional characters" in
// https://github.com/RooCodeInc/Roo-Code/pull/9839, and of an empty one in https://github.com/langchain-ai/langchainjs/issues/11044.
const idCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

// idBegins is how the ids of items begin, by their types: "Invalid 'input[8].id': '__fake_id__'. Expected an ID that begins with 'msg'"
// in https://github.com/openai/openai-agents-python/issues/1724, and https://github.com/BerriAI/litellm/pull/41590 of calls.
var idBegins = map[string]string{"message": "msg", "function_call": "fc", "custom_tool_call": "ctc", "reasoning": "rs"}

// hasRefusedID reports whether OpenAI refuses a request for one of the item's ids, which another provider may have given, or a client.
func (it *item) hasRefusedID() bool {
	return len(it.callID) > maxID || it.hasForeignID()
}

// hasForeignID reports whether its own id is one.
func (it *item) hasForeignID() bool { return it.hasID && !it.hasOwnID() }

// callID gives the id of a call in a form that OpenAI takes. Each call has one of its own, and so does its output: "Duplicate
// function_call_output for call_id 'terminal:0'" in https://github.com/NousResearch/hermes-agent/issues/102629 and
// https://github.com/mnfst/llm-gateway/pull/2858, of agents and models that count the calls of each turn from 0.
func callID(id string) string {
	if len(id) <= maxID {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "call_" + hex.EncodeToString(sum[:12])
}

// callIDs gives the calls of a request their ids, and their outputs the same.
type callIDs struct {
	wire.CallIDs
	outputs map[string]int // how many an id has that no call before them has taken
}

// callIDs begins with the outputs of the request.
func (r *ClientRequest) callIDs() *callIDs {
	ids := &callIDs{wire.CallIDs{Form: callID}, make(map[string]int)}
	ids.Turn()
	for _, items := range [][]item{r.before, r.items} {
		for i := range items {
			if items[i].answersCall() {
				ids.outputs[items[i].callID]++
			}
		}
	}
	return ids
}

// of gives the id of the item's call. One without an output of its own is another's that is said again: with an id of its own it would
// be refused for having none.
func (c *callIDs) of(it *item) string {
	if it.answersCall() {
		return c.Result(it.callID)
	}
	if c.outputs[it.callID]--; c.outputs[it.callID] < 0 {
		return callID(it.callID)
	}
	return c.Call(it.callID)
}

// answersCall reports whether it is the output of a call, of whichever kind.
func (it *item) answersCall() bool { return it.callID != "" && strings.HasSuffix(it.kind, "_output") }

// hasOwnID reports whether its id is as OpenAI gives them, or all that it is.
func (it *item) hasOwnID() bool {
	return it.kind == "item_reference" || it.id != "" && len(it.id) <= maxID && strings.HasPrefix(it.id, idBegins[it.kind]) && strings.Trim(it.id, idCharacters) == ""
}

// sendable gives the item without an id that is refused, which says nothing of what it is (https://github.com/NousResearch/hermes-agent/pull/43820),
// with the id that its call has of ids, the same wherever the call is named, and with parts in the form that the API has.
func (it *item) sendable(ids *callIDs) jsontext.Value {
	call := it.callID
	if call != "" {
		call = ids.of(it)
	}
	if call == it.callID && !it.hasForeignID() && !it.misplaced {
		return it.text
	}
	out := []byte{'{'}
	_ = translate.Members(it.text, func(name string, v jsontext.Value) error { // it has been read before
		switch {
		case name == "id" && !it.hasOwnID():
			return nil
		case name == "call_id" && call != it.callID:
			v = translate.Quote(nil, call)
		case (name == "content" || name == "output") && it.misplaced:
			v = it.ownParts(v)
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, translate.Quote(nil, name)...), ':'), v...)
		return nil
	})
	return append(out, '}')
}
