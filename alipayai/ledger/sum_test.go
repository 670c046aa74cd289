package ledger

import (
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai/price"
)

// A sum has an amount for each currency, and says of each whether it is the most that it may be.
func TestSum(t *testing.T) {
	of := func(currency price.Currency, amount price.Amount, outcome Outcome) Line {
		return Line{Currency: currency, Amount: amount * price.Unit / 100, Outcome: outcome}
	}
	for name, test := range map[string]struct {
		lines []Line
		want  string
	}{
		"none":                   {nil, ""},
		"no price":               {[]Line{{Outcome: Unknown}}, ""},
		"nothing":                {[]Line{of("CNY", 0, Known)}, "0 CNY"},
		"one":                    {[]Line{of("CNY", 3, Known)}, "0.03 CNY"},
		"two":                    {[]Line{of("CNY", 3, Known), of("CNY", 4, Estimated)}, "0.07 CNY"},
		"the first at most":      {[]Line{of("CNY", 3, Unknown), of("CNY", 4, Known)}, "0.07 CNY;at_most"},
		"the second at most":     {[]Line{of("CNY", 3, Known), of("CNY", 4, Unknown)}, "0.07 CNY;at_most"},
		"two currencies":         {[]Line{of("CNY", 3, Known), of("USD", 1, Unknown), of("CNY", 4, Known)}, "0.07 CNY, 0.01 USD;at_most"},
		"one of two has a price": {[]Line{{Outcome: Unknown}, of("USD", 1, Known)}, "0.01 USD"},
	} {
		t.Run(name, func(t *testing.T) {
			var sum Sum
			for _, l := range test.lines {
				sum.Add(l)
			}
			if got := sum.String(); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	t.Run("it does not wrap around", func(t *testing.T) {
		var sum Sum
		sum.Add(Line{Currency: "CNY", Amount: 1<<63 - 1})
		most := sum.String()
		sum.Add(of("CNY", 1, Known))
		if got := sum.String(); got != most {
			t.Errorf("%s, want %s", got, most)
		}
	})
}
