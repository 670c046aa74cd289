package price

import (
	"iter"
	"slices"
	"strings"
	"time"
)

// Of finds the price of a vendor's model: under the vendor's prefix, as
// deepseek/deepseek-chat, and else under the model's own name, if that is the
// vendor's, by any of its names. A vendor of "" is one that the file does not know, whose
// models have the file's names, or those with a prefix that says whose they are. A version of a model that does not stand in
// the file has the price of its family, and one that was tuned that of all that were tuned from the same. It is nil where
// there is none.
func (f *File) Of(vendor, model string) *Price {
	for name := range namesOf(model) {
		if p := f.named(vendor, name); p != nil {
			return p
		}
	}
	return nil
}

// named finds the price of a vendor's model of that very name.
func (f *File) named(vendor, model string) *Price {
	if f == nil {
		return nil
	}
	if vendor == "gemini" {
		model = strings.TrimPrefix(model, "models/") // as its lists of models have them (https://ai.google.dev/api/models)
	}
	whole, own := vendor+"/"+model, strings.TrimPrefix(model, vendor+"/")
	if vendor == "" {
		whole = model
		vendor, own, _ = strings.Cut(model, "/")
	}
	if e, ok := f.models[whole]; ok {
		return &e.price
	}
	e, ok := f.models[own]
	if !ok || vendor == "" || e.vendor != vendor && !slices.Contains(otherNames[vendor], e.vendor) {
		return nil
	}
	return &e.price
}

// otherNames are those of a vendor for models that stand in the file by their own names: some of Google's it has as of
// Vertex AI alone, which serves the same models ("litellm_provider": "vertex_ai-language-models").
var otherNames = map[string][]string{"gemini": {"vertex_ai-language-models", "vertex_ai-embedding-models"}}

// namesOf gives the names under which a model may have a price: its own, and that of what it is one of.
func namesOf(model string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(model) {
			return
		}
		if family, ok := familyOf(model); ok {
			yield(family)
		}
	}
}

// familyOf gives of which models a model is one: ft:gpt-4o-mini-2024-07-18 of those that are tuned from it, which vendors charge
// alike, and claude-sonnet-4-5 of its version claude-sonnet-4-5-20250929. ok is false for what is none.
func familyOf(model string) (family string, ok bool) {
	const tuned = "ft:"
	start := strings.LastIndexByte(model, '/') + 1 // of the name behind a prefix
	if rest, ok := strings.CutPrefix(model[start:], tuned); ok {
		base, _, named := strings.Cut(rest, ":")
		return model[:start] + tuned + base, named && base != ""
	}
	for _, layout := range []string{"-20060102", "-2006-01-02", "@20060102"} { // the last one is Vertex AI's
		at := len(model) - len(layout)
		if at <= start || model[at] != layout[0] {
			continue
		}
		if _, err := time.Parse(layout, model[at:]); err == nil {
			return model[:at], true
		}
	}
	return "", false
}
