package failure

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Messages repeat words of the request that they refuse, and a client's own words must choose no class. So of a message that is
// of who asks what stands in quotes is left out, and one that is of what is asked counts by the sentence that it begins with.
var (
	// quotes are texts in quotes. An apostrophe within a word is none.
	quotes = regexp.MustCompile("`[^`]*`" + `|"[^"]*"|“[^”]*”|(?:^|[\s(\[{:=,])'(?:[^']|[\pL\pN]'[\pL\pN])*'`)
	// named are the names that gateways and SDKs put before what a server behind them has said: LiteLLM's exceptions, OpenAI's
	// classes of errors, OpenRouter's and Portkey's words.
	named = regexp.MustCompile(`^(?:(?:litellm\.)?(?:badrequest|ratelimit|authentication|permissiondenied|notfound|unprocessableentity|` +
		`internalserver|serviceunavailable|contentpolicyviolation|contextwindowexceeded|ai|api\w*)error:|[a-z_]+exception(?: \w+error)? -|` +
		`error code: \d{3} -|provider returned error:|(?:openai|anthropic|azure-openai|portkey|deepseek|google|mistral-ai) error:)\s*`)
	// pythons is the message of an error that is quoted as Python writes it.
	pythons = regexp.MustCompile(`\{.*?'message': (?:'([^']*)'|"([^"]*)").*\}`)
)

// unquoted is a message in lower case, without what stands in quotes.
func unquoted(message string) string {
	return quotes.ReplaceAllString(strings.ToLower(unwrapped(withoutRaw(message))), " ")
}

// withoutRaw is a message up to what Ollama quotes of an answer in which it finds no tool call, "error parsing tool call: raw='..'"
// (https://github.com/ollama/ollama/issues/17638): the model may have been told to write quotes, and more behind them, and was paid for it.
func withoutRaw(message string) string {
	own, _, _ := strings.Cut(message, "raw='")
	return own
}

// firstSentence is a message in lower case up to the end of its first sentence, or to a colon, behind which stands what it is of: where
// it says by no other word what failed, its own words come first. The name of an error before them is none.
func firstSentence(message string) string {
	message = message[len(errorName.FindString(message)):]
	if end := sentenceEnd.FindStringIndex(message); end != nil {
		return message[:end[0]]
	}
	return message
}

var (
	sentenceEnd = regexp.MustCompile(`[.!?:;]\s|[。！？：；\n]`)
	// errorName is what SDKs, gateways and Qwen put before what they say, be it one name or several: "openai.error.InvalidRequestError:"
	// in https://github.com/oobabooga/textgen/issues/3658, "Error 400:" in https://github.com/trigaten/Learn_Prompting/issues/691.
	errorName = regexp.MustCompile(`^(?:(?:(?:<\d{3}> )?(?:[\w-]+ ){0,2}(?:[\w.]*(?:error|exception|invalidparameter)|(?:invalid|bad) request)(?: \(?\d{3}\)?)?:\s` +
		`|error, status code: \d{3}, (?:status: [\w ]+, )?message:\s|\pL{0,6}(?:错误|异常|失败)[:：])\s*)+`)
)

// begun is a message in lower case, without the names that gateways have put before it.
func begun(message string) string {
	message = strings.ToLower(strings.TrimSpace(unwrapped(message)))
	for {
		name := named.FindString(message)
		if name == "" {
			return message
		}
		message = message[len(name):]
	}
}

// unwrapped puts what an error says that a message quotes whole, as gateways do that of the server behind them, in its place.
func unwrapped(message string) string {
	from := strings.IndexByte(message, '{')
	if from < 0 {
		return message
	}
	name := strings.TrimSuffix(strings.TrimSuffix(message[:from], "b'"), `b"`) // Python's bytes
	var whole json.RawMessage
	if json.NewDecoder(strings.NewReader(message[from:])).Decode(&whole) == nil {
		if inner := wire.ParseRefusal(whole); inner.Message != "" {
			return name + inner.Message
		}
		return message
	}
	if said := pythons.FindStringSubmatch(message); said != nil {
		return name + said[1] + said[2]
	}
	return message
}
