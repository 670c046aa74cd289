package price

import "testing"

// offered has models at a cost of one, two and three CNY for a thousand requests, whatever is in them, one that costs nine in a
// tier, and one in another currency.
func offered() *Book {
	each := func(currency Currency, n Amount) *Price { return &Price{Currency: currency, Request: n * Unit / 1000} }
	tiered := each("CNY", 1)
	tiered.ByTier = map[string]*Price{"priority": each("CNY", 9)}
	return &Book{ByModel: map[string]*Price{
		"one": each("CNY", 1), "two": each("CNY", 2), "three": each("CNY", 3), "tiered": tiered, "dollars": each("USD", 1),
	}}
}

// An offer's most is that of whatever may serve the request, and no bound where the price of one of them is not known.
func TestOffer(t *testing.T) {
	for name, test := range map[string]struct {
		choice Choice
		price  Amount // in thousandths of a unit; 0 for none
		most   Amount
		dearer bool
	}{
		"one model":                     {Choice{Model: "one"}, 1, 1, false},
		"no price":                      {Choice{Model: "unknown", Others: []string{"one"}}, 0, 0, false},
		"a dearer one in its place":     {Choice{Model: "one", Others: []string{"three", "two"}}, 1, 3, false},
		"a cheaper one in its place":    {Choice{Model: "two", Others: []string{"one"}}, 2, 2, false},
		"each is charged":               {Choice{Model: "one", Others: []string{"three", "two"}, Each: true}, 1, 6, false},
		"one without a price":           {Choice{Model: "one", Others: []string{"unknown"}}, 1, 1, true},
		"one in another currency":       {Choice{Model: "one", Others: []string{"dollars"}}, 1, 1, true},
		"a tier":                        {Choice{Model: "tiered", Tier: "priority"}, 9, 9, false},
		"a tier of no price":            {Choice{Model: "one", Tier: "priority"}, 1, 1, true},
		"a tier that is never dearer":   {Choice{Model: "one", Tier: "flex"}, 1, 1, false},
		"a tier that another has not":   {Choice{Model: "tiered", Others: []string{"one"}, Tier: "priority"}, 9, 9, true},
		"what the request does not say": {Choice{Model: "one", Open: true}, 1, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			o := offered().Offer(test.choice, Asked{Bytes: 10})
			if test.price == 0 {
				if o.Price != nil || o.Base != nil || o.Most != 0 || o.Declined("", Used{Prompt: 1}, "", "") != 0 {
					t.Fatalf("%+v, want no price", o)
				}
				return
			}
			if o.Price.Request != test.price*Unit/1000 || o.Most != test.most*Unit/1000 || o.Dearer != test.dearer {
				t.Errorf("%s, at most %s, dearer: %t", o.Price.Request, o.Most, o.Dearer)
			}
		})
	}
}

// Others may answer at greater length than the model that is asked.
func TestOfferOfLongerAnswers(t *testing.T) {
	token := PerToken(1)
	book := &Book{Any: &Price{Currency: "CNY", Rates: Rates{Output: token << 40}}}
	choice := Choice{Model: "a", Others: []string{"b"}}
	short := book.Offer(choice, Asked{MaxTokens: 10}).Most
	choice.MaxTokens = 20
	if long := book.Offer(choice, Asked{MaxTokens: 10}).Most; long <= short {
		t.Errorf("at most %s, and %s where the other is as long", long, short)
	}
	if all := book.Offer(choice, Asked{}).Most; all != book.Offer(Choice{Model: "a"}, Asked{}).Most {
		t.Errorf("at most %s where each may answer as long as it can", all)
	}
}

// The price of the model holds that has answered, under its name, or that of a version, and what is not known costs the most.
func TestOfferAnswered(t *testing.T) {
	for name, test := range map[string]struct {
		answered, served string
		each             bool
		model            string
		base, most       Amount
	}{
		"not said":              {"", "", false, "one", 1, 3},
		"the model":             {"one", "", false, "one", 1, 3},
		"another":               {"three", "", false, "three", 3, 3},
		"a version of another":  {"two-20250929", "", false, "two-20250929", 2, 2},
		"a version in parts":    {"two-2025-09-29", "", false, "two-2025-09-29", 2, 2},
		"no version":            {"two-large", "", false, "one", 1, 3},
		"digits and letters":    {"two-5b", "", false, "one", 1, 3},
		"no hyphen":             {"two5", "", false, "one", 1, 3},
		"a hyphen alone":        {"two-", "", false, "one", 1, 3},
		"none of them":          {"four", "", false, "one", 1, 3},
		"each is charged":       {"two", "", true, "two", 2, 6},
		"said to have served":   {"", "two", false, "two", 2, 2},
		"in another currency":   {"", "dollars", false, "one", 1, 3},
		"without a price of it": {"", "unknown", false, "one", 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			o := offered().Offer(Choice{Model: "one", Others: []string{"two", "three"}, Each: test.each}, Asked{})
			if test.served != "" {
				o.ServedBy(test.served)
			} else {
				o.Answered(test.answered)
			}
			if most := o.MostOf(o.Base, Used{}); o.ServingModel() != test.model || o.Base.Request != test.base*Unit/1000 || most != test.most*Unit/1000 {
				t.Errorf("%s at %s, at most %s", o.ServingModel(), o.Base.Request, most)
			}
		})
	}
}

// A model that has declined costs its own price, or that of the dearest that it may have been.
func TestOfferDeclined(t *testing.T) {
	for name, test := range map[string]struct {
		model string
		want  Amount
	}{
		"named":                 {"two", 2},
		"of another currency":   {"dollars", 1},
		"without a price":       {"unknown", 1},
		"whichever it has been": {"", 3},
	} {
		o := offered().Offer(Choice{Model: "one", Others: []string{"two", "three"}}, Asked{})
		if cost := o.Declined(test.model, Used{Prompt: 5}, "", ""); cost != test.want*Unit/1000 {
			t.Errorf("%s: %s", name, cost)
		}
	}
}
