package wire

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// defaults are, for fields of a chat request by their place, the values in canonical form with which they ask for what
// happens without them too: those that OpenAI's API reference names as the default, and those that mean the same. A
// tool_choice and parallel_tool_calls are there for formats that have no tools: none is called then, whatever they say.
var defaults = map[string][]string{
	"frequency_penalty":                  {"0"},
	"function_call":                      {`"auto"`, `"none"`},
	"functions":                          {"[]"},
	"logit_bias":                         {"{}"},
	"logprobs":                           {"false"},
	"messages.annotations":               {"[]"},
	"messages.content.image_url.detail":  {`"auto"`},
	"messages.tool_calls":                {"[]"},
	"metadata":                           {"{}"},
	"modalities":                         {"[]", `["text"]`},
	"n":                                  {"1"},
	"parallel_tool_calls":                {"true", "false"},
	"presence_penalty":                   {"0"},
	"reasoning":                          {"{}"},
	"reasoning.exclude":                  {"false"},
	"reasoning.summary":                  {`"auto"`, `"concise"`, `"detailed"`},
	"reasoning_effort":                   {`"none"`},
	"response_format":                    {`{"type":"text"}`},
	"service_tier":                       {`"auto"`, `"default"`},
	"stop":                               {"[]"},
	"store":                              {"false"},
	"stream_options.include_obfuscation": {"false"},
	"temperature":                        {"1"},
	"tool_choice":                        {`"auto"`, `"none"`},
	"tools":                              {"[]"},
	"top_logprobs":                       {"0"},
	"top_p":                              {"1"},
	"verbosity":                          {`"medium"`},
}

// IsDefault reports whether a field of a chat request says nothing: it may be left out without a word in
// [Encoded.Unsupported]. The field is named by its place, without indexes: "messages.annotations". null says nothing in
// any field, and so does no value at all.
func IsDefault(field string, v jsontext.Value) bool {
	if len(v) == 0 || v.Kind() == 'n' {
		return true
	}
	same, ok := defaults[field]
	if !ok {
		return false
	}
	canonical := v.Clone()
	const longest = 256                                                                                                                           // of the values above, however they are escaped; to sort the members of others takes long
	return canonical.Compact() == nil && len(canonical) <= longest && canonical.Canonicalize() == nil && slices.Contains(same, string(canonical)) // 1.0 is 1
}

// maxVisible bounds what is kept of a word, in bytes.
const maxVisible = 64

// Visible gives a word that a client or a provider chose, such as a field's name, as it may stand in
// [Encoded.Unsupported] and from there in a header: visible ASCII with "?" for anything else, never empty, at most 64
// bytes.
func Visible(word string) string {
	if word == "" {
		return "?"
	}
	word = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, word)
	return word[:min(len(word), maxVisible)]
}
