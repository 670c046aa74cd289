package anthropic

import (
	"cmp"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// maxTokens bounds the sum of a usage object's numbers, as [wire.UsageCount] bounds each.
const maxTokens = 1 << 40

// usage counts tokens as Anthropic does: input is what neither came from the cache nor was written to it.
type usage struct {
	input, cacheRead, cacheCreation, output int64
	// hour is the part of cacheCreation that stays in the cache for an hour, which costs more
	// (platform.claude.com/docs/en/build-with-claude/prompt-caching), and minutes the rest.
	hour, minutes int64
	// thinking is the part of output that was thinking.
	thinking int64
	// compacted is what summaries of the conversation have taken, which Anthropic bills as well and has in iterations alone
	// (platform.claude.com/docs/en/build-with-claude/compaction#understanding-usage, https://github.com/pydantic/pydantic-ai/issues/5065).
	compacted sampling
	// declined is what models have taken that declined to go on with an answer, and served the one that the API has asked in their
	// place: it has them in iterations alone, as messages of other models beside a fallback_message, which the totals are of
	// (platform.claude.com/docs/en/build-with-claude/refusals-and-fallback, beta_fallback_message_iteration_usage.py of
	// anthropic-sdk-python, https://github.com/ccusage/ccusage/issues/1552). Each that has begun an answer is billed at its own
	// price (https://github.com/BerriAI/litellm/pull/39294); silent are those that have not, which are billed where billed has them.
	declined wire.Attempt
	served   string
	silent   []iteration
	billed   []string
	// searches are those of Anthropic's own tool, which it charges each.
	searches int64
	// tier is the service tier, or "fast" where the answer came with that speed, and region where it was processed
	// (platform.claude.com/docs/en/build-with-claude/data-residency).
	tier, region string
	// unbilled says that the answer is a refusal for which nothing is billed: see freeRefusal.
	unbilled    bool
	ok          bool // there was a usage object with plausible numbers
	implausible bool // there was one with numbers that cannot be counted; never with ok
}

// read takes over what v says, which is cumulative in a stream: zeros of a later report are no news, as where proxies have input_tokens
// at the beginning alone (https://github.com/envoyproxy/ai-gateway/pull/1631). An object that is not plausible leaves it unknown
// what the call took.
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
		case "cache_creation":
			return cmp.Or(part(v, "ephemeral_1h_input_tokens", &got.hour), part(v, "ephemeral_5m_input_tokens", &got.minutes))
		case "iterations":
			return got.iterations(v)
		case "server_tool_use":
			return part(v, "web_search_requests", &got.searches)
		case "service_tier":
			if got.tier != fast {
				got.tier = translate.Unquote(v)
			}
			return nil
		case "inference_geo":
			if v.Kind() == '"' {
				got.region = translate.Unquote(v)
			}
			return nil
		case "speed":
			if translate.Unquote(v) == fast {
				got.tier = fast
			}
			return nil
		case "output_tokens_details": // https://github.com/theopenco/llmgateway/pull/2526
			return part(v, "thinking_tokens", &got.thinking)
		default:
			return nil
		}
		if v.Kind() == 'n' {
			return nil
		}
		n, ok := wire.UsageCount(v)
		plausible = plausible && ok
		if got.ok = true; n != 0 {
			*count = n
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case plausible && !u.implausible && got.wire().Total <= maxTokens && isPlausible(got.declined, got.silent):
		*u = got
	default:
		*u = usage{implausible: true}
	}
	return nil
}

// isPlausible reports whether models that have declined can have taken so much.
func isPlausible(declined wire.Attempt, silent []iteration) bool {
	for i := range silent {
		addDeclined(&declined, &silent[i])
	}
	return declined.Prompt <= maxTokens && declined.Completion <= maxTokens
}

// fast is the speed that costs more (platform.claude.com/docs/en/build-with-claude/fast-mode).
const fast = "fast"

// part reads the number of that name in an object, where there is one.
func part(v jsontext.Value, of string, to *int64) error {
	return translate.Generated(v, func(name string, v jsontext.Value) error {
		if n, ok := wire.UsageCount(v); ok && name == of {
			*to = max(*to, n)
		}
		return nil
	})
}

// written is what was written to the cache: some proxies say for how long alone.
func (u usage) written() int64 { return max(u.cacheCreation, u.hour+u.minutes) }

// wire gives the usage as the gateway counts it.
func (u usage) wire() wire.Usage {
	if !u.ok {
		return wire.Usage{Implausible: u.implausible}
	}
	hour := min(u.hour, u.written()) + u.compacted.hour
	cached, written := u.cacheRead+u.compacted.cacheRead, u.written()+u.compacted.written
	prompt, output := u.input+u.compacted.input+cached+written, u.output+u.compacted.output
	return wire.Usage{
		Prompt: prompt, Cached: cached, Written: written, WrittenHour: hour, Searches: u.searches, Tier: u.tier, Region: u.region,
		Completion: output, Reasoning: min(u.thinking, u.output), Total: prompt + output, Compacted: u.compacted != sampling{}, OK: true,
		Declined: u.allDeclined(), Served: u.served, Unbilled: u.unbilled && u.output == 0,
	}
}

// append writes the usage in OpenAI's form.
func (u usage) append(dst []byte) []byte {
	total := u.wire()
	dst = strconv.AppendInt(append(dst, `{"prompt_tokens":`...), total.Prompt, 10)
	dst = strconv.AppendInt(append(dst, `,"completion_tokens":`...), total.Completion, 10)
	dst = strconv.AppendInt(append(dst, `,"total_tokens":`...), total.Total, 10)
	dst = strconv.AppendInt(append(dst, `,"prompt_tokens_details":{"cached_tokens":`...), total.Cached, 10)
	if total.Written > 0 {
		dst = strconv.AppendInt(append(dst, `,"cache_write_tokens":`...), total.Written, 10)
	}
	if u.thinking > 0 {
		dst = strconv.AppendInt(append(dst, `},"completion_tokens_details":{"reasoning_tokens":`...), min(u.thinking, u.output), 10)
	}
	return append(dst, "}}"...)
}
