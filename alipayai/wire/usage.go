package wire

import (
	"cmp"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Usage counts tokens as the upstream bills them. The numbers are 0 unless OK.
type Usage struct {
	Prompt, Completion, Total int64
	// Cached is the part of Prompt that came from the provider's cache, and Written that which it has written to it, of
	// which WrittenHour stays there for an hour.
	Cached, Written, WrittenHour int64
	// AudioIn and ImageIn are the parts of Prompt that are sound and pictures, and AudioOut and ImageOut those of Completion.
	AudioIn, ImageIn, AudioOut, ImageOut int64
	// Reasoning is the part of Completion that was reasoning, where the provider counts it.
	Reasoning int64
	// Searches are how often the provider's own tools have searched.
	Searches int64
	// Declined is what models have taken that began an answer and declined to go on, and are charged all the same beside the one
	// that has answered in their place; Served is that one. It is in none of the numbers above.
	Declined Attempt
	Served   string
	// Unbilled says that the provider charges nothing for them: see package anthropic.
	Unbilled bool
	// Compacted says that the counts have summaries of the conversation in them, which the provider has made before it answered.
	Compacted bool
	// Tier is the service tier by which it was served, and Region where, in the provider's words; empty where it says none.
	Tier, Region string
	// Cost is what the provider says that the call has cost, as it is written, in the currency that it charges: OpenRouter's and
	// LiteLLM's "cost". KeyCost is what another vendor charges besides, by a key of one's own there
	// (openrouter.ai/docs/cookbook/administration/usage-accounting). Empty where it says nothing.
	Cost, KeyCost string
	OK            bool // the answer has a usage object with plausible numbers
	// Implausible: it has one whose numbers cannot be counted. What the call took is not known, which is not nothing.
	Implausible bool
}

// Attempt is what one model has taken of a call. Its parts are those of [Usage].
type Attempt struct {
	// Model is empty where it is several.
	Model                                            string
	Prompt, Cached, Written, WrittenHour, Completion int64
}

// With is u with what a later report of the same answer says. Reports are of all that has come so far; one that counts nothing of
// the prompt, or of the answer, is of the other alone, as where the first one of a stream is of its prompt.
func (u Usage) With(later Usage) Usage {
	if !later.OK || !u.OK {
		if !later.OK && !later.Implausible {
			return u
		}
		return later
	}
	with := later
	if later.Prompt == 0 {
		with.Prompt, with.Cached, with.Written, with.WrittenHour = u.Prompt, u.Cached, u.Written, u.WrittenHour
		with.AudioIn, with.ImageIn = u.AudioIn, u.ImageIn
	}
	if later.Completion == 0 {
		with.Completion, with.AudioOut, with.ImageOut, with.Reasoning = u.Completion, u.AudioOut, u.ImageOut, u.Reasoning
	}
	with.Total = max(later.Total, with.Prompt+with.Completion)
	if later.Prompt == 0 && later.Completion == 0 {
		with.Total = max(with.Total, u.Total)
	}
	with.Searches, with.Cost, with.KeyCost = max(u.Searches, later.Searches), cmp.Or(later.Cost, u.Cost), cmp.Or(later.KeyCost, u.KeyCost)
	with.Declined, with.Served = cmp.Or(later.Declined, u.Declined), cmp.Or(later.Served, u.Served)
	with.Compacted, with.Unbilled = u.Compacted || later.Compacted, later.Unbilled
	with.Tier, with.Region = cmp.Or(later.Tier, u.Tier), cmp.Or(later.Region, u.Region)
	return with
}

// maxTokens bounds what is believed of a usage object, so that sums of it cannot overflow.
const maxTokens = 1 << 40

// UsageCount is [TokenCount] for what a provider has counted, which may be written as a text too.
func UsageCount(v jsontext.Value) (n int64, ok bool) {
	if len(v) > len(`""`) && v[0] == '"' {
		v = v[1 : len(v)-1]
	}
	return TokenCount(v)
}

// TokenCount reads one of the numbers of a usage object, in whichever form JSON has for it (1000, 1e3, 1000.0). ok is
// false for what is no whole number, and for one that is negative or more than 2^40.
func TokenCount(v jsontext.Value) (n int64, ok bool) {
	const enough = 12 // digits, of which none is more than 2^40
	if n, ok = digits(v); ok && len(v) <= enough {
		return n, true
	}
	f, err := strconv.ParseFloat(string(v), 64) // exact up to 2^53
	if err != nil || f < 0 || f > maxTokens || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

// digits reads a number that is written in digits alone.
func digits(v []byte) (n int64, ok bool) {
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(v) > 0
}

// ReadUsage reads OpenAI's usage object by itself. It fails with [ErrMalformed].
func ReadUsage(v jsontext.Value) (Usage, error) {
	s := newScanner(v, Limits{}, lenient...)
	defer s.release()
	var u Usage
	if err := s.usage(&u); err != nil || !utf8.Valid(v) {
		return Usage{}, ErrMalformed
	}
	return u, nil
}

// usageParts is OpenAI's usage object while it is read.
type usageParts struct {
	Usage
	// other has the prompt and the answer where they go by the names that the Responses API and Anthropic have for them.
	other struct{ prompt, completion int64 }
	// ownKey says that another vendor charges besides, by a key of one's own there.
	ownKey bool
	// plain is how many of the three numbers are there, in digits, that OpenAI's form has always.
	plain int
}

// usage reads OpenAI's usage object. It is null in all chunks but the last of a stream, and embeddings have no completion
// tokens.
func (s *scanner) usage(u *Usage) error {
	_, err := s.readUsage(u)
	return err
}

// readUsage is usage, and reports whether all of the numbers are there that clients look for, as in what is null none has to be.
func (s *scanner) readUsage(u *Usage) (plain bool, err error) {
	var parts usageParts
	object := s.is('{')
	err = s.eachMember(func(name []byte) error { return s.usageMember(&parts, name) })
	plain = !object || parts.plain >= 3
	switch {
	case err != nil || !parts.OK:
	case parts.Implausible:
		*u = Usage{Implausible: true}
	default:
		*u = parts.whole()
	}
	return plain, err
}

// usageMember reads the member of that name.
func (s *scanner) usageMember(p *usageParts, name []byte) error {
	if n, part := p.number(name); n != nil {
		return s.usageNumber(p, n, part)
	}
	switch string(name) {
	case "prompt_tokens_details", "input_tokens_details":
		return s.details(detail{"cached_tokens", &p.Cached}, detail{"audio_tokens", &p.AudioIn}, detail{"image_tokens", &p.ImageIn},
			detail{"cache_write_tokens", &p.Written},    // OpenAI's and OpenRouter's
			detail{"cache_creation_tokens", &p.Written}, // LiteLLM's
			detail{"web_search_requests", &p.Searches})  // too, of Gemini and xAI (https://github.com/BerriAI/litellm/pull/16001)
	case "completion_tokens_details", "output_tokens_details":
		return s.details(detail{"reasoning_tokens", &p.Reasoning}, detail{"audio_tokens", &p.AudioOut}, detail{"image_tokens", &p.ImageOut})
	case "server_tool_use": // Anthropic's, which LiteLLM repeats, and OpenRouter's
		return s.details(detail{"web_search_requests", &p.Searches})
	case "server_side_tool_usage_details": // xAI's (https://github.com/BerriAI/litellm/pull/30817)
		return s.details(detail{"web_search_calls", &p.Searches})
	case "cost":
		return s.amount(&p.Cost)
	case "cost_details":
		return s.eachMember(func(name []byte) error {
			if string(name) == "upstream_inference_cost" {
				return s.amount(&p.KeyCost)
			}
			_, err := s.skip()
			return err
		})
	case "is_byok":
		v, err := s.scalar()
		p.ownKey = v.Kind() == 't'
		return err
	}
	_, err := s.skip()
	return err
}

// number gives the place of the number of that name; nil for any other name. A part is what more than one member may have, of
// which the greatest counts. There is no usage without one that is no part.
func (p *usageParts) number(name []byte) (n *int64, part bool) {
	switch string(name) {
	case "prompt_tokens":
		return &p.Prompt, false
	case "completion_tokens":
		return &p.Completion, false
	case "total_tokens":
		return &p.Total, false
	case "input_tokens":
		return &p.other.prompt, false
	case "output_tokens":
		return &p.other.completion, false
	case "prompt_cache_hit_tokens", // DeepSeek's (api-docs.deepseek.com/guides/kv_cache)
		"cached_tokens",           // Moonshot's (platform.kimi.ai/docs/api/chat)
		"cache_read_input_tokens": // Anthropic's, which LiteLLM repeats (docs.litellm.ai/docs/completion/prompt_caching)
		return &p.Cached, true
	case "cache_creation_input_tokens":
		return &p.Written, true
	case "num_search_queries": // Perplexity's (docs.perplexity.ai/api-reference/chat-completions-post)
		return &p.Searches, true
	}
	return nil, false
}

// usageNumber reads a number into its place, and notes one that cannot be counted. null is none.
func (s *scanner) usageNumber(p *usageParts, n *int64, part bool) error {
	if s.is('n') {
		_, err := s.skip()
		return err
	}
	v, err := s.scalar()
	if err != nil {
		return err
	}
	count, plausible := UsageCount(v)
	p.Implausible = p.Implausible || !plausible
	if part {
		*n = max(*n, count)
		return nil
	}
	*n, p.OK = count, true
	if IsWhole(v) && (n == &p.Prompt || n == &p.Completion || n == &p.Total) {
		p.plain++
	}
	return nil
}

// whole puts together what was read, so that each number is a part of the one that it is said to be a part of. A tenant's limit
// counts the total.
func (p *usageParts) whole() Usage {
	u := p.Usage
	if !p.ownKey { // else it is a part of the cost
		u.KeyCost = ""
	}
	if u.Prompt == 0 && u.Completion == 0 {
		u.Prompt, u.Completion = p.other.prompt, p.other.completion
	}
	u.Total = max(u.Total, u.Prompt+u.Completion)
	u.addUncounted()
	u.Total = max(u.Total, u.Prompt+u.Completion)
	u.Cached = min(u.Cached, u.Prompt)
	u.Written, u.Reasoning = min(u.Written, u.Prompt-u.Cached), min(u.Reasoning, u.Completion)
	u.AudioIn, u.ImageIn = min(u.AudioIn, u.Prompt), min(u.ImageIn, u.Prompt)
	u.AudioOut, u.ImageOut = min(u.AudioOut, u.Completion), min(u.ImageOut, u.Completion)
	return u
}

// addUncounted adds to the prompt and to the answer what was counted beside them. Reasoning that the total alone counts was
// generated too: xAI has it beside completion_tokens, in the details (https://github.com/Wei-Shaw/sub2api/issues/5771), and
// Gemini nowhere else. What the cache has is a part of the prompt, under several names; where the total has room for both, or it
// is more than the whole, it was counted beside it.
func (u *Usage) addUncounted() {
	cache := u.Cached + u.Written
	switch more := u.Total - u.Prompt - u.Completion; {
	case more <= 0 || u.Prompt == 0:
	case more != u.Reasoning && (more == cache || more == u.Cached || more == u.Written):
		u.Prompt += more
	default: // reasoning, or what is counted nowhere else: a call is charged no less than the total
		u.Completion += more
	}
	switch {
	case u.Cached > u.Prompt:
		u.Prompt += cache
	case cache > u.Prompt: // what is read is a part of the prompt, and what is written is not
		u.Prompt += u.Written
	}
	if u.Reasoning > u.Completion {
		u.Completion += u.Reasoning
	}
}

// amount reads a number as it is written.
func (s *scanner) amount(to *string) error {
	v, err := s.scalar()
	const longest = 64 // bytes
	if err == nil && v.Kind() == '0' && len(v) <= longest {
		*to = string(v)
	}
	return err
}

// detail is where a number of an object goes.
type detail struct {
	name string
	to   *int64
}

// details reads numbers of an object, each where it is greater than what is there.
func (s *scanner) details(wanted ...detail) error {
	return s.eachMember(func(name []byte) error {
		var to *int64
		for _, d := range wanted {
			if d.name == string(name) {
				to = d.to
			}
		}
		if to == nil || s.is('n') {
			_, err := s.skip()
			return err
		}
		v, err := s.scalar()
		if count, ok := UsageCount(v); ok && err == nil {
			*to = max(*to, count)
		}
		return err
	})
}
