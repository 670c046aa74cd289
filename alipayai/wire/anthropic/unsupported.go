package anthropic

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxNames bounds how many names are given of what was left out; "..." stands for the others.
	maxNames = 32
	// maxName bounds what is kept of a name that the client chose, in bytes.
	maxName = 64
)

// defaults are the values, in canonical form, with which a field asks for what happens without it too. null is one for
// every field.
var defaults = map[string]string{
	"frequency_penalty":                  "0",
	"function_call":                      `"none"`,
	"functions":                          "[]",
	"logit_bias":                         "{}",
	"logprobs":                           "false",
	"metadata":                           "{}",
	"modalities":                         `["text"]`,
	"n":                                  "1",
	"presence_penalty":                   "0",
	"reasoning_effort":                   `"none"`,
	"response_format":                    `{"type":"text"}`,
	"service_tier":                       `"auto"`,
	"store":                              "false",
	"top_logprobs":                       "0",
	"verbosity":                          `"medium"`,
	"stream_options.include_obfuscation": "false",
	"messages.annotations":               "[]",
	"messages.content.image_url.detail":  `"auto"`,
	"messages.tool_calls":                "[]",
}

// omissions are the names of what could not be carried over.
type omissions map[string]struct{}

// leave notes that the member name of what stands at path is left out, unless its value says nothing.
func (o omissions) leave(path, name string, v jsontext.Value) {
	name = visible(name)
	if path != "" {
		name = withoutIndexes(path) + "." + name
	}
	if !isDefault(name, v) {
		o[name] = struct{}{}
	}
}

// leaveOut notes that what stands at path is left out.
func (o omissions) leaveOut(path string) { o[withoutIndexes(path)] = struct{}{} }

// names gives the names sorted.
func (o omissions) names() []string {
	names := slices.Sorted(maps.Keys(o))
	if len(names) > maxNames {
		names = append(names[:maxNames], "...")
		slices.Sort(names)
	}
	return names
}

func isDefault(name string, v jsontext.Value) bool {
	if len(v) == 0 || v.Kind() == 'n' {
		return true
	}
	without, ok := defaults[name]
	if !ok {
		return false
	}
	canonical := v.Clone()
	return canonical.Canonicalize() == nil && string(canonical) == without
}

// visible gives of a name that the client chose what may stand in a header.
func visible(name string) string {
	var b strings.Builder
	for i := 0; i < len(name) && b.Len() < maxName; i++ {
		if name[i] > ' ' && name[i] < 0x7f {
			b.WriteByte(name[i])
		}
	}
	if b.Len() == 0 {
		return "?"
	}
	return b.String()
}

// withoutIndexes gives messages.content for messages[3].content[0].
func withoutIndexes(path string) string {
	var b strings.Builder
	for path != "" {
		name, rest, _ := strings.Cut(path, "[")
		b.WriteString(name)
		_, path, _ = strings.Cut(rest, "]")
	}
	return b.String()
}
