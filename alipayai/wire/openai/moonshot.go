package openai

import (
	"slices"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// moonshot is the API of Kimi: temperatures from 0 to 1 (https://platform.moonshot.cn/docs/guide/migrating-from-openai-to-kimi), none
// at all for the models that are called so ("invalid temperature: only 1 is allowed for this model" in
// https://github.com/getcoherence/studio/releases/tag/v0.3.30), max_completion_tokens, thinking as DeepSeek has it, and schemas of
// its own kind (https://java.agentscope.io/v2/en/integration/model/kimi, and [translate.TypedSchema]). "the message at position 64 with
// role 'assistant' must not be empty" in https://github.com/anomalyco/opencode/issues/37887,
// https://github.com/MoonshotAI/kimi-code/issues/1985 and, of one that has only thought, https://github.com/anomalyco/opencode/issues/46577;
// "text content is empty", also of GLM's, in https://github.com/dirge-code/dirge/pull/757. Its example of a role has "" for content,
// beside name and partial: https://platform.kimi.ai/docs/api/partial.
func moonshot() *Dialect {
	return &Dialect{
		Name: "moonshot", NoFunctions: true, NoEmpty: true, Partial: true, Thinking: thinkingType, Parts: append(slices.Clip(parts), "video_url"), Schema: translate.TypedSchema{}, ToolName: &plainName,
		Models: []ModelRules{{Names: []string{"kimi-"}, Rules: map[string]Rule{
			"temperature": leave, "top_p": leave, "n": leave, "frequency_penalty": leave, "presence_penalty": leave,
		}}},
		Rules: without([]string{"thinking", "messages.reasoning_content"}, map[string]Rule{
			"messages.role": asSystem, "max_tokens": {Rename: "max_completion_tokens"}, "temperature": {Most: 1}, "tools.function.strict": leave,
		}),
	}
}
