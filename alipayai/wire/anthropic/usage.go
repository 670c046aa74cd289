package anthropic

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// maxTokens bounds the sum of a usage object's numbers, as [wire.TokenCount] bounds each.
const maxTokens = 1 << 40

// usage counts tokens as Anthropic does: input is what neither came from the cache nor was written to it.
type usage struct {
	input, cacheRead, cacheCreation, output int64
	ok                                      bool // there was a usage object with plausible numbers
	implausible                             bool // there was one with numbers that cannot be counted; never with ok
}

// read takes over what v says, which is cumulative in a stream. An object that is not plausible leaves it unknown what
// the call took.
func (u *usage) read(v jsontext.Value) error {
	if v.Kind() != '{' {
		return nil
	}
	got, plausible := *u, true
	err := translate.Members(v, func(name string, v jsontext.Value) error {
		var count *int64
		switch name {
		case "input_tokens":
			count = &got.input
		case "cache_read_input_tokens":
			count = &got.cacheRead
		case "cache_creation_input_tokens":
			count = &got.cacheCreation
		case "output_tokens":
			count = &got.output
		default:
			return nil
		}
		if v.Kind() == 'n' {
			return nil
		}
		n, ok := wire.TokenCount(v)
		plausible = plausible && ok
		*count, got.ok = n, true
		return nil
	})
	switch {
	case err != nil:
		return err
	case plausible && !u.implausible && got.wire().Total <= maxTokens:
		*u = got
	default:
		*u = usage{implausible: true}
	}
	return nil
}

// wire gives the usage as the gateway counts it.
func (u usage) wire() wire.Usage {
	if !u.ok {
		return wire.Usage{Implausible: u.implausible}
	}
	prompt := u.input + u.cacheRead + u.cacheCreation
	return wire.Usage{
		Prompt: prompt, Cached: u.cacheRead, Written: u.cacheCreation,
		Completion: u.output, Total: prompt + u.output, OK: true,
	}
}

// append writes the usage in OpenAI's form.
func (u usage) append(dst []byte) []byte {
	total := u.wire()
	dst = strconv.AppendInt(append(dst, `{"prompt_tokens":`...), total.Prompt, 10)
	dst = strconv.AppendInt(append(dst, `,"completion_tokens":`...), total.Completion, 10)
	dst = strconv.AppendInt(append(dst, `,"total_tokens":`...), total.Total, 10)
	dst = strconv.AppendInt(append(dst, `,"prompt_tokens_details":{"cached_tokens":`...), u.cacheRead, 10)
	return append(dst, "}}"...)
}
