package price

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// fileCurrency is that of all prices in LiteLLM's file.
const fileCurrency Currency = "USD"

// maxFile bounds a price file, in bytes. LiteLLM's has less than 2 MiB.
const maxFile = 32 << 20

// File is a price file in LiteLLM's form: model_prices_and_context_window.json of
// github.com/BerriAI/litellm, as it is. Its prices are US dollars for one token
// (docs.litellm.ai/docs/proxy/model_cost_map).
type File struct{ models map[string]*entry }

// entry is a model's, as far as calls for chat and embeddings are charged by it.
type entry struct {
	vendor string
	price  Price
}

// LoadFile reads a price file.
func LoadFile(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, errors.New("is larger than 32 MiB")
	}
	return ParseFile(text)
}

// ParseFile reads the text of a price file. What is not a price of tokens or requests
// is passed over, and so are models of which a price is missing or is none, such as -1 for one that varies: what is not known
// is not free. A price that cannot be counted exactly is an error.
func ParseFile(text []byte) (*File, error) {
	var models map[string]json.RawMessage
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &models); err != nil {
		return nil, errors.New("is not LiteLLM's price file: want one JSON object with an object for each model")
	}
	f := &File{models: make(map[string]*entry, len(models))}
	for name, raw := range models {
		if name == "sample_spec" { // which explains the others in words
			continue
		}
		var fields map[string]json.RawMessage
		if json.Unmarshal(raw, &fields) != nil || fields["litellm_provider"] == nil {
			continue
		}
		e, err := readEntry(name, fields)
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", name, err)
		}
		if e != nil {
			f.models[name] = e
		}
	}
	if len(f.models) == 0 {
		return nil, errors.New("has no model with a price of tokens; want LiteLLM's price file")
	}
	return f, nil
}

// readEntry reads a model's fields; nil for one that is not priced by tokens or requests, or whose price is not known.
func readEntry(name string, fields map[string]json.RawMessage) (*entry, error) {
	r := reader{fields: fields, generates: generates(fields["mode"])}
	var e entry
	_ = json.Unmarshal(fields["litellm_provider"], &e.vendor)
	e.price = Price{Currency: fileCurrency, Rates: r.rates("", Rates{})}
	tokens := r.priced()
	if tiers := fields["tiered_pricing"]; tiers != nil {
		known, err := e.price.readRanges(tiers, r.generates)
		if err != nil || !known {
			return nil, err
		}
		tokens = true
	}
	e.price.Request = r.amount("input_cost_per_request")
	if !tokens && (r.input || r.output || e.price.Request == 0) {
		return nil, r.err
	}
	for _, tokens := range r.tiers() {
		e.price.Above = append(e.price.Above, Tier{Tokens: tokens, Rates: r.rates(above(tokens), e.price.Rates)})
	}
	e.price.Search = r.dearest("search_context_cost_per_query")
	e.price.EachSearches = e.price.Search > 0 && searches(e.vendor, name)
	e.price.MaxTokens = r.count("max_output_tokens", "max_tokens")
	e.price.Uplifts = r.factors("provider_specific_entry")
	for _, name := range serviceTiers {
		if r.text("input_cost_per_token_"+name) == "" {
			continue
		}
		own := e.price
		own.Rates, own.Above = r.rates("_"+name, e.price.Rates), nil
		for _, tier := range e.price.Above { // as dear as either, where the file does not say
			tier.Input, tier.Output = max(tier.Input, own.Input), max(tier.Output, own.Output)
			tier.Rates = r.rates(above(tier.Tokens)+"_"+name, tier.Rates)
			own.Above = append(own.Above, tier)
		}
		e.price.addTier(name, own)
	}
	if factor := e.price.Uplifts[fast]; factor > 0 {
		delete(e.price.Uplifts, fast)
		e.price.addTier(fast, *e.price.times(factor))
	}
	if r.unknown {
		return nil, r.err
	}
	return &e, r.err
}

// fast is the file's name, and Anthropic's, of what is a service tier here.
const fast = "fast"

func (p *Price) addTier(name string, own Price) {
	if p.ByTier == nil {
		p.ByTier = make(map[string]*Price)
	}
	own.ByTier = nil
	p.ByTier[name] = &own
}

// generates reports whether a model of that mode generates answers, which have a price.
func generates(mode json.RawMessage) bool {
	switch string(mode) {
	case `"chat"`, `"completion"`, `"responses"`:
		return true
	}
	return false
}

// searches reports whether each call of a model searches, without counting it: those of Perplexity do, and OpenAI's models that
// are named for it (https://platform.openai.com/docs/guides/tools-web-search, "Chat Completions").
func searches(vendor, name string) bool {
	return vendor == "perplexity" || strings.Contains(name, "-search-preview") || strings.Contains(name, "-search-api")
}

// serviceTiers are those that the file has prices of, beside the vendor's own one.
var serviceTiers = []string{"priority", "flex"}

// above is how names of prices of prompts beyond so many tokens end.
func above(tokens int64) string { return "_above_" + strconv.FormatInt(tokens/1000, 10) + "k_tokens" }

