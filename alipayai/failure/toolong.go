package failure

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// longWords are what vendors' messages have in them, in lower case, where a conversation is longer than the model takes. Most of
// them send no code for it that is their own.
//
// The messages are quoted in https://github.com/earendil-works/pi, packages/ai/src/utils/overflow.ts; Qwen's is in its reference of
// error codes (https://help.aliyun.com/zh/model-studio/error-code).
var longWords = []string{
	"maximum context length",             // OpenAI, DeepSeek, Mistral, OpenRouter, vLLM
	"exceeds the context window",         // OpenAI's Responses API
	"prompt is too long",                 // Anthropic
	"exceed context limit",               // Anthropic, of the prompt with max_tokens
	"range of input length should be",    // Qwen
	"the maximum number of tokens allo",  // Google, of the input
	"maximum prompt length is",           // xAI
	"reduce the length of the messages",  // Groq
	"exceeded model token limit",         // Moonshot
	"context window exceeds limit",       // MiniMax
	"maximum allowed input length",       // OpenRouter
	"longer than the model's context",    // Together
	"exceeds the available context siz",  // llama.cpp
	"greater than the context length",    // LM Studio
	"input is too long for requested m",  // Amazon Bedrock
	"prompt too long; exceeded",          // Ollama
	"prompt exceeds max length",          // GLM
	"prompt token count of",              // GitHub Copilot
	"but the configured context size is", // ds4-server
	"contextwindowexceedederror",         // LiteLLM's name for any vendor's
	"must be less than max_seq_len",      // SiliconFlow: https://github.com/chatboxai/chatbox/issues/2060
	"the max input characters is",        // Baidu, with the next
	"prompt tokens too long",             // Baidu: https://cloud.baidu.com/doc/qianfan-api/s/Om9b4yj3w
	"tokens in the prompt cannot exceed", // Cohere: https://docs.cohere.com/errors-reference
	"input token length too long",        // Moonshot: https://platform.kimi.ai/docs/api/errors
}

// longCodes are codes and types that say nothing else.
var longCodes = map[string]bool{
	wire.CodeContextLength:       true,
	"exceed_context_size_error":  true, // llama.cpp: https://github.com/oobabooga/textgen/issues/7257
	"characters_too_long":        true, // Baidu: https://cloud.baidu.com/doc/qianfan-api/s/Om9b4yj3w
	"tokens_too_long":            true,
	"ContextWindowExceededError": true, // LiteLLM
	"sid.10907":                  true, // Spark: see kinds
}

// isTooLong reports whether a refusal says that the conversation is longer than the model takes.
func isTooLong(code string, reported *wire.Failure) bool {
	if longCodes[code] || longCodes[reported.Type] || longCodes[reported.Reason] {
		return true
	}
	message := strings.ToLower(reported.Message)
	for _, words := range longWords {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}

// limitAndRequested are the numbers of an OpenAI-like message about the limit on tokens: "Limit 6000, Requested 9221",
// or with commas for thousands.
var limitAndRequested = regexp.MustCompile(`\blimit:? ([0-9,]{1,15})\b.*\brequested:? ([0-9,]{1,15})\b`)

// exceedsRate reports whether a limit is said to be smaller than the request is by itself: no wait makes room for that, neither
// here nor for others, but another provider may take it, or this one a shorter conversation. OpenAI says so under 429 and Groq
// under 413, both with the code of a limit (https://github.com/vanna-ai/vanna-flask/issues/11, https://github.com/openclaw/openclaw/pull/130275).
func exceedsRate(message string) bool {
	numbers := limitAndRequested.FindStringSubmatch(strings.ToLower(message))
	if numbers == nil {
		return false
	}
	limit, err := strconv.ParseInt(strings.ReplaceAll(numbers[1], ",", ""), 10, 64)
	requested, err2 := strconv.ParseInt(strings.ReplaceAll(numbers[2], ",", ""), 10, 64)
	return err == nil && err2 == nil && 0 < limit && limit < requested // a limit of nothing is no size
}

// forbidsLength reports whether a limit is said to be of long requests alone, which the account's plan has not: shorter ones are
// served, and another provider may take this one (https://github.com/anthropics/claude-code/issues/64982 and 39180).
func forbidsLength(message string) bool {
	return strings.HasSuffix(strings.TrimRight(strings.ToLower(message), ". "), "required for long context requests")
}
