package ledger

import "github.com/caddy-alipayai/gateway/alipayai/price"

// sums are totals of lines that are not kept themselves.
type sums map[Group]Totals

// maxSums bounds them: tenants beyond are counted together, as otherTenants.
const maxSums = 10_000

// otherTenants stands for tenants that there was no room to tell apart.
const otherTenants = "(others)"

func (s *sums) add(g Group, t Totals) {
	if *s == nil {
		*s = make(sums)
	}
	if _, known := (*s)[g]; !known && len(*s) >= maxSums {
		g.Tenant = otherTenants
	}
	sum := (*s)[g]
	sum.Add(t)
	(*s)[g] = sum
}

// byCurrency adds all up.
func (s sums) byCurrency() (attempts int64, totals map[price.Currency]Totals) {
	totals = make(map[price.Currency]Totals)
	for g, t := range s {
		attempts += t.Attempts
		sum := totals[g.Currency]
		sum.Add(t)
		totals[g.Currency] = sum
	}
	return attempts, totals
}