// readRanges reads the prices of prompts by their length, as Alibaba's and Volcengine's models have them: all of a call is
// charged by the one that its prompt's length is in, the last token of a range included
// (https://www.alibabacloud.com/help/en/model-studio/model-pricing). It reports whether it knows their form.
func (p *Price) readRanges(raw json.RawMessage, generates bool) (known bool, err error) {
	var ranges []map[string]json.RawMessage
	if json.Unmarshal(raw, &ranges) != nil || len(ranges) == 0 {
		return false, nil
	}
	var tiers []Tier
	for _, fields := range ranges {
		var of []float64 // of tokens: exact up to 2^53
		if json.Unmarshal(fields["range"], &of) != nil || len(of) == 0 || of[0] < 0 || of[0] > most || of[0] != math.Trunc(of[0]) {
			return false, nil
		}
		r := reader{fields: fields, generates: generates}
		tiers = append(tiers, Tier{Tokens: int64(of[0]), Rates: r.rates("", p.Rates)})
		if r.err != nil {
			return false, fmt.Errorf("tiered_pricing: %w", r.err)
		}
		if !r.priced() {
			return false, nil
		}
	}
	slices.SortFunc(tiers, func(a, b Tier) int { return cmp.Compare(a.Tokens, b.Tokens) })
	p.Rates, p.Above = tiers[0].Rates, tiers[1:]
	return true, nil
}

// reader reads the numbers of an entry.
type reader struct {
	fields map[string]json.RawMessage
	// generates says that an answer has a price; input and output are which there are.
	generates, input, output bool
	// unknown says that a price is none.
	unknown bool
	err     error
}

// priced reports whether there are prices of tokens: both of them, where the model generates answers.
func (r *reader) priced() bool {
	return !r.unknown && (r.input && r.output || !r.generates && (r.input || r.output))
}

// text gives a number as it is written, also as a text; empty for none.
func (r *reader) text(name string) string {
	text := string(r.fields[name])
	if text == "null" {
		return ""
	}
	if len(text) > 0 && text[0] == '"' {
		_ = json.Unmarshal([]byte(text), &text)
	}
	return text
}

// fails notes that a price cannot be read: it is none, or more exact than what is counted.
func (r *reader) fails(name, text string, err error) {
	switch {
	case err == nil || r.err != nil:
	case errors.Is(err, errDecimal):
		r.unknown = true
	default:
		r.err = fmt.Errorf("%s %s %w", name, text, err)
	}
}

// perToken gives a price; nil where the entry has none.
func (r *reader) perToken(name string) *PerToken {
	text := r.text(name)
	if text == "" {
		return nil
	}
	n, err := ParsePerToken(text)
	r.fails(name, text, err)
	return &n
}

// amount gives an amount; 0 where the entry has none.
func (r *reader) amount(name string) Amount {
	text := r.text(name)
	if text == "" {
		return 0
	}
	n, err := ParseAmount(text)
	r.fails(name, text, err)
	return n
}

// dearest gives the greatest amount of an object: what a search costs depends, at some vendors, on how much of what is found
// the model reads. It is 0 where there is none, or it is of a form that is not known.
func (r *reader) dearest(of string) (most Amount) {
	inner := r.within(of)
	for name := range inner.fields {
		most = max(most, inner.amount(name))
	}
	if r.unknown = r.unknown || inner.unknown; inner.err != nil && r.err == nil {
		r.err = fmt.Errorf("%s: %w", of, inner.err)
	}
	return most
}

// factors gives the numbers of an object by their names.
func (r *reader) factors(of string) map[string]Amount {
	inner := r.within(of)
	found := make(map[string]Amount, len(inner.fields))
	for name := range inner.fields {
		if n := inner.amount(name); n > 0 {
			found[name] = n
		}
	}
	return found
}

// within is the reader of an object of that name; of nothing where there is none.
func (r *reader) within(of string) *reader {
	inner := new(reader)
	_ = json.Unmarshal(r.fields[of], &inner.fields)
	return inner
}

// rates gives the prices with that suffix. Thinking that is dearer than the rest of an
// answer makes all of it so: how much was thought is not told by every provider.
func (r *reader) rates(suffix string, otherwise Rates) Rates {
	rates := otherwise
	if n := r.perToken("input_cost_per_token" + suffix); n != nil {
		rates.Input, r.input = *n, true
	}
	for _, name := range []string{"output_cost_per_token", "output_cost_per_reasoning_token"} {
		if n := r.perToken(name + suffix); n != nil {
			if name == "output_cost_per_token" {
				rates.Output, r.output = *n, true
			}
			rates.Output = max(rates.Output, *n)
		}
	}
	for _, other := range []struct {
		name string
		to   **PerToken
	}{
		{"input_cost_per_token_cache_hit", &rates.Cached}, // DeepSeek's, in older files
		{"cache_read_input_token_cost", &rates.Cached},
		{"cache_creation_input_token_cost", &rates.Written},
		{"cache_creation_input_token_cost_above_1hr", &rates.WrittenHour},
		{"input_cost_per_audio_token", &rates.AudioIn},
		{"output_cost_per_audio_token", &rates.AudioOut},
		{"input_cost_per_image_token", &rates.ImageIn},
		{"output_cost_per_image_token", &rates.ImageOut},
	} {
		if n := r.perToken(other.name + suffix); n != nil {
			*other.to = n
		}
	}
	return rates
}

// tiers gives the lengths of prompts, in tokens, beyond which other prices hold.
func (r *reader) tiers() []int64 {
	var found []int64
	for name := range r.fields {
		_, rest, _ := strings.Cut(name, "_cost_per_token_above_")
		n, err := strconv.ParseInt(strings.TrimSuffix(rest, "k_tokens"), 10, 32)
		if err == nil && n > 0 {
			found = append(found, n*1000)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// count gives the first of the numbers that there is; 0 for none.
func (r *reader) count(names ...string) int64 {
	for _, name := range names {
		if n, _ := strconv.ParseInt(r.text(name), 10, 64); n > 0 && n <= most {
			return n
		}
	}
	return 0
}
