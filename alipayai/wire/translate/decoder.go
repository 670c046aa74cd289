package translate

import (
	"bytes"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// lenient takes lone surrogates, as half an emoji is one, and repeated keys in what is passed on: requests have been
// read strictly before, and of an answer nothing is refused that its client can read.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// Decoder reads a text in place. It is from a pool: each object and array within another has one of its own.
type Decoder struct {
	jsontext.Decoder
	text   []byte
	buffer bytes.Buffer
}

var decoders = sync.Pool{New: func() any { return new(Decoder) }}

// Decode gives a decoder that reads v, which is to be closed.
func Decode(v []byte) *Decoder {
	d := decoders.Get().(*Decoder)
	d.text, d.buffer = v, *bytes.NewBuffer(v)
	d.Reset(&d.buffer, lenient...)
	return d
}

// Close gives the decoder back.
func (d *Decoder) Close() {
	d.text, d.buffer = nil, bytes.Buffer{}
	d.Reset(&d.buffer)
	decoders.Put(d)
}

// Name reads a member's name.
func (d *Decoder) Name() (string, error) {
	quoted, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	return Name(quoted), nil
}

// Value reads the next value as the part of the text that it is: what a decoder gives is valid until its next call only.
func (d *Decoder) Value() (jsontext.Value, error) {
	v, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	end := int(d.InputOffset())
	return d.text[end-len(v) : end : end], nil
}

// Object reads the object that comes next, of which member is to read each member's value. What is no object is passed over.
func (d *Decoder) Object(member func(name string) error) error {
	if d.PeekKind() != '{' {
		return d.Skip()
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.Name()
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// Members reads the object that comes next, with member for each of its members, and gives its text.
func (d *Decoder) Members(member func(name string, v jsontext.Value) error) (text jsontext.Value, err error) {
	start := d.InputOffset()
	err = d.Object(func(name string) error {
		v, err := d.Value()
		if err != nil {
			return err
		}
		return member(name, v)
	})
	end := d.InputOffset()
	return bytes.TrimLeft(d.text[start:end:end], ",: \t\r\n"), err
}

// Array reads the array that comes next, of which element is to read each element. What is no array is passed over.
func (d *Decoder) Array(element func(i int) error) error {
	if d.PeekKind() != '[' {
		return d.Skip()
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for i := 0; d.PeekKind() != ']'; i++ {
		if err := element(i); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// Skip passes over the next value.
func (d *Decoder) Skip() error {
	_, err := d.ReadValue()
	return err
}

// Name decodes the name of a member, or another word. Those that the formats know are one string each.
func Name(quoted jsontext.Value) string {
	if name, ok := names[string(Characters(quoted))]; ok {
		return name
	}
	return Unquote(quoted)
}

// names are those of the members that the formats know, so that each of them is one string.
var names = func(names ...string) map[string]string {
	m := make(map[string]string, len(names))
	for _, name := range names {
		m[name] = name
	}
	return m
}(
	// Requests and answers of chat completions.
	"assistant", "developer", "stop", "length",
	"id", "object", "created", "model", "choices", "index", "message", "delta", "role", "content", "refusal", "reasoning_content",
	"tool_calls", "tool_call_id", "function", "name", "arguments", "type", "finish_reason", "logprobs", "usage", "prompt_tokens",
	"completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details", "cached_tokens", "reasoning_tokens",
	"messages", "stream", "stream_options", "temperature", "top_p", "tools", "tool_choice", "description", "parameters", "strict",
	"max_tokens", "user", "system_fingerprint", "service_tier", "text", "detail", "url", "image_url", "status",
	// Those of the Responses API.
	"input", "instructions", "store", "previous_response_id", "reasoning", "effort", "summary", "include", "metadata",
	"max_output_tokens", "parallel_tool_calls", "truncation", "format", "verbosity", "schema", "call_id", "output", "annotations",
	"prompt_cache_key", "client_metadata",
	// Those of the Messages API.
	"system", "thinking", "budget_tokens", "source", "media_type", "data", "input_schema", "tool_use_id", "is_error",
	"cache_control", "stop_sequences", "signature", "input_tokens", "output_tokens", "stop_reason",
)
