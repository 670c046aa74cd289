package failure

import (
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
}

// isTooLong reports whether a refusal says that the conversation is longer than the model takes.
func isTooLong(code string, reported *wire.Failure) bool {
	if code == wire.CodeContextLength {
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
