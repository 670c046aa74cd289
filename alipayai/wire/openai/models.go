package openai

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// ModelRules are what some models of a vendor take otherwise than its others.
type ModelRules struct {
	// Names are what the models' names begin with.
	Names []string
	// Rules stand in the place of the dialect's for the same path.
	Rules map[string]Rule
}

// ofModel gives the rules of a model: those of the longest name that its own begins with, in whatever case, without what
// gateways put before it ("openai/gpt-5"). nil where it has none.
func (d *Dialect) ofModel(model string) (rules map[string]Rule) {
	if len(d.Models) == 0 {
		return nil
	}
	model = strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	longest := 0
	for _, m := range d.Models {
		for _, name := range m.Names {
			if len(name) > longest && strings.HasPrefix(model, name) {
				longest, rules = len(name), m.Rules
			}
		}
	}
	return rules
}

// rule gives the rule for what stands at a path.
func (e *editor) rule(at string) Rule {
	if rule, ok := e.model[at]; ok {
		return rule
	}
	return e.Rules[at]
}

// leaves reports whether a rule leaves a value out.
func (e *editor) leaves(rule Rule, value span) bool {
	if !rule.Leave || rule.WithTools && !e.ask.HasTools || rule.With != "" && e.isTrue(rule.With) || slices.Contains(rule.Efforts, e.effort) {
		return false
	}
	return rule.Kept == nil || !slices.Contains(rule.Kept, translate.Unquote(e.text(value)))
}

// limited are the rules for a model that gives so many tokens at most, by the name that its vendor has for that.
func limited(name string, tokens float64) map[string]Rule {
	rules := map[string]Rule{"max_tokens": {Limit: tokens, Rename: name}, "max_completion_tokens": {Limit: tokens, Rename: name}}
	rules[name] = Rule{Limit: tokens}
	return rules
}

// with gives the rules of both; those of more come first.
func with(rules, more map[string]Rule) map[string]Rule {
	all := maps.Clone(rules)
	maps.Copy(all, more)
	return all
}

// readEffort reads the reasoning_effort of the request.
func (e *editor) readEffort() {
	for _, m := range e.top {
		if m.name == "reasoning_effort" {
			e.effort = translate.Unquote(e.text(m.value))
		}
	}
}

// plainEffort puts the effort of OpenRouter's reasoning, {"effort": "high"}, in its place, where the request has no reasoning_effort:
// https://openrouter.ai/docs/guides/best-practices/reasoning-tokens. LibreChat sends it, for one
// (https://github.com/danny-avila/LibreChat/issues/11934).
func (e *editor) plainEffort() {
	top := e.members(span{0, len(e.body)})
	if slices.ContainsFunc(top, func(m member) bool { return m.name == "reasoning_effort" }) {
		return
	}
	for _, m := range top {
		if m.name != "reasoning" {
			continue
		}
		if options := e.members(m.value); slices.ContainsFunc(options, func(o member) bool { return o.name == "effort" && e.text(o.value).Kind() == '"' }) {
			e.replace(m.key, quote("reasoning_effort"))
			e.inside("reasoning", m.value, "effort")
			e.body, e.list = e.apply(), nil
		}
		return
	}
}

// isTrue reports whether the request's member of that name is true.
func (e *editor) isTrue(name string) bool {
	return slices.ContainsFunc(e.top, func(m member) bool { return m.name == name && e.text(m.value).Kind() == 't' })
}

// openAIModels are OpenAI's models that reason, and those that do not. Which members each refuses ("Unsupported parameter: 'stop'
// is not supported with this model") is in https://platform.openai.com/docs/guides/reasoning, and of GPT-5 in
// https://platform.openai.com/docs/guides/latest-model: temperature, top_p and logprobs with no reasoning alone. Reports:
// https://github.com/tmc/langchaingo/issues/1355 and https://github.com/musistudio/claude-code-router/issues/849 of temperature,
// https://github.com/crewAIInc/crewAI/issues/2751 of stop, https://github.com/lobehub/lobehub/pull/7747 of top_p,
// https://github.com/evalstate/fast-agent/issues/279 and https://github.com/tensorzero/tensorzero/issues/2805 of parallel_tool_calls,
// https://github.com/openai/openai-openapi/issues/541 and https://github.com/pipecat-ai/pipecat/issues/4043 of an effort beside
// tools, https://github.com/Laisky/one-api/issues/120 of one for a model that does not reason.
func openAIModels() []ModelRules {
	reasons := func(efforts []string, more map[string]Rule) map[string]Rule {
		rules := map[string]Rule{
			"presence_penalty": leave, "frequency_penalty": leave, "prediction": leave, "audio": leave, "modalities": leave, "stop": leave,
		}
		for _, sampling := range []string{"temperature", "top_p", "logprobs", "top_logprobs"} {
			rules[sampling] = Rule{Leave: true, Efforts: efforts}
		}
		maps.Copy(rules, more)
		return rules
	}
	effort := func(words map[string]string) Rule { return Rule{Words: words} }
	withoutTools := Rule{Words: map[string]string{"minimal": "low", "max": "xhigh"}, Leave: true, WithTools: true, Kept: []string{"none"}}
	noEffort := map[string]Rule{"reasoning_effort": leave, "verbosity": leave}
	atMost := func(tokens float64) map[string]Rule { return with(noEffort, limited("max_completion_tokens", tokens)) }
	return []ModelRules{
		{Names: []string{"gpt-3.5", "gpt-4-turbo", "gpt-4-1106", "gpt-4-0125", "gpt-4o-2024-05-13"}, Rules: atMost(4096)},
		{Names: []string{"gpt-4"}, Rules: atMost(8192)},
		{Names: []string{"gpt-4o", "chatgpt-4o", "gpt-5-chat"}, Rules: atMost(16384)},
		{Names: []string{"gpt-4.1"}, Rules: atMost(32768)},
		{Names: []string{"gpt-4.5"}, Rules: atMost(16384)},
		{Names: []string{"chatgpt-"}, Rules: noEffort},
		{Names: []string{"gpt-5.1-chat", "gpt-5.2-chat", "gpt-5.3-chat"}, Rules: reasons(nil, noEffort)}, // which reason as much as they want
		{Names: []string{"o1", "o3", "o4-"}, Rules: reasons(nil, with(limited("max_completion_tokens", 100000), map[string]Rule{
			"parallel_tool_calls": leave, "verbosity": leave,
			"reasoning_effort": effort(map[string]string{"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}),
		}))},
		{Names: []string{"gpt-5"}, Rules: reasons(nil, map[string]Rule{
			"logit_bias": leave, "reasoning_effort": effort(map[string]string{"none": "minimal", "xhigh": "high", "max": "high"}),
		})},
		{Names: []string{"gpt-5.1"}, Rules: reasons([]string{"", "none"}, map[string]Rule{
			"logit_bias": leave, "reasoning_effort": effort(map[string]string{"minimal": "low", "xhigh": "high", "max": "high"}),
		})},
		{Names: []string{"gpt-5.2"}, Rules: reasons([]string{"", "none"}, map[string]Rule{
			"logit_bias": leave, "reasoning_effort": effort(map[string]string{"minimal": "low", "max": "xhigh"}),
		})},
		// What they do without being asked to think is not published for all of them.
		{Names: []string{"gpt-5.3", "gpt-5.4", "gpt-5.5", "gpt-5.6", "gpt-6"}, Rules: reasons([]string{"none"}, map[string]Rule{
			"logit_bias": leave, "reasoning_effort": withoutTools,
		})},
	}
}
