package openai

import "github.com/caddy-alipayai/gateway/alipayai/wire/translate"

// openAIFields are those of completion_create_params.py of openai-python (2026): OpenAI refuses any other.
var openAIFields = []string{
	"audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "messages",
	"metadata", "modalities", "model", "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
	"prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier",
	"stop", "store", "stream", "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
	"web_search_options",
}

// objectSchema is what OpenAI takes as a function's parameters, and who follows it: "schema must have type 'object' and not have
// 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level" (https://github.com/langchain-ai/langchainjs/issues/9804,
// https://github.com/Dicklesworthstone/flywheel_connectors/issues/49), "got 'type: null'", "object schema missing properties".
var objectSchema = translate.ObjectSchema{Without: []string{"anyOf", "oneOf", "allOf", "enum", "not"}, Properties: true}

// openAI is OpenAI's API: https://platform.openai.com/docs/api-reference/chat. Ids of calls have at most 40 characters:
// "string_above_max_length" in https://github.com/vercel/ai/issues/5171. Whether members that it does not name are refused in
// messages as they are at the top ("Unrecognized request argument supplied") is not published; they say nothing there.
func openAI() *Dialect {
	return &Dialect{
		// "Image URLs are only allowed for messages with role 'user'": https://github.com/QwenLM/qwen-code/issues/3616.
		Name: "openai", Parts: parts, Files: pdfFiles, CallID: atMost40, Fields: openAIFields, Schema: &objectSchema, Pattern: isPortable, ToolTexts: true, ToolName: &plainName, JSONWord: true, CacheKey: true, Models: openAIModels(),
		Foreign: []string{"reasoning_content", "reasoning", "reasoning_details", "prefix", "tool_calls.extra_content"},
		Rules: without(nil, map[string]Rule{
			"max_tokens": {Rename: "max_completion_tokens"}, // which all take, and those that reason alone
			"stop":       {Elements: 4},
			// "only allowed when 'store' is enabled": https://github.com/looplj/axonhub/issues/1380, https://github.com/tmc/langchaingo/issues/1484
			"metadata": {Leave: true, With: "store"},
		}),
	}
}

// googleFields are those of https://ai.google.dev/gemini-api/docs/openai.
var googleFields = []string{
	"extra_body", "logprobs", "max_completion_tokens", "max_tokens", "messages", "model", "n", "parallel_tool_calls", "reasoning_effort",
	"response_format", "seed", "stop", "stream", "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p",
}

// mistral is Mistral's API, as the schema ChatCompletionRequest and those below it have it in
// https://docs.mistral.ai/openapi.yaml: each is closed (additionalProperties: false), and answers 422 extra_forbidden to any
// other member (https://github.com/charmbracelet/crush/issues/1590, https://github.com/BerriAI/litellm/issues/30882,
// https://github.com/mistralai/client-python/issues/91). The order of messages is that of mistral_common's
// MistralRequestValidator for serving, and its word between a tool and the user opencode's
// (packages/opencode/src/provider/transform.ts).
func mistral() *Dialect {
	return &Dialect{
		Name: "mistral", CallID: nineCharacters, Arguments: true, SystemFirst: true, NoEmpty: true, Answered: true, Prefix: true,
		NoNulls: true, Functions: true, NoFunctions: true, ToolName: &plainName, CacheKey: true,
		Fields: []string{
			"model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "metadata", "response_format",
			"tools", "tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction", "parallel_tool_calls", "prompt_mode",
			"reasoning_effort", "guardrails", "safe_prompt", "prompt_cache_key", "service_tier",
		},
		Members: map[string][]string{
			"system": {"role", "content"}, "user": {"role", "content"}, "assistant": {"role", "content", "tool_calls", "prefix"},
			"tool": {"role", "content", "tool_call_id", "name"},
		},
		Closed: map[string][]string{
			"messages.tool_calls": {"id", "type", "function", "index"}, "messages.tool_calls.function": {"name", "arguments"},
			"messages.content:text": {"type", "text"}, "messages.content:image_url": {"type", "image_url"},
			"messages.content.image_url": {"url", "detail"}, "messages.content:input_audio": {"type", "input_audio"},
			"messages.content:document_url": {"type", "document_url", "document_name"}, "messages.content:reference": {"type", "reference_ids"},
			"messages.content:thinking": {"type", "thinking", "signature", "closed"},
			"tools":                     {"type", "function"}, "tools.function": {"name", "description", "strict", "parameters"},
			"tool_choice": {"type", "function"}, "tool_choice.function": {"name"},
			"response_format": {"type", "json_schema"}, "response_format.json_schema": {"name", "description", "schema", "strict"},
			"prediction": {"type", "content"},
		},
		// A file is another's: {"type":"file","file_id":..}.
		Files:   documentURLs,
		Parts:   []string{"text", "image_url", "document_url", "reference", "thinking", "input_audio"},
		Foreign: []string{"tool_calls.extra_content"},
		Rules: map[string]Rule{
			"messages.role": asSystem, "max_completion_tokens": maxTokens, "seed": {Rename: "random_seed", NotNegative: true},
			"random_seed": {NotNegative: true}, "temperature": {Most: 1.5},
			"tool_choice":                       {Words: map[string]string{"required": "any"}}, // which newer versions take as well
			"service_tier":                      {Words: map[string]string{"default": "auto", "flex": "auto", "priority": "auto", "scale": "auto"}},
			"stream_options":                    {Leave: true, Met: true}, // the last chunk has the usage anyway
			"messages.content.input_audio":      {Inside: "data"},
			"messages.tool_calls.extra_content": leave,
			// "values: none, high", tried in https://github.com/anomalyco/models.dev/pull/1986
			"reasoning_effort": {Words: map[string]string{"minimal": "none", "low": "high", "medium": "high", "xhigh": "high", "max": "high"}},
		},
		// Which do not reason, and answer 422: https://github.com/NousResearch/hermes-agent/issues/11243.
		Models: []ModelRules{{
			Names: []string{"codestral", "mistral-large", "ministral", "open-", "pixtral", "devstral"}, Rules: map[string]Rule{"reasoning_effort": leave},
		}},
	}
}
