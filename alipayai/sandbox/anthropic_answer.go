package sandbox

import "encoding/json"

// claudeMessage is an answer, or the beginning of one.
type claudeMessage struct {
	ID           string      `json:"id"`
	Type         string      `json:"type"`
	Role         string      `json:"role"`
	Model        string      `json:"model"`
	Content      []any       `json:"content"`
	StopReason   *string     `json:"stop_reason"`
	StopSequence *string     `json:"stop_sequence"`
	Usage        claudeUsage `json:"usage"`
}

type claudeUsage struct {
	Input      int    `json:"input_tokens"`
	CacheWrite int    `json:"cache_creation_input_tokens"`
	CacheRead  int    `json:"cache_read_input_tokens"`
	Output     int    `json:"output_tokens"`
	Tier       string `json:"service_tier,omitzero"`
}

type claudeStop struct {
	Reason   *string `json:"stop_reason"`
	Sequence *string `json:"stop_sequence"`
}

func newClaudeStop(a *answer) claudeStop {
	reasons := map[ending]string{
		endsItself: "end_turn", endsInCall: "tool_use", endsAtMost: "max_tokens", endsAtStop: "stop_sequence",
	}
	reason, stop := reasons[a.end], claudeStop{}
	stop.Reason = &reason
	if a.end == endsAtStop {
		stop.Sequence = &a.stop
	}
	return stop
}

func newClaudeMessage(a *answer, content ...any) claudeMessage {
	return claudeMessage{
		ID: a.id, Type: "message", Role: "assistant", Model: a.model, Content: append([]any{}, content...),
		Usage: claudeUsage{Input: a.promptTokens, Output: a.answerTokens, Tier: "standard"},
	}
}

type claudeText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type claudeThinking struct {
	Type      string `json:"type"`
	Thinking  string `json:"thinking"`
	Signature string `json:"signature"`
}

type claudeToolUse struct {
	Type  string `json:"type"`
	ID    string `json:"id"`
	Name  string `json:"name"`
	Input any    `json:"input"`
}

// blocks are the answer's content: a thought where it was asked for, then a text
// or the call of a function. The signature of a thought verifies nowhere.
func (anthropic) blocks(a *answer) []any {
	var out []any
	if a.thought != "" {
		out = append(out, claudeThinking{"thinking", a.thought, thoughtSignature})
	}
	if a.end == endsInCall {
		return append(out, claudeToolUse{"tool_use", "toolu_" + a.id[len("msg_"):], a.function, json.RawMessage(a.arguments)})
	}
	return append(out, claudeText{"text", a.text})
}

const thoughtSignature = "c2FuZGJveA=="

func (f anthropic) whole(a *answer) any {
	m, stop := newClaudeMessage(a, f.blocks(a)...), newClaudeStop(a)
	m.StopReason, m.StopSequence = stop.Reason, stop.Sequence
	return m
}
