package wire

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// unquoted is unquote, faster where nothing is escaped.
func unquoted(v jsontext.Value) string {
	if plain := v[1 : len(v)-1]; bytes.IndexByte(plain, '\\') < 0 {
		return asString(plain)
	}
	return unquote(v)
}

// asString gives text as a string, which takes no room for the words that requests are full of.
func asString(text []byte) string {
	if len(text) <= longestFrequent {
		if word, ok := frequent[string(text)]; ok {
			return word
		}
	}
	return string(text)
}

// frequent are the words of APIs and of JSON Schema that most requests repeat.
var frequent = func() map[string]string {
	words := make(map[string]string)
	for word := range strings.FieldsSeq("text function name description parameters input_schema strict type object properties string integer number boolean " +
		"array items required enum default additionalProperties minimum maximum anyOf $schema tool_use tool_result image_url ephemeral") {
		words[word] = word
	}
	return words
}()

// longestFrequent is how long the longest of frequent is.
const longestFrequent = len("additionalProperties")

// isAPIName reports whether a member of that name is one of an API's, outside of arguments and schemas. A name that is missing
// here is a text more, and no harm.
func isAPIName(name []byte) bool {
	_, ok := apiNames[string(name)]
	return ok
}

// apiNames are names of members that the gateway's APIs have within others, and their providers.
var apiNames = func() map[string]struct{} {
	names := make(map[string]struct{})
	for name := range strings.FieldsSeq("type text id name role content input output arguments function call_id tool_call_id tool_use_id is_error status image_url url " +
		"detail file file_id file_data file_url filename input_audio audio video video_url audio_url image images data format source media_type mime_type mimeType cache_control " +
		"ttl title context citations enabled summary thinking signature encrypted_content reasoning refusal annotations logprobs phase action command env queries query results " +
		"result tools tool_calls tool_choice effort budget_tokens mode verbosity json_schema schema strict description parameters input_schema display generate_summary " +
		"server_label server_url allowed_tools require_approval voice speed include_usage user_id cited_text document_index document_title start_char_index " +
		"end_char_index start_index end_index url_citation max_uses edits trigger keep value caller custom index bytes base64 b64_json inline_data disable_parallel_tool_use") {
		names[name] = struct{}{}
	}
	return names
}()

// schemaWords are the types and formats of JSON Schema (draft 2020-12, Validation, section 7.3) and of OpenAPI, and types of
// what stands around a schema.
var schemaWords = func() map[string]bool {
	words := make(map[string]bool)
	for word := range strings.FieldsSeq("string number integer boolean object array null function custom text grammar json_schema json_object ephemeral " +
		"date-time date time duration email idn-email hostname idn-hostname ipv4 ipv6 uri uri-reference iri iri-reference uuid uri-template " +
		"json-pointer relative-json-pointer regex int32 int64 float double byte binary password") {
		words[word] = true
	}
	return words
}()
