package anthropic

import (
	"strconv"
	"strings"
)

// What a request may say depends on the model, by its version: https://platform.claude.com/docs/en/about-claude/models/migration-guide
// and https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5.
var (
	// noPrefill is from when on the user must have the last turn: "This model does not support assistant message prefill"
	// (https://github.com/langchain-ai/deepagents/issues/1585).
	noPrefill = version{4, 6}
	// noSampling is from when on there is no temperature and no top_p ("temperature is deprecated for this model":
	// https://github.com/The-PR-Agent/pr-agent/pull/2409, https://github.com/alibaba/page-agent/pull/540), and thinking without a
	// budget alone ("thinking.type.enabled is not supported for this model": https://github.com/AAClause/nvda-OpenAI/issues/126).
	noSampling = version{4, 7}
	// alwaysThinks is from when on thinking cannot be disabled, nor a call of a tool be demanded. Fable and Mythos do from
	// version 5 on.
	alwaysThinks = version{5, 5}
)

// version is a model's, as claude-opus-4-7 has it in its name. The zero version is older than all, or not known.
type version struct{ major, minor int }

// from reports whether v is that version or a later one.
func (v version) from(first version) bool {
	return v.major > first.major || v.major == first.major && v.minor >= first.minor
}

// versionOf reads a model's version: in claude-sonnet-4-5-20250929 and claude-opus-4.7 it follows the family, in
// claude-3-5-haiku-latest it comes before. What has more than two digits is a date.
func versionOf(model string) (v version, family string) {
	_, name, known := strings.Cut(strings.ToLower(model), "claude-")
	if !known {
		return v, ""
	}
	numbers := 0
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '-' || r == '.' || r == '@' || r == ':' }) {
		n, err := strconv.Atoi(part)
		switch {
		case err == nil && len(part) <= 2 && numbers == 0:
			v.major = n
			numbers++
		case err == nil && len(part) <= 2 && numbers == 1:
			v.minor = n
			numbers++
		case err != nil && family == "":
			family = part
		}
		if err != nil && numbers > 0 {
			break
		}
	}
	return v, family
}

// settleModel leaves out what the model refuses.
func (r *request) settleModel() {
	v, family := versionOf(r.ask.UpstreamModel)
	if r.turns.role == "assistant" && v.from(noPrefill) {
		r.turns.add("user", []byte(textBlock+`"Go on from where you left off."}`))
		r.left.LeaveOut("messages.role")
	}
	if v.from(noSampling) {
		if r.temperature != nil {
			r.left.LeaveOut("temperature")
		}
		if r.topP != nil {
			r.left.LeaveOut("top_p")
		}
		r.temperature, r.topP = nil, nil
		if r.thinking.typ == "enabled" {
			if r.thinking.budget != 0 {
				r.left.LeaveOut("thinking.budget_tokens")
			}
			r.thinking.typ, r.thinking.budget = "adaptive", 0
		}
	}
	if v.from(alwaysThinks) || v.major >= alwaysThinks.major && (family == "fable" || family == "mythos") {
		if r.thinking.typ == "disabled" {
			r.thinking = thinking{}
			r.left.LeaveOut("thinking")
		}
		if r.choice.demands() {
			r.choice.typ = "auto"
			r.left.LeaveOut("tool_choice")
		}
	}
}
