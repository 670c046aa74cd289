package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
)

// Roles of a turn.
const (
	roleUser      = "user"
	roleAssistant = "assistant"
)

// roleBlocks are the kinds of blocks that a turn of each role may have.
var roleBlocks = map[string][]string{
	roleUser:      {"text", "image", "document", "tool_result"},
	roleAssistant: {"text", "tool_use", "thinking", "redacted_thinking"},
}

// readTurns reads the conversation: turns that alternate, of which the first is
// the user's, and results that follow the calls that they belong to. It reports
// whether the last is the assistant's, which the model then goes on from.
func readTurns(o object, q *ask) (prefilled bool) {
	var items []json.RawMessage
	o.required("messages", "list", &items)
	if len(items) == 0 {
		o.wrong("messages", "at least one message is required")
	}
	var calls []string            // of the turn before
	seen := make(map[string]bool) // the ids of all calls
	var last []block
	before := roleAssistant
	for i, item := range items {
		turn := o.child(entry("messages", i), item, "role", "content")
		var role string
		turn.required("role", "string", &role)
		switch {
		case role == "system":
			o.wrong("messages", `Unexpected role "system". The Messages API accepts a top-level `+"`system`"+` parameter, not "system" as an input message role.`)
		case role != roleUser && role != roleAssistant:
			turn.wrong("role", "Input should be 'user' or 'assistant'")
		case role == before && i == 0:
			o.wrong("messages", `first message must use the "user" role`)
		case role == before:
			o.wrong("messages", `roles must alternate between "user" and "assistant", but found multiple %q roles in a row`, role)
		}
		before = role
		if !turn.has("content") {
			turn.wrong("content", "Field required")
		}
		blocks := readContent(turn, "content", roleBlocks[role]...)
		if empty(blocks) && (role == roleUser || i < len(items)-1) {
			o.wrong("messages", "all messages must have non-empty content except for the optional final assistant message")
		}
		last = blocks
		checkResults(o, turn, i, calls, blocks)
		calls = nil
		for j, b := range blocks {
			if b.kind == "tool_use" {
				if seen[b.id] {
					turn.wrong(entry("content", j), "`tool_use` ids must be unique")
				}
				seen[b.id] = true
				calls = append(calls, b.id)
			}
		}
		q.add(blocks)
		if role == roleUser {
			q.hear(blocks, i == len(items)-1)
		}
	}
	if len(calls) > 0 {
		unanswered(o, len(items)-1, calls)
	}
	prefilled = before == roleAssistant && len(items) > 0
	if n := len(last); prefilled && n > 0 && strings.TrimRightFunc(last[n-1].text, unicode.IsSpace) != last[n-1].text {
		o.wrong("messages", "final assistant content cannot end with trailing whitespace")
	}
	return prefilled
}

// empty reports whether a message says nothing.
func empty(blocks []block) bool {
	return len(blocks) == 0 || len(blocks) == 1 && blocks[0].kind == "text" && strings.TrimSpace(blocks[0].text) == ""
}

// hear takes what the user says in a turn: words, or what tools said.
func (q *ask) hear(blocks []block, last bool) {
	var said content
	var result *string
	words := false
	for _, b := range blocks {
		if b.kind == "tool_result" {
			if result == nil {
				result = new(string)
			}
			*result += b.text
			continue
		}
		words = true
		said.text += b.text
		said.images += b.images
	}
	if words {
		q.prompt = said
	}
	if last && !words {
		q.result = result
	}
}

// checkResults holds the results in a turn against the calls of the one before:
// each call has its result, and all of them stand before anything else.
func checkResults(o, turn object, i int, calls []string, blocks []block) {
	left := slices.Clone(calls)
	leading := true
	for j, b := range blocks {
		if b.kind != "tool_result" {
			leading = false
			continue
		}
		at := slices.Index(left, b.id)
		switch {
		case !slices.Contains(calls, b.id):
			turn.wrong(entry("content", j), "unexpected `tool_use_id` found in `tool_result` blocks: %s. "+
				"Each `tool_result` block must have a corresponding `tool_use` block in the previous message.", b.id)
		case at < 0:
			turn.wrong(entry("content", j), "each tool_use must have a single result. Found multiple `tool_result` blocks with id: %s", b.id)
		case leading:
			left = slices.Delete(left, at, at+1)
		}
	}
	if len(left) > 0 {
		unanswered(o, i-1, left)
	}
}

func unanswered(o object, i int, calls []string) {
	o.wrong(entry("messages", i), "`tool_use` ids were found without `tool_result` blocks immediately after: %s. "+
		"Each `tool_use` block must have a corresponding `tool_result` block in the next message.", strings.Join(calls, ", "))
}
