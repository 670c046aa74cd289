package anthropic

import (
	"cmp"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// The API wants a budget for thinking of at least 1024 tokens and below max_tokens. DeepSeek and GLM know no budget:
// what their clients ask for gets LiteLLM's for a medium effort.
//
// Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking
const (
	minThinking     = 1024
	defaultThinking = 2048
)

// minThinkingTopP is the least top_p that the API takes beside thinking.
const minThinkingTopP = 0.95

// thinking is how the model is asked to think.
type thinking struct {
	typ     string // enabled, adaptive or disabled; empty: not said
	budget  int64  // of "enabled"
	display jsontext.Value
}

func (t thinking) on() bool { return t.typ == "enabled" || t.typ == "adaptive" }

// readThinking reads Anthropic's form of asking for it, and those that vendors have made of it.
func (r *request) readThinking(v jsontext.Value) error {
	const path = "thinking"
	t := thinking{typ: "enabled"}
	if v.Kind() != '{' { // a vendor's own
		r.left.LeaveOut(path)
		return nil
	}
	err := translate.Object(path, v, func(option string, v jsontext.Value) (err error) {
		switch {
		case v.Kind() == 'n':
		case option == "type":
			t.typ = translate.Unquote(v)
		case option == "budget_tokens" && v.Kind() == '0':
			t.budget, err = translate.Count(path+".budget_tokens", v, 1)
		case option == "display":
			t.display = v
		default:
			r.left.Leave(path, option, v)
		}
		return err
	})
	if err != nil {
		return err
	}
	if !t.on() && t.typ != "disabled" {
		t = thinking{}
		r.left.LeaveOut(path)
	}
	r.thinking = t
	return nil
}

// reasoning is OpenRouter's form of asking for it, which clients that know OpenRouter write for others too:
// https://openrouter.ai/docs/guides/best-practices/reasoning-tokens, https://github.com/danny-avila/LibreChat/issues/11934.
type reasoning struct {
	effort jsontext.Value // a string; nil: not said
	thinking
}

// readReasoning reads it. A summary, which the Responses API has there, is about what is shown: it is left out without being named.
func (r *request) readReasoning(v jsontext.Value) error {
	const path = "reasoning"
	if v.Kind() != '{' {
		r.left.LeaveOut(path)
		return nil
	}
	return translate.Object(path, v, func(option string, v jsontext.Value) (err error) {
		t := &r.reasoning.thinking
		switch {
		case v.Kind() == 'n':
		case option == "effort" && v.Kind() == '"':
			r.reasoning.effort = v
		case option == "max_tokens" && v.Kind() == '0':
			t.typ = cmp.Or(t.typ, "enabled")
			t.budget, err = translate.Count(path+".max_tokens", v, 1)
		case option == "enabled" && v.Kind() == 'f': // which counts, wherever it stands
			t.typ = "disabled"
		case option == "enabled" && v.Kind() == 't':
			t.typ = cmp.Or(t.typ, "enabled")
		case option == "exclude" && v.Kind() == 't':
			t.display = jsontext.Value(`"omitted"`)
		default:
			r.left.Leave(path, option, v)
		}
		return err
	})
}

// settleReasoning does what is asked for in OpenRouter's form alone. An effort says how much is to be thought by itself.
func (r *request) settleReasoning() {
	asked := r.reasoning
	switch effort := translate.Unquote(asked.effort); {
	case effort == "":
	case r.effort == "":
		r.effort = effort
	case r.effort != effort:
		r.left.LeaveOut("reasoning.effort")
	}
	switch {
	case asked.typ == "":
		if asked.display != nil && r.thinking.display == nil {
			r.thinking.display = asked.display
		}
	case r.thinking.typ == "" && (asked.effort == nil || asked.budget > 0 || asked.typ == "disabled"):
		r.thinking = asked.thinking
	}
}

// settleThinking brings thinking and what stands beside it together. It gives way to what the answer depends on: a tool
// that must be called, words that the answer goes on from, and earlier calls, which the API wants to see the thinking of.
func (r *request) settleThinking() {
	if !r.thinking.on() {
		return
	}
	forced := len(r.tools) > 0 && r.choice.demands()
	if r.toolCalls || forced || r.turns.role == "assistant" || r.thinking.typ == "enabled" && !r.fitBudget() {
		r.thinking = thinking{}
		r.left.LeaveOut("thinking")
		return
	}
	if r.temperature != nil {
		r.temperature = nil
		r.left.LeaveOut("temperature")
	}
	if r.topP != nil {
		if p, err := translate.Number("top_p", r.topP, 0, 1); err != nil || p < minThinkingTopP {
			r.topP = nil
			r.left.LeaveOut("top_p")
		}
	}
}

// fitBudget puts the budget where the API takes it, and reports whether there is such a place.
func (r *request) fitBudget() bool {
	t := &r.thinking
	asked := t.budget
	if asked == 0 {
		t.budget = defaultThinking
	}
	t.budget = max(t.budget, minThinking)
	if limit := r.limit(); t.budget >= limit {
		if t.budget = max(limit/2, minThinking); t.budget >= limit {
			return false
		}
	}
	if asked != 0 && asked != t.budget {
		r.left.LeaveOut("thinking.budget_tokens")
	}
	return true
}

// append writes what was asked for.
func (t thinking) append(dst []byte) []byte {
	if t.typ == "" {
		return dst
	}
	dst = append(append(append(dst, `,"thinking":{"type":"`...), t.typ...), '"')
	if t.typ == "enabled" {
		dst = strconv.AppendInt(append(dst, `,"budget_tokens":`...), t.budget, 10)
	}
	if t.on() && t.display != nil {
		dst = append(append(dst, `,"display":`...), t.display...)
	}
	return append(dst, '}')
}
