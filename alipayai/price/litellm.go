package price

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	if err := json.Unmarshal(text, &models); err != nil {
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
	if !r.found {
		if r.err != nil || fields["input_cost_per_request"] == nil {
			return nil, r.err
		}
	}
	for _, tokens := range r.tiers() {
		suffix := "_above_" + strconv.FormatInt(tokens/1000, 10) + "k_tokens"
		e.price.Above = append(e.price.Above, Tier{Tokens: tokens, Rates: r.rates(suffix, e.price.Rates)})
	}
	if text, ok := r.number("input_cost_per_request"); ok {
		amount, err := ParseAmount(text)
		if err != nil {
			return nil, fmt.Errorf("input_cost_per_request %s %w", text, err)
		}
		e.price.Request = amount
	}
	e.price.MaxTokens = r.count("max_output_tokens", "max_tokens")
	return &e, r.err
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
	if n := r.perToken("cache_read_input_token_cost" + suffix); n != nil {
		rates.Cached = n
	}
	if n := r.perToken("cache_creation_input_token_cost" + suffix); n != nil {
		rates.Written = n
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
// vendor's. A vendor of "" is one that the file does not know, whose models have the
// file's names. It is nil where there is none.
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
	if !ok || vendor != "" && e.vendor != vendor {
		return nil
	}
	return &e.price
}
