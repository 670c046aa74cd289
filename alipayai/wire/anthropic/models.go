package anthropic

import (
	"strconv"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
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
	// adapts is from when on a model thinks as much as it wants: "adaptive thinking is not supported on this model" say those
	// before (https://github.com/mnfst/llm-gateway/pull/1928, https://github.com/diegosouzapw/OmniRoute/pull/1563).
	adapts = version{4, 6}
	// holdsSchemas is from when on a model is held to the schema of an answer or of a tool, and Opus from 4.1 on
	// (https://github.com/BerriAI/litellm/pull/16949).
	holdsSchemas, opusHoldsSchemas = version{4, 5}, version{4, 1}
)

// efforts are from when on a model of each family takes an effort ("This model does not support the effort parameter":
// https://github.com/Oaklight/llm-rosetta/pull/289, https://github.com/anthropics/claude-code/issues/30760), and those above high.
// All of them: https://platform.claude.com/docs/en/build-with-claude/effort.
var efforts = map[string]struct{ from, highest, most version }{
	"opus":   {from: version{4, 5}, highest: version{4, 7}, most: version{4, 6}},
	"sonnet": {from: version{4, 6}, highest: version{5, 0}, most: version{4, 6}},
	"haiku":  {from: version{5, 5}, highest: version{5, 5}, most: version{5, 5}},
	"fable":  {},
	"mythos": {},
}

// effortOf gives the effort of a model that is asked for one by that word; empty where the model takes none.
func effortOf(model, word string) string {
	v, family := versionOf(model)
	takes, known := efforts[family]
	if !known || v == (version{}) || !v.from(takes.from) {
		return ""
	}
	switch word {
	case "minimal": // OpenAI's
		return "low"
	case "xhigh":
		if !v.from(takes.highest) {
			return "high"
		}
	case "max":
		if !v.from(takes.most) {
			return "high"
		}
	case "low", "medium", "high":
	default:
		return ""
	}
	return word
}

// mostTokens is how many tokens an answer of a model may have: "max_tokens: 128000 > 64000, which is the maximum allowed number of
// output tokens". 0 where that is not known. The numbers are those of https://github.com/labring/fastgpt-plugin/pull/242 and
// https://github.com/Effect-TS/effect/releases/tag/@effect%2Fai-anthropic@4.0.0-beta.106.
func mostTokens(model string) int64 {
	switch v, family := versionOf(model); {
	case v.major == 4 && v.minor >= 6:
		return 128000
	case family == "opus" && v.major == 4 && v.minor <= 1:
		return 32000
	case v.major == 4, v == version{3, 7}:
		return 64000
	case v == version{3, 5}:
		return 8192
	}
	return 0
}

// takesSchemas reports whether a model can be held to a schema. Those that are not known are taken for new ones.
func takesSchemas(model string) bool {
	v, family := versionOf(model)
	return v == (version{}) || v.from(holdsSchemas) || family == "opus" && v.from(opusHoldsSchemas)
}

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

// thinksAlways reports whether thinking cannot be disabled.
func thinksAlways(v version, family string) bool {
	return v.from(alwaysThinks) || v.major >= alwaysThinks.major && (family == "fable" || family == "mythos")
}

// goOn is what the user says to have the model go on from words of its own.
const goOn = "Go on from where you left off."

// settleModel leaves out what the model refuses.
func (r *request) settleModel() {
	v, family := versionOf(r.ask.UpstreamModel)
	r.settleMost()
	r.settleEffort()
	if r.thinking.typ == "adaptive" && v != (version{}) && !v.from(adapts) {
		r.thinking = thinking{}
		r.left.LeaveOut("thinking")
	}
	if r.format != nil && !takesSchemas(r.ask.UpstreamModel) {
		r.asked, r.format = r.format, nil
		r.left.LeaveOut("response_format")
	}
	if r.turns.role == "assistant" && v.from(noPrefill) {
		r.turns.add("user", []byte(textBlock+`"`+goOn+`"}`))
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
	if thinksAlways(v, family) {
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

// settleMost lowers max_tokens to what the model gives at most.
func (r *request) settleMost() {
	if r.most = mostTokens(r.ask.UpstreamModel); r.most > 0 {
		r.maxTokens, r.maxCompletionTokens = min(r.maxTokens, r.most), min(r.maxCompletionTokens, r.most)
	}
}

// settleEffort leaves out an effort that the model has no word for. One above high goes with thinking alone
// (https://github.com/can1357/oh-my-pi/pull/7380).
func (r *request) settleEffort() {
	if r.effort == "" {
		return
	}
	asked := r.effort
	if r.effort = effortOf(r.ask.UpstreamModel, asked); r.effort == "" {
		r.left.Leave("", "reasoning_effort", translate.Quote(nil, asked))
	}
	if r.thinking.typ == "disabled" && (r.effort == "xhigh" || r.effort == "max") {
		r.effort = "high"
	}
}
