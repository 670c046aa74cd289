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
// is passed over; a price that cannot be counted exactly is an error.
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
		e, err := readEntry(fields)
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

// readEntry reads a model's fields; nil for one that is not priced by tokens or requests.
func readEntry(fields map[string]json.RawMessage) (*entry, error) {
	r := reader{fields: fields}
	var e entry
	_ = json.Unmarshal(fields["litellm_provider"], &e.vendor)
	e.price = Price{Currency: fileCurrency, Rates: r.rates("", Rates{})}
	if tiers := fields["tiered_pricing"]; tiers != nil {
		if known, err := e.price.readRanges(tiers); err != nil || !known {
			return nil, err
		}
		r.found = true
	}
	if !r.found {
		if r.err != nil || fields["input_cost_per_request"] == nil {
			return nil, r.err
		}
	}
	for _, tokens := range r.tiers() {
		e.price.Above = append(e.price.Above, Tier{Tokens: tokens, Rates: r.rates(above(tokens), e.price.Rates)})
	}
	if text, ok := r.number("input_cost_per_request"); ok {
		amount, err := ParseAmount(text)
		if err != nil {
			return nil, fmt.Errorf("input_cost_per_request %s %w", text, err)
		}
		e.price.Request = amount
	}
	if err := e.price.readSearch(fields["search_context_cost_per_query"]); err != nil {
		return nil, err
	}
	e.price.MaxTokens = r.count("max_output_tokens", "max_tokens")
	for _, name := range serviceTiers {
		if _, ok := r.number("input_cost_per_token_" + name); !ok {
			continue
		}
		own := e.price
		own.Rates, own.Above = r.rates("_"+name, e.price.Rates), nil
		for _, tier := range e.price.Above { // as dear as either, where the file does not say
			tier.Input, tier.Output = max(tier.Input, own.Input), max(tier.Output, own.Output)
			tier.Rates = r.rates(above(tier.Tokens)+"_"+name, tier.Rates)
			own.Above = append(own.Above, tier)
		}
		if e.price.ByTier == nil {
			e.price.ByTier = make(map[string]*Price)
		}
		e.price.ByTier[name] = &own
	}
	return &e, r.err
}

// serviceTiers are those that the file has prices of, beside the vendor's own one.
var serviceTiers = []string{"priority", "flex"}

// above is how names of prices of prompts beyond so many tokens end.
func above(tokens int64) string { return "_above_" + strconv.FormatInt(tokens/1000, 10) + "k_tokens" }

// readRanges reads the prices of prompts by their length, as Alibaba's and Volcengine's models have them: all of a call is
// charged by the one that its prompt's length is in, the last token of a range included
// (https://www.alibabacloud.com/help/en/model-studio/model-pricing). It reports whether it knows their form.
func (p *Price) readRanges(raw json.RawMessage) (known bool, err error) {
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
		r := reader{fields: fields}
		tiers = append(tiers, Tier{Tokens: int64(of[0]), Rates: r.rates("", p.Rates)})
		if r.err != nil {
			return false, fmt.Errorf("tiered_pricing: %w", r.err)
		}
	}
	slices.SortFunc(tiers, func(a, b Tier) int { return cmp.Compare(a.Tokens, b.Tokens) })
	p.Rates, p.Above = tiers[0].Rates, tiers[1:]
	return true, nil
}

// readSearch reads what a search costs: it depends, at some vendors, on how much of what is found the model reads, and
// as much as the dearest is charged.
func (p *Price) readSearch(raw json.RawMessage) error {
	var sizes map[string]json.Number
	if json.Unmarshal(raw, &sizes) != nil {
		return nil // there is none, or it is of a form that is not known
	}
	for _, text := range sizes {
		amount, err := ParseAmount(text.String())
		if err != nil {
			return fmt.Errorf("search_context_cost_per_query %s %w", text, err)
		}
		p.Search = max(p.Search, amount)
	}
	return nil
}

// reader reads the numbers of an entry.
type reader struct {
	fields map[string]json.RawMessage
	found  bool
	err    error
}

// number gives the text of a number; false for none.
func (r *reader) number(name string) (string, bool) {
	text := string(r.fields[name])
	if text == "" || text[0] < '0' || text[0] > '9' {
		return "", false
	}
	return text, true
}

// perToken gives a price; otherwise where the entry has none.
func (r *reader) perToken(name string) *PerToken {
	text, ok := r.number(name)
	if !ok || r.err != nil {
		return nil
	}
	n, err := ParsePerToken(text)
	if err != nil {
		r.err = fmt.Errorf("%s %s %w", name, text, err)
		return nil
	}
	return &n
}

// rates gives the prices with that suffix. Thinking that is dearer than the rest of an
// answer makes all of it so: how much was thought is not told by every provider.
func (r *reader) rates(suffix string, otherwise Rates) Rates {
	rates := otherwise
	if n := r.perToken("input_cost_per_token" + suffix); n != nil {
		rates.Input, r.found = *n, true
	}
	for _, name := range []string{"output_cost_per_token", "output_cost_per_reasoning_token"} {
		if n := r.perToken(name + suffix); n != nil {
			if name == "output_cost_per_token" {
				rates.Output, r.found = *n, true
			}
			rates.Output = max(rates.Output, *n)
		}
	}
	for _, other := range []struct {
		name string
		to   **PerToken
	}{
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
		_, rest, ok := strings.Cut(name, "_cost_per_token_above_")
		thousands, isTokens := strings.CutSuffix(rest, "k_tokens")
		n, err := strconv.ParseInt(thousands, 10, 32)
		if ok && isTokens && err == nil && n > 0 {
			found = append(found, n*1000)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// count gives the first of the numbers that there is; 0 for none.
func (r *reader) count(names ...string) int64 {
	for _, name := range names {
		if text, ok := r.number(name); ok {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 && n <= most {
				return n
			}
		}
	}
	return 0
}

// Of finds the price of a vendor's model: under the vendor's prefix, as
// deepseek/deepseek-chat, and else under the model's own name, if that is the
// vendor's, by any of its names. A vendor of "" is one that the file does not know, whose
// models have the file's names. It is nil where there is none.
func (f *File) Of(vendor, model string) *Price {
	if f == nil {
		return nil
	}
	if vendor != "" {
		if e, ok := f.models[vendor+"/"+model]; ok {
			return &e.price
		}
	}
	e, ok := f.models[model]
	if !ok || vendor != "" && e.vendor != vendor && !slices.Contains(otherNames[vendor], e.vendor) {
		return nil
	}
	return &e.price
}

// otherNames are those of a vendor for models that stand in the file by their own names: some of Google's it has as of
// Vertex AI alone, which serves the same models ("litellm_provider": "vertex_ai-language-models").
var otherNames = map[string][]string{"gemini": {"vertex_ai-language-models", "vertex_ai-embedding-models"}}
