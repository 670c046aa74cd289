package wire

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Ending is how much of an answer a finish reason says that there is.
type Ending int

// The endings.
const (
	// EndingUnknown is none that is known to be good: what there is goes to the client, and counts for nothing else. Words
	// that are not known may be those of a failure, as DeepSeek's insufficient_system_resource is, Mistral's error and
	// model_length, GLM's sensitive and network_error, and vLLM's abort.
	EndingUnknown Ending = iota
	// EndingCut is an answer that was cut for its length or filtered, which is what was asked for but not the best there is.
	EndingCut
	// EndingWhole is a whole answer.
	EndingWhole
)

// endings are the finish reasons that are known to be good, in lower case: OpenAI's first, then those that others pass on
// from behind their OpenAI form (Anthropic's, Cohere's, Hugging Face TGI's, Together's, Google's).
var endings = map[string]Ending{
	"stop":           EndingWhole,
	"tool_calls":     EndingWhole,
	"function_call":  EndingWhole,
	"length":         EndingCut,
	"content_filter": EndingCut,

	"end_turn":      EndingWhole,
	"stop_sequence": EndingWhole,
	"tool_use":      EndingWhole,
	"max_tokens":    EndingCut,
	"complete":      EndingWhole,
	"eos":           EndingWhole,
	"eos_token":     EndingWhole,
	"tool_call":     EndingWhole, // Cohere's: docs.cohere.com/reference/chat
	"refusal":       EndingCut,   // Azure's, of Claude: https://github.com/BerriAI/litellm/pull/24287
}

// finishWords are OpenAI's words for those of others, in lower case, as providers of OpenAI's form pass them on from behind it. Clients
// of chat completions refuse a whole answer for one that is not among OpenAI's five (https://github.com/pydantic/pydantic-ai/issues/7816,
// https://github.com/pydantic/pydantic-ai/pull/7685), and the other APIs have words of their own for what OpenAI's say.
var finishWords = map[string]string{
	"end_turn": "stop", "stop_sequence": "stop", "complete": "stop", "eos": "stop", "eos_token": "stop",
	"tool_use": "tool_calls", "tool_call": "tool_calls",
	"max_tokens": "length", "model_length": "length", "max_output_tokens": "length", "model_context_window_exceeded": "length",
	"refusal": "content_filter", "sensitive": "content_filter", "safety": "content_filter", "content_filtered": "content_filter",
	"recitation": "content_filter", "prohibited_content": "content_filter", "blocklist": "content_filter", "spii": "content_filter",
	"guardrail_intervened": "content_filter", "model_armor": "content_filter", "error_toxic": "content_filter",
	// https://github.com/BerriAI/litellm/issues/20357, https://github.com/NousResearch/hermes-agent/pull/53610
	"image_safety": "content_filter", "image_prohibited_content": "content_filter", "image_recitation": "content_filter",
	// An answer that was broken off is one that was cut, but for chat completions: see [IsBrokenOff]. The other APIs have no word for
	// it, and their clients fail at one that is not theirs (https://github.com/open-gsd/gsd-pi/pull/2042), or take the answer for whole.
	"error": "length", "network_error": "length", "insufficient_system_resource": "length", "abort": "length", FinishErrorText: "length",
}

// FinishErrorText is the finish reason of a choice whose content is what went wrong, in place of an answer: see [ErrorText].
const FinishErrorText = "error_finish"

// ErrorText gives the content of an answer, or of a chunk, whose choice has FinishErrorText; empty where there is none. Beside other
// choices, which may be whole, it says nothing of the answer.
func ErrorText(body []byte) string {
	type content struct {
		Content string `json:"content"`
	}
	var a struct {
		Choices []struct {
			FinishReason   string `json:"finish_reason"`
			Delta, Message content
		} `json:"choices"`
	}
	_ = json.Unmarshal(body, &a) // what is of another form says nothing
	if len(a.Choices) != 1 || FinishCode(a.Choices[0].FinishReason) != FinishErrorText {
		return ""
	}
	return cmp.Or(a.Choices[0].Delta.Content, a.Choices[0].Message.Content)
}

// FinishCode is a finish reason in lower case, without what Gemini's OpenAI endpoint puts behind it of its own: "content_filter:
// PROHIBITED_CONTENT" (https://github.com/HKUDS/Vibe-Trading/pull/308 has the words).
func FinishCode(finishReason string) string {
	word, _, _ := strings.Cut(strings.ToLower(finishReason), ":")
	return word
}

// FinishWord gives OpenAI's word for a finish reason, in lower case; one that is not known as it is.
func FinishWord(finishReason string) string {
	switch finishReason {
	case "", "stop", "length", "tool_calls", "content_filter":
		return finishReason
	}
	lower := FinishCode(finishReason)
	if word, ok := finishWords[lower]; ok {
		return word
	}
	if _, ok := endings[lower]; ok {
		return lower
	}
	return finishReason
}

// IsNoFinish reports whether a finish reason, a JSON string, is one for none: empty, or DashScope's word for it, which stands in each of
// its events but the last, and which what is made of it passes on (relay/adaptor/ali/main.go of songquanpeng/one-api).
func IsNoFinish(v jsontext.Value) bool {
	switch string(v) {
	case `""`, `"null"`, `"None"`:
		return true
	}
	return false
}

// EndingOf says what a finish reason means. An answer that names none, as embeddings do, is whole.
func EndingOf(finishReason string) Ending {
	if finishReason == "" {
		return EndingWhole
	}
	return endings[FinishCode(finishReason)]
}

// natives are the words of native_finish_reason by which OpenRouter says what broke an answer off whose finish_reason says
// that it is whole (https://github.com/earendil-works/pi/issues/8511). What else stands there is the vendor's way to end.
var natives = []string{"error", "network_error", "insufficient_system_resource", "abort", FinishErrorText}

// IsBrokenOff reports whether a finish reason says that the answer was broken off. Clients of chat completions get that word, for which
// OpenAI has none: they know it, or are right to refuse the answer.
func IsBrokenOff(finishReason string) bool { return slices.Contains(natives, FinishCode(finishReason)) }

// finish takes note of a choice's finish reason: the first counts, but for a worse one.
func (a *Answer) finish(reason string) {
	if a.FinishReason == "" || EndingOf(reason) < EndingOf(a.FinishReason) {
		a.FinishReason = reason
	}
}

// finishReason decodes a finish reason; the common ones, without an allocation.
func finishReason(v jsontext.Value) string {
	switch string(v) {
	case `"stop"`:
		return "stop"
	case `"length"`:
		return "length"
	case `"tool_calls"`:
		return "tool_calls"
	case `"content_filter"`:
		return "content_filter"
	}
	return clean(v, maxWord)
}
