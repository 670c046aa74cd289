package price

import (
	"cmp"
	"strings"
)

// Choice is by what a request may be served, as far as it leaves that to the provider.
type Choice struct {
	// Model is the one that is asked for, and Others may answer in its place. Each says that the provider charges each model
	// that has begun an answer, and not the last alone.
	Model  string
	Others []string
	Each   bool
	// MaxTokens is the most that an answer of Others may have, where that is more than what is asked of Model; else 0.
	MaxTokens int64
	// Tier is the service tier that is asked for, by the vendor's word. Open says that another tier or model, which the
	// request does not name, may serve it as well.
	Tier string
	Open bool
}

// Offer is what one request may cost at a provider, by the prices of all that may serve it.
type Offer struct {
	Choice
	// Price is Model's in Tier, and Base in the vendor's own tier, or that of the one of Others that has answered; nil where
	// it is not known.
	Price, Base *Price
	// Most is the most that the request may cost, in the currency of Price. Dearer says that this is no bound: the price of a tier
	// or of a model that may serve it is not known.
	Most   Amount
	Dearer bool

	book *Book
	// answered is which of Others has answered; empty where Model has.
	answered string
}

// Offer gives what a request may cost that asks for so much.
func (b *Book) Offer(c Choice, asked Asked) Offer {
	o := Offer{Choice: c, book: b, Base: b.Of(c.Model)}
	if o.Base == nil {
		return o
	}
	own, known := o.Base.In(c.Tier)
	o.Price, o.Dearer = own, !known || c.Open
	// A provider that has no room in a tier may serve in its own one.
	o.Most = max(own.Bound(asked), o.Base.Bound(asked))
	if asked.MaxTokens > 0 { // else each may answer as long as it can
		asked.MaxTokens = max(asked.MaxTokens, c.MaxTokens)
	}
	for _, model := range c.Others {
		other := b.Of(model)
		if other == nil || other.Currency != o.Base.Currency {
			o.Dearer = true
			continue
		}
		in, known := other.In(c.Tier)
		o.Dearer = o.Dearer || !known
		if bound := max(in.Bound(asked), other.Bound(asked)); c.Each {
			o.Most = o.Most.Plus(bound)
		} else {
			o.Most = max(o.Most, bound)
		}
	}
	return o
}

// Answered takes the name in which an answer came: where that is one of Others, its price holds from now on. Vendors answer in the
// name of a version, as claude-sonnet-4-5-20250929 for claude-sonnet-4-5.
func (o *Offer) Answered(name string) {
	for _, other := range o.Others {
		version, found := strings.CutPrefix(name, other)
		if found && (version == "" || len(version) > 1 && version[0] == '-' && strings.Trim(version[1:], "0123456789-") == "") {
			o.servedBy(name, other)
			return
		}
	}
}

// ServedBy takes the model that the provider says to have served the request: its price holds from now on, whatever was asked for.
func (o *Offer) ServedBy(model string) { o.servedBy(model, model) }

// servedBy has the price of a model hold, by its own name or else by another, if it is in the currency of the one before.
func (o *Offer) servedBy(name, otherwise string) {
	if own := cmp.Or(o.book.Of(name), o.book.Of(otherwise)); own != nil && o.Base != nil && own.Currency == o.Base.Currency {
		o.Base, o.answered = own, name
	}
}

// ServingModel is the one that has answered, as far as it is known, or else Model.
func (o *Offer) ServingModel() string { return cmp.Or(o.answered, o.Model) }

// MostOf is the most that used may have cost, which was served at paid by what is known: who has answered, of several models, who has
// declined before, or which tier's price holds, may not be known either.
func (o *Offer) MostOf(paid *Price, used Used) Amount {
	if len(o.Others) > 0 && (o.answered == "" || o.Each) {
		return o.Most
	}
	return max(paid.Most(used), o.Price.Most(used), o.Base.Most(used))
}

// Declined is what a model has cost that took so much and then declined to go on with the answer, in a tier and a region by the vendor's
// words: that of the dearest of the offer's where model is empty.
func (o *Offer) Declined(model string, used Used, tier, region string) (cost Amount) {
	if o.Base == nil {
		return 0
	}
	models := []string{model}
	if model == "" {
		models = append([]string{o.Model}, o.Others...)
	}
	for _, model := range models {
		p := o.book.Of(model)
		if p == nil || p.Currency != o.Base.Currency {
			p = o.Base
		}
		in, _ := p.In(cmp.Or(tier, o.Tier))
		cost = max(cost, in.Within(region).Of(used).Amount)
	}
	return cost
}
