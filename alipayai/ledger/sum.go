package ledger

import (
	"slices"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// Sum is what the attempts of a call have cost together, an amount for each currency. The zero value is nothing.
type Sum struct{ amounts []summed }

// summed is the sum in one currency. atMost says that it is the most that it may be.
type summed struct {
	currency price.Currency
	amount   price.Amount
	atMost   bool
}

// Add adds a line. One without a price adds nothing.
func (s *Sum) Add(l Line) {
	if l.Currency == "" {
		return
	}
	i := slices.IndexFunc(s.amounts, func(of summed) bool { return of.currency == l.Currency })
	if i < 0 {
		i = len(s.amounts)
		s.amounts = append(s.amounts, summed{currency: l.Currency})
	}
	of := &s.amounts[i]
	of.amount, of.atMost = of.amount.Plus(l.Amount), of.atMost || l.Outcome == Unknown
}

// String writes the sum as "0.03 CNY, 0.1 USD", in the order in which the currencies came, with ";at_most" behind the amount of which
// a line's [Outcome] is Unknown. It is empty where no line had a price.
func (s *Sum) String() string {
	texts := make([]string, len(s.amounts))
	for i, of := range s.amounts {
		texts[i] = of.amount.String() + " " + string(of.currency)
		if of.atMost {
			texts[i] += ";at_most"
		}
	}
	return strings.Join(texts, ", ")
}
