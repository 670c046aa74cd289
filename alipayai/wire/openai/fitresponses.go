package openai

import (
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// inResponses is what members of chat completions are called in the Responses API, where models refuse them as well: "Unsupported
// parameter: 'reasoning.effort' is not supported with this model" (https://github.com/RageAgainstThePixel/OpenAI-DotNet/issues/500),
// and of temperature https://github.com/decolua/9router/issues/536.
var inResponses = map[string]string{
	"temperature": "temperature", "top_p": "top_p", "top_logprobs": "top_logprobs", "presence_penalty": "presence_penalty",
	"frequency_penalty": "frequency_penalty", "parallel_tool_calls": "parallel_tool_calls", "max_completion_tokens": "max_output_tokens",
	"reasoning_effort": "reasoning.effort", "verbosity": "text.verbosity",
}

// FitResponses gives a request of the Responses API without what OpenAI's model of that name is known to refuse, for one that was
// written for another model. It is by name alone, since gateways and Azure serve the same models.
func FitResponses(body []byte, model string) wire.Encoded {
	rules := dialects["openai"].ofModel(model)
	if rules == nil {
		return wire.Encoded{Body: body}
	}
	own := make(map[string]Rule, len(inResponses)+1)
	for name, path := range inResponses {
		rule := rules[name]
		rule.Rename = ""
		if rule.WithTools { // what chat completions alone refuse beside tools
			rule.Leave = false
		}
		own[path] = rule
	}
	thinks := rules["temperature"].Leave
	// "drop unsupported reasoning param for openai non-reasoning models": https://github.com/BerriAI/litellm/pull/38842
	own["reasoning"] = Rule{Leave: !thinks}
	e := editor{Dialect: &Dialect{Rules: own}, left: make(map[string]struct{})}
	e.body = body
	defer e.release()
	e.top = e.members(span{0, len(body)})
	for _, m := range e.top {
		if m.name == "reasoning" {
			for _, option := range e.members(m.value) {
				if option.name == "effort" {
					e.effort = translate.Unquote(e.text(option.value))
				}
			}
		}
	}
	e.object("", e.top, nil, func(m member) (gone, done bool) {
		if m.name != "include" {
			return false, false
		}
		e.included(m.value, thinks, rules["top_logprobs"])
		return false, true
	})
	return wire.Encoded{Body: e.apply(), Unsupported: e.unsupported()}
}

// included leaves out what a model that does not reason, or gives no logprobs, cannot have in its answer.
func (e *editor) included(list span, thinks bool, logprobs Rule) {
	elements := e.elements(list)
	gone := make([]bool, len(elements))
	for i, element := range elements {
		switch translate.Unquote(e.text(element)) {
		case "reasoning.encrypted_content":
			gone[i] = !thinks
		case "message.output_text.logprobs":
			gone[i] = e.leaves(logprobs, element)
		}
		if gone[i] {
			e.left["include"] = struct{}{}
		}
	}
	e.remove(elements, func(i int) bool { return gone[i] })
}
