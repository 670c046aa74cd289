package anthropic

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// pairs keep calls and their results together. Each call has one result, in the turn after it, and there are no others: who speaks
// chat completions refuses the request else ("An assistant message with 'tool_calls' must be followed by tool messages responding to each
// 'tool_call_id'", https://github.com/NousResearch/hermes-agent/pull/57013; "messages with role 'tool' must be a response to a
// preceding message with 'tool_calls'", https://github.com/agentforce314/clawcodex/pull/394). A client that was stopped, or has cut its
// conversation, has others. What becomes of these is what becomes of them on the way to Anthropic's form: see turns.
type pairs struct {
	// calls are the ids of the calls of the model's last turn, as written, awaited how many of each have no result yet, and answered
	// those that have one.
	calls    []string
	awaited  map[string]int
	answered map[string]bool
	// held is what others say until all of them have one: chat completions want the results first.
	held wire.Chat
}

// await notes a call of the model's.
func (c *client) await(id jsontext.Value) {
	if c.pairs.awaited == nil {
		c.pairs.awaited = make(map[string]int)
	}
	c.pairs.calls = append(c.pairs.calls, string(id))
	c.pairs.awaited[string(id)]++
}

// wanted takes note of the result of the call of that id, and reports whether the call waits for it.
func (c *client) wanted(id jsontext.Value) bool {
	if !c.pairs.take(string(id)) {
		return false
	}
	if c.pairs.answered == nil {
		c.pairs.answered = make(map[string]bool)
	}
	c.pairs.answered[string(id)] = true
	return true
}

// take takes a call of that id from those that wait, and reports whether there is one.
func (p *pairs) take(id string) bool {
	switch p.awaited[id] {
	case 0:
		return false
	case 1:
		delete(p.awaited, id)
	default:
		p.awaited[id]--
	}
	return true
}

// to is where messages go now.
func (c *client) to() *wire.Chat {
	if len(c.pairs.awaited) > 0 {
		return &c.pairs.held
	}
	return &c.chat
}

// release adds what was held, if no call waits for its result.
func (c *client) release() {
	if len(c.pairs.awaited) == 0 {
		c.chat.Join(&c.pairs.held)
		c.pairs.held = wire.Chat{}
	}
}

// endTurn gives a result to each call that has none.
func (c *client) endTurn() {
	for _, id := range c.pairs.calls {
		if c.pairs.take(id) {
			c.chat.Message(`{"role":"tool","tool_call_id":`, []byte(id), `,"content":"Error: No result."}`)
		}
	}
	c.pairs.calls, c.pairs.awaited = nil, nil // to clear a map takes as long as it has been large
	c.release()
}
